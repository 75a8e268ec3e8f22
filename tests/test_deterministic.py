"""The same data, settings, seed and versions give the same bytes with ``--deterministic``."""

from pathlib import Path

import numpy as np
import pytest

from semtf.cli import main
from semtf.config import RunConfig
from semtf.data.dataset import open_dataset
from semtf.errors import InputError
from semtf.manifest import MANIFEST
from semtf.run import Run
from semtf.timings import TIMINGS
from tests.command import finish, start

# A process of its own: TensorFlow has no way back from deterministic operations.
CODE = """
import sys
import numpy as np
import semtf
data, run, out, *settings = sys.argv[1:]
config = {"deterministic": True, **dict(setting.split("=") for setting in settings)}
result = semtf.load(semtf.train(data, 1, run=run, config=config)).predict(data + "/test/SEM")
np.savez(out, depth=result.depth, sigma=result.sigma, case=result.case)
"""
SMALL = (
    "adaptation.width=4", "adaptation.batch=4", "adaptation.first_epochs=1",
    "adaptation.warm_up_steps=1", "adaptation.steps_per_epoch=2",
    "classification.backbone=small", "classification.epochs=1",
    "classification.steps_per_epoch=2",
)  # fmt: skip
WHOLE = (*SMALL, "adaptation.first_epochs=3", "classification.backbone=efficientnet_b0")


def contents(folder: Path) -> dict[str, bytes]:
    """By name, the bytes of the files of a run without those that have times in them."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "logs" not in path.parts and path.name not in (MANIFEST, TIMINGS)
    }


@pytest.mark.parametrize(
    "settings", [SMALL, pytest.param(WHOLE, marks=pytest.mark.slow)], ids=["small", "whole"]
)
def test_two_trainings_end_in_the_same_bytes(
    settings: tuple[str, ...], fab: Path, tmp_path: Path
) -> None:
    open_dataset(fab)
    runs, results = (tmp_path / "one", tmp_path / "two"), (tmp_path / "1.npz", tmp_path / "2.npz")
    for run, result in zip(runs, results, strict=True):
        code, _, errors = finish(start(fab, run, result, *settings, code=CODE))
        assert (code, errors) == (0, [])
    first, second = map(contents, runs)
    assert {"classifier/model.weights.h5", "cases/case_1/to_target.weights.h5"} <= first.keys()
    assert {"storage/case_1/keys.npy", "storage/case_1/scann/hashed_dataset.npy"} <= first.keys()
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    one, two = map(np.load, results)
    assert np.ptp(one["depth"])
    for name in ("depth", "sigma", "case"):
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)
    assert Run.open(runs[0]).config.deterministic


@pytest.mark.parametrize("given", [True, False])
def test_the_option_is_the_setting(
    given: bool, fab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = []

    def see(*_: object, config: RunConfig, **__: object) -> None:
        configs.append(config)
        raise InputError("that is all")

    monkeypatch.setattr("semtf.pipeline.train", see)
    options = ["--deterministic"] if given else []
    arguments = ["--data", fab, "--run", tmp_path / "run", "--seed", 5, *options]
    with pytest.raises(SystemExit):
        main.run(["train", *map(str, arguments)])
    (config,) = configs
    assert (config.deterministic, config.seed) == (given, 5)
