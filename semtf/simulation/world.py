"""The synthetic fab's data set, in the challenge's layout."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from semtf.cases import CASES_FILE, CHALLENGE, Cases, cases_json, check_cases
from semtf.errors import InputError
from semtf.outputs import check_folder, give_name, is_unused
from semtf.simulation.fabs import PRESETS
from semtf.simulation.geometry import FLOOR_LEVEL
from semtf.simulation.jobs import Plan, all_jobs, run_jobs, true_cases
from semtf.simulation.layout_writer import write_average_depth, write_true_cases
from semtf.simulation.structure_source import open_source
from semtf.simulation.zoo import open_fab


def simulate(
    out: Path | str,
    *,
    pairs: int = 1000,
    train: int = 400,
    test: int = 400,
    seed: int = 0,
    fab: str | Path = "struct",
    target_keys: bool = False,
    depth: Path | str | None = None,
    cases: Cases = CHALLENGE,
) -> Path:
    """Write a synthetic data set in the challenge's layout, with the truth of its test images.

    The structures of pairs, fab training images and test images are independent draws; pairs
    recur in all cases under the same base names. The same arguments give the same bytes.

    Args:
        out: folder to make: a new one, or one that is empty.
        pairs: structures a case, each with two simulator images and a depth map.
        train: fab images a case, in sites of about 30 crops.
        test: fab images a case; they are written shuffled over the cases, with
            ``truth/Depth/<name>.png`` and ``truth/cases.csv``.
        seed: seed of everything that is drawn.
        fab: the fab: ``dose``, ``tonal`` or ``struct``; ``random`` for the zoo's fab of the seed,
            whose structures and microscopes are written to ``truth/fab.json``; or the path of
            such a file.
        target_keys: also write ``truth/SEM/<case>/<bucket>/<base>.png``, each pair's structure
            as the fab's microscope shows it.
        depth: folder of 8-bit depth maps (PNG) whose shapes take the place of drawn ones.
        cases: plate levels and folders; other cases than the challenge's are written into
            ``cases.json`` at the top of the data set.

    Returns:
        ``out`` as a path.

    Raises:
        InputError: an unknown or unreadable fab, a negative count, an ``out`` in use, or depth maps
            that are missing, too few or unreadable.
    """
    out = Path(out)
    _check(out, {"--pairs": pairs, "--train": train, "--test": test, "--seed": seed})
    _check_plates(cases)
    opened_fab = open_fab(fab, seed)
    source = open_source(depth, pairs, train, test, seed, opened_fab.holes)
    with _built(out) as root:
        plan = Plan(root, cases, pairs, train, test, seed, opened_fab, target_keys, source)
        write_average_depth(root, run_jobs(all_jobs(plan), plan.structures))
        write_true_cases(root, true_cases(plan))
        if cases != CHALLENGE:
            (root / CASES_FILE).write_text(cases_json(cases), encoding="utf-8")
        if opened_fab not in PRESETS.values():
            description = opened_fab.to_json(
                None if depth is None else "Taken from given depth maps."
            )
            (root / "truth/fab.json").write_text(description, encoding="utf-8")
    return out


def _check_plates(cases: Cases) -> None:
    check_cases(cases, "cases")
    for case in cases:
        if case.plate <= FLOOR_LEVEL:
            raise InputError(
                f"cases: case {case.case}: plate {case.plate}; the floor of every hole is "
                f"{FLOOR_LEVEL:g}, so a plate must lie above it"
            )


def _check(out: Path, counts: dict[str, int]) -> None:
    for option, count in counts.items():
        if count < 0:
            raise InputError(f"{option} {count}: must not be negative")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; name a new folder")
    if not is_unused(out):
        raise InputError(f"{out}: is not empty; name a new folder or empty it first")
    check_folder(out)


@contextmanager
def _built(out: Path) -> Iterator[Path]:
    """A temporary sibling of ``out`` that takes its name only when the block ends well."""
    out = out.resolve()
    partial_out = out.with_name(f".{out.name}.{os.getpid()}.partial")
    shutil.rmtree(partial_out, ignore_errors=True)
    partial_out.mkdir(parents=True)
    try:
        yield partial_out
        give_name(partial_out, out)
    finally:
        shutil.rmtree(partial_out, ignore_errors=True)
