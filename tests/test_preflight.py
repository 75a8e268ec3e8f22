"""What a training needs is found out before it starts, in one line, and leaves no folder."""

import shutil
from pathlib import Path

import pytest

from semtf import pipeline
from semtf.backend.installed import is_classic
from semtf.config import RunConfig
from semtf.data.dataset import open_dataset
from semtf.errors import InputError
from semtf.preflight import check_data, check_extension, network_bytes, storage_bytes
from semtf.presets import preset
from semtf.run import Run
from tests.command import finish, start

BROKEN = "raise ImportError('libscann.so: undefined symbol: _ZN4absl')"


def without(module: str, folder: Path, content: str = BROKEN) -> dict[str, str]:
    """An environment in which a module cannot be imported."""
    (folder / "broken" / module).mkdir(parents=True)
    (folder / "broken" / module / "__init__.py").write_text(content)
    return {"PYTHONPATH": f"{folder / 'broken'}:{Path(pipeline.__file__).parents[1]}"}


@pytest.mark.parametrize(
    ("module", "options", "field"),
    [
        ("scann", ("--index", "scann", "--set", "classification.backbone=small"), "--index exact"),
        ("keras_cv", ("--index", "exact"), "--set classification.backbone=small"),
        pytest.param(
            "tensorflow_addons",
            ("--adapter", "moment", "--set", "classification.backbone=small"),
            'pip install "tensorflow-addons<0.24,>=0.23"',
            marks=pytest.mark.skipif(not is_classic(), reason="the classic set alone has it"),
        ),
    ],
)
def test_a_library_that_does_not_load_is_found_before_anything_is_made(
    module: str, options: tuple[str, ...], field: str, fab: Path, tmp_path: Path
) -> None:
    run = tmp_path / "runs" / "run"
    process = start(
        "train", "--data", fab, "--run", run, *options, environment=without(module, tmp_path)
    )
    code, _, errors = finish(process)
    assert code == 2
    assert len(errors) == 1
    assert "undefined symbol" in errors[0]
    assert field in errors[0]
    assert not run.exists()


def test_without_scann_the_advice_trains_a_run(fab: Path, tmp_path: Path) -> None:
    arguments = (
        "train", "--case", 2, "--data", fab, "--run", tmp_path / "run", "--adapter", "none",
        "--set", "classification.backbone=statistics", "--index", "exact",
    )  # fmt: skip
    code, _, errors = finish(start(*arguments, environment=without("scann", tmp_path)))
    assert (code, errors) == (0, [])
    assert Run.open(tmp_path / "run").config.retrieval.index == "exact"


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend_of_keras_is_refused(backend: str, fab: Path, tmp_path: Path) -> None:
    process = start(
        "train", "--data", fab, "--run", tmp_path / "run", environment={"KERAS_BACKEND": backend}
    )
    code, _, errors = finish(process)
    assert code == 2
    assert errors == [
        f"error: KERAS_BACKEND={backend}: semtf computes with TensorFlow; set "
        "KERAS_BACKEND=tensorflow, before Keras is imported"
    ]
    help_text = start("train", "--help", environment={"KERAS_BACKEND": backend})
    assert finish(help_text)[0] == 0


IMPORT_ALL = """
import importlib, pkgutil, sys
import semtf
from semtf.backend.installed import is_classic
from semtf.errors import InputError

for module in pkgutil.walk_packages(semtf.__path__, "semtf.", onerror=lambda name: None):
    try:
        importlib.import_module(module.name)
    except InputError:
        pass
# TensorFlow itself imports Keras 2, which knows no other backend.
assert is_classic() or "keras" not in sys.modules
"""


def test_no_module_imports_keras_with_another_backend() -> None:
    code, _, errors = finish(start(environment={"KERAS_BACKEND": "jax"}, code=IMPORT_ALL))
    assert (code, errors) == (0, [])


def test_wrong_weights_and_too_many_folds_leave_no_folder(
    fab: Path, small_config: RunConfig, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with pytest.raises(InputError, match=r"--folds 99: case 2 has \d+ sites only"):
        pipeline.train(fab, 2, run=run, config=small_config, folds=99)
    with pytest.raises(InputError, match="fit efficientnet_b0 only"):
        pipeline.train(fab, 2, run=run, config=small_config, classifier_weights=tmp_path / "w.h5")
    assert not run.exists()


def test_the_estimate_of_a_run_holds(run: Run, fab: Path) -> None:
    files = [path for path in run.path.rglob("*") if path.is_file()]
    stored = [path for path in files if "storage" in path.parts]
    real = sum(path.stat().st_size for path in stored)
    estimate = 4 * storage_bytes(run.config, 40)
    assert 0.5 * real < estimate < 1.5 * real
    others = sum(path.stat().st_size for path in files) - real
    assert others < network_bytes(run.config, 4)


def test_a_run_that_needs_more_than_the_disk_has(fab: Path, small_config: RunConfig) -> None:
    wide = small_config.with_settings({"adaptation.width": "100000000"})
    with pytest.raises(InputError, match="the run needs about"):
        check_data(wide, open_dataset(fab, cases=[1]), Path("run"), [1], None)


def test_pairs_that_need_more_than_the_disk_has(small_config: RunConfig, tmp_path: Path) -> None:
    check_extension(small_config, tmp_path, [(40, 40)])
    with pytest.raises(InputError, match="the longer storage needs about"):
        check_extension(small_config, tmp_path, [(40, 10**12)])


def test_settings_that_nothing_was_made_with_may_change(
    small_config: RunConfig, tmp_path: Path
) -> None:
    small_config = small_config.with_settings({"retrieval.index": "scann"})
    begun = Run.create(tmp_path / "run", small_config)
    exact = small_config.with_settings({"retrieval.index": "exact"})
    assert begun.changed(exact).config == Run.open(begun.path).config == exact
    begun.adaptation(2).mkdir(parents=True)
    dimensions = exact.with_settings({"retrieval.dimensions": "16"})
    assert begun.changed(exact).changed(dimensions).config.retrieval.dimensions == 16
    with pytest.raises(InputError, match=r"other settings, adaptation\.width=4 and not 8"):
        begun.changed(small_config.with_settings({"adaptation.width": "8"}))
    with pytest.raises(InputError, match="seed=0 and not 3"):
        begun.changed(small_config.with_settings({"seed": "3"}))
    begun.storage(2).mkdir(parents=True)
    with pytest.raises(InputError, match=r"retrieval\.index=scann and not exact"):
        begun.changed(exact)
    epochs = {"classification.epochs": "3"}
    assert begun.changed(small_config.with_settings(epochs)).config.classification.epochs == 3
    begun.classifier.with_name("classifier.partial").mkdir()
    with pytest.raises(InputError, match=r"classification\.epochs=2 and not 3"):
        begun.changed(small_config.with_settings(epochs))


def test_an_interrupted_run_is_resumed_with_the_exact_index(
    run: Run, fab: Path, tmp_path: Path
) -> None:
    """Single settings change the run's own, whatever preset it was made with."""
    config = run.config.with_settings({"classification.backbone": "statistics"})
    begun = Run.create(tmp_path / "run", config)
    shutil.copytree(run.adaptation(2), begun.adaptation(2))
    options = ("--case", 2, "--data", fab, "--run", begun.path, "--resume")
    code, _, errors = finish(start("train", *options, "--index", "exact"))
    assert (code, errors) == (0, [])
    assert Run.open(begun.path).config == config.with_settings({"retrieval.index": "exact"})
    assert not (begun.storage(2) / "scann").exists()
    assert preset("quick").retrieval.index == "auto"
