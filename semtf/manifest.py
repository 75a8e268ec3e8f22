"""The manifest of a folder: size and SHA-256 of its files, and whether they are still so."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from semtf.errors import InputError
from semtf.json_fields import parse_json

MANIFEST = "manifest.json"
PARTIAL = ".partial"
PART = 1 << 20
"""Bytes that are read at a time."""
PARSED = (".json", ".csv", ".txt", ".html")
"""Endings of files whose readers check what they say; the others are bytes that nothing checks."""


def write_manifest(folder: Path, files: Iterable[Path] | None = None) -> None:
    """Write ``manifest.json`` of some files of a folder, of all where None; it appears whole."""
    if files is None:
        inside = (path for path in folder.rglob("*") if path.is_file())
        files = [path for path in inside if path.name != MANIFEST]
    entries = {
        path.relative_to(folder).as_posix(): {
            "bytes": path.stat().st_size,
            "sha256": sha256(path),
        }
        for path in sorted(files)
    }
    temporary = folder / (MANIFEST + PARTIAL)
    temporary.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    temporary.replace(folder / MANIFEST)


def check_manifest(folder: Path, remedy: str, *, full: bool = False, complete: bool = False) -> int:
    """Compare files with the manifest of their folder.

    Args:
        folder: with a ``manifest.json``.
        remedy: what to do where they differ.
        full: read every file and compare its hash; else only the sizes of arrays, weights and
            graphs are compared.
        complete: the other files must be there, too.

    Returns:
        How many files were compared.

    Raises:
        InputError: a file is missing or is not as it was written; the manifest is none.
    """
    name = folder / MANIFEST
    try:
        entries = parse_json(name.read_text(encoding="utf-8"))
        expected = {path: (entry["bytes"], entry["sha256"]) for path, entry in entries.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{name}: cannot be read ({error}); {remedy}") from error
    compared = 0
    for path, (size, digest) in expected.items():
        file = folder / path
        if ".." in Path(path).parts or Path(path).is_absolute():
            raise InputError(f"{name}: names {path}, which lies elsewhere; {remedy}")
        parsed = not full and file.suffix in PARSED
        if parsed and not complete:
            continue
        if not file.is_file():
            raise InputError(f"{file}: is missing, though {MANIFEST} has it; {remedy}")
        if parsed:
            continue
        if file.stat().st_size != size:
            raise InputError(
                f"{file}: has {file.stat().st_size} bytes and not {size}, as it was written with; "
                f"{remedy}"
            )
        if full and sha256(file) != digest:
            raise InputError(f"{file}: is not as it was written (SHA-256 differs); {remedy}")
        compared += 1
    return compared


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while part := file.read(PART):
            digest.update(part)
        return digest.hexdigest()
