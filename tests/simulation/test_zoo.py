"""The zoo of fabs: priors, draws, fab.json and its data set."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from semtf.cases import CHALLENGE
from semtf.cli.simulate import command
from semtf.errors import InputError
from semtf.simulation import zoo
from semtf.simulation.fabs import PRESETS, read_fab
from semtf.simulation.geometry import MARGIN, draw_axes, draw_structures
from semtf.simulation.holes import FAB_OVAL
from semtf.simulation.priors import MICROSCOPES, STRUCTURES, Prior, draw_values, table
from semtf.simulation.rendering import Scene, render
from semtf.simulation.visible import case_step
from semtf.simulation.world import simulate

SEEDS = range(12)
PAGE = Path(__file__).parents[2] / "docs" / "simulator.md"


@pytest.fixture(scope="module")
def fabs() -> list[zoo.Fab]:
    return [zoo.draw_fab(seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("zoo") / "data"
    return simulate(out, pairs=3, train=4, test=2, seed=7, fab="random", target_keys=True)


def contents(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_the_page_has_the_table_of_priors():
    assert table() in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("quantity", [*STRUCTURES, *MICROSCOPES], ids=lambda q: q.name)
def test_draws_follow_their_priors(quantity):
    rng = np.random.default_rng(0)
    for prior in quantity.priors.values():
        values = [prior.draw(rng) for _ in range(2000)]
        if prior.kind == "choice":
            for option in set(prior.options):
                share = prior.options.count(option) / len(prior.options)
                assert values.count(option) / 2000 == pytest.approx(share, abs=0.05)
            continue
        absent = sum(value == prior.off for value in values) / 2000
        assert absent == pytest.approx(prior.absent, abs=0.04)
        there = np.array([value for value in values if value != prior.off or not prior.absent])
        rounding = 1e-3 * np.abs([prior.low, prior.high])
        assert prior.low - rounding[0] <= there.min()
        assert there.max() <= prior.high + rounding[1]
        middle = (prior.low + prior.high) / 2
        if prior.kind == "log-uniform":
            middle = np.sqrt(prior.low * prior.high)
        assert (there < middle).mean() == pytest.approx(0.5, abs=0.05)


def test_a_prior_says_what_it_is():
    assert str(Prior("log-uniform", 0.1, 2, absent=0.25)) == "0.1 to 2, log; 0 in 25%"
    assert str(Prior("uniform", -2, 2)) == "-2 to 2"
    assert str(Prior("choice", options=("a", "b", "b"))) == "a, b (2×)"


def test_a_seed_is_one_fab_and_other_seeds_are_others(fabs):
    assert zoo.draw_fab(3) == fabs[3]
    values = [draw_values(seed) for seed in SEEDS]
    for owner in ("simulator", "fab"):
        assert len({v[owner]["dose"] for v in values}) == len(SEEDS)
    shared = [v["simulator"]["dose"] / 15.3 == v["fab"]["dose"] / 125 for v in values]
    assert not any(shared)


def test_the_zoo_has_the_ovals_of_real_fabs():
    ovals = [seed for seed in range(40) if draw_values(seed)["holes"]["family"] == "fab-oval"]
    assert ovals
    holes = zoo.draw_fab(ovals[0]).holes
    assert (holes.exponent, holes.egg, holes.skew) == (2.0, FAB_OVAL.egg, FAB_OVAL.skew)
    assert holes.wall_length == FAB_OVAL.wall_length
    assert 6 <= abs(holes.rotation) <= 22
    ratio = holes.half_axes[0][0] / holes.half_axes[0][1]
    assert ratio == pytest.approx(50.2 / 28.1, rel=1e-3)


@pytest.mark.parametrize("seed", SEEDS)
def test_holes_lie_in_the_crop_as_either_microscope_shows_them(fabs, seed):
    fab, rng = fabs[seed], np.random.default_rng(seed)
    structures = draw_structures(rng, draw_axes(rng, 40, fab.holes), model=fab.holes)
    inner = structures.distance[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
    border = np.ones(inner.shape[1:], bool)
    border[1:-1, 1:-1] = False
    cut = (inner[:, border] > 0).any(axis=1).mean()
    assert cut <= 0.1
    assert (inner > 0).mean(axis=(1, 2)).min() > 0.05


@pytest.mark.parametrize("seed", SEEDS)
def test_every_fab_shows_dark_holes_on_a_bright_plate(fabs, seed):
    fab, rng = fabs[seed], np.random.default_rng(seed)
    scene = Scene.of(draw_structures(rng, draw_axes(rng, 8, fab.holes), model=fab.holes))
    depth = scene.structures.depth(CHALLENGE[0])
    for kind in (fab.simulator, fab.microscope):
        image = render(scene, CHALLENGE[0], kind, rng)[0].astype(float)
        assert (image.max(axis=(1, 2)) == 212).all()
        floor, plate = image[depth < 60].mean(), image[depth == CHALLENGE[0].plate].mean()
        assert 0.5 < floor < 0.8 * plate


def test_the_case_is_as_visible_as_drawn_where_the_shadows_allow(fabs):
    for seed, fab in enumerate(fabs):
        values = draw_values(seed)
        for owner, kind in (("simulator", fab.simulator), ("fab", fab.microscope)):
            drawn, found = values[owner]["case step"], case_step(fab.holes, kind)
            inside = zoo.LEAST < kind.visibility_floor < zoo.MOST
            assert found == pytest.approx(drawn, rel=0.01) if inside else found < 0.2


def test_the_data_set_holds_its_fab_in_words_and_numbers(data):
    note = json.loads((data / "truth/fab.json").read_text(encoding="utf-8"))
    assert list(note) == ["name", "words", "holes", "simulator", "microscope"]
    assert note["name"] == "random 7"
    assert list(note["words"]) == ["structures", "simulator", "fab", "case"]
    fab = zoo.draw_fab(7)
    assert read_fab(data / "truth/fab.json") == fab
    words = " ".join(note["words"].values())
    assert f"dose {fab.microscope.dose:.0f} e/px" in words
    assert f"edges rough by {fab.holes.roughness:.2f} px" in words


def test_presets_write_no_fab(tmp_path):
    out = simulate(tmp_path / "out", pairs=1, train=0, test=0, fab="dose")
    assert not (out / "truth/fab.json").exists()


def test_a_fab_of_a_file_makes_the_same_bytes(data, tmp_path):
    counts = {"pairs": 3, "train": 4, "test": 2, "seed": 7, "target_keys": True}
    again = simulate(tmp_path / "again", fab=data / "truth/fab.json", **counts)
    assert contents(again) == contents(data)


def test_the_zoos_simulator_and_fab_see_the_same_structures_differently(data):
    fab = zoo.draw_fab(7)
    rng = np.random.default_rng(0)
    scene = Scene.of(draw_structures(rng, draw_axes(rng, 4, fab.holes), model=fab.holes))
    ours, theirs = (
        render(scene, CHALLENGE[0], kind, rng)[0].astype(float)
        for kind in (fab.simulator, fab.microscope)
    )
    assert np.abs(ours - theirs).mean() > 5
    assert fab.simulator != PRESETS["struct"].simulator


def test_words_name_what_is_there_and_not_what_is_absent(fabs):
    fab = fabs[0]
    plain = dataclasses.replace(
        fab,
        microscope=dataclasses.replace(fab.microscope, haze=0.0, jitter=0.0, asymmetry=0.0),
    )
    hazy = dataclasses.replace(
        fab,
        microscope=dataclasses.replace(
            fab.microscope, haze=0.2, haze_length=9.0, jitter=0.3, asymmetry=0.4, detector=-135.0
        ),
    )
    for absent in ("haze", "jitter", "detector"):
        assert absent not in plain.words()["fab"]
    assert "haze of 20% over 9 px" in hazy.words()["fab"]
    assert "row jitter 0.3 px" in hazy.words()["fab"]
    assert "detector at the upper left (0.40)" in hazy.words()["fab"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no json", "cannot be read"),
        ("[]", "lacks holes"),
        ('{"holes": {}}', "lacks holes"),
        ('{"holes": {"form": "square"}, "simulator": {}, "microscope": {}}', "holes.form"),
        ('{"holes": {}, "simulator": {"dose": -1}, "microscope": {}}', "microscope.dose"),
        ('{"holes": {}, "simulator": {}, "microscope": {"tilt": 1}}', "no such field: tilt"),
    ],
)
def test_an_unusable_fab_json_is_named(tmp_path, text, message):
    path = tmp_path / "fab.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        simulate(tmp_path / "out", pairs=1, train=0, test=0, fab=path)
    assert str(path) in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_given_depth_maps_are_seen_by_the_zoos_microscopes(data, tmp_path):
    maps = data / "simulation_data/Depth/Case_1/80"
    out = simulate(
        tmp_path / "out",
        pairs=1,
        train=0,
        test=0,
        fab="random",
        seed=7,
        depth=maps,
        target_keys=True,
    )
    note = json.loads((out / "truth/fab.json").read_text(encoding="utf-8"))
    assert note["words"]["structures"] == "Taken from given depth maps."
    assert read_fab(out / "truth/fab.json") == zoo.draw_fab(7)
    (key,) = (out / "truth/SEM/Case_1").rglob("*.png")
    first = np.asarray(Image.open(key), float)
    drawn = np.asarray(Image.open(data / "truth/SEM/Case_1/80" / key.name), float)
    assert np.corrcoef(first.ravel(), drawn.ravel())[0, 1] > 0.95


def test_the_command_makes_a_fab_of_the_zoo(tmp_path):
    counts = ["--pairs", "1", "--train", "1", "--test", "1", "--seed", "2", "--json"]
    result = CliRunner().invoke(command, [str(tmp_path / "out"), "--fab", "random", *counts])
    assert json.loads(result.stdout)["fab"] == "random"
    assert (tmp_path / "out/truth/fab.json").is_file()
