"""TensorFlow Serving's own test cases, restated: what it answers is what semtf serve answers.

The cases are those of ``json_tensor_test.cc``, ``http_rest_api_handler_test.cc`` and
``http_rest_api_util_test.cc`` of https://github.com/tensorflow/serving (read at 00e459f and
07451ec), in words and numbers of our own where the message is what matters. `DIFFERENT` holds those
that are answered otherwise, each with what semtf serve says; docs/serving.md gives the reasons.
"""

import asyncio
import json
import math
from typing import Any, NamedTuple

import httpx
import numpy as np
import pytest

from semtf.serving.frames import Tensors
from semtf.serving.server.app import application
from semtf.serving.server.json_tensor import RequestError, tensor
from semtf.serving.server.model_config import ModelConfig
from semtf.serving.server.rest import error_response, parse_json, predict_response, read_request
from semtf.serving.server.version import Options
from tests.serving.server.fake_server import FLOATS, fake_models
from tests.serving.server.fake_worker import FakeWorker
from tests.serving.server.test_versions import add

MODEL = "/v1/models/half_plus_two"
RESERVED = "%21%23%24%25%26%27%28%29%2A%2B%2C%2F%3A%3B%3D%3F%40%5B%5D"
AVAILABLE = {
    "model_version_status": [
        {
            "version": "123",
            "state": "AVAILABLE",
            "status": {"error_code": "OK", "error_message": ""},
        }
    ]
}
OTHER_MODEL = "Servable not found for request: "


class HalfPlusTwo(FakeWorker):
    """Gives ``y = x / 2 + 2``, as TensorFlow Serving's test model."""

    async def predict(self, signature: str, tensors: Any) -> Tensors:
        return {"y": tensors["x"] / 2 + 2}


class Case(NamedTuple):
    """A request and its answer: a whole document, or a part of the error message."""

    method: str
    path: str
    content: str
    status: int
    answer: Any


def post(path: str, content: str, status: int, answer: Any) -> Case:
    return Case("POST", path, content, status, answer)


def get(path: str, status: int, answer: Any) -> Case:
    return Case("GET", path, "", status, answer)


