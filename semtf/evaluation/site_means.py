"""Predicted site means against `average_depth.csv`: a check of σ that needs no depth map.

The fab's average is over the whole field of view, which shows more plate than the crops do, so a
reference is ``a·mean + (1 − a)·L`` with the plate's level L and one share a for each case, fitted
by least squares. The normalised error is the difference over its expanded uncertainty (k = 2),
``E_n = difference / U`` (ISO 13528): about 95 % of sites lie within ±1 where σ is right.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from semtf.data.average_depth import read_average_depth
from semtf.data.layout import AVERAGE_DEPTH, find_cases, find_prefix, open_layout
from semtf.data.tables import read_table_file
from semtf.errors import InputError
from semtf.estimation.joint import ErrorPatterns
from semtf.estimation.loading import error_patterns
from semtf.estimation.predictions import TABLE
from semtf.evaluation.coverage import read_estimates
from semtf.run import Run

COLUMNS = ["case", "site", "images", "mean", "expected", "reference", "share", "u", "en"]
FEWEST_SITES = 3
COVERAGE_FACTOR = 2.0


def mean_uncertainty(
    sigma: npt.NDArray[np.floating], patterns: ErrorPatterns | None
) -> npt.NDArray[np.float64]:
    """Standard uncertainty of the mean depth of images, ``[n]``, from their σ ``[n, H, W]``.

    Without patterns all pixels of an image are taken to err together, which is the most that the
    mean can be off.
    """
    flat = np.asarray(sigma, np.float64).reshape(len(sigma), -1)
    if patterns is None:
        return np.asarray(flat.mean(axis=1))
    pixels = flat.shape[1]
    together = flat @ patterns.patterns.reshape(len(patterns.patterns), -1).T / pixels
    alone = flat * patterns.rest.ravel() / pixels
    return np.sqrt(np.square(together).sum(axis=1) + np.square(alone).sum(axis=1))


def site_errors(
    images: pd.DataFrame, reference: pd.DataFrame, plates: Mapping[int, int]
) -> pd.DataFrame:
    """Site means beside their references.

    The uncertainty of a site's mean has that of its images, which are taken to err independently,
    and that of which crops were taken: their standard deviation over the root of their number.

    Args:
        images: one row an image: ``case``, ``site``, ``mean`` (grey levels) and ``u``.
        reference: one row a site: ``case``, ``site`` and ``depth``.
        plates: by case, the plate's level.

    Returns:
        One row a site: ``expected`` is what the mean says of the reference, ``share`` the fitted
        share of the crop in the field of view, ``u`` the standard uncertainty, ``en`` the
        normalised error.

    Raises:
        InputError: a case has too few sites in both tables.
    """
    grouped = images.assign(square=np.square(images["u"])).groupby(["case", "site"])
    sites = grouped.agg(
        images=("mean", "size"),
        mean=("mean", "mean"),
        spread=("mean", "std"),
        square=("square", "sum"),
    ).reset_index()
    table = sites.merge(reference, on=["case", "site"])
    parts = []
    for case in sorted(set(images["case"])):
        part = table[table["case"] == case]
        if len(part) < FEWEST_SITES:
            raise InputError(
                f"average depths: case {case} has {len(part)} sites with predictions and with a "
                f"reference; {FEWEST_SITES} are needed"
            )
        parts.append(_of_case(part, float(plates[int(case)])))
    return pd.concat(parts, ignore_index=True)[COLUMNS]


def _of_case(sites: pd.DataFrame, plate: float) -> pd.DataFrame:
    below, reference = plate - sites["mean"], plate - sites["depth"]
    share = float((below * reference).sum() / np.square(below).sum())
    count = sites["images"]
    sampling = np.square(sites["spread"].fillna(0.0)) / count
    u = share * np.sqrt(sites["square"] / np.square(count) + sampling)
    expected = plate - share * below
    en = (expected - sites["depth"]) / (COVERAGE_FACTOR * np.maximum(u, 1e-9))
    return sites.assign(expected=expected, reference=sites["depth"], share=share, u=u, en=en)


def check_site_means(predictions: Path, data: Path, run: Path | None = None) -> pd.DataFrame:
    """`site_errors` of the predictions of a data set's fab images.

    Args:
        predictions: what ``semtf predict --images DATA/train/SEM --arrays`` wrote.
        data: the data set, with ``train/average_depth.csv``.
        run: that predicted; with it pixels err together as they do, without it altogether.

    Raises:
        InputError: a file is missing, or the predictions are not of the fab's images by site.
    """
    source = open_layout(data)
    cases = find_cases(source)
    table = source.find(find_prefix(source) + AVERAGE_DEPTH)
    if table is None:
        raise InputError(f"{source.root}: has no {AVERAGE_DEPTH} to compare site means with")
    reference = read_average_depth(source, table, cases)
    names = read_table_file(predictions / TABLE)["name"].to_numpy(np.str_)
    depth, sigma = read_estimates(predictions, names)
    patterns = {} if run is None else error_patterns(Run.open(run))
    by_folder = {case.fab: case for case in cases}
    numbers, sites = [], []
    for name in names:
        folder, _, site = str(name).rpartition("/")[0].rpartition("/")
        if folder not in by_folder:
            raise InputError(
                f"{predictions / TABLE}: {name} is no image of a site of "
                f"{', '.join(by_folder)}; predict with --images {data}/train/SEM"
            )
        numbers.append(by_folder[folder].case)
        sites.append(site)
    u = np.empty(len(names))
    for case in set(numbers):
        of_case = np.array(numbers) == case
        u[of_case] = mean_uncertainty(sigma[of_case], patterns.get(case))
    means = depth.mean(axis=(1, 2), dtype=np.float64)
    images = pd.DataFrame({"case": numbers, "site": sites, "mean": means, "u": u})
    return site_errors(images, reference, {case.case: case.plate for case in cases})
