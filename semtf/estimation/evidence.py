"""What an estimate was made from."""

from collections.abc import Mapping, Sequence
from typing import overload

import numpy as np
import numpy.typing as npt

from semtf.estimation.graph import Estimate
from semtf.estimation.result import Neighbour


class Evidence(Sequence[list[Neighbour]]):
    """The neighbours of each image, the most similar first; made when they are asked for."""

    def __init__(self, names: Mapping[int, npt.NDArray[np.str_]], found: Estimate) -> None:
        """``names`` of the stored pairs, by case; ``found`` as NumPy arrays."""
        self._names = names
        self._found = found

    def __len__(self) -> int:
        return len(self._found.case)

    @overload
    def __getitem__(self, i: int) -> list[Neighbour]: ...
    @overload
    def __getitem__(self, i: slice) -> list[list[Neighbour]]: ...
    def __getitem__(self, i: int | slice) -> list[Neighbour] | list[list[Neighbour]]:
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        found, names = self._found, self._names[int(self._found.case[i])]
        columns = (found.pair, found.shift, found.weight, found.similarities)
        return [
            Neighbour(str(names[pair]), (shift[0], shift[1]), weight, similarity)
            for pair, shift, weight, similarity in zip(
                *(column[i].tolist() for column in columns), strict=True
            )
            if pair >= 0
        ]
