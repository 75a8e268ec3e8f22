"""What is measured of estimates and their σ where the truth is known: rows of the benchmarks."""

from typing import Any

import numpy as np

from semtf.estimation.intervals import ZONES

SHOWN = ZONES[1:]
RIGHT = 0.5
MEASURES = (
    "cd_rows_px", "cd_columns_px", "area_px2", "depth_levels", "volume_px2_levels", "wall_width_px",
)  # fmt: skip
MEASURED = 100
"""Images whose holes are measured, with their uncertainty."""
Row = dict[str, Any]


def judged(made: Any, images: np.ndarray, truth: np.ndarray) -> Row:
    """What fitted estimators make of the test images."""
    from semtf.estimation.averaging import Estimates

    chosen = made.average
    estimates = Estimates.of(made.retriever, chosen.regression, chosen.blending, images)

    def rmse(share: float) -> float:
        return float(np.sqrt(np.mean(np.square(estimates.combined(share).depth.numpy() - truth))))

    row: Row = {
        "rmse": rmse(chosen.share),
        "retrieval": rmse(0.0),
        "regression": rmse(1.0),
        "share": chosen.share,
        "expected": chosen.rmse["average"],
        "noise": {group: size for group, (size, _) in made.noise.groups.items()},
        "found": dict(made.noise.found),
    }
    combined = estimates.combined(chosen.share)
    return row | coverage(made.intervals, combined, estimates.similarity, truth)


def coverage(intervals: Any, estimated: Any, similarity: np.ndarray, truth: np.ndarray) -> Row:
    """Coverage and width by zone, beside an oracle's, and whether certain pixels are right."""
    from semtf.estimation.calibration import checked, scaled, summary

    error = np.abs(estimated.depth.numpy() - truth)
    covered, width, pixels = summary(checked(intervals, error, estimated, similarity))
    oracle = scaled(intervals, error, estimated, similarity)
    _, least, _ = summary(checked(oracle, error, estimated, similarity))
    certain = error[intervals.zone(estimated.depth, estimated.spread).numpy() == 0]
    return {
        "coverage": covered,
        "width": width,
        "over_oracle": {zone: width[zone] / least[zone] for zone in SHOWN if zone in width},
        "pixels": pixels,
        "certain_right": float(np.mean(certain <= RIGHT)) if certain.size else 1.0,
        "rare": intervals.rare,
    }


def measures_covered(result: Any, truth: np.ndarray) -> dict[str, float]:
    """The share of holes whose true measurement lies within two standard uncertainties."""
    from semtf.estimation.uncertain_measurements import PREFIX, uncertainties
    from semtf.metrology.hole import measure

    chosen = range(min(len(result.depth), MEASURED))
    found, true = measure(result.depth[chosen]), measure(truth[chosen])
    hits: dict[str, list[bool]] = {name: [] for name in MEASURES}
    for i in chosen:
        errors = result.errors[int(result.case[i])]
        spread = uncertainties(result.depth[i], result.sigma[i], errors, seed=i)
        for name in MEASURES:
            error = abs(found[name][i] - true[name][i])
            if np.isfinite(error):
                hits[name].append(bool(error <= 2 * spread[PREFIX + name]))
    return {name: float(np.mean(found)) for name, found in hits.items() if found}


def doubtful(result: Any, truth: np.ndarray) -> Row:
    """How many images are in doubt about their case, and how much of their pixels is covered."""
    from semtf.estimation.calibration import covered
    from semtf.estimation.intervals import NORMAL

    doubt = np.array(["case_in_doubt" in flags for flags in result.flags])
    error = np.abs(result.depth - truth)[doubt]
    share = covered(error, NORMAL * result.sigma[doubt]).mean() if doubt.any() else None
    return {"images": int(doubt.sum()), "covered": None if share is None else float(share)}
