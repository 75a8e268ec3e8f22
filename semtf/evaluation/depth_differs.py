"""The other hypothesis: that the depth of the fab is not that of the simulator.

The winning recipe supposes equal depths and explains the sites' averages by a margin of plate
around the crops. If there is no margin, the averages of `average_depth.csv` are those of the crops,
and the fab's holes are shallower than the simulator's of the same case: for level 110 of the
challenge they are as deep as the simulator's Case_2.
"""

import numpy as np
import numpy.typing as npt

from semtf.analysis.depth_law import fit_depth_law
from semtf.data.dataset import Dataset
from semtf.retrieval.storage import Storage

Values = npt.NDArray[np.uint8]


def values_of_the_fab(storage: Storage, dataset: Dataset) -> Values | None:
    """The depth maps of a case's storage as they would be if the depths differed.

    Where the average of another case's depth maps lies within a standard deviation of the sites'
    averages, that case's maps of the same holes are taken; else the maps are scaled between floor
    and plate so that their mean is the sites'.

    Returns:
        uint8 ``[n, H, W]``; None where the case has no average depths.
    """
    table = dataset.average_depth
    sites = table["depth"][table["case"] == storage.case].to_numpy(np.float64)
    if not len(sites):
        return None
    spread = max(float(np.std(sites)), 1.0)
    for other in dataset.cases:
        maps = _maps_of(dataset, other, storage)
        if other != storage.case and maps is not None:
            mean = float(dataset.simulator(other).depth.mean())
            if abs(mean - sites.mean()) <= spread:
                return maps
    return _scaled(storage.values, float(sites.mean()), _floor(dataset, storage.case))


def _maps_of(dataset: Dataset, case: int, storage: Storage) -> Values | None:
    """A case's depth maps of a storage's holes; None where it lacks some."""
    simulator = dataset.simulator(case)
    rows = {base: row for row, base in enumerate(simulator.bases.tolist())}
    if not set(storage.names.tolist()) <= set(rows):
        return None
    return np.asarray(simulator.depth[[rows[name] for name in storage.names.tolist()]])


def _scaled(values: Values, mean: float, floor: float) -> Values:
    depth = np.asarray(values, np.float32)
    scale = (mean - floor) / (float(depth.mean()) - floor)
    return np.clip(np.rint(floor + (depth - floor) * scale), 0, 255).astype(np.uint8)


def _floor(dataset: Dataset, case: int) -> float:
    depth = {number: dataset.simulator(number).depth for number in dataset.cases}
    bases = {number: dataset.simulator(number).bases for number in dataset.cases}
    return fit_depth_law(depth, bases)[case].floor
