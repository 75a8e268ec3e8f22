"""The page of an analysis."""

from datetime import datetime
from pathlib import Path
from typing import Any

from semtf.analysis import figures
from semtf.analysis.analysis import Analysis
from semtf.outputs import check_file
from semtf.pages.page import number
from semtf.pages.page import render as render_page
from semtf.version import __version__

TEMPLATE = "analysis.html"


def render(analysis: Analysis) -> str:
    """The page as HTML that needs no other file."""
    return render_page("semtf.analysis", TEMPLATE, **_values(analysis))


def summary_html(analysis: Analysis) -> str:
    """The summary and the main table, for a notebook."""
    values = _values(analysis, drawn=False)
    return render_page("semtf.analysis", "summary.html", **values)


def check_page(out: Path, data: Path | None) -> None:
    """Raise InputError where ``out`` cannot be written, or is another file than such a page."""
    check_file(out, ".html", "<title>semtf analysis ", [data])


def _values(analysis: Analysis, drawn: bool = True) -> dict[str, Any]:
    cases = analysis.numbers.cases
    samples = analysis.samples
    values: dict[str, Any] = {
        "name": Path(analysis.data).name or analysis.data,
        "data": analysis.data,
        "analysis": analysis,
        "files": analysis.numbers.files,
        "cases": cases,
        "tables": _tables(analysis),
        "offset": analysis.numbers.offset,
        "version": __version__,
        "made": datetime.now().strftime("%Y-%m-%d %H:%M"),
    }
    if drawn:
        values["figures"] = {
            "examples": [figures.examples(sample) for sample in samples.values()],
            "heat_maps": figures.heat_maps(samples),
            "percentiles": [figures.percentiles(sample) for sample in samples.values()],
            "depth": figures.depth_percentiles(samples),
            "distances": figures.distances({k: c.distances for k, c in cases.items()}),
            "noise": figures.noise({k: c.noise for k, c in cases.items()}),
            "brightest": figures.brightest(samples),
            "margins": figures.margins(analysis.averages, analysis.margin)
            if analysis.margin
            else None,
        }
    return values


def _tables(analysis: Analysis) -> dict[str, list[list[str]]]:
    """The rows of each table as text, a case a row."""
    cases = analysis.numbers.cases
    tables: dict[str, list[list[str]]] = {
        name: []
        for name in ("counts", "curve", "noise", "maxima", "plate", "law", "geometry", "margin")
    }
    for case, found in cases.items():
        label, c, n = f"case {case}", found.counts, found.noise
        smallest, median, largest = c.site_images
        tables["counts"].append(
            [label, *map(number, (c.pairs, c.fab, c.sites)), f"{smallest}–{median:g}–{largest}",
             number(c.averages), _percent(c.rgb), number(c.duplicate_pairs + c.duplicate_fab)]
        )  # fmt: skip
        g = found.grey_curve
        tables["curve"].append(
            [label, *map(_percent, (g.percentiles, g.mean_image, g.gradients, g.mismatch)),
             *(number(x) for x in (found.mismatch.own, found.mismatch.fab,
                                   found.mismatch.after_curve))]
        )  # fmt: skip
        tables["noise"].append(
            [label, *map(number, (n.difference, n.simulator, n.simulator_smooth, n.fab))]
        )
        for domain, m in (("simulator", found.maxima_simulator), ("fab", found.maxima_fab)):
            tables["maxima"].append(
                [f"{label}, {domain}", str(m.most_common), _percent(m.share),
                 f"{m.lowest}–{m.highest}", *map(_percent, (m.plate, m.rim, m.hole))]
            )  # fmt: skip
        p = found.plate
        tables["plate"].append(
            [label, number(p.depth), str(p.expected), _percent(p.share), _percent(p.all_plate),
             number(p.simulator), number(p.fab)]
        )  # fmt: skip
        law = found.depth_law
        tables["law"].append(
            [label, number(law.plate), number(law.floor, 4), number(law.residual), str(law.maps),
             str(len(law.exceptions))]
        )  # fmt: skip
        s = found.geometry
        tables["geometry"].append(
            [label, f"{s.magnification:.3f}", f"{s.rows_shift:+.2f}", f"{s.columns_shift:+.2f}",
             number(s.simulator_polarity), number(s.fab_polarity), _percent(s.case_apart)]
        )  # fmt: skip
    for case, margin in analysis.margin.items():
        tables["margin"].append(
            [f"case {case}", f"{margin.fit:.0f}", f"{margin.low:.0f} to {margin.high:.0f}",
             str(margin.sites), number(margin.before), number(margin.after),
             *_increment(margin.increment, margin.increment_low, margin.increment_high)]
        )  # fmt: skip
    return tables


def _increment(value: float | None, low: float | None, high: float | None) -> tuple[str, str]:
    if value is None or low is None or high is None:
        return "–", "–"
    return f"{value:+.0f}", f"{low:.0f} to {high:.0f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.3g} %"
