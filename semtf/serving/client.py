"""A client of `semtf serve` or of TensorFlow Serving, over REST. No TensorFlow is needed."""

import base64
import io
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, Self

import httpx
import numpy as np
import numpy.typing as npt
import orjson
from PIL import Image

from semtf.errors import InputError
from semtf.estimation.result import DepthResult, Neighbour

RETRIED = frozenset({429, 502, 503, 504})
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
Images = npt.NDArray[Any] | Sequence[bytes]


class ServerError(RuntimeError):
    """The server refused a request or failed; the message is the server's.

    Attributes:
        status: HTTP status code; None where there was no answer.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Client:
    """Depth maps from a server.

    Use it as a context manager, or call `close`; one client may be used by several threads.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str = "semtf",
        version: int | None = None,
        label: str | None = None,
        token: str | None = None,
        timeout: float = 60.0,
        retries: int = 5,
        batch: int = 64,
        connections: int = 2,
    ) -> None:
        """Args:
            url: of the server, such as ``http://127.0.0.1:8501``.
            model: its name.
            version: of the model; the newest one where None.
            label: of a version, instead of its number.
            token: bearer token.
            timeout: seconds to wait for an answer.
            retries: how often a request is sent again after 429, 502, 503, 504, or when the
                server cannot be reached; the pauses double, with a random part.
            batch: images a request.
            connections: requests at the same time.

        Raises:
            InputError: the URL is none, or both ``version`` and ``label`` are given.
        """
        if version is not None and label is not None:
            raise InputError("give a version or a label, not both")
        chosen = "" if version is None else f"/versions/{version}"
        chosen = f"/labels/{label}" if label is not None else chosen
        self._path = f"v1/models/{model}"
        self._version = chosen
        self._retries = retries
        self.batch = batch
        self._connections = connections
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        try:
            self._http = httpx.Client(
                base_url=url.rstrip("/") + "/",
                headers=headers,
                timeout=timeout,
                limits=httpx.Limits(max_connections=connections),
                trust_env=False,
            )
            if self._http.base_url.scheme not in ("http", "https"):
                raise httpx.InvalidURL("expected http:// or https://")
        except httpx.InvalidURL as error:
            raise InputError(f"--server {url}: not a URL ({error})") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def predict(
        self, images: Images, probability: npt.NDArray[np.float32] | None = None
    ) -> DepthResult:
        """Depth maps with everything that `semtf.Estimator.predict` tells.

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
            for instance, shares in zip(instances, probability.tolist(), strict=True):
                instance["case_probabilities"] = shares
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
            raise ServerError(f"{self._http.base_url}: no export of semtf is served") from error
        return rows, columns

    def status(self) -> list[dict[str, Any]]:
        """The versions that the server knows, with their states."""
        answer = self._request("GET", self._path + self._version)
        versions: list[dict[str, Any]] = answer["model_version_status"]
        return versions

    def metadata(self) -> dict[str, Any]:
        """Name, version and signatures of the model."""
        return self._request("GET", f"{self._path}{self._version}/metadata")

    def call(self, signature: str, instances: Sequence[dict[str, Any]]) -> list[Any]:
        """The predictions of any signature, row by row, in requests of ``batch`` instances.

        Values of type ``bytes`` are sent as base64. A signature with one output gives its bare
        values, as TensorFlow Serving does.
        """
        starts = range(0, len(instances), self.batch)
        parts = [instances[start : start + self.batch] for start in starts]

        def send(part: Sequence[dict[str, Any]]) -> list[Any]:
            rows = [{key: _value(value) for key, value in row.items()} for row in part]
            body = orjson.dumps({"signature_name": signature, "instances": rows})
            path = f"{self._path}{self._version}:predict"
            answer: list[Any] = self._request("POST", path, body)["predictions"]
            return answer

        with ThreadPoolExecutor(self._connections) as pool:
            return [row for rows in pool.map(send, parts) for row in rows]

    def _request(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        headers = {} if body is None else {"Content-Type": "application/json"}
        for pause in _pauses(self._retries):
            try:
                answer = self._http.request(method, path, content=body, headers=headers)
            except httpx.TransportError as error:
                failure = ServerError(f"{self._http.base_url}: no answer ({error})")
            else:
                if answer.is_success:
                    return _parsed(answer)
                failure = ServerError(_reason(answer), answer.status_code)
                if answer.status_code not in RETRIED:
                    raise failure
            if pause is None:
                raise failure
            time.sleep(pause)
        raise AssertionError


def _pauses(retries: int) -> Iterator[float | None]:
    """Seconds before each retry, then None."""
    for attempt in range(retries):
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt)
        yield random.uniform(longest / 2, longest)  # noqa: S311 - spreads clients, no secret
    yield None


def _parsed(answer: httpx.Response) -> dict[str, Any]:
    try:
        document: dict[str, Any] = orjson.loads(answer.content)
    except orjson.JSONDecodeError as error:
        raise ServerError(f"{answer.url}: the answer is no JSON ({error})") from error
    return document


def _reason(answer: httpx.Response) -> str:
    try:
        reason = str(orjson.loads(answer.content)["error"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        reason = answer.reason_phrase
    return f"{answer.url}: {answer.status_code}: {reason}"


def _files(images: Images) -> list[bytes]:
    if not isinstance(images, np.ndarray):
        return list(images)
    if images.dtype != np.uint8 or images.ndim != 3:
        raise InputError(
            f"images of {images.dtype} {list(images.shape)}: give uint8 [n, H, W] grey levels, "
            "or PNG files as bytes"
        )
    return [_png(image) for image in images]


def _png(image: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def _pixels(row: dict[str, str]) -> npt.NDArray[np.uint8]:
    with Image.open(io.BytesIO(base64.b64decode(row["b64"]))) as image:
        return np.asarray(image)


def _value(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode("ascii")}
    return value


def _floats(rows: list[dict[str, Any]], name: str) -> npt.NDArray[np.float32]:
    return np.array([row[name] for row in rows], np.float32)


def _neighbours(row: dict[str, Any]) -> list[Neighbour]:
    columns = zip(row["pair"], row["name"], row["shifts"], row["weights"], strict=True)
    return [
        Neighbour(name, (shift[0], shift[1]), weight)
        for pair, name, shift, weight in columns
        if pair >= 0
    ]
