"""Every family of methods on the small fab, beside slow and obvious versions in NumPy."""

import dataclasses
import itertools
from pathlib import Path

import keras
import numpy as np
import pytest

from semtf.adapter_table import SELECTION, chosen_adapter
from semtf.benchmark import encoder_decoder
from semtf.benchmark import keys as benchmark_keys
from semtf.benchmark.benchmark import benchmark, estimates
from semtf.benchmark.estimators import fit
from semtf.benchmark.keys import keys_of
from semtf.benchmark.registry import DEFAULTS, chosen
from semtf.benchmark.rows import Rows
from semtf.benchmark.training import FINISHED
from semtf.benchmark.world import Settings, World
from semtf.config import RunConfig
from semtf.data.dataset import Dataset, open_dataset
from semtf.data.pipelines import to_network
from semtf.evaluation.rmse import rmse
from semtf.run import Run


@pytest.fixture(scope="module")
def dataset(fab: Path) -> Dataset:
    return open_dataset(fab)


@pytest.fixture(scope="module")
def world(
    dataset: Dataset, fab: Path, small_config: RunConfig, tmp_path_factory: pytest.TempPathFactory
) -> World:
    """Case 1 without a run: its adapter is trained here."""
    settings = Settings(small_config, tmp_path_factory.mktemp("networks"))
    return World(dataset, fab / "truth", settings, cases=[1])


def depth_of(world: World, name: str) -> np.ndarray:
    return estimates(world, chosen(name)[0])[0].depth


def moved(image: np.ndarray, move: tuple[int, int], wrap: bool) -> np.ndarray:
    """The slow version of a shift."""
    if wrap:
        return np.roll(image, move, (0, 1))
    rows, columns = (
        np.clip(np.arange(n) - m, 0, n - 1) for n, m in zip(image.shape, move, strict=True)
    )
    return image[np.ix_(rows, columns)]


def slowly_nearest(
    keys: np.ndarray, values: np.ndarray, image: np.ndarray, wrap: bool, move_depth: bool
) -> np.ndarray:
    moves = [(a, b) for a in range(-2, 3) for b in range(-2, 3)]
    views = np.array([[moved(key, move, wrap).ravel() for move in moves] for key in keys], float)
    views -= views.mean(axis=-1, keepdims=True)
    views /= np.linalg.norm(views, axis=-1, keepdims=True)
    pair, shift = np.unravel_index(
        (views @ (image - image.mean()).ravel()).argmax(), views.shape[:2]
    )
    return moved(values[pair], moves[shift], wrap) if move_depth else values[pair]


@pytest.mark.parametrize(
    ("estimator", "wrap", "move_depth"),
    [
        ("nearest", False, True),
        ("nearest-wrapped", True, True),
        ("nearest-unmoved", False, False),
        ("nearest-winner", True, False),
    ],
)
def test_nearest_pairs_are_those_of_a_slow_search(
    world: World, estimator: str, wrap: bool, move_depth: bool
) -> None:
    found = depth_of(world, f"none/{estimator}")
    case = world.case(1)
    keys = np.rint(case.simulator.sem.astype(float).mean(axis=1)).astype(np.uint8)
    for image, depth in zip(world.test.images.astype(float), found, strict=True):
        expected = slowly_nearest(keys, case.simulator.depth, image, wrap, move_depth)
        np.testing.assert_array_equal(depth, expected)


def test_references(world: World) -> None:
    depth = world.case(1).simulator.depth.astype(float)
    mean = depth_of(world, "mean-map")
    np.testing.assert_allclose(mean, np.repeat(depth.mean(axis=0)[None], 6, axis=0), atol=1e-3)
    nearest = depth_of(world, "nearest-true-map")
    for truth, found in zip(world.test.depth.astype(float), nearest, strict=True):
        errors = [
            np.square(moved(d, (a, b), False) - truth).mean()
            for d in depth
            for a in range(-2, 3)
            for b in range(-2, 3)
        ]
        assert np.square(found - truth).mean() == pytest.approx(min(errors))


