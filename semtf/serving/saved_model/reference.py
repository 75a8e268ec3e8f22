"""What Python computes for the samples of a run, without the export: the values to compare with."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.adaptation.base import Adapter
from semtf.estimation.estimator import Estimator
from semtf.estimation.propagation import ErrorModel
from semtf.estimation.result import DepthResult
from semtf.retrieval.shifts import shifted
from semtf.serving.frames import Tensors
from semtf.serving.saved_model.samples import Samples


class Reference:
    """Outputs by name, from estimator, adapters and storages.

    Outputs named ``*_png_bytes`` are float images here, neither rounded nor clipped.

    Attributes:
        estimator: with the same index as the export.
        adapters: by case.
        samples: the inputs.
        result: the estimator's results for the images.
    """

    def __init__(
        self, estimator: Estimator, adapters: Mapping[int, Adapter], samples: Samples
    ) -> None:
        self.estimator = estimator
        self.adapters = adapters
        self.samples = samples

    @cached_property
    def result(self) -> DepthResult:
        return self.estimator.predict(self.samples.images)

    @cached_property
    def case_probabilities(self) -> npt.NDArray[np.float32]:
        """What the classifier gives, float32 ``[n, c]``."""
        return self.estimator.classify(self.samples.images)

    @cached_property
    def estimate(self) -> Tensors:
        """The estimator's results as outputs of signatures."""
        return self._outputs(self.result, self.case_probabilities)

    @cached_property
    def measurements(self) -> Tensors:
        """What is measured of the results, with uncertainties."""
        result = self.result
        errors = ErrorModel(self.estimator.models.errors, self.estimator.shape)
        arguments = map(tf.constant, (result.depth, result.sigma, result.case))
        found = {name: value.numpy() for name, value in errors.measurements(*arguments).items()}
        return {"case": result.case, **found}

    @cached_property
    def estimate_given_case(self) -> Tensors:
        """The same for the case that each sample is known to have."""
        probabilities = self.samples.case_probabilities
        result = self.estimator.predict(self.samples.images, probabilities)
        return self._outputs(result, probabilities)

    @cached_property
    def classification(self) -> Tensors:
        """The most probable case, and the probabilities."""
        cases = np.array(self.samples.classifier_cases, np.int32)
        best = self.case_probabilities.argmax(axis=1)
        return {"case": cases[best], "case_probabilities": self.case_probabilities}

    @cached_property
    def adaptation(self) -> Tensors:
        """The images as the adapter of their case redraws them."""
        images = tf.constant(self.samples.images, tf.float32)
        adapted = np.concatenate(
            [
                self.adapters[case](images[i : i + 1]).numpy()
                for i, case in enumerate(self.samples.cases.tolist())
            ]
        )
        return {"adapted": adapted, "adapted_png_bytes": adapted}

    @cached_property
    def stored_pairs(self) -> Tensors:
        """Keys and depth values as they are stored, each moved by its shift."""
        samples = self.samples
        sems: list[npt.NDArray[np.float32]] = []
        depths: list[npt.NDArray[np.float32]] = []
        for case, pair, shift in zip(samples.cases, samples.pairs, samples.shifts, strict=True):
            retriever = self.estimator.models.retrievers[int(case)]
            storage, config = retriever.storage, retriever.config
            images = np.stack([storage.keys[pair], storage.values[pair]]).astype(np.float32)
            moved = shifted(tf.constant(images), tuple(shift.tolist()), config.edges).numpy()
            sems.append(moved[0])
            depths.append(moved[1] if config.move_depth else images[1])
        return {"sem_png_bytes": np.stack(sems), "depth_png_bytes": np.stack(depths)}

    def _outputs(self, result: DepthResult, probabilities: npt.NDArray[np.float32]) -> Tensors:
        return {
            "depth": result.depth,
            "depth_png_bytes": result.depth,
            "sigma": result.sigma,
            "case": result.case,
            "case_probabilities": probabilities,
            "case_probability": result.case_probability,
            "similarity": result.similarity,
            "flags": _byte_strings([" ".join(flags) for flags in result.flags]),
            **self._neighbours(result),
        }

    def _neighbours(self, result: DepthResult) -> Tensors:
        """The neighbours as arrays ``[n, k]``, as wide as the case with the most of them has.

        Where an image has fewer there are pair −1, an empty name, and zeros.
        """
        retrievers = self.estimator.models.retrievers
        k = max(retriever.config.neighbours for retriever in retrievers.values())
        size = (len(result), k)
        names = np.full(size, b"", object)
        outputs: dict[str, npt.NDArray[Any]] = {
            "pair": np.full(size, -1, np.int32),
            "name": names,
            "shifts": np.zeros((*size, 2), np.int32),
            "weights": np.zeros(size, np.float32),
            "similarities": np.zeros(size, np.float32),
        }
        for i, neighbours in enumerate(result.neighbours):
            pair_names = retrievers[int(result.case[i])].storage.names.tolist()
            for j, neighbour in enumerate(neighbours):
                outputs["shifts"][i, j] = neighbour.shift
                outputs["weights"][i, j] = neighbour.weight
                if np.isfinite(neighbour.similarity):
                    outputs["pair"][i, j] = pair_names.index(neighbour.pair)
                    names[i, j] = neighbour.pair.encode()
                    outputs["similarities"][i, j] = neighbour.similarity
        return outputs


def _byte_strings(texts: list[str]) -> npt.NDArray[np.object_]:
    return np.array([text.encode() for text in texts], object)
