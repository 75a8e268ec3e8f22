"""TensorFlow Serving's JSON without a server: arrays, messages and responses."""

import base64
import json
import math
from typing import Any

import numpy as np
import pytest

from semtf.serving.server.json_tensor import RequestError, tensor
from semtf.serving.server.rest import (
    error_response,
    may_hold_booleans,
    parse_json,
    predict_response,
    read_request,
)

INT = {"dtype": "DT_INT32"}
FLOAT = {"dtype": "DT_FLOAT"}
STRING = {"dtype": "DT_STRING"}
SIGNATURES: dict[str, Any] = {
    "serving_default": {"inputs": {"x": FLOAT}},
    "two": {"inputs": {"image_bytes": STRING, "case": INT}},
    "nothing": {"inputs": {}},
}

ONE = '"signature_name": "two", "instances": '


def read(text: str, limit: int = 4) -> dict[str, list[Any]]:
    request = read_request(parse_json(text.encode()), SIGNATURES, limit)
    return {name: array.tolist() for name, array in request.tensors.items()}


@pytest.mark.parametrize(
    ("text", "tensors"),
    [
        ('{"instances": [1, 2.5]}', {"x": [1.0, 2.5]}),
        ('{"instances": [{"x": [1, 2]}, {"x": [3, 4]}]}', {"x": [[1.0, 2.0], [3.0, 4.0]]}),
        ('{"inputs": [[1], [2]]}', {"x": [[1.0], [2.0]]}),
        ('{"inputs": {"x": [[1], [2]]}}', {"x": [[1.0], [2.0]]}),
        ('{"inputs": 7}', {"x": 7.0}),
        ('{"inputs": []}', {"x": []}),
        ('{"instances": [Infinity, -Infinity]}', {"x": [math.inf, -math.inf]}),
        ('{"instances": [Inf, -Inf, 1]}', {"x": [math.inf, -math.inf, 1.0]}),
        (' {"instances": [1]} and what stands behind', {"x": [1.0]}),
        ('{"instances": [1]}}', {"x": [1.0]}),
        ('{"instances": [[[[[3]]]]]}', {"x": [[[[[3.0]]]]]}),
        (
            "{" + ONE + '[{"image_bytes": "-Inf \\" NaN", "case": 1}]} behind',
            {"image_bytes": [b'-Inf " NaN'], "case": [1]},
        ),
        (
            '{"signature_name": "two", "instances": [{"image_bytes": {"b64": "aGk="}, "case": 3},'
            '{"image_bytes": "hé", "case": 1}]}',
            {"image_bytes": [b"hi", "hé".encode()], "case": [3, 1]},
        ),
        (
            '{"signature_name": "two", "inputs": {"image_bytes": [{"b64": "aGk="}], "case": [3]}}',
            {"image_bytes": [b"hi"], "case": [3]},
        ),
        ('{"signature_name": "", "instances": [1]}', {"x": [1.0]}),
    ],
)
def test_requests(text: str, tensors: dict[str, Any]) -> None:
    assert read(text) == tensors


