"""What a signature of an export is: inputs, outputs, its function, and what Python computes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.autograph import no_autograph
from semtf.data.images import BadImageError
from semtf.data.png import decode_png
from semtf.serving.frames import Tensors
from semtf.serving.saved_model.model import Model, Outputs
from semtf.serving.saved_model.reference import Reference
from semtf.serving.saved_model.samples import Samples

Array = npt.NDArray[Any]
ROUNDING = 0.5
"""Grey levels by which a PNG file may differ from the float image that it shows."""


def largest_difference(actual: Array, expected: Array) -> float:
    """The largest difference of two arrays of numbers; NaN where one of them has NaN."""
    return float(np.abs(actual - expected.astype(np.float64)).max(initial=0.0))


def relative_difference(actual: Array, expected: Array) -> float:
    """The largest difference over 1 or the expected size, whichever is more; NaN as above."""
    size = np.maximum(np.abs(expected.astype(np.float64)), 1.0)
    return float((np.abs(actual - expected.astype(np.float64)) / size).max(initial=0.0))


def number_unequal(actual: Array, expected: Array) -> float:
    """How many elements differ."""
    return float(np.count_nonzero(actual != expected))


def png_difference(files: Array, images: Array) -> float:
    """By how many grey levels PNG files ``[n]`` differ from float images ``[n, H, W]``.

    The images are clipped to 0–255 first; what is beyond rounding counts.

    Raises:
        ValueError: a file is no PNG of that size.
    """
    size = (images.shape[1], images.shape[2])
    try:
        pixels = np.array([decode_png(file, size) for file in files], np.float64)
    except BadImageError as error:
        raise ValueError(f"a PNG file cannot be read: {error}") from error
    return largest_difference(pixels, np.clip(images, 0, 255)) - ROUNDING


@dataclass(frozen=True)
class Input:
    """An input of signatures.

    Attributes:
        name: the input's name; the same name means the same everywhere.
        dtype: TensorFlow's type.
        shape: its shape as the documentation gives it, such as ``[n, H, W]``.
        description: what it holds, for the documentation.
        spec_shape: the shape that the graph takes, by the model's sizes; None for any.
        sample: the input of sample images.
        read: checks and converts the tensor before the signature's function gets it.
    """

    name: str
    dtype: tf.DType
    shape: str
    description: str
    spec_shape: Callable[[Model], Sequence[int | None] | None]
    sample: Callable[[Samples], Array]
    read: Callable[[Model, tf.Tensor], tf.Tensor] = lambda _, tensor: tensor


@dataclass(frozen=True)
class Output:
    """An output of signatures.

    Attributes:
        name: the output's name; the same name means the same everywhere.
        dtype: its type in NumPy's words, ``string`` for bytes.
        shape: its shape as the documentation gives it.
        description: what it holds, for the documentation.
        difference: how far the export's values are from Python's.
        tolerance: the largest difference of a right export.
    """

    name: str
    dtype: str
    shape: str
    description: str
    difference: Callable[[Array, Array], float] = number_unequal
    tolerance: float = 0.0


@dataclass(frozen=True)
class Signature:
    """One signature of an export.

    Attributes:
        name: by which clients call it.
        description: one sentence for the documentation.
        inputs: in the order in which ``function`` takes them.
        outputs: those that ``function`` gives.
        function: from the model and a tensor for each input to outputs by name.
        expected: the same outputs as Python computes them, and others with them.
    """

    name: str
    description: str
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    function: Callable[..., Outputs]
    expected: Callable[[Reference], Tensors]

    def sample_inputs(self, samples: Samples) -> Tensors:
        """The inputs of sample images, by name."""
        return {field.name: field.sample(samples) for field in self.inputs}

    def specs(self, model: Model) -> list[tf.TensorSpec]:
        """The specs of the inputs."""
        return [
            tf.TensorSpec(field.spec_shape(model), field.dtype, name=field.name)
            for field in self.inputs
        ]

    def endpoint(self, model: Model) -> Callable[..., Outputs]:
        """The function of the SavedModel's signature.

        Raises:
            ValueError: when it is traced, where it gives other outputs than those registered.
        """

        @no_autograph
        def endpoint(*tensors: tf.Tensor) -> Outputs:
            arguments = [
                field.read(model, tensor)
                for field, tensor in zip(self.inputs, tensors, strict=True)
            ]
            outputs = self.function(model, *arguments)
            names = {output.name for output in self.outputs}
            if set(outputs) != names:
                raise ValueError(
                    f"the signature {self.name} gives {sorted(outputs)}; {sorted(names)} are "
                    "registered"
                )
            return outputs

        return endpoint
