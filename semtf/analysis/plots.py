"""Pictures of a data set, for a notebook."""

from pathlib import Path

from matplotlib.figure import Figure

from semtf.analysis.analysis import open_for_analysis
from semtf.analysis.figures import example_rows
from semtf.analysis.sample import Sample
from semtf.data.dataset import Dataset
from semtf.data.network_scale import FULL_SCALE
from semtf.pages.mosaic import mosaic


def plot_pairs(data: Path | str | Dataset, case: int | None = None, count: int = 8) -> Figure:
    """A few pairs of the simulator, and images of the fab, as a matplotlib figure.

    Args:
        data: folder in the challenge's layout, the zip file of one, or a `Dataset`.
        case: the number of a case; the first where None.
        count: columns.

    Raises:
        InputError: there is no data set, or no such case.
    """
    dataset = data if isinstance(data, Dataset) else open_for_analysis(data, None, None)
    sample = Sample.of(dataset, dataset.cases[0] if case is None else case)
    return mosaic(example_rows(sample, count), FULL_SCALE)
