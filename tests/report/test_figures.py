"""The figures plot the numbers that they are given, under the names of what they show."""

import base64
import io
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from PIL import Image

from semtf.config import SHAPE
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
    assert legend(critic) == ["case 1", "case 2"]


def test_one_loss_alone_is_plotted(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("epoch,cycle\n0,3\n")
    (axes,) = figures.training_curves({"case 1": path}).axes
    assert lines(axes) == {"case 1": ([1], [3])}


def test_image_rows_show_the_images_on_one_scale() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 3, *SHAPE), dtype=np.uint8)
    figure = figures.image_rows({"simulator": images[0], "fab": images[1, :2]})
    grid = [figure.axes[:2], figure.axes[2:]]  # as many columns as the shorter row has images
    for row, name, shown in zip(grid, ("simulator", "fab"), images, strict=True):
        assert [axes.get_ylabel() for axes in row] == [name, ""]
        for axes, image in zip(row, shown, strict=False):
            (drawn,) = axes.get_images()
            np.testing.assert_array_equal(drawn.get_array(), image)
            assert drawn.get_clim() == (0, 212)


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


def test_percentile_profiles_are_means_over_the_images_of_a_group() -> None:
    ramp = np.linspace(0, 200, 101).astype(np.uint8).reshape(1, 1, 101)  # percentile p is 2 p
    groups = {"simulator": ramp, "fab": np.concatenate([ramp // 2, np.full_like(ramp, 10)])}
    (axes,) = figures.percentile_profiles(groups).axes
    drawn = lines(axes)
    np.testing.assert_allclose(drawn["simulator"], [np.arange(0, 101, 2), np.arange(0, 201, 4)])
    np.testing.assert_allclose(drawn["fab"][1], np.arange(0, 101, 2) / 2 + 5)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("percentile of an image", "grey level")
    assert legend(axes) == ["simulator", "fab"]


def test_data_url_is_the_figure_as_png() -> None:
    black, white = np.zeros((2, *SHAPE), np.uint8), np.full((2, *SHAPE), 212, np.uint8)
    head, _, data = figures.data_url(figures.image_rows({"a": black, "b": white})).partition(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        pixels = np.asarray(image.convert("L"))
    dark, bright = np.array_split(pixels, 2)
    assert (dark < 10).mean() > 0.4
    assert (bright > 245).mean() > 0.9
