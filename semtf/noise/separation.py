"""Whether made images can be told from a fab's: two tests, for a reader of the report."""

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import ks_2samp, rankdata

from semtf.noise.traces import Trace

if TYPE_CHECKING:
    from semtf.noise.fit import Fitted

FOLDS = 5
RIDGE = 1.0


def separation(real: "Fitted", made: "Fitted", of_real: Trace, of_made: Trace) -> dict[str, float]:
    """How far made images differ from real ones.

    Returns:
        ``similarity_ks``: the Kolmogorov-Smirnov distance of the similarities to the storage, 0
        where they have one distribution, 1 where none overlaps, with its probability
        ``similarity_p`` under one distribution; ``auc``: how well a linear classifier of the
        traces, cross-validated, tells a real image from a made one: 0.5 by chance, 1 always.
    """
    test = ks_2samp(real.similarity, made.similarity)
    return {
        "similarity_ks": float(test.statistic),
        "similarity_p": float(test.pvalue),
        "auc": area_under_curve(of_real, of_made),
    }


def area_under_curve(one: Trace, other: Trace) -> float:
    """Cross-validated area under the ROC curve of a ridge classifier of features ``[n, m]``."""
    features = np.concatenate([one, other])
    features = np.sign(features) * np.sqrt(np.abs(features))
    features = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-12)
    features = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    label = np.repeat([1.0, -1.0], [len(one), len(other)])
    fold = np.concatenate([np.arange(len(one)), np.arange(len(other))]) % FOLDS
    score = np.zeros(len(label))
    for held_out in range(FOLDS):
        inside = fold != held_out
        moment = features[inside].T @ features[inside] + RIDGE * np.eye(features.shape[1])
        score[~inside] = features[~inside] @ np.linalg.solve(
            moment, features[inside].T @ label[inside]
        )
    # The share of pairs of one real and one made image whose scores are in the right order.
    ranks = rankdata(score)[: len(one)].sum()
    return float((ranks - len(one) * (len(one) + 1) / 2) / (len(one) * len(other)))