def test_nan_is_a_number() -> None:
    assert math.isnan(read('{"instances": [NaN]}')["x"][0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "JSON Parse error: The document is empty"),
        ("[1]", "JSON Value: [1] Is not object"),
        ('{"instances": [1]', "JSON Parse error: "),
        ("[" * 10_000, "JSON Parse error: "),
        ("{}", "Missing 'inputs' or 'instances' key"),
        (
            '{"signature_name": "x", "instances": [1]}',
            'Serving signature name: "x" not found in signature def',
        ),
        ('{"signature_name": 3}', "'signature_name' key must be a string value."),
        ('{"signature_name": "nothing"}', "Failed to get input map for signature: nothing"),
        (
            '{"instances": [1], "inputs": [1]}',
            "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ",
        ),
        ('{"instances": 3}', "Excepting 'instances' to be an list/array"),
        ('{"instances": []}', "No values in 'instances' array"),
        (
            '{"instances": [[1, 2], [3]]}',
            "element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor size: 2",
        ),
        ('{"instances": [1, [2]]}', "Error: INVALID_ARGUMENT: Expecting shape [] but got: [1]"),
        ('{"instances": [[1], 2]}', "Expecting shape [1] but got: []"),
        ('{"instances": ["1"]}', 'JSON Value: "1" Type: String is not of expected type: float'),
        ('{"instances": [null]}', "JSON Value: null Type: Null is not of expected type: float"),
        ('{"instances": [true]}', "JSON Value: true Type: True is not of expected type: float"),
        ('{"instances": [1, true]}', "JSON Value: true Type: True is not of expected type: float"),
        ('{"instances": [[0.5], [false]]}', "JSON Value: false Type: False is not of expected"),
        ('{"instances": [%s]}' % ("9" * 400), "to float without loss of precision."),
        ('{"instances": [-%s]}' % ("9" * 400), "to float without loss of precision."),
        ('{"instances": [%s]}' % ("9" * 5000), "JSON Parse error: "),
        ('{"instances": ' + "[" * 65 + "3" + "]" * 65 + "}", "list at unexpected level: 64"),
        ('{"instances": ' + "[" * 901 + "1" + "]" * 901 + "}", "list at unexpected level: 900"),
        ('{"signature_name": "\\ud800"}', "not found in signature def"),
        ('{"instances": [{"\\ud800": 1}]}', "does not have named input"),
        ('{"instances": [Information]}', "JSON Parse error: "),
        ('{"instances": [[[1], [2, 3]]]}', "unexpected size: 2 at level: 1 expected size: 1"),
        ('{"inputs": [[1, 2], [3]]}', "unexpected size: 1 at level: 1 expected size: 2"),
        ('{"instances": [0.5, 16777217]}', "JSON value: 16777217 to float without loss"),
        ('{"instances": [1, "x"]}', "Failed to process element: 1 of 'instances' list. Error: INV"),
        (
            "{" + ONE + '[{"case": 1, "image_bytes": ""}, {"image_bytes": 2, "case": 1}]}',
            "Failed to process element: 1 key: image_bytes of 'instances' list. Error: "
            "INVALID_ARGUMENT: JSON Value: 2 Type: Number is not of expected type: string",
        ),
        (
            '{"instances": [1e39]}',
            "Cannot convert JSON value: 1e+39 to float without loss of precision.",
        ),
        ('{"instances": [{"x": 1}, 2]}', "Expecting object but got list at item 1 of input list"),
        ('{"instances": [1, {"x": 2}]}', "Expecting value/list but got object at item 1"),
        ('{"instances": [{"y": 1}]}', "JSON object: does not have named input: y"),
        (
            "{" + ONE + '[{"case": 1}]}',
            'JSON object: {"case":1} keys must be equal to: case,',
        ),
        ("{" + ONE + "[3]}", "instances is a plain list, but expecting list of objects as mult"),
        ('{"signature_name": "two", "inputs": [3]}', "inputs is a plain value/list, but expecting"),
        (
            '{"signature_name": "two", "inputs": {"case": [3]}}',
            "Missing named input: image_bytes in 'inputs' object.",
        ),
        (
            "{" + ONE + '[{"case": 1, "image_bytes": 3}]}',
            "Type: Number is not of expected type",
        ),
        ("{" + ONE + '[{"case": 1, "image_bytes": {"b64": "*"}}]}', "Unable to base64 decode"),
        ("{" + ONE + '[{"case": 1, "image_bytes": {"b64": 3}}]}', "correctly for base64 data"),
        (
            "{" + ONE + '[{"case": 1.5, "image_bytes": ""}]}',
            "Type: Number is not of expected type",
        ),
        (
            "{" + ONE + '[{"case": 3000000000, "image_bytes": ""}]}',
            "of expected type: int32",
        ),
        ("{" + ONE + '[{"case": true, "image_bytes": ""}]}', "Type: True is not of expected type"),
    ],
)
def test_refused_requests(text: str, message: str) -> None:
    with pytest.raises(RequestError) as refused:
        read(text)
    assert message in str(refused.value)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("aGVsbG8=", b"hello"),
        ("aGVsbG8", b"hello"),
        ("aGVs\nbG8=\r\n", b"hello"),
        (" aG Vs bG 8= ", b"hello"),
        ("", b""),
        ("_-8=", None),
        ("aGVsbG8==", None),
        ("aGVsb", None),
        ("aGVs=bG8=", None),
    ],
)
def test_base64_is_taken_as_tensorflow_serving_takes_it(text: str, content: bytes | None) -> None:
    document = {
        "signature_name": "two",
        "instances": [{"image_bytes": {"b64": text}, "case": 1}],
    }
    if content is None:
        with pytest.raises(RequestError, match="Unable to base64 decode"):
            read(json.dumps(document))
    else:
        assert read(json.dumps(document))["image_bytes"] == [content]