def test_keys_of_every_kind(world: World, fab: Path) -> None:
    case = world.case(1)
    none, one = keys_of(case, "none"), keys_of(case, "none-one-exposure")
    np.testing.assert_array_equal(one, case.simulator.sem[:, 0])
    error = [np.abs(keys.astype(float) - keys_of(case, "target")).mean() for keys in (none, one)]
    assert error[0] < error[1]
    # Percentile matching gives the fab's mean percentiles, which is a grey curve.
    percentile = keys_of(case, "percentile")
    assert abs(percentile.mean() - case.fab.images.mean()) < abs(
        none.mean() - case.fab.images.mean()
    )


def test_keys_of_the_adapter_that_auto_chose(
    dataset: Dataset, fab: Path, small_config: RunConfig, tmp_path: Path
) -> None:
    settings = {"adaptation.candidates": '["none", "moment"]'}
    config = small_config.with_settings(settings)
    case = World(dataset, fab / "truth", Settings(config, tmp_path), cases=[1]).case(1)
    found = keys_of(case, "auto")
    folder = tmp_path / "auto" / "seed_0" / "case_1"
    assert (folder / SELECTION).exists()
    # The candidates are those of the other names: none is fitted a second time.
    assert (tmp_path / "moment" / "seed_0" / "case_1" / FINISHED).exists()
    assert not [part for part in folder.iterdir() if part.is_dir()]
    np.testing.assert_array_equal(found, keys_of(case, chosen_adapter(folder)))


def test_what_is_trained_is_kept(world: World) -> None:
    case = world.case(1)
    adapted = keys_of(case, "adapted")
    folder = world.settings.networks / "cyclegan" / "seed_0" / "case_1"
    assert (folder / FINISHED).exists()
    written = (folder / "to_target.weights.h5").stat().st_mtime_ns
    again = World(world.dataset, world.truth, world.settings, cases=[1])
    np.testing.assert_array_equal(keys_of(again.case(1), "cyclegan"), adapted)
    assert (folder / "to_target.weights.h5").stat().st_mtime_ns == written


def test_keys_of_the_epochs_of_a_long_training(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark_keys, "EPOCHS", (1, 3))
    case = world.case(1)
    found = [keys_of(case, name) for name in ("none", "epoch-1", "epoch-3", "cyclegan")]
    differ = [not np.array_equal(a, b) for a, b in itertools.combinations(found, 2)]
    assert all(differ)
    folder = world.settings.networks / "long" / "seed_0" / "case_1"
    rates = np.genfromtxt(folder / "history.csv", delimiter=",", names=True)
    assert len(rates) == 3, "nothing ends the long training before its last epoch"


def test_one_network_for_all_cases(
    dataset: Dataset, fab: Path, small_config: RunConfig, tmp_path: Path
) -> None:
    two = World(dataset, fab / "truth", Settings(small_config, tmp_path), cases=[1, 2])
    joint = [keys_of(two.case(case), "joint") for case in (1, 2)]
    assert [path.name for path in (tmp_path / "joint" / "seed_0").iterdir()] == ["case_1"]
    assert joint[0].shape == joint[1].shape
    assert not np.array_equal(joint[0], joint[1])


@pytest.mark.slow
def test_no_warm_start(
    dataset: Dataset, fab: Path, small_config: RunConfig, tmp_path: Path
) -> None:
    two = World(dataset, fab / "truth", Settings(small_config, tmp_path), cases=[1, 2])
    cold, warm = keys_of(two.case(2), "cold"), keys_of(two.case(2), "cyclegan")
    assert sorted(path.name for path in tmp_path.glob("*/seed_0/*")) == [
        "case_1", "case_2", "case_2",
    ]  # fmt: skip
    assert not np.array_equal(cold, warm)


def test_pairs_limit_what_is_stored(dataset: Dataset, fab: Path, small_config: RunConfig) -> None:
    few = World(dataset, fab / "truth", Settings(small_config, fab, 10), cases=[1])
    assert len(few.case(1).simulator) == len(keys_of(few.case(1), "target")) == 10
    assert set(few.case(1).simulator.bases) < set(dataset.simulator(1).bases)


