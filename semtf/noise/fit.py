"""Find a fab's noise without labels, by the method of simulated moments.

A fit of fab images from their neighbours in the storage leaves a residual: the fab's noise, as far
as the fit has not followed it, and what the storage lacks. The same fit of held-out keys leaves
only the latter. Noise of one kind that is added to held-out keys shows what that kind leaves after
the fit. The sizes of all kinds are those whose traces sum to what fab images leave more than keys
(D. McFadden, Econometrica 57, 1989): whatever the fit does to noise, it does to made images, too.
What fab images still vary by beyond made ones is added as patterns (`semtf.noise.patterns`).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from semtf.noise.kinds import KINDS
from semtf.noise.model import NoiseModel
from semtf.noise.patterns import excess_patterns
from semtf.noise.separation import separation
from semtf.noise.traces import Fields, Trace, traces

TRIALS = 64
"""Held-out keys that each kind is tried on."""
TOLERANCE = 0.05
"""Share of a trace that counts as uncertain beside its sampling error: kinds are only models."""
SIGNIFICANT = 6.0
"""Least rise of the weighted misfit, in units of its mean, for which a kind is kept."""
ROUNDS = 2


class Fitted(NamedTuple):
    """What a fit from neighbours makes of ``n`` images.

    Attributes:
        residual: what it leaves, grey levels ``[n, H, W]``.
        fitted: the images that it gives, grey levels ``[n, H, W]``.
        similarity: of the most similar key, ``[n]``.
    """

    residual: Fields
    fitted: Fields
    similarity: npt.NDArray[np.float32]


Fit = Callable[[npt.NDArray[np.generic], npt.NDArray[np.intp] | None], Fitted]
"""Fits images ``[n, H, W]``; with pairs ``[n]``, without those that each was made of."""


class _Moments(NamedTuple):
    """Means of traces ``[m]`` and their sampling variances, and the mean residual ``[H, W]``."""

    mean: Trace
    variance: Trace
    offset: Fields
    traces: Trace


def fit_noise(
    fit: Fit,
    images: npt.NDArray[np.uint8],
    keys: npt.NDArray[np.uint8],
    pairs: npt.NDArray[np.intp],
    components: Fields,
    seed: int,
) -> NoiseModel:
    """The noise that makes keys look like fab images.

    Args:
        fit: of one case.
        images: fab images of the case ``[n, H, W]``, without labels.
        keys: of some stored pairs, grey levels ``[m, H, W]``.
        pairs: the indices of those pairs, ``[m]``.
        components: principal components of the keys ``[H·W, d]``, the strongest first.
        seed: of the noise that is tried.
    """
    generator = np.random.default_rng(seed)
    clean = np.asarray(keys, np.float32)
    of_images = fit(images, None)
    real = _moments(of_images, components)
    without = _moments(fit(clean, pairs), components)
    few = slice(min(TRIALS, len(keys)))
    response = np.stack(
        [
            _moments(fit(kind.add(clean[few], generator, kind.trial), pairs[few]), components).mean
            - without.traces[few].mean(axis=0)
            for kind in KINDS.values()
        ],
        axis=1,
    )
    error = np.sqrt(real.variance + without.variance) + TOLERANCE * np.abs(real.mean)
    weight = 1.0 / np.maximum(error, np.finfo(np.float64).tiny)
    missing, offset = real.mean - without.mean, real.offset - without.offset
    for _ in range(ROUNDS):
        shares = _significant(response * weight[:, None], missing * weight)
        sizes = {
            name: float(np.sqrt(share)) * kind.trial
            for (name, kind), share in zip(KINDS.items(), shares, strict=True)
            if share > 0
        }
        model = NoiseModel(sizes, offset, {})
        made = fit(model.added(clean, generator), pairs)
        moments = _moments(made, components)
        left = real.mean - moments.mean
        missing = left + response @ shares
        offset = offset + real.offset - moments.offset
    misfit = float(np.sqrt(np.mean(np.square(left * weight))))
    model = replace(model, patterns=excess_patterns(of_images.residual, made.residual))
    made = fit(model.added(clean, generator), pairs)
    moments = _moments(made, components)
    found = {"misfit": misfit, **separation(of_images, made, real.traces, moments.traces)}
    return replace(model, found=found)


def _moments(fitted: Fitted, components: Fields) -> _Moments:
    offset = fitted.residual.mean(axis=0)
    found = traces(fitted.residual - offset, fitted.fitted, components)
    columns = np.stack(list(found.values()), axis=1).astype(np.float64)
    return _Moments(columns.mean(axis=0), columns.var(axis=0) / len(columns), offset, columns)


def _significant(response: Trace, missing: Trace) -> Trace:
    """Shares of kinds, none negative; kinds that hardly matter to the misfit are left out."""
    kept = list(range(response.shape[1]))
    shares, misfit = nnls(response, missing)
    while kept:
        unit = max(misfit**2 / max(1, len(missing) - len(kept)), 1.0)
        trials = []
        for kind in kept:
            others = [other for other in kept if other != kind]
            trials.append(nnls(response[:, others], missing)[1] if others else _norm(missing))
        least = int(np.argmin(trials))
        if trials[least] ** 2 - misfit**2 > SIGNIFICANT * unit:
            break
        kept.pop(least)
        misfit = trials[least]
    shares = np.zeros(response.shape[1])
    if kept:
        shares[kept] = nnls(response[:, kept], missing)[0]
    return shares


def _norm(vector: Trace) -> float:
    return float(np.linalg.norm(vector))
