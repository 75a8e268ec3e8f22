"""The figures plot the numbers that they are given, under the names of what they show."""

import base64
import io
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from PIL import Image

from semtf.config import SHAPE
from semtf.pages.figure import INK
from semtf.pages.mosaic import GAP, mosaic
from semtf.report import figures


def lines(axes: Axes) -> dict[str, tuple[list[float], list[float]]]:
    """By label, the coordinates of every line."""
    return {
        str(line.get_label()): (list(line.get_xdata()), list(line.get_ydata()))
        for line in axes.get_lines()
    }


def legend(axes: Axes) -> list[str]:
    drawn = axes.get_legend()
    return [] if drawn is None else [text.get_text() for text in drawn.get_texts()]


def test_training_curves_plot_the_losses_of_each_case_by_epoch(tmp_path: Path) -> None:
    histories = {name: tmp_path / f"{name}.csv" for name in ("case 1", "case 2")}
    histories["case 1"].write_text("epoch,cycle,critic,minutes\n0,3,-1,9\n1,2,-4,9\n")
    histories["case 2"].write_text("epoch,critic,contrast\n0,-2,5\n1,-3,4\n2,-5,1\n")
    critic, cycle, contrast = figures.training_curves(histories).axes
    assert [axes.get_title() for axes in (critic, cycle, contrast)] == [
        "critic",
        "cycle",
        "contrast",
    ]
    assert {axes.get_xlabel() for axes in (critic, cycle, contrast)} == {"epoch"}
    assert lines(critic) == {"case 1": ([1, 2], [-1, -4]), "case 2": ([1, 2, 3], [-2, -3, -5])}
    assert lines(cycle) == {"case 1": ([1, 2], [3, 2])}
    assert lines(contrast) == {"case 2": ([1, 2, 3], [5, 4, 1])}
    (key,) = critic.figure.legends
    assert [text.get_text() for text in key.get_texts()] == ["case 1", "case 2"]


def test_a_picture_shows_itself_in_a_notebook() -> None:
    drawn = mosaic({"depth": np.zeros((3, *SHAPE))}, 1)._repr_png_()
    assert drawn.startswith(b"\x89PNG")
    with Image.open(io.BytesIO(drawn)) as picture:
        assert picture.size[0] > picture.size[1] > SHAPE[0]
        assert picture.getpixel((0, 0))[:3] == (255, 255, 255)


def test_one_loss_alone_is_plotted(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("epoch,cycle\n0,3\n")
    (axes,) = figures.training_curves({"case 1": path}).axes
    assert lines(axes) == {"case 1": ([1], [3])}


def test_a_mosaic_shows_the_images_on_one_scale() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 3, *SHAPE), dtype=np.uint8)
    (axes,) = mosaic({"simulator": images[0], "fab": images[1, :2]}, 212).axes
    (drawn,) = axes.get_images()
    picture = np.ma.filled(drawn.get_array(), np.nan)
    assert drawn.get_clim() == (0, 212)
    height, width = SHAPE
    for row, shown in enumerate(images):
        for column in range(3 - row):
            down, right = row * (height + GAP), column * (width + GAP)
            part = picture[down : down + height, right : right + width]
            np.testing.assert_array_equal(part, shown[column])
    assert np.isnan(picture[height : height + GAP]).all()
    assert np.isnan(picture[height + GAP :, 2 * (width + GAP) :]).all()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["simulator", "fab"]


def test_reliability_diagram_has_a_point_and_a_bar_for_each_bin() -> None:
    bins = [
        {"confidence": 0.6, "accuracy": 0.5, "count": 4},
        {"confidence": 0.95, "accuracy": 1.0, "count": 300},
    ]
    upper, lower = figures.reliability_diagram(bins).axes
    diagonal, points = upper.get_lines()
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert points.get_xydata().tolist() == [[0.6, 0.5], [0.95, 1.0]]
    bars = [(bar.get_x() + bar.get_width() / 2, bar.get_height()) for bar in lower.patches]
    np.testing.assert_allclose(bars, [(0.6, 4), (0.95, 300)])
    assert [text.get_text() for text in lower.texts] == ["4", "300"]
    assert upper.get_ylabel() == "accuracy"
    assert (lower.get_xlabel(), lower.get_ylabel()) == ("confidence", "images")


def test_the_criterion_has_a_ring_at_the_chosen_epoch() -> None:
    scores = {"case 1": ({0: 4.0, 1: 2.0, 2: 3.0}, 1), "case 2": ({0: 5.0, 1: 6.0}, 0)}
    (axes,) = figures.criterion_curves(scores).axes
    drawn = [line.get_xydata().tolist() for line in axes.get_lines()]
    assert drawn == [[[0, 4], [1, 2], [2, 3]], [[1, 2]], [[0, 5], [1, 6]], [[0, 5]]]
    assert figures.criterion(scores).csv


def test_percentile_profiles_are_means_over_the_images_of_a_group() -> None:
    ramp = np.linspace(0, 200, 101).astype(np.uint8).reshape(1, 1, 101)  # percentile p is 2 p
    groups = {"simulator": ramp, "fab": np.concatenate([ramp // 2, np.full_like(ramp, 10)])}
    (axes,) = figures.percentile_profiles(groups).axes
    drawn = lines(axes)
    np.testing.assert_allclose(drawn["simulator"], [np.arange(0, 101, 2), np.arange(0, 201, 4)])
    np.testing.assert_allclose(drawn["fab"][1], np.arange(0, 101, 2) / 2 + 5)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("percentile of an image", "grey level")
    assert legend(axes) == ["simulator", "fab"]


def test_a_figure_of_a_page_takes_its_colour_and_keeps_its_numbers() -> None:
    groups = {"simulator": np.zeros((1, *SHAPE), np.uint8)}
    drawn = figures.profiles(2, groups)
    assert drawn.svg.startswith("<svg")
    assert INK not in drawn.svg
    assert "currentColor" in drawn.svg
    assert 'id="profiles-2-' in drawn.svg
    assert drawn == figures.profiles(2, groups)
    head, _, data = drawn.csv.partition(",")
    assert head == "data:text/csv;base64"
    lines = base64.b64decode(data).decode().splitlines()
    assert lines[:2] == ["images,percentile,level", "simulator,0,0"]
    assert len(lines) == 52