def test_the_encoder_decoder_learns_and_its_statistics_are_the_fabs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder_decoder, "STEPS", 12)
    case = world.case(1)
    method = chosen("target/unet-clean")[0]
    found = fit(case, method)(world.test.images, world.test.depth).depth
    mean = np.broadcast_to(case.simulator.depth.mean(axis=0), found.shape)
    assert found.shape == world.test.depth.shape
    assert found.max() <= case.plate
    assert rmse(found, world.test.depth) < 60
    assert not np.allclose(found, mean)
    for name in ("unet-clean-adabn", "unet-clean-shuffled"):
        other = fit(case, chosen(f"target/{name}")[0])(world.test.images, world.test.depth)
        assert np.isfinite(other.depth).all()
        assert not np.array_equal(other.depth, found)


def test_statistics_of_the_first_layer_are_means_over_batches() -> None:
    keras.utils.set_random_seed(0)
    network = encoder_decoder.unet((24, 16))
    generator = np.random.default_rng(0)
    batches = [generator.integers(0, 212, (8, 24, 16)).astype(np.uint8) for _ in range(3)]
    encoder_decoder.take_statistics(network, batches)
    normalising = [x for x in network.layers if isinstance(x, keras.layers.BatchNormalization)]
    convolution = next(x for x in network.layers if isinstance(x, keras.layers.Conv2D))
    features = [np.asarray(convolution(to_network(batch))) for batch in batches]
    means = np.mean([f.mean(axis=(0, 1, 2)) for f in features], axis=0)
    variances = np.mean([f.var(axis=(0, 1, 2)) for f in features], axis=0)
    np.testing.assert_allclose(normalising[0].moving_mean, means, atol=1e-5)
    np.testing.assert_allclose(normalising[0].moving_variance, variances, rtol=1e-3)
    assert {layer.momentum for layer in normalising} == {0.9}


def test_the_default_table_of_a_run(run: Run, fab: Path, dataset: Dataset, tmp_path: Path) -> None:
    settings = Settings(run.config, tmp_path)
    rows = Rows(tmp_path / "rows.jsonl")
    table = benchmark(dataset, fab / "truth", chosen(None), settings, run=run, rows=rows)
    assert list(table["name"]) == list(DEFAULTS)
    assert (table["images"] == 24).all()
    error = table.set_index("name")["rmse"]
    assert error["target/softmax-8"] < error["none/softmax-8"]
    assert table.set_index("name")["coverage"].notna().sum() == 3  # the tuned ones
    assert table.set_index("name")["gap_closed"]["target/nearest"] == 1
    assert ((table["low"] < table["rmse"]) & (table["rmse"] < table["high"])).all()
    assert (table["peak_gib"] > 0).all()
    again = benchmark(dataset, fab / "truth", chosen(None), settings, run=run, rows=rows)
    assert again.equals(table)
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == len(DEFAULTS)


def test_an_interrupted_benchmark_goes_on(
    dataset: Dataset, fab: Path, small_config: RunConfig, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from semtf.benchmark import benchmark as module

    wanted = chosen("mean-map,nearest-true-map,none/nearest-winner")
    path, tried = tmp_path / "rows.jsonl", []

    def counted(case, method):
        tried.append(method.name)
        if tried == ["mean-map", "nearest-true-map"]:
            raise KeyboardInterrupt
        return fit(case, method)

    def made():
        settings = Settings(small_config, tmp_path)
        return benchmark(dataset, fab / "truth", wanted, settings, cases=[1], rows=Rows(path))

    monkeypatch.setattr(module, "fit", counted)
    with pytest.raises(KeyboardInterrupt):
        made()
    table = made()
    assert tried == ["mean-map", "nearest-true-map", "nearest-true-map", "none/nearest-winner"]
    assert list(table["name"]) == [method.name for method in wanted]
    # Other settings are another benchmark.
    small_config = dataclasses.replace(small_config, seed=5)
    made()
    assert len(tried) == 4 + len(wanted)


def test_a_method_that_lacks_something_is_left_out(
    dataset: Dataset, fab: Path, small_config: RunConfig, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    truth = tmp_path / "truth"
    truth.mkdir()
    for name in ("Depth", "cases.csv"):
        (truth / name).symlink_to(fab / "truth" / name)
    wanted = chosen("target/nearest,mean-map")
    table = benchmark(dataset, truth, wanted, Settings(small_config, tmp_path), cases=[1])
    assert list(table["name"]) == ["mean-map"]
    assert "target/nearest: left out" in capsys.readouterr().err
