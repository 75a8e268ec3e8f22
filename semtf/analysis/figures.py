"""The figures of an analysis, with their numbers."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import gaussian_kde

from semtf.analysis.distances import Distance
from semtf.analysis.margin import Averages, Margin, with_margin
from semtf.analysis.noise import Noise, brightest_map
from semtf.analysis.sample import LEVELS, Sample
from semtf.data.network_scale import FULL_SCALE
from semtf.data.sampling import spread
from semtf.pages.figure import COLOURS, STYLE, PageFigure, page_figure
from semtf.pages.mosaic import mosaic

EXAMPLES = 8
QUANTILES = (5, 25, 50, 75, 95)
FEWEST = 3
SAME = 0.5
"""Grey levels within which values count as the same."""

QUANTILE_NAMES = [f"q{q}" for q in QUANTILES]
Floats = npt.NDArray[np.floating]


def examples(sample: Sample) -> PageFigure:
    """A few pairs of a case and a few images of its fab."""
    rows = example_rows(sample, EXAMPLES)
    number = sample.case.case
    caption = f"Case {number}: eight pairs of the simulator, and eight images of the fab (others)."
    return page_figure(f"examples-{number}", caption, mosaic(rows, top=FULL_SCALE))


def example_rows(sample: Sample, count: int) -> dict[str, npt.NDArray[np.generic]]:
    """The rows of `examples`: both exposures, their mean, depth, and images of the fab."""
    chosen = spread(len(sample.simulator), count)
    pairs = sample.simulator
    return {
        "itr0": pairs.sem[chosen, 0],
        "itr1": pairs.sem[chosen, 1],
        "mean": sample.sem[chosen],
        "depth": pairs.depth[chosen],
        "fab": np.asarray(sample.fab.images[spread(len(sample.fab), count)]),
    }


def heat_maps(samples: Mapping[int, Sample]) -> PageFigure:
    """The mean images of both domains and of depth, a column a case."""
    columns = samples.values()
    rows: dict[str, list[npt.NDArray[np.generic]]] = {
        "itr0": [s.simulator.sem[:, 0].mean(axis=0) for s in columns],
        "itr1": [s.simulator.sem[:, 1].mean(axis=0) for s in columns],
        "mean": [s.sem.mean(axis=0) for s in columns],
        "fab": [np.mean(s.fab.images, axis=0) for s in columns],
        "depth": [s.simulator.depth.mean(axis=0) for s in columns],
    }
    caption = "The mean over the images of each case, under one scale of 0 to 212 grey levels."
    titles = [f"case {case}" for case in samples]
    return page_figure("heat-maps", caption, mosaic(rows, FULL_SCALE, "viridis", titles))


def brightest(samples: Mapping[int, Sample]) -> PageFigure:
    """Where images have their brightest pixel, a column a case."""
    rows = {
        "simulator": [brightest_map(s.simulator.sem[:, 0]) for s in samples.values()],
        "fab": [brightest_map(np.asarray(s.fab.images)) for s in samples.values()],
    }
    top = float(np.quantile([m for maps in rows.values() for m in maps], 0.995))
    caption = "How often each pixel is the brightest of its image; bright is often."
    titles = [f"case {case}" for case in samples]
    return page_figure("brightest", caption, mosaic(rows, max(top, 1e-9), "magma", titles))


def percentiles(sample: Sample) -> PageFigure:
    """Percentiles of a case's images: the simulator's density over the fab's histogram."""
    simulator, fab = sample.sem_percentiles, sample.fab_percentiles
    number = sample.case.case
    with mpl.rc_context(STYLE):
        figure, axes = _panels()
        for i, axis in enumerate(axes):
            _histogram(axis, fab[:, i], "fab", "fab")
            _density(axis, simulator[:, i], "simulator", "simulator")
            axis.set_title(f"percentile {LEVELS[i]}")
        axes[0].legend(fontsize="small")
    rows = [
        (name, level, *np.percentile(values[:, i], QUANTILES).tolist())
        for name, values in (("simulator", simulator), ("fab", fab))
        for i, level in enumerate(LEVELS)
    ]
    caption = (
        f"Case {number}: grey level at percentiles of an image, over all images. Line: density of "
        "the simulator (mean of both exposures); bars: histogram of the fab."
    )
    columns = ["domain", "percentile", *QUANTILE_NAMES]
    return page_figure(f"percentiles-{number}", caption, figure, columns, rows)


def depth_percentiles(samples: Mapping[int, Sample]) -> PageFigure:
    """Percentiles of depth maps, a line a case."""
    with mpl.rc_context(STYLE):
        figure, axes = _panels()
        for i, axis in enumerate(axes):
            for case, sample in samples.items():
                _density(axis, sample.depth_percentiles[:, i], None, f"case {case}")
            axis.set_title(f"percentile {LEVELS[i]}")
        axes[0].legend(fontsize="small")
    rows = [
        (case, level, *np.percentile(sample.depth_percentiles[:, i], QUANTILES).tolist())
        for case, sample in samples.items()
        for i, level in enumerate(LEVELS)
    ]
    caption = "Depth at percentiles of a depth map: its density over the maps of each case."
    columns = ["case", "percentile", *QUANTILE_NAMES]
    return page_figure("depth-percentiles", caption, figure, columns, rows)