ONE = '{"instances": [1]}'
HANDLER = {
    # UnsupportedApiCalls, and the paths of http_rest_api_util_test
    "get of another path": get("/v1/foo", 400, "Malformed request"),
    "post to another path": post("/v1/foo", "", 400, "Malformed request"),
    "no model": get("/v1/models", 400, "Missing model name"),
    "post to no model": post("/v1/models", "", 400, "Malformed request"),
    "get of predict": get("/v1/models/foo:predict", 400, "Malformed request"),
    "version for versions": get("/v1/models/foo/version/50:predict", 400, "Malformed request"),
    "post to version": post("/v1/models/foo/version/50:regress", "", 400, "Malformed request"),
    "a version that is no number": post(
        "/v1/models/foo/versions/HELLO:regress", "", 400, "Malformed request"
    ),
    "a version beyond 64 bits": post(
        f"/v1/models/foo/versions/{2**64 - 1}:regress", "", 400, "Failed to convert version"
    ),
    "post to metadata": post("/v1/models/foo/metadata", "", 400, "Malformed request"),
    "version and label": post(
        "/v1/models/foo/versions/50/labels/some:predict", "", 400, "Malformed request"
    ),
    "reserved letters in a name": get(
        f"/v1/models/name{RESERVED}", 404, "Could not find any versions of model name!#$%&'()*+,/:;"
    ),
    "reserved letters, predict": post(
        f"/v1/models/name{RESERVED}:predict",
        ONE,
        404,
        "Latest(name!#$%&'()*+,/:;=?@[])",
    ),
    "reserved letters in a label": post(
        f"{MODEL}/labels/l{RESERVED}:predict", ONE, 400, "version label: l!#$%&'()*+,/:;=?@[]"
    ),
    "metadata of a label": get(f"{MODEL}/labels/stable/metadata", 200, None),
    "metadata of a label with reserved letters": get(
        f"{MODEL}/labels/l{RESERVED}/metadata", 400, "version label: l!#$%&'()*+,/:;=?@[]"
    ),
    # PredictModelNameVersionErrors
    "unknown model": post("/v1/models/foo:predict", ONE, 404, OTHER_MODEL + "Latest(foo)"),
    "unknown model and version": post(
        "/v1/models/foo/versions/50:predict", ONE, 404, OTHER_MODEL + "Specific(foo, 50)"
    ),
    "a name that goes on": post(f"{MODEL}99:predict", ONE, 404, OTHER_MODEL),
    "unknown version": post(f"{MODEL}/versions/99:predict", ONE, 404, "(half_plus_two, 99)"),
    # PredictRequestErrors
    "nothing": post(f"{MODEL}:predict", "", 400, "JSON Parse error: The document is empty"),
    "no JSON": post(f"{MODEL}:predict", "instances = [1, 2]", 400, "JSON Parse error: "),
    # Predict
    "rows": post(
        f"{MODEL}:predict",
        '{"instances": [[1.0, 2.0], [3.0, 4.0]]}',
        200,
        {"predictions": [[2.5, 3.0], [3.5, 4.0]]},
    ),
    "whole numbers": post(
        f"{MODEL}:predict", '{"instances": [1, 2]}', 200, {"predictions": [2.5, 3.0]}
    ),
    "a version": post(
        f"{MODEL}/versions/123:predict", '{"instances": [1.0]}', 200, {"predictions": [2.5]}
    ),
    "a label": post(
        f"{MODEL}/labels/stable:predict", '{"instances": [1.0]}', 200, {"predictions": [2.5]}
    ),
    "a signature": post(
        f"{MODEL}/versions/123:predict",
        '{"signature_name": "serving_default", "instances": [3.0, 4.0]}',
        200,
        {"predictions": [3.5, 4.0]},
    ),
    "columns": post(
        f"{MODEL}/versions/123:predict",
        '{"signature_name": "serving_default", "inputs": [3.0, 4.0]}',
        200,
        {"outputs": [3.5, 4.0]},
    ),
    # GetStatus
    "status": get(MODEL, 200, AVAILABLE),
    "status of a version": get(f"{MODEL}/versions/123", 200, AVAILABLE),
    "status of a label": get(f"{MODEL}/labels/stable", 200, AVAILABLE),
    "status of an unknown version": get(f"{MODEL}/versions/9", 404, "Could not find version 9"),
    "status of an unknown model": get(
        "/v1/models/foo", 404, "Could not find any versions of model"
    ),
}
DIFFERENT = {
    "regress": post(f"{MODEL}:regress", '{"examples": [{"x": 80.0}]}', 501, "takes tf.Example"),
    "classify": post(f"{MODEL}:classify", '{"examples": [{"x": 20.0}]}', 501, "takes tf.Example"),
    "regress of an unknown model": post("/v1/models/foo:regress", "", 404, "Latest(foo)"),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, httpx.Response]:
    """The answer to each case."""
    folder = tmp_path_factory.mktemp("half_plus_two")
    add(folder, 123)

    async def ask() -> dict[str, httpx.Response]:
        options = Options(window=0.0, labels={"stable": 123})
        config = ModelConfig("half_plus_two", folder, options)
        models, predicting = fake_models(config, lambda: HalfPlusTwo(FLOATS))
        await models.served("half_plus_two", None).update()
        transport = httpx.ASGITransport(application(models, predicting))
        found = {}
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            for name, case in (HANDLER | DIFFERENT).items():
                found[name] = await client.request(case.method, case.path, content=case.content)
        await models.close()
        return found

    return asyncio.run(ask())


@pytest.mark.parametrize("name", [*HANDLER, *DIFFERENT])
def test_requests(name: str, answers: dict[str, httpx.Response]) -> None:
    case, answer = (HANDLER | DIFFERENT)[name], answers[name]
    assert answer.headers["content-type"] == "application/json"
    assert answer.status_code == case.status, answer.text
    if isinstance(case.answer, str):
        assert list(answer.json()) == ["error"]
        assert case.answer in answer.json()["error"]
    elif case.answer is not None:
        assert answer.json() == case.answer


def inputs(**kinds: str) -> dict[str, Any]:
    """A signature whose inputs have these types."""
    return {name: {"dtype": f"DT_{kind}"} for name, kind in kinds.items()}


def read(content: str, **kinds: str) -> dict[str, Any]:
    """The arrays of a request, as nested lists."""
    request = read_request(parse_json(content.encode()), {"s": {"inputs": inputs(**kinds)}}, 256)
    return {name: array.tolist() for name, array in request.tensors.items()}


