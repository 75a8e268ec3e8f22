"""A fab: what its holes are like, and the two microscopes that see them; its presets and file."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from semtf.errors import InputError
from semtf.json_fields import build, parse_json
from semtf.simulation.holes import HOLE, HoleModel
from semtf.simulation.microscope import FABS, SIMULATOR, Microscope
from semtf.simulation.visible import case_step
from semtf.simulation.words import fab_in_words


@dataclass(frozen=True)
class Fab:
    """A world: its holes, and how the simulator and the fab's own microscope show them."""

    name: str
    holes: HoleModel
    simulator: Microscope
    microscope: Microscope

    def words(self) -> dict[str, str]:
        """What the fab is like, in words: structures, both microscopes, and the cases."""
        steps = (case_step(self.holes, kind) for kind in (self.simulator, self.microscope))
        return fab_in_words(self.holes, self.simulator, self.microscope, *steps)

    def to_json(self, structures: str | None = None) -> str:
        """The fab in words and numbers, as indented JSON that `read_fab` reads.

        Args:
            structures: what to say of the structures where they are not drawn from ``holes``.
        """
        numbers = dataclasses.asdict(self)
        words = self.words()
        if structures is not None:
            words["structures"] = structures
        note = {"name": numbers.pop("name"), "words": words, **numbers}
        return json.dumps(note, indent=2, ensure_ascii=False) + "\n"


PRESETS = {name: Fab(name, HOLE, SIMULATOR, microscope) for name, microscope in FABS.items()}


def read_fab(path: Path) -> Fab:
    """The fab of a ``fab.json``; raises InputError where it is none."""
    try:
        values = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"--fab {path}: cannot be read ({error})") from error
    if not isinstance(values, dict) or not {"holes", "simulator", "microscope"} <= set(values):
        raise InputError(
            f"--fab {path}: lacks holes, simulator or microscope; see docs/simulator.md"
        )
    values.pop("words", None)
    values.setdefault("name", path.name)
    try:
        return build(Fab, values, "fab")
    except InputError as error:
        raise InputError(f"--fab {path}: {error}") from error
