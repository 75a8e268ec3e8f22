"""How the errors of an estimate's pixels go together, for what is measured of many pixels.

σ tells how far each pixel may be off, not which are off together: an edge that lies wrong moves all
pixels along it. The errors of held-out queries over their σ have a few strong patterns, their
principal components; what these leave is taken as independent from pixel to pixel. An estimate's
error is such a mixture times its own σ.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from semtf.errors import InputError
from semtf.json_fields import parse_json

ERRORS = "error_patterns.npy"
SCALES = "measurement_scales.json"
PATTERNS = 32
SURE = 1e-3
"""σ in grey levels below which a pixel has no error."""

Maps = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, eq=False)
class ErrorPatterns:
    """A low-rank covariance of errors over σ.

    Attributes:
        patterns: float32 ``[r, H, W]``: their outer products sum to the covariance.
        rest: float32 ``[H, W]``, the standard deviation of what is independent.
        scales: what uncertainties of measurements are multiplied by, by quantity
            (`semtf.estimation.measurement_scales`); by 1 where it is not named.
    """

    patterns: Maps
    rest: Maps
    scales: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, error: Maps, sigma: Maps) -> "ErrorPatterns":
        """Fit to signed errors of queries and their σ, ``[m, H, W]`` each."""
        ratio = np.where(sigma > SURE, error / np.maximum(sigma, SURE), 0.0)
        flat = ratio.reshape(len(ratio), -1) / np.sqrt(len(ratio))
        _, size, direction = np.linalg.svd(flat, full_matrices=False)
        patterns = (size[:, None] * direction)[:PATTERNS]
        rest = np.square(flat).sum(axis=0) - np.square(patterns).sum(axis=0)
        shape = ratio.shape[1:]
        return cls(
            patterns.reshape(-1, *shape).astype(np.float32),
            np.sqrt(np.maximum(rest, 0)).reshape(shape).astype(np.float32),
        )

    def draws(self, depth: Maps, sigma: Maps, count: int, generator: np.random.Generator) -> Maps:
        """Depth maps that may be the true one, ``[count, H, W]``, of an estimate ``[H, W]``."""
        weights = generator.standard_normal((count, len(self.patterns)), dtype=np.float32)
        independent = generator.standard_normal((count, *depth.shape), dtype=np.float32)
        ratio = np.tensordot(weights, self.patterns, axes=1) + self.rest * independent
        return np.asarray(depth + sigma * ratio, np.float32)

    def save(self, folder: Path) -> None:
        """Write ``error_patterns.npy``, the patterns and the rest behind them, and the scales."""
        stacked = np.concatenate([self.patterns, self.rest[None]])
        np.save(folder / ERRORS, stacked, allow_pickle=False)
        text = json.dumps(dict(self.scales), indent=2) + "\n"
        (folder / SCALES).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "ErrorPatterns | None":
        """Read what `save` wrote; None where the run was made without patterns."""
        if not (folder / ERRORS).exists():
            return None
        try:
            stacked: Any = np.load(folder / ERRORS, allow_pickle=False)
            if stacked.ndim != 3:
                raise ValueError(f"shape {list(stacked.shape)}")
        except (OSError, EOFError, ValueError) as error:
            raise InputError(f"{folder / ERRORS}: cannot be read ({error}); train again") from error
        return cls(stacked[:-1], stacked[-1], _scales(folder / SCALES))


def _scales(path: Path) -> dict[str, float]:
    if not path.exists():  # runs of older versions
        return {}
    try:
        values = parse_json(path.read_text(encoding="utf-8"))
        return {str(name): float(value) for name, value in values.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); train again") from error
