import numpy as np
import pytest

from semtf.data.image_sets import ImageSet, name_array
from semtf.estimation.flag_summary import FlagSummary


def summary(flags: list[list[str]], brightest: int = 212) -> FlagSummary:
    images = np.full((len(flags), 4, 4), brightest, np.uint8)
    counted = FlagSummary(ImageSet(images, name_array(f"{i}.png" for i in range(len(flags)))))
    counted.add(flags[:3])
    counted.add(flags[3:])
    return counted


def test_flags_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    both = ["case_in_doubt", "unlike_storage"]
    counted = summary([["unlike_storage"], *[[]] * 17, both, []])
    assert str(counted) == (
        "20 depth maps, 2 flagged (10.0%) in predictions.csv: 2 unlike_storage, 1 case_in_doubt"
    )
    counted.warn()
    assert not capsys.readouterr().err


def test_many_flags_are_told_of_as_a_whole(capsys: pytest.CaptureFixture[str]) -> None:
    summary([["unlike_storage"]] * 3 + [[]] * 2).warn()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: 60% of the images are flagged unlike_storage: no stored pair")


def test_images_in_0_to_1_are_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    summary([["unusual_scale"], [], [], [], [], []], brightest=1).warn()
    assert "6 images have no value above 1, such as 0.png" in capsys.readouterr().err


def test_no_images() -> None:
    assert str(summary([])) == "0 depth maps, 0 flagged (0.0%) in predictions.csv"
