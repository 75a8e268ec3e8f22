"""The neighbours that estimates were made from, by name."""

from collections.abc import Mapping, Sequence
from typing import overload

import numpy as np
import numpy.typing as npt

from semtf.estimation.graph import Estimate
from semtf.estimation.result import Neighbour


class Evidence(Sequence[list[Neighbour]]):
    """The neighbours of each image, the most similar first, built when they are read."""

    def __init__(self, names: Mapping[int, npt.NDArray[np.str_]], estimate: Estimate) -> None:
        """``names`` of the pairs by case; ``estimate`` as NumPy arrays."""
        self._names = names
        self._estimate = estimate

    def __len__(self) -> int:
        return len(self._estimate.case)

    @overload
    def __getitem__(self, i: int) -> list[Neighbour]: ...
    @overload
    def __getitem__(self, i: slice) -> list[list[Neighbour]]: ...
    def __getitem__(self, i: int | slice) -> list[Neighbour] | list[list[Neighbour]]:
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        estimate, names = self._estimate, self._names[int(self._estimate.case[i])]
        columns = (estimate.pair, estimate.shift, estimate.weight, estimate.similarities)
        return [
            Neighbour(str(names[pair]), (shift[0], shift[1]), weight, similarity)
            for pair, shift, weight, similarity in zip(
                *(column[i].tolist() for column in columns), strict=True
            )
            if pair >= 0
        ]
