"""Files that cannot be used: left out with their reason, or refused."""

from collections.abc import Sequence
from typing import NamedTuple

from semtf.data.file_source import File, Source, full_path
from semtf.errors import InputError

REMEDY = "repair or remove it, or leave bad files out with --skip-bad"


class Skipped(NamedTuple):
    """A file that was left out, and why."""

    path: str
    reason: str


def skipped_files(source: Source, files: Sequence[File], problems: Sequence[str]) -> list[Skipped]:
    """The files that have a problem; it is empty for the others."""
    return [
        Skipped(full_path(source.root, file.path), problem)
        for file, problem in zip(files, problems, strict=True)
        if problem
    ]


def refuse(skipped: Sequence[Skipped]) -> None:
    """Raise InputError for the first file that cannot be used, counting the others."""
    if skipped:
        count = f" ({len(skipped)} such files)" if len(skipped) > 1 else ""
        raise InputError(f"{skipped[0].path}: {skipped[0].reason}; {REMEDY}{count}")
