"""The metric on numbers worked out by hand, and mismatched folders."""

from pathlib import Path

import numpy as np
import pytest

from semtf.data.png import write_png
from semtf.errors import InputError
from semtf.evaluation.rmse import evaluate, rmse, score


def maps(folder: Path, levels: dict[str, int]) -> Path:
    folder.mkdir()
    for name, level in levels.items():
        write_png(folder / f"{name}.png", np.full((72, 48), level, np.uint8))
    return folder


def test_rmse_by_hand() -> None:
    assert rmse([0, 0, 0, 4], [0, 0, 0, 0]) == 2.0
    # No wrap-around of unsigned numbers.
    assert rmse(np.uint8([0]), np.uint8([255])) == 255.0
    assert np.isnan(rmse([], []))


def test_score_by_case() -> None:
    depth = np.zeros((3, 2, 2))
    truth = np.stack([np.full((2, 2), v) for v in (1.0, 2.0, 2.0)])
    found = score(depth, truth, np.array([1, 4, 4]))
    assert found.rmse_by_case == {1: 1.0, 4: 2.0}
    assert found.rmse == pytest.approx(np.sqrt(3))
    assert found.images == 3


def test_evaluate_folders(tmp_path: Path) -> None:
    predicted = maps(tmp_path / "p", {"000000": 100, "000001": 110})
    truth = maps(tmp_path / "t", {"000000": 103, "000001": 106})
    (tmp_path / "cases.csv").write_text("name,case\n000001.png,3\n000000.png,2\n")
    found = evaluate(predicted, truth, tmp_path / "cases.csv")
    assert found.rmse_by_case == {2: 3.0, 3: 4.0}
    assert found.rmse == pytest.approx(np.sqrt(12.5))


@pytest.mark.parametrize(
    ("predicted", "truth", "message"),
    [
        (["000000"], ["000000", "000001"], r"p: has no 000001\.png"),
        (["000000", "000001"], ["000000"], r"t: has no 000001\.png"),
    ],
)
def test_missing_files_are_named(
    predicted: list[str], truth: list[str], message: str, tmp_path: Path
) -> None:
    maps(tmp_path / "p", dict.fromkeys(predicted, 1))
    maps(tmp_path / "t", dict.fromkeys(truth, 1))
    with pytest.raises(InputError, match=message):
        evaluate(tmp_path / "p", tmp_path / "t")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,case\na,0\n", "is no case"),
        ("image,case\na,1\n", "columns name and case"),
        ("name,case\nb.png,1\n", r"no case for a\.png"),
    ],
)
def test_wrong_case_tables(text: str, message: str, tmp_path: Path) -> None:
    folder = maps(tmp_path / "p", {"a": 1})
    (tmp_path / "cases.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        evaluate(folder, folder, tmp_path / "cases.csv")
