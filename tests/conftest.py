"""A small synthetic fab and a small run, made once for all tests."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from semtf.config import RunConfig
from semtf.presets import preset
from semtf.run import Run

PAIRS, TRAIN, TEST = 40, 30, 6


@pytest.fixture(scope="session", autouse=True)
def packed_images(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep packed images out of the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEMTF_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def fab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of the synthetic fab; tests must not change it."""
    from semtf.simulation.world import simulate

    return simulate(
        tmp_path_factory.mktemp("fab") / "data",
        pairs=PAIRS,
        train=TRAIN,
        test=TEST,
        seed=3,
        target_keys=True,
    )


@pytest.fixture(scope="session")
def small_config() -> RunConfig:
    """Every stage for real, but a few steps each."""
    return preset("quick").with_settings(
        {
            "adaptation.width": "4",
            "adaptation.batch": "4",
            "adaptation.first_epochs": "2",
            "adaptation.warm_up_steps": "2",
            "adaptation.other_epochs": "1",
            "adaptation.steps_per_epoch": "2",
            "classification.backbone": "small",
            "classification.epochs": "2",
        }
    )


@pytest.fixture(scope="session")
def run(fab: Path, small_config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run on `fab`; tests must not change it."""
    from semtf import pipeline

    return pipeline.train(fab, run=tmp_path_factory.mktemp("runs") / "run", config=small_config)


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can be mounted by root only")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
