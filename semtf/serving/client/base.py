"""The estimator on a server, whatever the protocol: depth, cases, neighbours, adapted images."""

import io
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from typing_extensions import Self

from semtf.data.png import encode_png
from semtf.errors import InputError
from semtf.estimation.result import DepthResult, Neighbour

Images = npt.NDArray[Any] | Sequence[bytes]


class ServerError(RuntimeError):
    """The server refused a request or failed; the message is the server's.

    Attributes:
        status: HTTP status code; None where there was none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class RemoteEstimator(ABC):
    """A model on a server. Use it as a context manager, or call `close`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Close the connections."""

    @abstractmethod
    def call(self, signature: str, instances: Sequence[dict[str, Any]]) -> list[Any]:
        """The outputs of any signature, row by row.

        Values of type ``bytes`` are binary. A row is an object of the outputs by name; a
        signature with one output gives its bare values, as TensorFlow Serving does.
        """

    @abstractmethod
    def metadata(self) -> dict[str, Any]:
        """Name, version and signatures of the model, as TensorFlow Serving's REST shows them."""

    def predict(
        self, images: Images, probability: npt.NDArray[np.float32] | None = None
    ) -> DepthResult:
        """Depth maps with everything that `semtf.Estimator.predict` gives.

        Args:
            images: uint8 ``[n, H, W]`` in grey levels, or ``n`` PNG files as bytes.
            probability: of each case, ``[n, c]``, where it is known better than from the image
                alone; as `classify` gives it, or a vote on that.

        Raises:
            ServerError: the server refuses the images, or does not answer.
        """
        instances: list[dict[str, Any]] = [{"image_bytes": file} for file in _files(images)]
        if probability is None:
            rows = self.call("estimate", instances)
        else:
            for instance, probabilities in zip(instances, probability.tolist(), strict=True):
                instance["case_probabilities"] = probabilities
            rows = self.call("estimate_given_case", instances)
        return DepthResult(
            depth=_floats(rows, "depth"),
            sigma=_floats(rows, "sigma"),
            case=np.array([row["case"] for row in rows], np.int32),
            case_probability=_floats(rows, "case_probability"),
            similarity=_floats(rows, "similarity"),
            neighbours=[_neighbours(row) for row in rows],
            flags=[row["flags"].split() for row in rows],
        )

    def depth(self, images: Images) -> npt.NDArray[np.uint8]:
        """Depth maps rounded to uint8 ``[n, H, W]``: a tenth of the bytes of `predict`."""
        rows = self.call("predict_png", [{"image_bytes": file} for file in _files(images)])
        return np.array([_pixels(row) for row in rows], np.uint8)

    def classify(self, images: Images) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """The most probable case of each image ``[n]``, and the probabilities ``[n, c]``."""
        rows = self.call("classify", [{"image_bytes": file} for file in _files(images)])
        case = np.array([row["case"] for row in rows], np.int32)
        return case, _floats(rows, "case_probabilities")

    def neighbours(self, images: Images) -> list[list[Neighbour]]:
        """The stored pairs that each image's depth is made of, best first."""
        rows = self.call("neighbours", [{"image_bytes": file} for file in _files(images)])
        return [_neighbours(row) for row in rows]

    def adapt(self, images: Images, cases: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Simulator images as the fab's microscope would show them, float32 ``[n, H, W]``.

        Args:
            images: as in `predict`.
            cases: the case of each image, ``[n]``.
        """
        numbers = np.asarray(cases, np.int64).tolist()
        instances = [
            {"image_bytes": file, "case": case}
            for file, case in zip(_files(images), numbers, strict=True)
        ]
        return _floats(self.call("adapt", instances), "adapted")

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the images that the model takes."""
        signatures = self.metadata()["metadata"]["signature_def"]["signature_def"]
        try:
            dimensions = signatures["serving_default"]["outputs"]["depth"]["tensor_shape"]["dim"]
            rows, columns = (int(dimension["size"]) for dimension in dimensions[1:])
        except (KeyError, ValueError) as error:
            raise ServerError("no export of semtf is served there") from error
        return rows, columns


def _files(images: Images) -> list[bytes]:
    if not isinstance(images, np.ndarray):
        return list(images)
    if images.dtype != np.uint8 or images.ndim != 3:
        raise InputError(
            f"images of {images.dtype} {list(images.shape)}: give uint8 [n, H, W] grey levels, "
            "or PNG files as bytes"
        )
    return [encode_png(image, compress_level=1) for image in images]


def _pixels(file: bytes) -> npt.NDArray[np.uint8]:
    with Image.open(io.BytesIO(file)) as image:
        return np.asarray(image)


def _floats(rows: list[dict[str, Any]], name: str) -> npt.NDArray[np.float32]:
    return np.array([row[name] for row in rows], np.float32)


def _neighbours(row: dict[str, Any]) -> list[Neighbour]:
    columns = zip(row["pair"], row["name"], row["shifts"], row["weights"], strict=True)
    return [
        Neighbour(name, (shift[0], shift[1]), weight)
        for pair, name, shift, weight in columns
        if pair >= 0
    ]
