"""Training a run: what it leaves, cases added later, interruption, and foreign data sets."""

import json
import shutil
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from PIL import Image

from semtf import extension, pipeline, stages
from semtf.benchmark.benchmark import benchmark
from semtf.benchmark.registry import chosen
from semtf.benchmark.world import Settings
from semtf.config import RunConfig
from semtf.data.dataset import open_dataset
from semtf.errors import InputError
from semtf.estimation.estimator import load
from semtf.presets import preset
from semtf.report.page import write_report
from semtf.retrieval.retriever import Retriever
from semtf.retrieval.retriever_files import load_retriever, save_retriever
from semtf.retrieval.storage import Storage
from semtf.run import Run


def test_a_finished_run_has_everything(run: Run, fab: Path) -> None:
    assert run.finished
    assert run.cases == (1, 2, 3, 4)
    files = set(json.loads((run.path / "manifest.json").read_text()))
    for case in run.cases:
        assert f"cases/case_{case}/to_target.weights.h5" in files
        assert f"cases/case_{case}/history.csv" in files
        assert f"storage/case_{case}/keys.npy" in files
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".partial"))]
    assert json.loads((run.path / "data.json").read_text())["cases"]["2"] == {
        "pairs": 40,
        "fab": 30,
    }


def test_storage_holds_adapted_keys_beside_their_depth(run: Run, fab: Path) -> None:
    dataset = open_dataset(fab)
    for case in (1, 3):
        storage, simulator = Storage.open(run.storage(case)), dataset.simulator(case)
        np.testing.assert_array_equal(storage.values, simulator.depth)
        np.testing.assert_array_equal(storage.names, simulator.bases)
        np.testing.assert_array_equal(storage.keys, stages.adapted_keys(run, simulator))


def test_one_case_then_another(fab: Path, small_config: RunConfig, tmp_path: Path) -> None:
    config = small_config.with_settings({"adaptation.adapter": "none"})
    first = pipeline.train(fab, 3, run=tmp_path / "run", config=config)
    assert first.cases == (3,)
    result = load(first.path).predict(open_dataset(fab).test().images)
    assert set(result.case) == {3}
    both = pipeline.train(fab, 1, run=tmp_path / "run")
    assert both.cases == (1, 3)
    assert load(both.path).models.cases == (1, 3)
    keys = np.rint(open_dataset(fab).simulator(3).mean_sem()).astype(np.uint8)
    np.testing.assert_array_equal(Storage.open(both.storage(3)).keys, keys)
    again = pipeline.train(str(fab), 3, run=both)
    assert (again.path, again.cases) == (both.path, (1, 3))
    elsewhere = Path(shutil.copytree(fab, tmp_path / "elsewhere"))
    with pytest.raises(InputError, match="has case 3 already"):
        pipeline.train(elsewhere, 3, run=tmp_path / "run")
    with pytest.raises(InputError, match="other settings"):
        pipeline.train(fab, 2, run=tmp_path / "run", config=small_config)


def test_a_case_trained_later_starts_from_case_1(run: Run, fab: Path, tmp_path: Path) -> None:
    """With a learning rate of next to nothing, what it starts from is what it ends with."""
    still = run.config.with_settings(
        {
            "adaptation.learning_rate": "1e-30",
            "adaptation.other_epochs": "1",
            "classification.backbone": "statistics",
        }
    )
    later = Run.create(tmp_path / "run", still)
    shutil.copytree(run.adaptation(1), later.adaptation(1))
    pipeline.train(fab, 3, run=later.path, resume=True)
    assert later.cases == (3,)
    for network in ("to_source", "target_critic"):
        first, third = (
            _weights(later.adaptation(case) / f"{network}.weights.h5") for case in (1, 3)
        )
        assert first.keys() == third.keys()
        for name, values in first.items():
            np.testing.assert_allclose(third[name], values, atol=1e-6)
    alone = stages.adapted_keys(later, open_dataset(fab).simulator(3))
    np.testing.assert_array_equal(Storage.open(later.storage(3)).keys, alone)