def test_numbers_that_are_none_are_nan() -> None:
    values = read('{"instances": [NaN, -NaN]}')["x"]
    assert [math.isnan(value) for value in values] == [True, True]


def test_booleans_are_not_looked_for_where_there_are_none() -> None:
    assert may_hold_booleans(b'{"instances": [1, true]}')
    assert not may_hold_booleans(b'{"instances": [1, 0]}')
    request = read_request({"instances": [1, 2]}, SIGNATURES, 4, booleans=False)
    assert request.tensors["x"].tolist() == [1.0, 2.0]


def test_an_error_can_hold_what_utf8_cannot() -> None:
    assert json.loads(error_response("no \ud800 here")) == {"error": "no ? here"}


def test_too_many_instances() -> None:
    for key in ("instances", "inputs"):
        with pytest.raises(RequestError, match="5 instances are too many") as refused:
            read(json.dumps({key: [1] * 5}))
        assert refused.value.status == 413


def test_a_long_value_is_shortened_in_a_message() -> None:
    with pytest.raises(RequestError) as refused:
        read(json.dumps(["x" * 10_000]))
    assert len(str(refused.value)) < 200


def test_numbers_keep_their_value() -> None:
    values = np.random.default_rng(0).uniform(0, 255, (3, 5)).astype(np.float32)
    np.testing.assert_array_equal(
        tensor(json.loads(json.dumps(values.tolist())), "DT_FLOAT"), values
    )
    assert tensor([16_777_217], "DT_INT32").tolist() == [16_777_217]
    assert tensor([2**40], "DT_INT64").dtype == np.int64


def strings(*values: bytes) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def test_responses() -> None:
    case, depth = np.array([1, 2], np.int32), np.array([[0.1, 2], [3, 4.5]], np.float32)
    both = {"depth": depth, "case": case}
    assert predict_response(both, by_row=True) == (
        b'{"predictions":[{"case":1,"depth":[0.1,2.0]},{"case":2,"depth":[3.0,4.5]}]}'
    )
    assert predict_response(both, by_row=False) == (
        b'{"outputs":{"case":[1,2],"depth":[[0.1,2.0],[3.0,4.5]]}}'
    )
    assert predict_response({"case": case}, by_row=True) == b'{"predictions":[1,2]}'
    assert predict_response({"case": case}, by_row=False) == b'{"outputs":[1,2]}'
    encoded = base64.b64encode(b"\xff\x00").decode()
    assert json.loads(predict_response({"png_bytes": strings(b"\xff\x00")}, by_row=True)) == {
        "predictions": [{"b64": encoded}]
    }
    assert json.loads(predict_response({"flags": strings("é".encode(), b"")}, by_row=False)) == {
        "outputs": ["é", ""]
    }
    weights = np.array([[0.5, np.nan, np.inf]], np.float32)
    assert (
        predict_response({"w": weights}, by_row=True) == b'{"predictions": [[0.5, NaN, Infinity]]}'
    )
