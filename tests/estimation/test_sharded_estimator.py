"""A storage in parts estimates what the whole storage does."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from semtf.cli.main import run as semtf
from semtf.errors import InputError
from semtf.estimation.estimator import load
from semtf.estimation.sharded_estimator import ShardedEstimator
from semtf.estimation.storage_shards import HEAD, POSITIONS, pair_counts, shard_run
from semtf.retrieval.storage import Storage
from semtf.run import Run


@pytest.fixture(scope="module")
def exact(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run with settings of the exact search, so that no part is searched with ScaNN."""
    path = Path(shutil.copytree(run.path, tmp_path_factory.mktemp("exact") / "run"))
    for settings in path.glob("storage/*/retrieval.json"):
        document = json.loads(settings.read_text()) | {"index": "exact"}
        settings.write_text(json.dumps(document))
    return Run.open(path)


@pytest.fixture(scope="module")
def shards(exact: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shards") / "out"
    shard_run(exact, 3, out)
    return out


def test_every_pair_is_in_one_part(exact: Run, shards: Path) -> None:
    for case, counts in pair_counts(shards).items():
        whole = Storage.open(exact.storage(case))
        seen = []
        for i, count in enumerate(counts):
            folder = shards / f"part-{i:03d}/case_{case}"
            part, positions = Storage.open(folder), np.load(folder / POSITIONS)
            assert len(part) == len(positions) == count
            assert np.array_equal(part.keys, whole.keys[positions])
            assert np.array_equal(part.values, whole.values[positions])
            assert part.names.tolist() == whole.names[positions].tolist()
            seen += positions.tolist()
        assert sorted(seen) == list(range(len(whole)))


def test_the_answer_is_that_of_the_whole_storage(exact: Run, shards: Path, fab: Path) -> None:
    images = sorted((fab / "test/SEM").iterdir())[:10]
    whole, parts = load(exact).predict(images), ShardedEstimator(shards).predict(images)
    assert len(whole) == 10
    for own, other in zip(whole.neighbours, parts.neighbours, strict=True):
        assert [n[:2] for n in own] == [n[:2] for n in other]
        assert [n.weight for n in other] == pytest.approx([n.weight for n in own], abs=1e-4)
    assert np.array_equal(whole.case, parts.case)
    assert whole.flags == parts.flags
    assert np.abs(whole.similarity - parts.similarity).max() < 1e-5
    assert np.abs(whole.depth - parts.depth).max() < 1e-2
    assert np.abs(whole.sigma - parts.sigma).max() < 1e-2


def test_images_in_doubt_blend_two_cases(exact: Run, shards: Path, fab: Path) -> None:
    estimator, parts = load(exact), ShardedEstimator(shards)
    images = np.zeros((3, *estimator.shape), np.uint8) + np.arange(48, dtype=np.uint8)
    probability = np.full((3, 4), 0.05, np.float32)
    probability[:, 1:3] = 0.45
    depth = parts.predict(images, probability, batch=2).depth
    assert np.abs(depth - estimator.predict(images, probability).depth).max() < 1e-2


def test_no_images(shards: Path) -> None:
    assert len(ShardedEstimator(shards).predict(np.zeros((0, 72, 48)))) == 0


def test_the_command_and_what_it_refuses(
    exact: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def call(*arguments: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as stop:
            semtf(["shard", *map(str, arguments)])
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out + captured.err

    out = tmp_path / "out"
    code, text = call(exact.path, "--shards", 2, "--out", out)
    assert (code, text.splitlines()[-1]) == (0, f"{out}: 2 folders")
    code, text = call(exact.path, "--shards", 2, "--out", out)
    assert (code, "exists and is not empty" in text) == (2, True)
    code, text = call(tmp_path, "--shards", 2, "--out", tmp_path / "other")
    assert (code, "no run there" in text) == (2, True)
    shutil.rmtree(out / "part-001")
    with pytest.raises(InputError, match="part-001: is missing; run semtf shard anew"):
        ShardedEstimator(out)
    (out / HEAD / "shards.json").write_text("{}")
    with pytest.raises(InputError, match=r"shards.json: cannot be read"):
        pair_counts(out)
