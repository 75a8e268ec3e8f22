"""Finished rows, kept line by line, so that an interrupted benchmark goes on."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from semtf.benchmark.world import Truth
from semtf.config import RunConfig
from semtf.errors import InputError
from semtf.json_fields import parse_json
from semtf.manifest import MANIFEST
from semtf.run import Run
from semtf.version import __version__

Row = dict[str, Any]
MARK = '{"name": '
"""How every line begins."""
DIGITS = 12


class Rows:
    """Rows of a benchmark, in a file of JSON lines or in memory alone."""

    def __init__(self, path: Path | None) -> None:
        """Read the rows of a file that may not be there yet.

        Raises:
            InputError: a line is no row.
        """
        self.path = path
        self.rows: list[Row] = []
        if path is None or not path.exists():
            return
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            try:
                row = parse_json(line)
                self.rows.append({"name": str(row["name"]), **row})
            except (ValueError, KeyError, TypeError) as error:
                # A process that was killed while it wrote leaves half of the last line.
                if number < len(lines):
                    raise InputError(
                        f"{path}, line {number}: is no row of a benchmark ({error}); remove it"
                    ) from error
        self._rewrite_without_half_line(lines)

    def _rewrite_without_half_line(self, lines: list[str]) -> None:
        if self.path is not None and len(lines) > len(self.rows):
            whole = "".join(f"{line}\n" for line in lines[: len(self.rows)])
            self.path.write_text(whole, encoding="utf-8")

    def find(self, key: Row) -> Row | None:
        """The newest row that has all fields of a key; None where there is none."""
        matching = (row for row in reversed(self.rows) if key.items() <= row.items())
        return next(matching, None)

    def add(self, row: Row) -> None:
        """Keep a row."""
        self.rows.append(row)
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


def fingerprint(truth: Truth, config: RunConfig, run: Run | None) -> str:
    """What rows must have in common to stand in one table: test images, settings, run, version."""
    found = hashlib.sha256(__version__.encode())
    for array in (truth.images, truth.depth, truth.cases):
        found.update(np.ascontiguousarray(array).tobytes())
    found.update(config.to_json().encode())
    if run is not None:
        manifest = run.path / MANIFEST
        found.update(manifest.read_bytes() if manifest.exists() else str(run.path).encode())
    return found.hexdigest()[:DIGITS]
