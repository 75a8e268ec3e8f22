"""Images whose case is known: what the warm-up requests and the check of an export send."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from semtf.data.png import encode_png
from semtf.estimation.models import EstimatorModels
from semtf.retrieval.storage import Storage
from semtf.run import Run


@dataclass(frozen=True)
class Samples:
    """``n`` images and stored pairs, of which each input of a signature takes what it needs.

    Attributes:
        images: uint8 ``[n, H, W]`` in grey levels.
        cases: int32 ``[n]``, the case of each image.
        pairs: int32 ``[n]``, the index of a pair in the storage of the case.
        shifts: int32 ``[n, 2]``, (rows, columns) in pixels by which that pair is moved.
        classifier_cases: the case of each of the classifier's classes.
    """

    images: npt.NDArray[np.uint8]
    cases: npt.NDArray[np.int32]
    pairs: npt.NDArray[np.int32]
    shifts: npt.NDArray[np.int32]
    classifier_cases: Sequence[int]

    @classmethod
    def of_run(cls, run: Run, models: EstimatorModels, images_per_case: int) -> "Samples":
        """The first keys of every case, and the pairs they belong to in as many shifts."""
        keys = {case: Storage.open(run.storage(case)).keys[:images_per_case] for case in run.cases}
        pairs = np.concatenate([np.arange(len(images)) for images in keys.values()])
        radius = min(retriever.config.shift for retriever in models.retrievers.values())
        directions = np.array([[0, 0], [1, -1], [-1, 0], [0, 1]])
        return cls(
            images=np.concatenate(list(keys.values())),
            cases=np.repeat(list(keys), [len(images) for images in keys.values()]).astype(np.int32),
            pairs=pairs.astype(np.int32),
            shifts=(radius * directions[pairs % len(directions)]).astype(np.int32),
            classifier_cases=models.cases,
        )

    @property
    def files(self) -> npt.NDArray[np.object_]:
        """The images as PNG files, bytes ``[n]``."""
        return np.array([encode_png(image) for image in self.images], object)

    @property
    def case_probabilities(self) -> npt.NDArray[np.float32]:
        """1 for the case of each image and 0 for the others, float32 ``[n, c]``."""
        known = self.cases[:, np.newaxis] == np.array(self.classifier_cases)
        return known.astype(np.float32)
