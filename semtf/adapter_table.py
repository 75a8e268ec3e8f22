"""The table of adapters, which can be read without TensorFlow.

The command line, the settings, `auto` and the documentation take names, order and descriptions from
it; `semtf.adaptation.registry` has the class of each name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from semtf.errors import InputError
from semtf.json_fields import parse_json

AUTO = "auto"
"""The name that lets training choose the adapter."""

SELECTION = "selection.json"
"""The file of `auto`, in the folder of a case, that names the adapter it chose."""


@dataclass(frozen=True)
class AdapterInfo:
    """The properties of an adapter, without its class.

    Attributes:
        cost: rank among all adapters; of equally good ones `auto` takes the one of lowest cost.
        description: what it does, in one line.
        trained: whether it is a network, which takes minutes to train.
        candidate: whether `auto` considers it by default.
    """

    cost: int
    description: str
    trained: bool = False
    candidate: bool = True


ADAPTERS: dict[str, AdapterInfo] = {
    "cyclegan": AdapterInfo(60, "two generators and two critics; the default", trained=True),
    "none": AdapterInfo(0, "leaves the simulator's images as they are"),
    "percentile": AdapterInfo(
        10, "one grey curve: the mean percentiles of simulator images become the fab's"
    ),
    "moment": AdapterInfo(
        20, "shifts and scales each pixel: its mean and spread over all images become the fab's"
    ),
    "fda": AdapterInfo(
        30,
        "Fourier amplitude swap (Yang and Soatto, 2020): low frequencies take the fab's mean "
        "amplitude and keep their phase; `fda_beta` is the window",
    ),
    "adain": AdapterInfo(
        40,
        "adaptive instance normalisation (Huang and Belongie, 2017) on the bands of a Laplacian "
        "pyramid: no network and no foreign weights",
    ),
    "cut": AdapterInfo(
        50,
        "contrastive unpaired translation (Park et al., 2020): one generator, one critic",
        trained=True,
        candidate=False,
    ),
}
"""The adapters by name; `semtf.adaptation.registry.register` adds others."""


def check_adapters(field: str, names: Sequence[str], known: Sequence[str]) -> None:
    """Raise InputError where a field of the settings names an adapter that is not ``known``."""
    for name in names:
        if name not in known:
            raise InputError(
                f"{field}: {name!r} is none of {', '.join(known)}; an adapter of your own must be "
                "registered first (docs/adaptation.md)"
            )


def chosen_adapter(folder: Path) -> str:
    """The adapter that `auto` chose for a case; raises InputError where there is no note."""
    try:
        note: dict[str, str] = parse_json((folder / SELECTION).read_text(encoding="utf-8"))
        return note["adapter"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder / SELECTION}: cannot be read ({error}); train again") from error


def chosen_folder(folder: Path) -> Path:
    """The folder of a case's adapter itself: where `auto` chose it, one below ``folder``."""
    return folder / chosen_adapter(folder) if (folder / SELECTION).exists() else folder
