"""A client of `semtf serve` or of TensorFlow Serving, over REST. No TensorFlow is needed."""

import base64
import itertools
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import orjson

from semtf.errors import InputError
from semtf.serving.client.base import RemoteEstimator, ServerError
from semtf.serving.messages import readable

LOADING = 503
RETRIED = frozenset({429, 502, LOADING, 504})
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0


class Client(RemoteEstimator):
    """Depth maps from a server, over REST; one client may be used by several threads."""

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
        patience: float = 90.0,
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
            patience: seconds for which 503 is answered by another try, however often: a model
                that is loaded again takes longer than a few retries.
            batch: images a request.
            connections: requests at the same time.

        Raises:
            InputError: the URL is none, or both ``version`` and ``label`` are given.
        """
        if version is not None and label is not None:
            raise InputError("give a version or a label, not both")
        version_path = "" if version is None else f"/versions/{version}"
        if label is not None:
            version_path = f"/labels/{label}"
        self._path = f"v1/models/{model}"
        self._version_path = version_path
        self._retries = retries
        self._patience = patience
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

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def status(self) -> list[dict[str, Any]]:
        """The versions that the server knows, with their states."""
        response = self._request("GET", self._path + self._version_path)
        versions: list[dict[str, Any]] = response["model_version_status"]
        return versions

    def metadata(self) -> dict[str, Any]:
        """Name, version and signatures of the model."""
        return self._request("GET", f"{self._path}{self._version_path}/metadata")

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
            path = f"{self._path}{self._version_path}:predict"
            predictions: list[Any] = _binary(self._request("POST", path, body)["predictions"])
            return predictions

        with ThreadPoolExecutor(self._connections) as pool:
            return [row for rows in pool.map(send, parts) for row in rows]

    def _request(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        headers = {} if body is None else {"Content-Type": "application/json"}
        start = time.monotonic()
        pauses = _pauses()
        for attempt in itertools.count():
            try:
                response = self._http.request(method, path, content=body, headers=headers)
            except httpx.TransportError as error:
                failure = ServerError(f"{self._http.base_url}: no answer ({error})")
            else:
                if response.is_success:
                    return _parsed(response)
                failure = ServerError(_reason(response), response.status_code)
                if response.status_code not in RETRIED:
                    raise failure
            waited = time.monotonic() - start
            loading = failure.status == LOADING and waited < self._patience
            if attempt >= self._retries and not loading:
                raise failure
            time.sleep(next(pauses))  # lets a busy or restarting server recover
        raise AssertionError


def _pauses() -> Iterator[float]:
    """Seconds before each retry."""
    longest = FIRST_PAUSE
    while True:
        yield random.uniform(longest / 2, longest)  # noqa: S311 - spreads clients, no secret
        longest = min(LONGEST_PAUSE, 2 * longest)


def _parsed(response: httpx.Response) -> dict[str, Any]:
    try:
        document: dict[str, Any] = orjson.loads(response.content)
    except orjson.JSONDecodeError as error:
        raise ServerError(f"{response.url}: the answer is no JSON ({error})") from error
    return document


def _reason(response: httpx.Response) -> str:
    try:
        reason = readable(orjson.loads(response.content)["error"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        reason = response.reason_phrase
    return f"{response.url}: {response.status_code}: {reason}"


def _binary(value: Any) -> Any:
    """A JSON value with its base64 objects made bytes."""
    if isinstance(value, list) and value and isinstance(value[0], dict | list):
        return [_binary(part) for part in value]
    if isinstance(value, dict):
        if list(value) == ["b64"]:
            return base64.b64decode(value["b64"])
        return {key: _binary(part) for key, part in value.items()}
    return value


def _value(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode("ascii")}
    return value
