"""The methods of a benchmark by name, ``KEYS/ESTIMATOR``, which can be read without TensorFlow.

KEYS says what the stored pairs look like, ESTIMATOR how depth is made from them; `REFERENCES` need
no keys. `semtf.benchmark.keys` has the keys of a name, `semtf.benchmark.estimators` its estimator.
"""

import difflib
import fnmatch
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from semtf.adapter_table import ADAPTERS, AUTO
from semtf.config import WEIGHTS
from semtf.errors import InputError

COUNTS = (8, 32, 64)
"""Numbers of neighbours that every weight function is tried with."""
EPOCHS = (1, 2, 4, 8, 16, 32, 64)
"""Epochs of a long training whose keys are kept: adaptations of all qualities."""
ALL, DEFAULT = "all", "default"


@dataclass(frozen=True)
class Part:
    """Half of a method's name.

    Attributes:
        title: what tables call it.
        description: a line for users.
        trains: whether a network is trained for it.
        common: whether ``all`` has it together with every other common part.
    """

    title: str
    description: str
    trains: bool = False
    common: bool = False


def _keys() -> dict[str, Part]:
    parts = {
        "none": Part(
            "no adaptation", "the simulator's images, the mean of both exposures", common=True
        ),
        "adapted": Part("adapted", "as the run's adapter shows them", common=True),
        "target": Part(
            "true target keys", "oracle: as the fab's own microscope shows them", common=True
        ),
        "none-one-exposure": Part("one exposure", "the first of both exposures alone"),
        "adapted-one-exposure": Part("one exposure, adapted", "the first of both exposures alone, "
                                     "as the run's adapter shows it"),
    }  # fmt: skip
    for name, info in ADAPTERS.items():
        if name != "none":
            parts[name] = Part(name, info.description, info.trained, common=True)
    parts |= {
        AUTO: Part(
            "auto",
            "every adapter but CUT fitted, and the best one chosen without labels",
            True,
            True,
        ),
        "lsgan": Part("LSGAN", "a CycleGAN with LSGAN's loss in place of WGAN-GP", True, True),
        "joint": Part("one CycleGAN", "one CycleGAN for all cases together", True, True),
        "cold": Part("no warm start", "a CycleGAN a case, none starts from the first", True, True),
    }
    for epoch in EPOCHS:
        title = f"epoch {epoch}"
        parts[f"epoch-{epoch}"] = Part(
            title, f"the CycleGAN's average after {title} of {EPOCHS[-1]}", True
        )
    return parts


def _estimators() -> dict[str, Part]:
    parts = {
        "nearest": Part("nearest", "the most similar pair, its depth moved too", common=True),
        "nearest-wrapped": Part("nearest, wrapped shifts", "nearest with shifts that wrap around"),
        "nearest-winner": Part("nearest, wrapped, unmoved", "the winning code's: shifts wrap "
                               "around, and the depth stays where it is"),
        "nearest-unmoved": Part("nearest, depth unmoved", "nearest, the depth not moved back"),
        "nearest-centre": Part("nearest, centred", "nearest by keys whose holes are centred"),
        "softmax-8-centre": Part("softmax of 8, centred", "softmax, the holes centred"),
    }  # fmt: skip
    for name, description in WEIGHTS.items():
        for count in COUNTS if name != "nearest" else ():
            parts[f"{name}-{count}"] = Part(f"{name} of {count}", f"weights: {description}")
    parts |= {
        "tuned": Part("tuned", "the default: chosen without labels, averaged with the regression",
                      common=True),
        "retrieval": Part("tuned retrieval", "the default without the regression"),
        "regression": Part("regression", "the ridge regression alone"),
        "depth-differs": Part("as if the depths differed", "tuned retrieval with the depths that "
                              "the sites' averages name: Depth^S ≠ Depth^T"),
    }  # fmt: skip
    for noise, told in (("clean", "as they are"), ("noise", "with the fab's noise")):
        name, told = f"unet-{noise}", f"an encoder-decoder trained on keys {told}"
        parts[name] = Part(f"encoder-decoder, {noise}", told, True)
        parts[f"{name}-adabn"] = Part(
            f"encoder-decoder, {noise}, AdaBN", f"{told}; statistics of the fab's images", True
        )
        parts[f"{name}-shuffled"] = Part(
            f"encoder-decoder, {noise}, shuffled",
            f"{told}; statistics of batches in random order, filled with the fab's images",
            True,
        )
    return parts


