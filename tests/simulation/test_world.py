"""The data set on disk: layout, truth, determinism and refusals."""

import csv
import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semtf.cases import CHALLENGE, case_numbers, find_case
from semtf.errors import InputError
from semtf.simulation import jobs, world
from semtf.simulation.geometry import draw_axes, draw_structures

CASES = case_numbers(CHALLENGE)

COUNTS = {"pairs": 12, "train": 40, "test": 10}
BASE = re.compile(r"\d{8}_\d{6}_NE142400C_RAE01_1_S01_M\d{4}-01MS_\d")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world.simulate(tmp_path_factory.mktemp("world") / "data", **COUNTS, target_keys=True)


def digests(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_the_same_bases_recur_in_all_cases_and_buckets(data):
    depth = data / "simulation_data/Depth"
    by_case = [
        sorted(str(p.relative_to(depth / f"Case_{case}")) for p in depth.glob(f"Case_{case}/*/*"))
        for case in CASES
    ]
    assert len(by_case[0]) == COUNTS["pairs"]
    assert all(names == by_case[0] for names in by_case)
    assert {name.split("/")[0] for name in by_case[0]} == {"80", "81", "82", "83", "84"}
    assert all(BASE.fullmatch(Path(name).stem) for name in by_case[0])


def test_every_pair_has_two_exposures_and_a_target_key(data):
    for path in (data / "simulation_data/Depth").glob("*/*/*.png"):
        place = path.relative_to(data / "simulation_data/Depth").parent
        folder = data / "simulation_data/SEM" / place
        first, second = (read(folder / f"{path.stem}_itr{itr}.png") for itr in (0, 1))
        assert first.shape == second.shape == (72, 48)
        assert 4 < np.abs(first.astype(int) - second).mean() < 16
        key = read(data / "truth/SEM" / place / path.name)
        assert np.corrcoef(key.ravel(), first.ravel())[0, 1] > 0.8
    assert len(list((data / "simulation_data/SEM").rglob("*.png"))) == 8 * COUNTS["pairs"]


def test_depth_maps_of_one_base_follow_the_depth_law(data):
    folder = data / "simulation_data/Depth"
    for path in (folder / "Case_1").glob("*/*.png"):
        name = path.relative_to(folder / "Case_1")
        shape = (140 - read(path).astype(float)) / 110
        for case in CASES:
            level = find_case(CHALLENGE, case).plate
            depth = read(folder / f"Case_{case}" / name)
            assert np.abs(depth - (level - (level - 30) * shape)).max() <= 1.2


def test_fab_images_are_numbered_in_sites_with_an_average_each(data):
    table = dict(rows(data / "train/average_depth.csv"))
    assert table.pop("0") == "1"
    sites = sorted(p for p in (data / "train/SEM").glob("*/*") if p.is_dir())
    assert sorted(table) == [f"d{site.parent.name[1:]}_{site.name}" for site in sites]
    for case in CASES:
        folder = data / f"train/SEM/Depth_{100 + 10 * case}"
        numbers = sorted(path.stem for path in folder.glob("site_*/SEM_*.png"))
        assert numbers == [f"SEM_{i:06d}" for i in range(COUNTS["train"])]
        averages = [float(v) for k, v in table.items() if k.startswith(f"depth_{100 + 10 * case}")]
        assert np.mean(averages) == pytest.approx(find_case(CHALLENGE, case).plate - 31.4, abs=3)


def test_two_thirds_of_the_fab_images_are_rgb_with_equal_channels(data):
    images = [read(path) for path in (data / "train/SEM").rglob("*.png")]
    colour = [image for image in images if image.ndim == 3]
    assert len(colour) / len(images) == pytest.approx(2 / 3, abs=0.12)
    assert all((image == image[..., :1]).all() for image in colour)


def test_the_truth_of_the_test_images(data):
    names = sorted(path.name for path in (data / "test/SEM").iterdir())
    assert names == [f"{i:06d}.png" for i in range(4 * COUNTS["test"])]
    table = rows(data / "truth/cases.csv")
    assert table[0] == ["name", "case"]
    assert [name for name, _ in table[1:]] == names
    cases = [int(case) for _, case in table[1:]]
    assert sorted(cases) == sorted([*CASES] * COUNTS["test"])
    assert cases != sorted(cases)
    for name, case in table[1:]:
        depth = read(data / "truth/Depth" / name)
        assert depth.max() == find_case(CHALLENGE, int(case)).plate
        hole = read(data / "test/SEM" / name)[depth < 60].mean()
        assert hole < 0.5 * read(data / "test/SEM" / name)[depth == depth.max()].mean()


def test_no_two_structures_are_alike(data):
    for case in CASES:
        maps = [
            path.read_bytes()
            for path in (data / f"simulation_data/Depth/Case_{case}").rglob("*.png")
        ]
        table = rows(data / "truth/cases.csv")[1:]
        maps += [(data / "truth/Depth" / n).read_bytes() for n, c in table if int(c) == case]
        assert len(set(maps)) == COUNTS["pairs"] + COUNTS["test"]


def test_the_same_seed_gives_the_same_files_and_target_keys_change_nothing(data, tmp_path):
    again = digests(world.simulate(tmp_path / "again", **COUNTS))
    first = digests(data)
    keys = {name for name in first if name.startswith("truth/SEM")}
    assert len(keys) == 4 * COUNTS["pairs"]
    assert again == {name: digest for name, digest in first.items() if name not in keys}


def test_another_seed_gives_other_images(data, tmp_path):
    other = digests(world.simulate(tmp_path / "other", pairs=2, train=0, test=2, seed=1))
    first = digests(data)
    shared = [name for name in other if name.endswith(".png") and name in first]
    assert shared
    assert all(other[name] != first[name] for name in shared)


def test_the_average_depth_counts_the_plate_around_the_crops():
    rng = np.random.default_rng(0)
    structures = draw_structures(rng, draw_axes(rng, 3))
    depth = structures.depth(CHALLENGE[1]).astype(float)
    expected = (depth.mean() * 72 * 48 + 150 * 1100) / (72 * 48 + 1100)
    assert jobs.average_depth(structures, CHALLENGE[1]) == pytest.approx(expected, rel=1e-9)


def test_given_depth_maps_are_rendered_in_every_case(data, tmp_path):
    maps = tmp_path / "maps"
    maps.mkdir()
    sources = sorted((data / "simulation_data/Depth/Case_1").rglob("*.png"))[:9]
    for i, path in enumerate(sources):
        (maps / f"hole{i}.png").write_bytes(path.read_bytes())
    out = world.simulate(tmp_path / "out", pairs=4, train=3, test=2, depth=maps)
    made = list((out / "simulation_data/Depth/Case_1").rglob("*.png"))
    assert len(made) == 4
    for path in made:
        np.testing.assert_array_equal(read(path), read(maps / path.name))
    truth = {read(path).tobytes() for path in (out / "truth/Depth").iterdir()}
    assert not truth & {read(path).tobytes() for path in made}
    assert len(list((out / "test/SEM").iterdir())) == 8


def test_a_given_map_is_seen_almost_as_the_drawn_structure(data, tmp_path):
    maps = tmp_path / "maps"
    maps.mkdir()
    source = next((data / "simulation_data/Depth/Case_1").rglob("*.png"))
    (maps / source.name).write_bytes(source.read_bytes())
    out = world.simulate(tmp_path / "out", pairs=1, train=0, test=0, depth=maps, target_keys=True)
    given = read(next((out / "truth/SEM/Case_1").rglob("*.png"))).astype(float)
    drawn = read(next((data / "truth/SEM/Case_1").rglob(source.name))).astype(float)
    assert np.corrcoef(given.ravel(), drawn.ravel())[0, 1] > 0.97


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pairs": -1}, "--pairs -1"),
        ({"fab": "cloud"}, "--fab cloud"),
        ({"seed": -3}, "--seed -3"),
        ({"depth": "nowhere"}, "--depth nowhere"),
    ],
)
def test_bad_calls_name_the_option(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        world.simulate(tmp_path / "out", **options)
    assert not list(tmp_path.iterdir())


def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        world.simulate(tmp_path, pairs=1, train=0, test=0)
    with pytest.raises(InputError, match="is a file"):
        world.simulate(tmp_path / "mine.txt", pairs=1, train=0, test=0)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_used(tmp_path):
    out = tmp_path / "empty"
    out.mkdir()
    world.simulate(out, pairs=1, train=0, test=1)
    assert (out / "truth/cases.csv").exists()


@pytest.mark.parametrize("kind", ["colour", "transposed", "plate", "text"])
def test_unusable_depth_maps_are_named(tmp_path, kind):
    maps = tmp_path / "maps"
    maps.mkdir()
    path = maps / "bad.png"
    hole = np.full((72, 48), 140, np.uint8)
    hole[20:50, 10:30] = 30
    if kind == "colour":
        Image.fromarray(np.stack([hole, hole, 255 - hole], axis=2)).save(path)
    elif kind == "transposed":
        Image.fromarray(hole.T).save(path)
    elif kind == "plate":
        Image.fromarray(np.full((72, 48), 30, np.uint8)).save(path)
    else:
        path.write_text("not an image")
    with pytest.raises(InputError, match=r"bad\.png"):
        world.simulate(tmp_path / "out", pairs=1, train=0, test=0, depth=maps)
    assert not (tmp_path / "out").exists()


def test_a_failed_run_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(jobs, "_make_tests", fail)
    with pytest.raises(OSError, match="disk full"):
        world.simulate(tmp_path / "out", pairs=3, train=3, test=3)
    assert not list(tmp_path.iterdir())


def test_a_killed_run_leaves_no_data_set(tmp_path):
    code = f"from semtf.simulation.world import simulate; simulate({str(tmp_path / 'out')!r})"
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ}, cwd=Path.cwd())
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob("*_itr1.png")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out").exists()
    world.simulate(tmp_path / "out", pairs=1, train=0, test=0)
