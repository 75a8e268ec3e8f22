"""A whole batch, its shards made in this process: what it writes, and how it goes on."""

import io
import json
import shutil
import zipfile
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from semtf.batch.job import run_batch
from semtf.batch.options import BatchOptions
from semtf.cli.main import run as semtf
from semtf.errors import InputError, TrainingError
from semtf.estimation.estimator import Estimator
from semtf.metrology.hole import measure
from semtf.run import Run
from tests.full_disk import fill

SMALL = BatchOptions(shard_size=8)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def rows(folder: Path) -> list[dict]:
    tables = [pq.read_table(path) for path in sorted(folder.glob("shard-*.parquet"))]
    return [row for table in tables for row in table.to_pylist()]


@pytest.fixture(scope="module")
def spoiled(fab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test images, two of which are none."""
    folder = tmp_path_factory.mktemp("spoiled") / "sem"
    shutil.copytree(fab / "test/SEM", folder)
    paths = sorted(folder.iterdir())
    paths[5].write_bytes(b"no image")
    paths[11].write_bytes(paths[11].read_bytes()[:40])
    return folder


@pytest.fixture(scope="module")
def batch(run: Run, spoiled: Path, making, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("batch") / "out"
    run_batch(run.path, str(spoiled), str(out), SMALL, making(SMALL))
    return out


def test_depth_maps_are_those_of_predict(
    run: Run, spoiled: Path, batch: Path, tmp_path: Path
) -> None:
    arguments = ("predict", "--run", run.path, "--images", spoiled, "--out", tmp_path / "p")
    with pytest.raises(SystemExit) as stop:
        semtf([*map(str, arguments), "--skip-bad", "--index", "exact"])
    assert not stop.value.code
    table = pd.read_csv(tmp_path / "p/predictions.csv", keep_default_na=False)
    found = rows(batch)
    assert [row["name"] for row in found] == table["name"].tolist()
    assert [row["case"] for row in found] == table["case"].tolist()
    assert [" ".join(row["flags"]) for row in found] == table["flags"].tolist()
    for row in found:
        assert row["depth"] == (tmp_path / "p" / row["name"]).read_bytes()


def test_counts_and_reasons(spoiled: Path, batch: Path) -> None:
    names = sorted(path.name for path in spoiled.iterdir())
    manifest = json.loads((batch / "manifest.json").read_text())
    assert (manifest["images"], manifest["rejected"]) == (len(names), 2)
    assert sum(manifest["cases"].values()) == manifest["estimated"] == len(names) - 2
    assert sum(shard["images"] for shard in manifest["shards"]) == len(names)
    rejected = pq.read_table(batch / "rejected.parquet").to_pylist()
    assert [row["name"] for row in rejected] == [names[5], names[11]]
    assert all(row["reason"] for row in rejected)
    assert rejected[1]["shard"] == "shard-00001-of-00003.parquet"


def test_sigma_and_measures(estimator: Estimator, spoiled: Path, batch: Path) -> None:
    row = rows(batch)[0]
    image = np.asarray(Image.open(spoiled / row["name"]).convert("L"))
    result = estimator.predict(image[None])
    sigma = np.asarray(Image.open(io.BytesIO(row["sigma"])), np.float64) / 256
    assert np.abs(sigma - result.sigma[0]).max() < 0.01
    for name, value in measure(result.depth).iloc[0].items():
        assert row[name] == pytest.approx(value, rel=1e-3, nan_ok=True)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_raw_arrays(run: Run, test_images: Path, making, estimator, dtype, tmp_path: Path) -> None:
    options = BatchOptions(dtype=dtype, shard_size=32, measures=False)
    run_batch(run.path, str(test_images), str(tmp_path), options, making(options))
    path = next(tmp_path.glob("shard-*.parquet"))
    table = pq.read_table(path)
    assert json.loads(table.schema.metadata[b"shape"]) == [72, 48]
    result = estimator.predict(test_images)
    for name in ("depth", "sigma"):
        values = np.stack(table[name].to_numpy()).reshape(-1, 72, 48)
        assert values.dtype == dtype
        assert np.array_equal(values, getattr(result, name).astype(dtype))
    assert "area_px2" not in table.schema.names


def test_png_shards(run: Run, spoiled: Path, batch: Path, making, tmp_path: Path) -> None:
    options = BatchOptions(format="png", shard_size=8)
    run_batch(run.path, str(spoiled), str(tmp_path), options, making(options))
    found = {row["name"]: row for row in rows(batch)}
    for path in tmp_path.glob("shard-*.zip"):
        with zipfile.ZipFile(path) as archive:
            table = pd.read_csv(archive.open("table.csv"), keep_default_na=False)
            for name, flags in zip(table["name"], table["flags"], strict=True):
                row = found.pop(name)
                assert archive.read(name) == row["depth"]
                assert archive.read(name.replace(".png", "_sigma.png")) == row["sigma"]
                assert flags == " ".join(row["flags"])
    assert not found


def test_a_batch_goes_on(run: Run, spoiled: Path, batch: Path, making, tmp_path: Path) -> None:
    made = []

    def make_one(tasks):
        for done in making(SMALL)(tasks):
            made.append(done.name)
            yield done
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run_batch(run.path, str(spoiled), str(out), SMALL, make_one)
    assert not (out / "manifest.json").exists()
    first, second, third = (f"shard-0000{i}-of-00003.parquet" for i in range(3))
    assert made == [first]
    # A writer that was killed, and a disk that lost the end of a file.
    (out / f".{second}.0123.partial").write_bytes(b"PAR1")
    (out / third).write_bytes((batch / third).read_bytes()[:-100])
    done = run_batch(run.path, str(spoiled), str(out), SMALL, making(SMALL))
    assert done.made == 2
    assert content(out) == content(batch)
    assert run_batch(run.path, str(spoiled), str(out), SMALL, None).made == 0


@pytest.mark.parametrize("kilobytes", [0, 8])
def test_a_full_disk_ends_a_batch_in_one_line_and_the_next_goes_on(
    run: Run,
    spoiled: Path,
    batch: Path,
    making,
    kilobytes: int,
    tmpfs: Path,
) -> None:
    out = tmpfs / "out"
    (tmpfs / "reserve").write_bytes(bytes(1000 * kilobytes))
    fill(tmpfs / "filler")
    (tmpfs / "reserve").unlink()
    told = rf"^{out}\S*: no room left on the disk \([^\n]+\); free some, then the same [^\n]+$"
    with pytest.raises(TrainingError, match=told):
        run_batch(run.path, str(spoiled), str(out), SMALL, making(SMALL))
    (tmpfs / "filler").unlink()
    run_batch(run.path, str(spoiled), str(out), SMALL, making(SMALL))
    assert content(out) == content(batch)


def test_a_folder_behind_a_url(run: Run, spoiled: Path, batch: Path, making) -> None:
    system = fsspec.filesystem("memory")
    for made in (3, 0):
        done = run_batch(run.path, str(spoiled), "memory://batch-out", SMALL, making(SMALL))
        assert done.made == made
    found = system.find("/batch-out")
    assert {path.rpartition("/")[2]: system.cat(path) for path in found} == content(batch)


def test_sites_vote(run: Run, test_images: Path, making, estimator, tmp_path: Path) -> None:
    for i, path in enumerate(sorted(test_images.iterdir())):
        folder = tmp_path / "in" / f"s{i // 6}"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
    run_batch(run.path, str(tmp_path / "in"), str(tmp_path / "out"), SMALL, making(SMALL))
    cases = pd.DataFrame(rows(tmp_path / "out")).assign(site=lambda t: t["name"].str[:2])
    assert len(cases) == len(list(test_images.iterdir()))
    assert (cases.groupby("site")["case_probability"].nunique() == 1).all()


def test_a_shard_of_bad_images_alone(run: Run, making, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(b"")
    done = run_batch(run.path, str(tmp_path / "in"), str(tmp_path / "out"), SMALL, making(SMALL))
    assert (done.manifest["estimated"], done.manifest["rejected"]) == (0, 1)


def test_what_a_batch_refuses(run: Run, spoiled: Path, making, tmp_path: Path) -> None:
    def call(out: Path, options: BatchOptions = SMALL) -> None:
        run_batch(run.path, str(spoiled), str(out), options, making(options))

    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    begun = tmp_path / "begun"
    call(begun)
    before = content(begun)
    for out, options, words in (
        (mine, SMALL, "choose an empty folder for --out"),
        (mine / "notes.txt", SMALL, "is"),
        (spoiled, SMALL, "would replace the input"),
        (begun, BatchOptions(shard_size=9), "another batch was begun there, with shard_size 8"),
    ):
        with pytest.raises(InputError, match=words):
            call(out, options)
    assert (mine / "notes.txt").read_text() == "mine"
    assert content(begun) == before


def test_options_that_do_not_go_together() -> None:
    with pytest.raises(InputError, match="--dtype: PNG files hold grey levels"):
        BatchOptions(format="png", dtype="float32")
    with pytest.raises(InputError, match="--shard-size 0"):
        BatchOptions(shard_size=0)
    with pytest.raises(InputError, match="--range16 9,3"):
        BatchOptions(range16=(9, 3))
