"""The run in words: what was trained on what, how good it is, what to doubt."""

from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from semtf.adaptation.schedule import NOISE, REASONS, SLOW
from semtf.presets import PRESETS, preset
from semtf.report.evidence import Evidence
from semtf.run import Run, settings_by_name
from semtf.version import __version__

PACKAGES = ("tensorflow", "keras", "scann", "numpy")
ACCURACY, FLAGGED, COVERAGE = 0.98, 0.1, 0.85
CONVERGED = (REASONS[NOISE], REASONS[SLOW])
"""Ends of a training that more epochs would not better."""


def how_good(evidence: Evidence, expected: Sequence[float]) -> str:
    """The error, measured where the truth is known, else as far as it can be told without."""
    if evidence.rmse is not None:
        cases = ""
        if evidence.score is not None:
            cases = f"; the case of {evidence.score.accuracy:.1%} of them is right"
        return (
            f"RMSE {evidence.rmse:.2f} grey levels over {len(evidence.result)} {evidence.kind}"
            f"{cases}."
        )
    if expected:
        return (
            f"The true depth is not known here. On queries made of held-out pairs the error is "
            f"{min(expected):.2f} to {max(expected):.2f} grey levels, which is too small where "
            "adapted images still differ from the fab's."
        )
    return "The true depth is not known here, and nothing was held out to estimate the error."


def doubts(
    evidence: Evidence, classifier: Mapping[str, Any], criteria: Sequence[Mapping[str, Any]]
) -> list[str]:
    """What speaks against the run, most important first."""
    found = []
    accuracy = classifier["metrics"].get("accuracy")
    if accuracy is not None and accuracy < ACCURACY:
        found.append(
            f"The classifier is right for {accuracy:.1%} of the held-out images: give sites, so "
            "that the images of a site vote, or train it for longer (classification.epochs)."
        )
    if evidence.flagged > FLAGGED:
        found.append(f"{evidence.flagged:.0%} of the images are flagged: look at their flags.")
    if evidence.coverage is not None and evidence.coverage < COVERAGE:
        found.append(
            f"The 90 % intervals hold {evidence.coverage:.0%} of the true depths: the adapted "
            "images still differ from the fab's."
        )
    for table in criteria:
        chosen = next(i for i, row in enumerate(table["rows"]) if row["chosen"])
        if chosen == 0:
            found.append(
                f"Case {table['case']}: no epoch was better than no adaptation; try --adapter auto."
            )
        elif chosen == len(table["rows"]) - 1 and table.get("ended") not in CONVERGED:
            found.append(
                f"Case {table['case']}: the last epoch was the best; more of them may be better."
            )
        if table["stopped"]:
            found.append(f"Case {table['case']}: training stopped, {table['stopped']}.")
        found += [f"Case {table['case']}: {warning}." for warning in table.get("warnings", [])]
    return found


def changed_settings(run: Run) -> list[list[str]]:
    """The settings that differ from those of the preset: field, preset, run."""
    base = preset(run.config.preset) if run.config.preset in PRESETS else preset("quick")
    before, after = settings_by_name(base), settings_by_name(run.config)
    return [
        [name, str(before[name]), str(after[name])]
        for name in after
        if before.get(name) != after[name] and name != "cases"
    ]


def versions() -> list[list[str]]:
    """The packages that wrote the page."""
    installed = {dist.metadata["Name"].lower() for dist in metadata.distributions()}
    present = [name for name in PACKAGES if name in installed]
    return [["semtf", __version__], *([name, metadata.version(name)] for name in present)]
