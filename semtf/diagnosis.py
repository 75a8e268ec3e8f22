"""What is installed and whether it works together: versions, imports, devices, memory, disk."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import psutil
from packaging.requirements import Requirement

from semtf.backend.installed import is_classic
from semtf.backend.sets import VersionSet, installed_set
from semtf.disk import in_words, present
from semtf.machine import available_cores

PACKAGE = "semtf"
FOUNDATION = "tensorflow"
CHECKED_OF_TENSORFLOW = ("numpy", "protobuf")
"""Requirements of TensorFlow that other packages often move."""

IMPORTS = {
    "tensorflow": "import tensorflow",
    "keras": "import keras",
    "keras_cv": "import keras_cv",
    "scann": "from scann.scann_ops.py import scann_ops",
}
OPTIONAL = {"scann": "the exact index searches in its place"}
DEVICES = """import json, tensorflow as tf
print(json.dumps([device.name for device in tf.config.list_physical_devices()]))"""
TIMEOUT = 300.0
LEAST_MEMORY, LEAST_DISK = 4e9, 2e9


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: what it is, as in "scann".
        found: what there is, in words.
        problem: what is wrong with it; empty where nothing is.
        remedy: what to do about it; empty where nothing is wrong.
    """

    subject: str
    found: str
    problem: str = ""
    remedy: str = ""


def diagnose() -> Iterator[Finding]:
    """Look at versions, imports, devices, memory, disk and cache, one after the other."""
    yield Finding("python", f"{sys.version.split()[0]} ({sys.executable})")
    together = version_set(installed_set())
    yield together
    # What the set names has narrower bounds there than semtf's own, which admit either set.
    for finding in (*versions(PACKAGE), *versions(FOUNDATION, CHECKED_OF_TENSORFLOW)):
        if installed_set().requirement(finding.subject) is None:
            yield finding
    addons = {"tensorflow_addons": "import tensorflow_addons"} if is_classic() else {}
    for module, statement in {**IMPORTS, **addons}.items():
        finding = imported(module, statement)
        if finding.problem and together.problem:
            finding = replace(finding, remedy=f"mend the set first: {together.remedy}")
        yield finding
    yield devices()
    yield from machine()


def version_set(expected: VersionSet) -> Finding:
    """Which of the two sets of versions is installed, and what of another one is among it."""
    strangers = expected.strangers(_installed)
    names = [Requirement(line).name for line in expected.requirements]
    found = ", ".join(f"{name} {_installed(name) or 'missing'}" for name in names)
    if not strangers:
        return Finding("set", f"{expected.name}: {found}")
    wanted = [f"{stranger.name}{stranger.specifier}" for stranger in strangers]
    problem = f"the {expected.name} set has {', '.join(wanted)}"
    remedy = "pip install " + " ".join(f'"{name}"' for name in wanted)
    return Finding("set", f"{expected.name}: {found}", problem, remedy)


def _installed(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def versions(package: str, only: tuple[str, ...] = ()) -> Iterator[Finding]:
    """The installed versions beside those that a package requires.

    Args:
        package: whose requirements count; extras are left out.
        only: the requirements to look at, all by default.
    """
    try:
        requirements = [Requirement(line) for line in metadata.requires(package) or ()]
    except metadata.PackageNotFoundError:
        remedy = "pip install ." if package == PACKAGE else f'pip install "{_named(package)}"'
        yield Finding(package, "not installed", "no distribution of that name is there", remedy)
        return
    for requirement in requirements:
        marker = requirement.marker
        if (only and requirement.name not in only) or (
            marker is not None and not marker.evaluate({"extra": ""})
        ):
            continue
        yield version(requirement, package)


def version(requirement: Requirement, package: str) -> Finding:
    """One installed version beside the one that a package requires."""
    remedy = f'pip install "{requirement.name}{requirement.specifier}"'
    try:
        found = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return Finding(requirement.name, "not installed", f"{package} requires it", remedy)
    if requirement.specifier.contains(found, prereleases=True):
        return Finding(requirement.name, found)
    problem = f"{package} requires {requirement.specifier}"
    return Finding(requirement.name, found, problem, remedy)


def imported(module: str, statement: str) -> Finding:
    """Whether a module can be imported, tried in a process of its own."""
    done = _python(statement)
    subject = f"import {module}"
    if done.returncode == 0:
        return Finding(subject, "works")
    lines = done.stderr.strip().splitlines() or [f"the process ended with {done.returncode}"]
    reason = next((line for line in reversed(lines) if "Error" in line), lines[-1]).strip()
    if "undefined symbol" in reason and module == "scann":
        reason = f"ScaNN was compiled for another minor version of TensorFlow ({reason})"
    names = dict.fromkeys((FOUNDATION, module.replace("_", "-")))
    remedy = "pip install " + " ".join(f'"{_named(name)}"' for name in names)
    if module in OPTIONAL:
        remedy += f"; until then {OPTIONAL[module]}"
    return Finding(subject, "fails", reason, remedy)


def devices() -> Finding:
    """The devices that TensorFlow sees."""
    done = _python(DEVICES)
    if done.returncode != 0:
        return Finding("devices", "unknown, for TensorFlow cannot be imported")
    return Finding("devices", ", ".join(json.loads(done.stdout.splitlines()[-1])))


def machine() -> Iterator[Finding]:
    """Memory, and the room for runs and for packed images."""
    from semtf.data.packing import cache_root

    free = psutil.virtual_memory().available
    few = "" if free >= LEAST_MEMORY else f"training needs about {in_words(LEAST_MEMORY)}"
    yield Finding("cores", str(available_cores()))
    yield Finding("memory", f"{in_words(free)} free", few, few and "close other programs")
    yield _room("disk", Path.cwd(), "work in a folder of another disk")
    yield _room("cache", cache_root().absolute(), "set SEMTF_CACHE to a folder with room")


def _room(subject: str, folder: Path, remedy: str) -> Finding:
    place = present(folder)
    free = shutil.disk_usage(place).free
    found = f"{folder}: {in_words(free)} free"
    if not place.is_dir() or not os.access(place, os.W_OK):
        return Finding(subject, found, "nothing can be written there", remedy)
    if free < LEAST_DISK:
        return Finding(subject, found, "a run may not fit", remedy)
    return Finding(subject, found)


def _named(distribution: str) -> str:
    """A distribution with the versions that its set has, or that semtf requires of it."""
    of_set = installed_set().requirement(distribution)
    if of_set is not None:
        return f"{distribution}{of_set.specifier}"
    try:
        lines = metadata.requires(PACKAGE) or ()
    except metadata.PackageNotFoundError:
        return distribution
    found = (Requirement(line) for line in lines)
    return next((f"{r.name}{r.specifier}" for r in found if r.name == distribution), distribution)


def _python(code: str) -> "subprocess.CompletedProcess[str]":
    """Run Python code: what crashes there does not crash here."""
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
    command = [sys.executable, "-c", code]
    try:
        return subprocess.run(  # noqa: S603 - the code is from this module
            command, env=environment, capture_output=True, text=True, check=False, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no end after {TIMEOUT:.0f} s")
