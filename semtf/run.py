"""The run folder with everything of a run, written stage by stage, each atomically."""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semtf.adapter_table import chosen_folder
from semtf.cases import case_numbers
from semtf.config import RunConfig
from semtf.errors import InputError, TrainingError
from semtf.formats import migrated, stamped
from semtf.json_fields import parse_json
from semtf.lock import LOCK, is_vacant
from semtf.manifest import MANIFEST, PARTIAL, check_manifest, write_manifest
from semtf.outputs import check_folder
from semtf.timings import note_timing, read_timings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CONFIG = "config.json"
DATA = "data.json"
REPORT = "report.html"
"""It is written by another command, at any time."""
RECORDS = "records.json"
"""What was predicted with the run, and how it was judged."""
OLD = ".old"
HISTORY = "history.csv"
"""Losses by epoch, in the folder of what was trained."""


@dataclass(frozen=True, repr=False)
class Run:
    """A run folder.

    Attributes:
        path: the folder.
        config: the settings it was made with, ``config.json``.

    Layout::

        config.json  manifest.json  data.json  skipped.csv  report.html  records.json
        timings.json      the seconds that each folder below took
        cases/case_K/     the case's adapter; where it was trained, losses, criterion and logs, too
        storage/case_K/   adapted keys, depth values, index
        classifier/       weights, history and calibration of the case classifier
    """

    path: Path
    config: RunConfig

    @classmethod
    def create(cls, path: Path, config: RunConfig) -> "Run":
        """Make the folder of a new run; raises InputError where it exists and is not empty."""
        if not is_vacant(path):
            raise InputError(f"{path}: exists and is not empty; choose another --run")
        check_folder(path)
        path.mkdir(parents=True, exist_ok=True)
        run = cls(path, config)
        run._write_config()
        return run

    @classmethod
    def open(cls, path: "Path | str | Run") -> "Run":
        """Open a run folder, or take a run as it is; raises InputError where it is none."""
        if isinstance(path, Run):
            return path
        path = Path(path)
        try:
            text = (path / CONFIG).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{path / CONFIG}: is not text in UTF-8 ({error})") from error
        except OSError as error:
            remedy = "make one with semtf-train --run"
            if not is_vacant(path):
                remedy = (
                    f"it holds other files and no {CONFIG}; name a folder that semtf-train made"
                )
            raise InputError(f"{path}: no run there; {remedy}") from error
        try:
            document = parse_json(text)
        except ValueError as error:
            raise InputError(f"{path / CONFIG}: is not JSON ({error})") from error
        values = migrated("run", document, str(path / CONFIG))
        return cls(path, RunConfig.from_values(values, str(path / CONFIG)))

    def changed(self, config: RunConfig) -> "Run":
        """The run with other settings; those that a stage was made with cannot change.

        Raises:
            InputError: it names the first setting that is in use.
        """
        before, after = settings_by_name(self.config), settings_by_name(config)
        for name in before:
            old, new = before[name], after[name]
            if old != new and any(
                folder.exists() for folder in self._dependent_folders(name.partition(".")[0])
            ):
                raise InputError(
                    f"{self.path}: was made with other settings, {name}={old} and not {new}; "
                    "leave the option out or choose another --run"
                )
        run = Run(self.path, config)
        if config != self.config:
            run._write_config()
        return run

    def _dependent_folders(self, section: str) -> tuple[Path, ...]:
        """The folders whose contents depend on a section of the settings, begun or complete."""
        storages = tuple(map(self.storage, case_numbers(self.config.cases)))
        classifier = (self.classifier, self.classifier.with_name(self.classifier.name + PARTIAL))
        folders = {"retrieval": storages, "classification": classifier, "strategy": ()}
        return folders.get(section, (self.path / "cases", *storages, *classifier))

    def _write_config(self) -> None:
        temporary = self.path / (CONFIG + PARTIAL)
        document = stamped("run", asdict(self.config))
        temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        temporary.replace(self.path / CONFIG)

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
    def replaced(self) -> list[Path]:
        """The folders that training and added pairs replace with all they hold."""
        return [self.classifier, *map(self.storage, case_numbers(self.config.cases))]

    @property
    def cases(self) -> tuple[int, ...]:
        """The cases whose storage is there."""
        numbers = case_numbers(self.config.cases)
        return tuple(case for case in numbers if self.storage(case).is_dir())

    @property
    def finished(self) -> bool:
        """Whether the training of the run came to its end."""
        return (self.path / MANIFEST).exists()

    def __repr__(self) -> str:
        cases, state = self._state().values()
        return f"Run({str(self.path)!r}, preset {self.config.preset}, cases {cases}, {state})"

    def _repr_html_(self) -> str:
        """The run in a notebook: where it is, what it was trained on, and a link to its report."""
        rows = {"folder": self.path, "preset": self.config.preset, **self._summary()}
        cells = "".join(
            f"<tr><th>{escape(str(name))}</th><td>{escape(str(value))}</td></tr>"
            for name, value in rows.items()
        )
        return f"<table>{cells}</table>"

    def _state(self) -> dict[str, str]:
        state = "finished" if self.finished else "unfinished"
        return {"cases": ", ".join(map(str, self.cases)) or "none", "state": state}

    def _summary(self) -> dict[str, str]:
        rows = self._state()
        try:
            data = parse_json((self.path / DATA).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return rows
        counts = data["cases"].values()
        rows["data"] = data["data"]
        rows["pairs"] = str(sum(count["pairs"] for count in counts))
        rows["fab images"] = str(sum(count["fab"] for count in counts))
        return rows

    def plot(self) -> "Figure":
        """The losses of each case's adapter by epoch, as a matplotlib figure.

        Raises:
            InputError: nothing was trained epoch by epoch in the run.
        """
        from semtf.pages.curves import training_curves

        if not (histories := self.histories):
            raise InputError(f"{self.path}: its adapters were not trained epoch by epoch")
        return training_curves(histories)

    @property
    def histories(self) -> dict[str, Path]:
        """The losses by epoch of the adapter of each case that was trained, as in ``"case 1"``."""
        folders = {case: chosen_folder(self.adaptation(case)) for case in self.cases}
        paths = {f"case {case}": folder / HISTORY for case, folder in folders.items()}
        return {name: path for name, path in paths.items() if path.is_file()}

    @contextmanager
    def stage(self, folder: Path, *, empty: bool = False) -> Iterator[Path]:
        """Fill a folder of the run: it gets its name when the block ends without an error.

        The seconds are noted in ``timings.json``; those of a block that is gone on with are added.

        Yields:
            The folder's temporary name; what an interrupted run left in it is still there, unless
            it is to be ``empty``.
        """
        partial = folder.with_name(folder.name + PARTIAL)
        if empty:
            shutil.rmtree(partial, ignore_errors=True)
        before = self.timings.get(self._name(folder), 0.0) if partial.exists() else 0.0
        partial.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        try:
            yield partial
        finally:
            note_timing(self.path, self._name(folder), before + time.monotonic() - began)
        old = folder.with_name(folder.name + OLD)
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            folder.rename(old)
        partial.rename(folder)
        shutil.rmtree(old, ignore_errors=True)

    @property
    def timings(self) -> dict[str, float]:
        """Seconds that each stage took, by its folder; empty in runs of older versions.

        Of a stage that was killed, only what came after it is known.
        """
        return read_timings(self.path)

    def _name(self, folder: Path) -> str:
        return folder.relative_to(self.path).as_posix()

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
        files = [
            path
            for path in self.path.rglob("*")
            if path.is_file()
            and path.name not in (MANIFEST, REPORT, RECORDS)
            and not path.name.startswith(LOCK)
        ]
        write_manifest(self.path, files)

    def check(self, *, full: bool = False) -> None:
        """Raise InputError where the files of a finished run are not as they were written.

        Sizes of arrays and weights are compared; ``full`` reads every file for its SHA-256.
        """
        if self.finished:
            check_manifest(self.path, "copy the run anew, or train again", full=full)

    @contextmanager
    def explaining_damage(self) -> Iterator[None]:
        """Where the block fails since a file of the run is not as it was written, name that file.

        Raises:
            InputError: it is damaged; any other error stays what it is.
        """
        try:
            yield
        except (InputError, TrainingError):
            raise
        except Exception:
            self.check(full=True)
            raise


def settings_by_name(config: RunConfig) -> dict[str, Any]:
    """All fields by the names they are set by, as in ``adaptation.width``."""
    sections = {
        name: value if isinstance(value, dict) else {"": value}
        for name, value in asdict(config).items()
    }
    return {
        f"{name}.{key}".rstrip("."): value
        for name, section in sections.items()
        for key, value in section.items()
    }