class Interruption(keras.callbacks.Callback):
    """Ctrl-C when the second epoch of an adapter is over and its checkpoint is written."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if epoch == 1 and self.model.name.startswith("cyclegan"):
            raise KeyboardInterrupt


def test_the_best_epoch_so_far_is_kept_where_no_time_is_left(
    fab: Path, small_config: RunConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = small_config.with_settings(
        {"adaptation.first_epochs": "50", "classification.backbone": "statistics"}
    )
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        pipeline.train(fab, 1, run=folder, config=config, callbacks=[Interruption()])
    run = pipeline.train(fab, 1, run=folder, resume=True, budget=0)
    told = capsys.readouterr().err
    assert "budget of 0 minutes: case 1 0.0, classifier 0.0" in told
    table = (run.adaptation(1) / "criterion.csv").read_text().splitlines()
    assert len(table) == 1 + 1 + 2  # header, no adaptation, two epochs
    choice = json.loads((run.adaptation(1) / "choice.json").read_text())
    assert choice["ended"] == "the time is up"
    assert choice["epoch"] in (1, 2)
    assert run.cases == (1,)
    assert len((run.classifier / "history.csv").read_text().splitlines()) == 1 + 1


def test_negatives_are_refused_before_anything_is_trained(
    fab: Path, small_config: RunConfig, tmp_path: Path
) -> None:
    folder = tmp_path / "negatives"
    folder.mkdir()
    for i, image in enumerate(open_dataset(fab).fab(1).images):
        Image.fromarray(212 - np.minimum(image, 212)).save(folder / f"{i}.png")
    with pytest.raises(InputError, match="case 1: the fab's images are negatives"):
        pipeline.train(fab, 1, run=tmp_path / "run", config=small_config, fab={1: folder})
    assert not (tmp_path / "run" / "cases").exists()


def _weights(path: Path) -> dict[str, np.ndarray]:
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


def test_cross_validation_and_missing_weights(
    fab: Path, small_config: RunConfig, tmp_path: Path
) -> None:
    config = small_config.with_settings(
        {"adaptation.adapter": "none", "classification.backbone": "statistics"}
    )
    run = pipeline.train(fab, 2, run=tmp_path / "run", config=config, folds=2)
    note = json.loads((run.classifier / "folds.json").read_text())
    assert len(note["accuracy"]) == 2
    assert note["mean"] == pytest.approx(sum(note["accuracy"]) / 2)
    config = config.with_settings({"classification.backbone": "efficientnet_b0"})
    with pytest.raises(InputError, match=r"none\.safetensors"):
        pipeline.train(
            fab,
            2,
            run=tmp_path / "other",
            config=config,
            classifier_weights=tmp_path / "none.safetensors",
        )


def test_auto_chooses_an_adapter_for_each_case_and_reports_why(
    fab: Path, small_config: RunConfig, tmp_path: Path
) -> None:
    config = small_config.with_settings(
        {
            "adaptation.adapter": "auto",
            "adaptation.candidates": '["none", "moment"]',
            "classification.backbone": "statistics",
        }
    )
    run = pipeline.train(fab, 2, run=tmp_path / "run", config=config)
    note = json.loads((run.adaptation(2) / "selection.json").read_text())
    assert note["adapter"] == "moment"
    simulator = open_dataset(fab).simulator(2)
    moved = np.asarray(Storage.open(run.storage(2)).keys, float) - simulator.mean_sem()
    assert np.abs(moved).mean() > 3
    write_report(run, open_dataset(fab, cases=[2]), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert note["reason"] in page
    assert "<th>moment</th>" in page


def test_an_interrupted_run_goes_on(
    fab: Path, small_config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    config = small_config.with_settings({"adaptation.adapter": "none"})
    with monkeypatch.context() as patch:
        patch.setattr(stages, "prepare", killed)
        with pytest.raises(KeyboardInterrupt):
            pipeline.train(fab, 2, run=tmp_path / "run", config=config)
    assert not Run.open(tmp_path / "run").finished
    with pytest.raises(InputError, match="add --resume"):
        pipeline.train(fab, 2, run=tmp_path / "run")
    with pytest.raises(InputError, match="not trained to the end"):
        load(tmp_path / "run")
    assert pipeline.train(fab, 2, run=tmp_path / "run", resume=True).cases == (2,)
    assert load(tmp_path / "run").models.cases == (2,)
    with pytest.raises(InputError, match="no run to resume"):
        pipeline.train(fab, 2, run=tmp_path / "other", resume=True)


def foreign(fab: Path, out: Path) -> Path:
    """The same images as another source would lay them out."""
    for path in sorted((fab / "simulation_data").rglob("*.png")):
        kind, case, _, name = path.relative_to(fab / "simulation_data").parts
        base, end = (name[:-9], name[-9:]) if kind == "SEM" else (name[:-4], name[-4:])
        target = out / "simulation_data" / kind / case / "lot A" / f"hole.{base[-12:]}x{end}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    for level in ("Depth_110", "Depth_120", "Depth_130", "Depth_140"):
        for i, path in enumerate(sorted((fab / "train/SEM" / level).rglob("*.png"))):
            target = out / "train/SEM" / level / f"wafer-{i // 3}" / f"crop_{i % 3}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            mode = "RGB" if i % 2 else "L"
            Image.open(path).convert(mode).save(target)
    shutil.copytree(fab / "test", out / "test")
    for stray in ("simulation_data/SEM/Case_1/.ipynb_checkpoints", "train/SEM/.ipynb_checkpoints"):
        (out / stray).mkdir(parents=True)
        shutil.copy(fab / "test/SEM/000000.png", out / stray / "000000-checkpoint.png")
    (out / "train/SEM/Depth_110/wafer-0/Thumbs.db").write_bytes(b"x")
    (out / "readme.txt").write_text("from the other fab")
    return out


def test_a_foreign_folder_works(fab: Path, small_config: RunConfig, tmp_path: Path) -> None:
    data = foreign(fab, tmp_path / "foreign")
    run = pipeline.train(data, 1, run=tmp_path / "run", config=small_config)
    assert len(Storage.open(run.storage(1))) == 40
    test = open_dataset(data, cases=(1,)).test()
    depth = load(run.path).predict(test.images).grey()
    assert (depth[:, :4] == 140).all()
    assert (depth[:, -4:] == 140).all()


@pytest.mark.slow
def test_adaptation_helps_in_every_case(tmp_path: Path) -> None:
    from semtf.simulation.world import simulate

    data = simulate(tmp_path / "data", pairs=500, train=200, test=40, seed=1)
    config = preset("quick").with_settings({"classification.backbone": "small"})
    run = pipeline.train(data, run=tmp_path / "run", config=config)
    settings = Settings(run.config, tmp_path / "networks")
    found = benchmark(
        open_dataset(data),
        data / "truth",
        chosen("none/nearest,adapted/nearest"),
        settings,
        run=run,
    )
    table = found.set_index("method")
    for case in (1, 2, 3, 4):
        column = table[f"case_{case}"]
        assert column["adapted, nearest"] < column["no adaptation, nearest"]


def other_pairs(fab: Path, out: Path, count: int) -> Path:
    """The first pairs of a data set under names of their own, without fab images."""
    for case in (1, 2, 3, 4):
        depth = sorted((fab / f"simulation_data/Depth/Case_{case}").rglob("*.png"))[:count]
        for path in depth:
            bucket = Path(f"Case_{case}") / path.parent.name
            for kind, ending in (("Depth", ""), ("SEM", "_itr0"), ("SEM", "_itr1")):
                source = fab / "simulation_data" / kind / bucket / f"{path.stem}{ending}.png"
                target = out / "simulation_data" / kind / bucket / f"new_{source.name}"
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
    return out


def test_pairs_are_added_and_an_interruption_loses_nothing(
    run: Run, fab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown = Run.open(shutil.copytree(run.path, tmp_path / "run"))
    data = other_pairs(fab, tmp_path / "more", 5)

    def killed(retriever: Retriever, folder: Path) -> None:
        save_retriever(retriever, folder)
        if retriever.storage.case == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(extension, "save_retriever", killed)
        with pytest.raises(KeyboardInterrupt):
            extension.add_pairs(grown.path, data)
    assert [len(Storage.open(grown.storage(case))) for case in grown.cases] == [45, 40, 40, 40]
    # An interruption between the two renames of a replacement.
    grown.storage(3).rename(grown.storage(3).with_name("case_3.old"))
    assert extension.add_pairs(grown.path, data) == {1: 0, 2: 5, 3: 5, 4: 5}
    assert grown.finished
    for case in grown.cases:
        before, after = Storage.open(run.storage(case)), Storage.open(grown.storage(case))
        np.testing.assert_array_equal(after.keys[:40], before.keys)
        twins = [before.names.tolist().index(n.removeprefix("new_")) for n in after.names[40:]]
        np.testing.assert_array_equal(after.keys[40:], before.keys[twins])
        old = load_retriever(run.storage(case), before, "exact")
        new = load_retriever(grown.storage(case), after, "exact")
        np.testing.assert_array_equal(new.pca.components, old.pca.components)
        embeddings = new.index.embeddings.numpy()
        np.testing.assert_array_equal(embeddings[: 40 * 25], old.index.embeddings)
        assert new.config == old.config
        for name in ("tuning.json", "intervals.json", "similarity.json", "maxima.json"):
            assert (grown.storage(case) / name).read_bytes() == (
                run.storage(case) / name
            ).read_bytes()
        found = new.search(after.keys[40:].astype(np.float32), 1).pair.numpy().ravel()
        assert all(
            pair in (twin, 40 + i) for i, (pair, twin) in enumerate(zip(found, twins, strict=True))
        )
