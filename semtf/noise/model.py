"""A fab's noise: what has to be added to adapted keys so that they look like its images."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from semtf.errors import InputError
from semtf.json_fields import parse_json
from semtf.noise.kinds import KINDS, Images

NOISE = "noise.json"
OFFSET = "noise_offset.npy"
PATTERNS = "noise_patterns.npy"


def _no_patterns() -> npt.NDArray[np.float32]:
    return np.zeros((0, 1, 1), np.float32)


@dataclass(frozen=True, eq=False)
class NoiseModel:
    """What a fab's images have and the keys of its storage have not.

    Attributes:
        sizes: by kind of `semtf.noise.kinds.KINDS`, its size; kinds that were not found lack.
        offset: what the fab's images show more on average, grey levels ``[H, W]``.
        found: figures for a reader: what the fit and its check say.
        patterns: what fab images vary by beyond all kinds (`semtf.noise.patterns`), grey levels
            ``[r, H, W]``; each is added times a standard normal number of its own.
    """

    sizes: Mapping[str, float]
    offset: npt.NDArray[np.float32]
    found: Mapping[str, float]
    patterns: npt.NDArray[np.float32] = field(default_factory=_no_patterns)

    def added(self, keys: npt.NDArray[np.generic], generator: np.random.Generator) -> Images:
        """Keys ``[n, H, W]`` as fab images show them, float32 grey levels."""
        draws = generator.standard_normal((len(keys), len(self.patterns)), dtype=np.float32)
        images = (
            np.asarray(keys, np.float32) + self.offset + np.tensordot(draws, self.patterns, axes=1)
        )
        for name, kind in KINDS.items():
            if self.sizes.get(name, 0.0) > 0:
                images = kind.add(images, generator, self.sizes[name])
        return np.asarray(images, np.float32)

    def with_patterns(self, patterns: Images) -> "NoiseModel":
        """The same with further patterns ``[r, H, W]``."""
        own = self.patterns if len(self.patterns) else patterns[:0]
        return replace(self, patterns=np.concatenate([own, patterns]))

    @property
    def groups(self) -> dict[str, tuple[float, str]]:
        """By group of kinds, its size as a standard deviation, and the unit.

        ``patterns`` have their standard deviation of a pixel, the root of the mean square.
        """
        squares: dict[str, tuple[float, str]] = {}
        for name, size in self.sizes.items():
            kind = KINDS[name]
            square, _ = squares.get(kind.group, (0.0, kind.unit))
            squares[kind.group] = (square + size**2, kind.unit)
        if len(self.patterns):
            squares["patterns"] = (float(np.square(self.patterns).sum(axis=0).mean()), "levels")
        return {group: (square**0.5, unit) for group, (square, unit) in squares.items()}

    def save(self, folder: Path) -> None:
        """Write ``noise.json``, ``noise_offset.npy`` and ``noise_patterns.npy``."""
        np.save(folder / OFFSET, self.offset, allow_pickle=False)
        np.save(folder / PATTERNS, self.patterns, allow_pickle=False)
        document = {"sizes": dict(self.sizes), "found": dict(self.found)}
        text = json.dumps(document, indent=2) + "\n"
        (folder / NOISE).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "NoiseModel | None":
        """Read what `save` wrote; None where the run was made without a noise model."""
        if not (folder / NOISE).exists():
            return None
        try:
            document = parse_json((folder / NOISE).read_text(encoding="utf-8"))
            offset = np.load(folder / OFFSET, allow_pickle=False)
            # Runs of older versions have none.
            patterns = (
                np.load(folder / PATTERNS, allow_pickle=False)
                if (folder / PATTERNS).exists()
                else _no_patterns()
            )
            sizes = {str(name): float(size) for name, size in document["sizes"].items()}
            unknown = sorted(set(sizes) - set(KINDS))
            if unknown:
                raise ValueError(f"no such kind of noise: {', '.join(unknown)}")
            return cls(sizes, offset, document["found"], patterns)
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{folder / NOISE}: cannot be read ({error}); train again") from error