def distances(by_case: Mapping[int, Sequence[Distance]]) -> PageFigure:
    """The distances of all percentiles and cases, before and after a grey curve."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.2, 2.6), layout="constrained")
        axis = figure.subplots()
        places = np.arange(len(LEVELS))
        for j, (case, found) in enumerate(by_case.items()):
            at = places + (j - (len(by_case) - 1) / 2) * 0.16
            middle = np.array([d.distance for d in found])
            ends = np.array([[d.low for d in found], [d.high for d in found]])
            error = np.abs(np.nan_to_num(ends - middle))
            drawn = axis.errorbar(at, middle, error, fmt="o", markersize=4, label=f"case {case}")
            colour = drawn.lines[0].get_color()
            axis.plot(at, [d.after_curve for d in found], "_", color=colour, markersize=8)
        axis.set(xlabel="percentile of an image", ylabel="distance, grey levels", ylim=(0, None))
        axis.set_xticks(places, [str(level) for level in LEVELS])
        axis.legend(fontsize="small", ncols=2)
    rows = [
        (case, d.percentile, d.distance, d.low, d.high, d.after_curve)
        for case, found in by_case.items()
        for d in found
    ]
    caption = (
        "1-Wasserstein distance between simulator and fab with 95 % intervals (bootstrap over "
        "sites and holes). Dashes: what is left under one grey curve."
    )
    columns = ["case", "percentile", "distance", "low", "high", "after_grey_curve"]
    return page_figure("distances", caption, figure, columns, rows)


def noise(by_case: Mapping[int, Noise]) -> PageFigure:
    """Noise against grey level, of both domains."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 2.6), layout="constrained")
        axis = figure.subplots()
        for j, found in enumerate(by_case.values()):
            for domain, levels in _noise_by_level(found).items():
                label = domain if j == 0 else None
                axis.plot(*_xy(levels), ".-", color=COLOURS[domain], alpha=0.7, label=label)
        axis.set(xlabel="grey level", ylabel="noise, 1 σ", ylim=(0, None))
        axis.legend(fontsize="small")
    rows = [
        (case, domain, level, sigma)
        for case, found in by_case.items()
        for domain, levels in _noise_by_level(found).items()
        for level, sigma in levels.items()
    ]
    caption = (
        "Noise by grey level, a line a case: the simulator's from itr0 − itr1, the fab's from the "
        "smooth regions of its images."
    )
    return page_figure("noise", caption, figure, ["case", "domain", "level", "sigma"], rows)


def margins(averages: Mapping[int, Averages], fitted: Mapping[int, Margin]) -> PageFigure:
    """Average depths: sites of the fab, and the simulator's before and after the margin."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.6 * len(fitted), 2.6), layout="constrained")
        (axes,) = figure.subplots(1, len(fitted), squeeze=False)
        for axis, (case, margin) in zip(axes, fitted.items(), strict=True):
            average = averages[case]
            _histogram(axis, average.sites, "fab", "sites of the fab")
            _density(axis, average.simulator, "simulator", "simulator", "--")
            moved = _moved(average, margin)
            _density(axis, moved, "simulator", "with margin")
            axis.set(title=f"case {case}: margin {margin.fit:.0f}", xlabel="average depth")
        axes[0].legend(fontsize="x-small", loc="upper center")
    rows = [
        (case, name, *np.percentile(values, QUANTILES).tolist())
        for case, margin in fitted.items()
        for name, values in (
            ("sites", averages[case].sites),
            ("simulator", averages[case].simulator),
            ("with_margin", _moved(averages[case], margin)),
        )
    ]
    caption = (
        "Average depth, as the slides of the winning recipe show it. Bars: average_depth.csv; "
        "dashed: averages of the simulator's depth maps; line: the same with the fitted margin."
    )
    return page_figure("margins", caption, figure, ["case", "what", *QUANTILE_NAMES], rows)


def _moved(average: Averages, margin: Margin) -> npt.NDArray[np.float64]:
    return with_margin(average.simulator, average.plate, margin.fit, average.pixels)


def _noise_by_level(found: Noise) -> dict[str, dict[int, float]]:
    return {"simulator": found.simulator_by_level, "fab": found.fab_by_level}


def _xy(values: Mapping[int, float]) -> tuple[list[int], list[float]]:
    return list(values), list(values.values())


def _panels() -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(9.2, 3.4), layout="constrained")
    grid = figure.subplots(2, len(LEVELS) // 2)
    axes = list(np.ravel(grid))
    for axis in axes:
        axis.set(yticks=[])
        axis.spines["left"].set_visible(False)
    return figure, axes


def _histogram(axis: Axes, values: Floats, domain: str, label: str) -> None:
    """A histogram; a line where all values are the same. Grey levels get bins of whole levels."""
    colour = COLOURS[domain]
    if np.ptp(values) < SAME:
        axis.axvline(float(np.mean(values)), color=colour, alpha=0.55, linewidth=3, label=label)
        return
    bins: Floats = np.histogram_bin_edges(values, min(30, max(4, int(2 * len(values) ** 0.5))))
    if np.all(values == np.rint(values)):
        width = max(1, round(np.ptp(values) / 24))
        bins = np.arange(values.min() - 0.5, values.max() + width, width)
    axis.hist(values, bins.tolist(), density=True, color=colour, alpha=0.55, label=label)


def _density(axis: Axes, values: Floats, domain: str | None, label: str, style: str = "-") -> None:
    """A density; a line where all values are the same. Without a domain colours take turns."""
    colour = None if domain is None else COLOURS[domain]
    if np.ptp(values) < SAME or len(values) < FEWEST:
        middle = float(np.mean(values))
        x, y = np.array([middle, middle]), np.array([0.0, 1.0])
    else:
        ends = np.percentile(values, (0.2, 99.8))
        room = 0.15 * (ends[1] - ends[0]) + 0.5
        x = np.linspace(ends[0] - room, ends[1] + room, 120)
        y = gaussian_kde(values)(x)
    axis.plot(x, y, style, label=label, color=colour)