def document(key: str, value: str) -> str:
    return f'{{"signature_name": "s", "{key}": {value}}}'


NAN, INFINITY = "nan", "inf"
TENSORS: list[tuple[str, dict[str, str], dict[str, Any]]] = [
    (document("instances", "[[1,2],[3,4],[5,6]]"), {"x": "INT32"}, {"x": [[1, 2], [3, 4], [5, 6]]}),
    (document("instances", "[1, 2.5, 3, 0.0]"), {"x": "FLOAT"}, {"x": [1.0, 2.5, 3.0, 0.0]}),
    (document("instances", "[1.0, 2, 0.75]"), {"x": "DOUBLE"}, {"x": [1.0, 2.0, 0.75]}),
    (document("instances", "[[1,2]]") + "X", {"x": "INT32"}, {"x": [[1, 2]]}),
    (
        document("instances", '[{"b64": "aGVsbG8="}, {"b64": "d29ybGQ="}]'),
        {"x": "STRING"},
        {"x": [b"hello", b"world"]},
    ),
    (
        document("instances", '[[{"b64": "aGVsbG8="}], [{"b64": "d29ybGQ="}]]'),
        {"x": "STRING"},
        {"x": [[b"hello"], [b"world"]]},
    ),
    (
        document("instances", '[{"x": [[{"b64": "aGVsbG8="}], [{"b64": "d29ybGQ="}]]}]'),
        {"x": "STRING"},
        {"x": [[[b"hello"], [b"world"]]]},
    ),
    (
        document(
            "instances",
            '[{"i": [[1,2]], "s": ["a", "b"], "f": [1.0, NaN], "d": [NaN]},'
            ' {"i": [[7,8]], "s": ["c", "d"], "f": [2.0, Infinity], "d": [2.0]}]',
        ),
        {"i": "INT32", "s": "STRING", "f": "FLOAT", "d": "DOUBLE"},
        {
            "i": [[[1, 2]], [[7, 8]]],
            "s": [[b"a", b"b"], [b"c", b"d"]],
            "f": [[1.0, NAN], [2.0, INFINITY]],
            "d": [[NAN], [2.0]],
        },
    ),
    (document("inputs", '{"i": [[[1,2],[3,4]]]}'), {"i": "INT32"}, {"i": [[[1, 2], [3, 4]]]}),
    (document("inputs", "[[[1,2],[3,4]]]"), {"i": "INT32"}, {"i": [[[1, 2], [3, 4]]]}),
    (
        document("inputs", '{"i": [[1,2]], "s": ["a", "b"], "b": {"b64": "aGVsbG8="}}'),
        {"i": "INT32", "s": "STRING", "b": "STRING"},
        {"i": [[1, 2]], "s": [b"a", b"b"], "b": b"hello"},
    ),
]


