"""How often the case is right, and what wrong cases cost."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from semtf.evaluation.rmse import rmse

Cases = npt.NDArray[np.integer]


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
    predicted: Cases,
    true: Cases,
    depth: npt.NDArray[np.generic],
    truth: npt.NDArray[np.generic],
    sites: npt.NDArray[np.str_] | None = None,
) -> CaseScore:
    """Compare predicted with true cases ``[n]``; depth maps ``[n, H, W]`` tell the cost."""
    right = predicted == true
    rest = rmse(depth[right], truth[right])
    either = np.union1d(true, predicted).tolist()
    by_site = None if sites is None else pd.Series(right).groupby(sites).all()
    return CaseScore(
        accuracy=float(right.mean()),
        site_accuracy=None if by_site is None else float(by_site.mean()),
        confusion={
            case: {other: int(np.sum((true == case) & (predicted == other))) for other in either}
            for case in np.unique(true).tolist()
        },
        rmse_of_right=rest,
        cost=rmse(depth, truth) - rest,
    )
