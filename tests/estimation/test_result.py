"""A result by itself: parts, equality, files, table, pictures."""

import dataclasses
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import semtf
from semtf.data.image_folder import open_images
from semtf.errors import InputError
from semtf.estimation.result import DepthResult, Neighbour


def result(names: list[str] | None = None) -> DepthResult:
    """Three estimates: plates of 140 with a hole of 30 that moves."""
    depth = np.full((3, 72, 48), 140, np.float32)
    for i in range(3):
        depth[i, 16 + i : 56 + i, 10:38] = 30
    return DepthResult(
        depth=depth,
        sigma=np.full_like(depth, 2),
        case=np.array([1, 2, 3], np.int32),
        case_probability=np.array([1, 0.9, 0.5], np.float32),
        similarity=np.array([0.9, 0.8, 0.7], np.float32),
        neighbours=[[Neighbour(f"pair_{i}", (0, i), 1.0, 0.9)] for i in range(3)],
        flags=[[], ["case_in_doubt"], []],
        names=names,
    )


def test_parts_keep_what_belongs_together() -> None:
    whole = result(["a.png", "b.png", "c.png"])
    for part in (whole[1:], whole[np.array([False, True, True])], whole[[1, 2]]):
        assert part == whole[[-2, -1]]
        assert part.names == ["b.png", "c.png"]
        assert part.case.tolist() == [2, 3]
        assert part.flags == [["case_in_doubt"], []]
        assert part.neighbours[0][0].pair == "pair_1"
    assert len(whole[0]) == len(whole[-1]) == 1
    assert [one.case[0] for one in whole] == [1, 2, 3]
    with pytest.raises(IndexError):
        whole[3]


def test_results_are_equal_where_all_values_are() -> None:
    assert result() == result()
    assert result() != result(["a", "b", "c"])
    other = result()
    assert other != dataclasses.replace(other, depth=other.depth + 1)
    assert other != "a result"
    assert repr(result()) == "DepthResult(3 depth maps of 72 x 48, 1 flagged)"


def test_files_are_a_folder_or_a_submission(tmp_path: Path) -> None:
    whole = result(["x/a.png", "x/b.png", "y/c.png"])
    whole.save(tmp_path / "maps", arrays=True)
    assert np.array_equal(open_images(tmp_path / "maps").images, whole.grey())
    assert np.array_equal(np.load(tmp_path / "maps/y/c_sigma.npy"), whole.sigma[2])
    table = pd.read_csv(tmp_path / "maps/predictions.csv")
    assert table["name"].tolist() == whole.names
    result().save(str(tmp_path / "out/submission.zip"))
    with zipfile.ZipFile(tmp_path / "out/submission.zip") as archive:
        assert archive.namelist() == ["000000.png", "000001.png", "000002.png"]
    for names, message in ((["a", "a", "b"], "given twice"), (["a"], "1 for 3")):
        with pytest.raises(InputError, match=message):
            whole.save(tmp_path / "more", names=names)
    assert not (tmp_path / "more").exists()


def test_the_table_has_a_row_an_image() -> None:
    table = result(["a.png", "b.png", "c.png"]).to_frame()
    assert table.index.tolist() == ["a.png", "b.png", "c.png"]
    assert table["case"].tolist() == [1, 2, 3]
    assert table.loc["b.png", "flags"] == "case_in_doubt"
    assert table.loc["c.png", "nearest"] == "pair_2"
    assert table["sigma_mean"].tolist() == [2, 2, 2]


def test_pictures_show_depth_and_sigma() -> None:
    figure = result().plot(2)
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_xticklabels()] == ["case 1", "case 2"]
    assert axis.get_yticklabels()[0].get_text() == "depth"
    html = result()._repr_html_()
    assert "3 depth maps, 1 flagged" in html
    assert "data:image/png;base64," in html
    assert result()[:0]._repr_html_() == "<p>No images</p>"


def test_a_result_is_measured_under_its_names() -> None:
    whole = result(["a.png", "b.png", "c.png"])
    table = semtf.measure(whole)
    pd.testing.assert_frame_equal(table, semtf.measure(whole.depth, names=whole.names))
    assert table["cd_rows_px"].notna().all()