def named(value: Any) -> Any:
    """Lists with words for the numbers that are none."""
    if isinstance(value, list):
        return [named(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


@pytest.mark.parametrize(("content", "kinds", "arrays"), TENSORS)
def test_tensors(content: str, kinds: dict[str, str], arrays: dict[str, Any]) -> None:
    found = read(content, **kinds)
    assert {name: named(value) for name, value in found.items()} == arrays


TWO = {"i": "INT32", "s": "STRING"}
REFUSED: list[tuple[str, dict[str, str], str]] = [
    ("", {"x": "INT32"}, "document is empty"),
    ('{"signature_name": 5, "instances": [[1]]}', {"x": "INT32"}, "must be a string value"),
    (
        '{"signature_name": "s", "instances": [[1]], "inputs": [[1]]}',
        {"x": "INT32"},
        "Not formatted correctly",
    ),
    (document("instances", "[[1,2],[3,4],[5,6,7]]"), {"x": "INT32"}, "Expecting tensor size"),
    (document("instances", "[[1,2],[3,4],[[5,6]]]"), {"x": "INT32"}, "Expecting shape"),
    (document("instances", "[1, [1]]"), {"x": "INT32"}, "Expecting shape"),
    (document("instances", '[[1,2],["a","b"]]'), {"x": "INT32"}, "not of expected type"),
    (document("instances", "[1.7976931348623157e308]"), {"x": "FLOAT"}, "loss of precision"),
    (document("instances", "[16777217]"), {"x": "FLOAT"}, "loss of precision"),
    (document("instances", "[9007199254740993]"), {"x": "DOUBLE"}, "loss of precision"),
    (
        document("instances", '[{"i": [[1,2]], "s": "a"}, {"i": [[[7,8]]], "s": "b"}]'),
        TWO,
        "Failed to process element: 1 key: i of 'instances' list. Error: INVALID_ARGUMENT: "
        "Expecting shape [1,2] but got: [1,1,2]",
    ),
    (
        document("instances", '[{"i": [[1,2],[3,4]], "s": "a"}, {"i": [[7,8]], "s": "b"}]'),
        TWO,
        "Expecting tensor size: 4 but got: 2",
    ),
    (
        document("instances", '[{"i": [1], "s": "a"}, [1, 2]]'),
        TWO,
        "Expecting object but got list",
    ),
    (
        document("instances", '[["a", "b"], {"s": ["a", "b"]}]'),
        {"s": "STRING"},
        "Expecting value/list but got object",
    ),
    (
        document("instances", "[[1,2]]"),
        {"x": "COMPLEX64"},
        "UNIMPLEMENTED: Conversion of",
    ),
]


@pytest.mark.parametrize(("content", "kinds", "message"), REFUSED)
def test_refusals(content: str, kinds: dict[str, str], message: str) -> None:
    with pytest.raises(RequestError) as refused:
        read(content, **kinds)
    assert message in str(refused.value)


def strings(rows: list[list[bytes]]) -> np.ndarray:
    array = np.empty((len(rows), len(rows[0])), object)
    for i, row in enumerate(rows):
        array[i] = row
    return array


WORDS = strings([[b"hello", b"world"], [b"tf", b"serving"]])
B64 = [[{"b64": "aGVsbG8="}, {"b64": "d29ybGQ="}], [{"b64": "dGY="}, {"b64": "c2VydmluZw=="}]]
SEVERAL: dict[str, np.ndarray] = {
    "i": np.array([[[1, 2]], [[3, 4]]], np.int32),
    "s": WORDS,
    "f": np.array([[1.0], [2.0]], np.float32),
    "d": np.array([8.0, 9.0]),
    "s_bytes": WORDS,
}


def test_responses() -> None:
    def rows(outputs: dict[str, Any]) -> Any:
        return json.loads(predict_response(outputs, by_row=True))["predictions"]

    def columns(outputs: dict[str, Any]) -> Any:
        return json.loads(predict_response(outputs, by_row=False))["outputs"]

    numbers = np.arange(12, dtype=np.int32).reshape(2, 3, 2)
    for outputs in ({"i": numbers}, {"i": np.arange(5, dtype=np.int32)}):
        assert rows(outputs) == columns(outputs) == outputs["i"].tolist()
    assert rows({"s_bytes": WORDS}) == B64
    first = {"d": 8.0, "f": [1.0], "i": [[1, 2]], "s": ["hello", "world"], "s_bytes": B64[0]}
    assert rows(SEVERAL)[0] == first
    assert columns(SEVERAL) == {
        "d": [8.0, 9.0], "f": [[1.0], [2.0]], "i": [[[1, 2]], [[3, 4]]],
        "s": [["hello", "world"], ["tf", "serving"]], "s_bytes": B64,
    }  # fmt: skip
    floats = np.array([9e6, 999999, 0.5, 3e-4, 3e-5, 555557.5, 0.2], np.float32)
    assert np.array_equal(np.array(rows({"f": floats}), np.float32), floats)
    assert b"0.2," in predict_response({"f": np.array([0.2, 1], np.float32)}, by_row=True)
    odd = predict_response({"f": np.array([np.nan, np.inf, 3, -np.inf], np.float32)}, by_row=True)
    assert odd == b'{"predictions": [NaN, Infinity, 3.0, -Infinity]}'
    assert rows({"i": np.zeros((0, 2), np.int32)}) == []


def test_an_error_is_a_document() -> None:
    for message in ('Bad key: "key"', "Bad key: 'key'"):
        assert json.loads(error_response(message)) == {"error": message}


@pytest.mark.parametrize("kind", ["INT8", "INT16", "UINT8", "INT64", "UINT32", "UINT64", "BOOL"])
def test_other_types(kind: str) -> None:
    values = [True, False] if kind == "BOOL" else [0, 1, 100]
    assert tensor(values, f"DT_{kind}").tolist() == values
    with pytest.raises(RequestError, match="is not of expected type"):
        tensor([*values, "1"], f"DT_{kind}")
