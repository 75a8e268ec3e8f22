"""How bright the brightest pixel of a fab image usually is, for the flag of images off that scale.

A microscope that normalises its images gives each the same maximum (212 in the challenge's data),
others a range. An image at half that brightness, or a 12-bit image scaled as if it had 16, finds
the same neighbours but not the same case.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from semtf.data.network_scale import FULL_SCALE
from semtf.errors import InputError
from semtf.json_fields import parse_json

MAXIMA = "maxima.json"
QUANTILES = (0.005, 0.5, 0.995)
MARGIN = 0.05
"""How far beyond the quantiles a maximum may lie, as a part of the median."""


class Maxima(NamedTuple):
    """The smallest and the largest usual maximum of an image, in grey levels."""

    low: float
    high: float

    @classmethod
    def of(cls, maxima: npt.ArrayLike) -> "Maxima":
        """The usual range, from the maximum of each fab image, ``[n]``.

        It runs from the 0.5 % to the 99.5 % quantile, and beyond each by half its distance to the
        median and by 5 % of the median.
        """
        low, middle, high = map(float, np.quantile(np.asarray(maxima, np.float64), QUANTILES))
        margin = MARGIN * middle
        return cls(low - (middle - low) / 2 - margin, high + (high - middle) / 2 + margin)

    @classmethod
    def around(cls, ranges: Iterable["Maxima"]) -> "Maxima":
        """The range that holds all of some ranges."""
        lows, highs = zip(*ranges, strict=True)
        return cls(min(lows), max(highs))

    def save(self, folder: Path) -> None:
        """Write ``maxima.json``."""
        text = json.dumps(self._asdict(), indent=2) + "\n"
        (folder / MAXIMA).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Maxima":
        """Read what `save` wrote.

        A run that was trained before maxima were noted has no such file: its images are taken to
        be normalised to 212, as the networks expect.
        """
        if not (folder / MAXIMA).exists():
            return cls.of([FULL_SCALE])
        try:
            values = parse_json((folder / MAXIMA).read_text(encoding="utf-8"))
            return cls(float(values["low"]), float(values["high"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{folder / MAXIMA}: cannot be read ({error}); train again") from error