REFERENCES: dict[str, Part] = {
    "mean-map": Part("mean map", "the mean of all depth maps of the case"),
    "nearest-true-map": Part("nearest true map", "oracle: the stored map next to the truth"),
}
"""Methods that need no keys."""

DEFAULTS = (
    *(f"{k}/{e}" for k in ("none", "adapted", "target") for e in ("nearest", "softmax-8", "tuned")),
    "adapted/depth-differs",
)
"""What is compared where no methods are named."""


@dataclass(frozen=True)
class Method:
    """A method: a reference, or keys and an estimator.

    Attributes:
        name: what it is chosen by.
        keys: its keys; none for a reference.
        estimator: its estimator; the reference itself.
    """

    name: str
    keys: str | None
    estimator: str

    @property
    def parts(self) -> tuple[Part, ...]:
        """What it is made of."""
        if self.keys is None:
            return (REFERENCES[self.estimator],)
        return _keys()[self.keys], _estimators()[self.estimator]

    @property
    def title(self) -> str:
        """What tables call it."""
        return ", ".join(part.title for part in self.parts)

    @property
    def trains(self) -> bool:
        """Whether a network is trained for it."""
        return any(part.trains for part in self.parts)


def methods() -> dict[str, Method]:
    """All methods by name; adapters and weights that were registered are among them."""
    named = {name: Method(name, None, name) for name in REFERENCES}
    for keys, estimator in itertools.product(_keys(), _estimators()):
        name = f"{keys}/{estimator}"
        named[name] = Method(name, keys, estimator)
    return named


def recommended() -> list[str]:
    """The names behind ``all``: common keys with common estimators, and the rest one by one."""
    keys, estimators = _keys(), _estimators()
    return [
        *REFERENCES,
        *(
            f"{k}/{e}"
            for k in keys
            for e in estimators
            if (k == "adapted" or estimators[e].common)
            or (k in ("none", "target") and not estimators[e].trains)
            or (k == "none" and estimators[e].trains)
        ),
    ]


def chosen(names: str | Sequence[str] | None) -> list[Method]:
    """The methods that names or patterns such as ``adapted/*`` choose, each once.

    Args:
        names: separated by commas, or a list; ``all`` and ``default`` are groups, as is None.

    Raises:
        InputError: a name or pattern fits none; it names the nearest ones.
    """
    if names is None:
        names = DEFAULT
    wanted = names.split(",") if isinstance(names, str) else list(names)
    known = methods()
    found: dict[str, Method] = {}
    for name in (part.strip() for part in wanted):
        groups = {ALL: recommended, DEFAULT: lambda: list(DEFAULTS)}
        matching = groups[name]() if name in groups else fnmatch.filter(known, name)
        if not matching:
            raise InputError(f"--methods {name}: no such method; {_nearest(name, known)}")
        found |= {match: known[match] for match in matching}
    return list(found.values())


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, [*known, ALL, DEFAULT], 3, 0.4)
    listed = "semtf benchmark --list shows all"
    return f"the nearest are {', '.join(near)}; {listed}" if near else listed


def listing() -> str:
    """All parts of names, a line each, as text."""
    sections = (
        ("references", REFERENCES),
        ("keys, in KEYS/ESTIMATOR", _keys()),
        ("estimators, in KEYS/ESTIMATOR", _estimators()),
    )
    lines = []
    for heading, parts in sections:
        lines += [f"{heading}:"]
        width = max(map(len, parts))
        for name, part in parts.items():
            note = " (trains a network)" if part.trains else ""
            lines.append(f"  {name:{width}}  {part.description}{note}")
        lines.append("")
    lines.append(f"groups: {DEFAULT} ({len(DEFAULTS)} methods), {ALL} ({len(recommended())})")
    return "\n".join(lines)
