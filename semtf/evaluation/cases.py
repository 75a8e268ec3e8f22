"""The accuracy of predicted cases, and what wrong cases cost."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from semtf.evaluation.rmse import rmse

CaseNumbers = npt.NDArray[np.integer]


@dataclass(frozen=True)
class CaseScore:
    """Accuracy of the predicted cases.

    Attributes:
        accuracy: share of images whose case is right.
        site_accuracy: share of sites all of whose images are right; None without sites.
        confusion: images by true case (outer) and predicted case (inner).
        rmse_of_right: RMSE of the images whose case is right, in grey levels.
        cost: what the others add to the RMSE of all, in grey levels.
    """

    accuracy: float
    site_accuracy: float | None
    confusion: dict[int, dict[int, int]]
    rmse_of_right: float
    cost: float


def score_cases(
    predicted: CaseNumbers,
    true: CaseNumbers,
    depth: npt.NDArray[np.generic],
    truth: npt.NDArray[np.generic],
    sites: npt.NDArray[np.str_] | None = None,
) -> CaseScore:
    """Compare predicted with true cases ``[n]``; the depth maps ``[n, H, W]`` give the cost."""
    right = predicted == true
    rmse_of_right = rmse(depth[right], truth[right])
    numbers = np.union1d(true, predicted).tolist()
    by_site = None if sites is None else pd.Series(right).groupby(sites).all()
    return CaseScore(
        accuracy=float(right.mean()),
        site_accuracy=None if by_site is None else float(by_site.mean()),
        confusion={
            case: {other: int(np.sum((true == case) & (predicted == other))) for other in numbers}
            for case in np.unique(true).tolist()
        },
        rmse_of_right=rmse_of_right,
        cost=rmse(depth, truth) - rmse_of_right,
    )
