"""The two sets of versions: what belongs to each, and what of an installation does not."""

from collections.abc import Callable
from dataclasses import dataclass

from packaging.requirements import Requirement

from semtf.backend.installed import is_classic
from semtf.backend.quiet import imported
from semtf.errors import InputError


@dataclass(frozen=True)
class VersionSet:
    """Versions that work together.

    Attributes:
        name: in words.
        requirements: one a distribution; those with a marker only where it holds.
    """

    name: str
    requirements: tuple[str, ...]

    def strangers(self, version: Callable[[str], str | None]) -> list[Requirement]:
        """The requirements that an installation does not meet.

        Args:
            version: from a distribution to the installed version; None where there is none.
        """
        wanted = [Requirement(line) for line in self.requirements]
        here = [r for r in wanted if r.marker is None or r.marker.evaluate()]
        return [r for r in here if not _met(r, version(r.name))]

    def requirement(self, distribution: str) -> Requirement | None:
        """The versions of a distribution; None where the set does not name it."""
        wanted = map(Requirement, self.requirements)
        return next((r for r in wanted if r.name == distribution), None)


def _met(requirement: Requirement, version: str | None) -> bool:
    return version is not None and requirement.specifier.contains(version, prereleases=True)


CURRENT = VersionSet(
    "current",
    (
        "tensorflow>=2.20,<2.21",
        "keras>=3.10,<3.16",
        "scann>=1.4.2,<1.5; sys_platform == 'linux'",
        "protobuf>=5.28",
        "numpy>=2,<3",
    ),
)
CLASSIC = VersionSet(
    "classic",
    (
        "tensorflow>=2.15.1,<2.16",
        "keras>=2.15,<2.16",
        "scann>=1.3,<1.4; sys_platform == 'linux' and platform_machine == 'x86_64'",
        "protobuf>=3.20.3,<5",
        "numpy>=1.26,<2",
        "tensorflow-addons>=0.23,<0.24",
    ),
)


def installed_set() -> VersionSet:
    """The set that Keras belongs to, as all code of semtf takes it."""
    return CLASSIC if is_classic() else CURRENT


def require_addons() -> None:
    """Load TensorFlow Addons where the installed set has it.

    Raises:
        InputError: it cannot be loaded.
    """
    if not is_classic():
        return
    try:
        imported("tensorflow_addons")
    except ImportError as error:
        raise InputError(
            f"TensorFlow Addons of the classic set cannot be loaded ({error}); "
            f'pip install "{CLASSIC.requirement("tensorflow-addons")}", or see semtf doctor'
        ) from error
