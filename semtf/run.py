"""The run folder: where everything of a run lies, written stage by stage, each atomically."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from semtf.config import CASES, RunConfig
from semtf.errors import InputError

CONFIG = "config.json"
MANIFEST = "manifest.json"
PARTIAL = ".partial"
OLD = ".old"


@dataclass(frozen=True)
class Run:
    """A run folder.

    Attributes:
        path: the folder.
        config: the settings it was made with, ``config.json``.

    Layout::

        config.json  manifest.json  data.json  skipped.csv  report.html
        cases/case_K/     the case's adapter; where it was trained, losses, criterion and logs, too
        storage/case_K/   adapted keys, depth values, index
        classifier/       weights, history and calibration of the case classifier
    """

    path: Path
    config: RunConfig

    @classmethod
    def create(cls, path: Path, config: RunConfig) -> "Run":
        """Make the folder of a new run; raises InputError where it exists."""
        if path.exists():
            raise InputError(f"{path}: exists and is no run; choose another --run")
        path.mkdir(parents=True)
        (path / CONFIG).write_text(config.to_json(), encoding="utf-8")
        return cls(path, config)

    @classmethod
    def open(cls, path: Path | str) -> "Run":
        """Open a run folder; raises InputError where it is none."""
        path = Path(path)
        try:
            text = (path / CONFIG).read_text(encoding="utf-8")
        except OSError as error:
            raise InputError(f"{path}: no run there; make one with semtf-train --run") from error
        return cls(path, RunConfig.from_json(text))

    def adaptation(self, case: int) -> Path:
        """Folder of the adapter of a case."""
        return self.path / "cases" / f"case_{case}"

    def storage(self, case: int) -> Path:
        """Folder of the storage and index of a case."""
        return self.path / "storage" / f"case_{case}"

    @property
    def classifier(self) -> Path:
        """Folder of the case classifier."""
        return self.path / "classifier"

    @property
    def cases(self) -> tuple[int, ...]:
        """The cases whose storage is there."""
        return tuple(case for case in CASES if self.storage(case).is_dir())

    @property
    def finished(self) -> bool:
        """Whether the training of the run came to its end."""
        return (self.path / MANIFEST).exists()

    @contextmanager
    def stage(self, folder: Path, *, empty: bool = False) -> Iterator[Path]:
        """Fill a folder of the run: it gets its name when the block ends without an error.

        Yields:
            The folder's temporary name; what an interrupted run left in it is still there, unless
            it is to be ``empty``.
        """
        partial = folder.with_name(folder.name + PARTIAL)
        if empty:
            shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True, exist_ok=True)
        yield partial
        old = folder.with_name(folder.name + OLD)
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            folder.rename(old)
        partial.rename(folder)
        shutil.rmtree(old, ignore_errors=True)

    def restore(self) -> None:
        """Bring back what an interruption in the middle of a replacement left without its name."""
        for old in self.path.rglob("*" + OLD):
            folder = old.with_name(old.name.removesuffix(OLD))
            if not folder.exists():
                old.rename(folder)

    def begin(self) -> None:
        """Mark the run as unfinished until `finish`."""
        (self.path / MANIFEST).unlink(missing_ok=True)

    def finish(self) -> None:
        """Write the manifest: size and SHA-256 of every file of the run."""
        files = sorted(p for p in self.path.rglob("*") if p.is_file() and p.name != MANIFEST)
        entries = {
            str(path.relative_to(self.path)): {"bytes": path.stat().st_size, "sha256": sha256(path)}
            for path in files
        }
        temporary = self.path / (MANIFEST + PARTIAL)
        temporary.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
        temporary.rename(self.path / MANIFEST)


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
