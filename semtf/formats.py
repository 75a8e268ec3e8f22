"""The formats of what semtf writes: their numbers, and how older ones are read.

Every artefact has one JSON file that carries a stamp: the run folder ``config.json``, a storage
``names.json``, an index ``retrieval.json``, an export ``semtf.json``. Format 0 is what semtf wrote
before there were stamps. A change that renames, moves or drops a field raises the number and adds
a step to `STEPS`; a field that is added with a default needs neither. Files are migrated in memory
when they are read, and stay as they are on disk.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from semtf.errors import InputError
from semtf.version import __version__

Kind = Literal["run", "storage", "index", "export"]
Document = dict[str, Any]
STAMP = "format"


def _unchanged(document: Document) -> Document:
    return document


STEPS: Mapping[Kind, tuple[Callable[[Document], Document], ...]] = {
    # The first stamp came with the table of cases, which is the challenge's by default.
    "run": (_unchanged,),
    "storage": (_unchanged,),
    "index": (_unchanged,),
    "export": (_unchanged,),
}
"""By kind, the step from each format to the next one; there are as many as the newest number."""

REMEDIES: Mapping[Kind, str] = {
    "run": "train it again with semtf-train",
    "storage": "train the case again with semtf-train",
    "index": "train the case again with semtf-train",
    "export": "export the run again with semtf export",
}


def stamped(kind: Kind, document: Mapping[str, Any]) -> Document:
    """A document with the stamp of the newest format of its kind in front."""
    return {STAMP: {"kind": kind, "number": len(STEPS[kind]), "semtf": __version__}, **document}


def migrated(kind: Kind, document: Mapping[str, Any], name: str) -> Document:
    """A document as the newest format has it, its stamp taken off.

    Args:
        kind: of the artefact.
        document: what its JSON file holds.
        name: what error messages call it.

    Raises:
        InputError: a newer semtf wrote the document, it is another kind of artefact, or its
            stamp is malformed.
    """
    if not isinstance(document, Mapping):
        raise InputError(f"{name}: expected a JSON object; {REMEDIES[kind]}")
    content = dict(document)
    stamp = content.pop(STAMP, {"kind": kind, "number": 0, "semtf": "0.1"})
    try:
        written_kind, number, version = stamp["kind"], stamp["number"], stamp["semtf"]
        newer = number > len(STEPS[kind])
    except (KeyError, TypeError) as error:
        raise InputError(f"{name}: its stamp of the format is damaged; {REMEDIES[kind]}") from (
            error
        )
    if written_kind != kind:
        raise InputError(f"{name}: is a {written_kind}, where a {kind} is expected")
    if newer:
        raise InputError(
            f"{name}: semtf {version} wrote it in format {number} of a {kind}; this is semtf "
            f"{__version__}, which reads up to {len(STEPS[kind])}: install that version, or "
            f"{REMEDIES[kind]}"
        )
    for step in STEPS[kind][number:]:
        content = step(content)
    return content
