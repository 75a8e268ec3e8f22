"""What is measured of estimates and their σ where the truth is known: rows of the benchmarks."""

from typing import Any

import numpy as np

from semtf.estimation.intervals import ZONES

BATCH = 128
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
    import tensorflow as tf

    from semtf.estimation.averaging import average
    from semtf.estimation.uncertainty import depth_and_spread, num_to_search

    retriever, chosen = made.retriever, made.average
    parts = []
    for start in range(0, len(images), BATCH):
        batch = tf.constant(images[start : start + BATCH], tf.float32)
        candidates = retriever.search(batch, num_to_search(retriever, chosen.blending))
        retrieved = depth_and_spread(retriever, batch, candidates, chosen.blending)
        regressed = chosen.regression(batch)
        columns = (retrieved.depth, retrieved.spread, regressed, candidates.similarity[:, 0])
        parts.append([column.numpy() for column in columns])
    depth, spread, regressed, similarity = map(np.concatenate, zip(*parts, strict=True))

    def combined(share: float) -> Any:
        return average(tf.constant(depth), tf.constant(spread), tf.constant(regressed), share)

    def rmse(share: float) -> float:
        return float(np.sqrt(np.mean(np.square(combined(share).depth.numpy() - truth))))

    row: Row = {
        "rmse": rmse(chosen.share),
        "retrieval": rmse(0.0),
        "regression": rmse(1.0),
        "share": chosen.share,
        "expected": chosen.rmse["average"],
        "noise": {group: size for group, (size, _) in made.noise.groups.items()},
        "found": dict(made.noise.found),
    }
    return row | coverage(made.intervals, combined(chosen.share), similarity, truth)


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
