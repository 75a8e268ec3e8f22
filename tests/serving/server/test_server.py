"""`semtf serve` as a process: the contract, and requests that it must refuse."""

import base64
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from semtf.serving.saved_model.fresh_process import signature_outputs
from tests.serving.conftest import Server
from tests.serving.pngs import b64, bad_files, body, png
from tests.wrong_scales import GREY


@pytest.fixture(scope="module")
def http(served: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{served.url}/v1/", timeout=60, trust_env=False) as client:
        yield client


def test_curl_and_a_plain_session_give_the_same_depth(
    served: Server, exact: Path, images: np.ndarray, tmp_path: Path
) -> None:
    request = tmp_path / "request.json"
    request.write_text(json.dumps(body(images[:3])))
    done = subprocess.run(
        ["curl", "--silent", "--noproxy", "*", "-d", f"@{request}", f"{served.model}:predict"],
        capture_output=True,
        check=True,
    )
    rows = json.loads(done.stdout)["predictions"]
    files = np.array([png(image) for image in images[:3]], object)
    inputs = {"serving_default": {"image_bytes": files}}
    expected = signature_outputs(exact, inputs, "graph")["serving_default"]
    np.testing.assert_allclose([row["depth"] for row in rows], expected["depth"], atol=1e-3)
    assert [row["case"] for row in rows] == expected["case"].tolist()
    assert set(rows[0]) == {
        *["depth", "sigma", "case", "case_probabilities", "similarity", "flags"]
    }


def test_rows_columns_and_single_outputs(http: httpx.Client, images: np.ndarray) -> None:
    rows = http.post("models/semtf:predict", json=body(images, signature_name="neighbours")).json()
    columns = http.post(
        "models/semtf:predict",
        json={"signature_name": "neighbours", "inputs": [b64(png(image)) for image in images]},
    ).json()
    assert list(rows) == ["predictions"]
    assert list(columns) == ["outputs"]
    for name, column in columns["outputs"].items():
        for row, value in zip(rows["predictions"], column, strict=True):
            np.testing.assert_array_equal(row[name], value)
    files = http.post(
        "models/semtf:predict", json=body(images, signature_name="predict_png")
    ).json()
    assert [list(value) for value in files["predictions"]] == [["b64"]] * len(images)
    data = base64.b64decode(files["predictions"][0]["b64"])
    assert data.startswith(b"\x89PNG")


@pytest.mark.parametrize("version", ["semtf", "semtf/versions/1", "semtf/labels/stable"])
def test_status_and_metadata(http: httpx.Client, version: str) -> None:
    state = {"version": "1", "state": "AVAILABLE"}
    good = {"error_code": "OK", "error_message": ""}
    assert http.get(f"models/{version}").json() == {
        "model_version_status": [{**state, "status": good}]
    }
    metadata = http.get(f"models/{version}/metadata").json()
    assert metadata["model_spec"] == {"name": "semtf", "signature_name": "", "version": "1"}
    signature = metadata["metadata"]["signature_def"]["signature_def"]["adapt"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert signature["inputs"]["case"]["dtype"] == "DT_INT32"
    shape = signature["inputs"]["image_bytes"]["tensor_shape"]
    assert shape == {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}


GOOD = png(np.full((72, 48), 100, np.uint8))
ZEROS = np.zeros((72, 48)).tolist()
FLOAT, ADAPT, GIVEN = "predict_float", "adapt", "estimate_given_case"


def bad_requests() -> dict[str, tuple[Any, int, str]]:
    """By name: a body, and the code and a part of the message that answer it."""
    requests: dict[str, tuple[Any, int, str]] = {
        "nothing": (b"", 400, "JSON Parse error: The document is empty"),
        "no_json": (b"hello", 400, "JSON Parse error: "),
        "cut_json": (b'{"instances": [', 400, "JSON Parse error: "),
        "deep_json": (b"[" * 100_000, 400, "JSON Parse error: "),
        "binary": (bytes(range(256)), 400, "JSON Parse error: "),
        "list": ([1, 2], 400, "Is not object"),
        "no_key": ({}, 400, "Missing 'inputs' or 'instances' key"),
        "both_keys": ({"instances": [1], "inputs": [1]}, 400, "expecting only one of"),
        "no_list": ({"instances": 1}, 400, "Excepting 'instances' to be an list/array"),
        "no_instance": ({"instances": []}, 400, "No values in 'instances' array"),
        "no_input": ({"inputs": []}, 400, "1 to 256 images; got 0"),
        "number": ({"instances": [1]}, 400, "Type: Number is not of expected type: string"),
        "null": ({"instances": [None]}, 400, "Type: Null is not of expected type: string"),
        "plain_text": ({"instances": ["hello"]}, 400, "image 0: it is no PNG file"),
        "no_base64": ({"instances": [{"b64": "§"}]}, 400, "Unable to base64 decode"),
        "two_keys": ({"instances": [{"b64": "", "x": 1}]}, 400, "does not have named input: b64"),
        "wrong_name": ({"instances": [{"image": b64(GOOD)}]}, 400, "named input: image"),
        "mixed": ({"instances": [b64(GOOD), {"image_bytes": b64(GOOD)}]}, 400, "but got object"),
        "nested": ({"instances": [[b64(GOOD)]]}, 400, "must be of shape (None,); got [1, 1]"),
        "scalar": ({"inputs": b64(GOOD)}, 400, "must be of shape (None,); got []"),
        "second": ({"instances": [b64(GOOD), b64(b"x")]}, 400, "image 1: it is no PNG file"),
        "many": ({"instances": [{"b64": ""}] * 10_000}, 413, "10000 instances are too many"),
        "many_columns": ({"inputs": [{"b64": ""}] * 300}, 413, "300 instances are too many"),
        "signature": ({"signature_name": "x", "instances": [1]}, 400, 'name: "x" not found'),
        "signature_type": ({"signature_name": 1, "instances": [1]}, 400, "must be a string"),
        "signature_init": (
            {"signature_name": "__saved_model_init_op", "instances": [1]},
            400,
            "Failed to get input map",
        ),
    }
    for name, text in {
        "surrogate_signature": b'{"signature_name": "\\ud800", "instances": [1]}',
        "surrogate_key": b'{"instances": [{"\\ud800": 1}]}',
    }.items():
        requests[name] = (text, 400, "?")
    floats = {
        "nan": (b"[NaN, 1]", "rows, columns"),
        "text_for_float": (b'["1"]', "Type: String is not of expected type: float"),
        "ragged": (b"[[[1, 2], [3]]]", "unexpected size: 1 at level: 1"),
        "too_large": (b"[1e300]", "without loss of precision"),
        "whole_and_too_large": (b"[" + b"9" * 400 + b"]", "without loss of precision"),
        "boolean_among_numbers": (b"[1, true]", "Type: True is not of expected type: float"),
        "nested": (b"[" * 65 + b"1" + b"]" * 65, "list at unexpected level: 64 expected < 32"),
        "transposed_float": (json.dumps([np.zeros((48, 72)).tolist()]).encode(), "[1 48 72]"),
        "flat": (json.dumps([[0.0] * 3456]).encode(), "[1 3456]"),
        "nan_image": (json.dumps([[[float("nan")] * 48] * 72]).encode(), "finite"),
        "infinite_image": (json.dumps([[[float("inf")] * 48] * 72]).encode(), "finite"),
        "unit_image": (
            json.dumps([(GREY / 255).tolist()]).encode(),
            "as images in 0-1 have, but grey levels are 0 to 255; "
            "multiply by 255 (an image that is really so dark: give it as uint8 or PNG)",
        ),
        "network_image": (json.dumps([(GREY / 106 - 1).tolist()]).encode(), "values down to -1"),
        "deep_image": (json.dumps([(GREY * 257).tolist()]).encode(), "values up to 54484"),
        "object_for_float": (b'[[{"b64": ""}]]', "Type: Object is not of expected type: float"),
    }
    for name, (values, message) in floats.items():
        text = b'{"signature_name": "predict_float", "instances": ' + values + b"}"
        requests[name] = (text, 400, message)
    adapt = {
        "no_case": ({"image_bytes": b64(GOOD)}, "keys must be equal to: case,image_bytes"),
        "case_5": ({"image_bytes": b64(GOOD), "case": 5}, "one of 1, 2, 3, 4; got [5]"),
        "half_case": ({"image_bytes": b64(GOOD), "case": 1.5}, "is not of expected type: int32"),
        "text_case": ({"image_bytes": b64(GOOD), "case": "1"}, "Type: String"),
        "extra": ({"image_bytes": b64(GOOD), "case": 1, "k": 3}, "named input: k"),
    }
    for name, (instance, message) in adapt.items():
        requests[name] = ({"signature_name": ADAPT, "instances": [instance]}, 400, message)
    for name, shares in {"shares": [1, 1, 0, 0], "negative": [2, -1, 0, 0]}.items():
        instance = {"image_bytes": b64(GOOD), "case_probabilities": shares}
        message = "must not be negative and must sum to 1"
        requests[name] = ({"signature_name": GIVEN, "instances": [instance]}, 400, message)
    requests["unequal"] = (
        {"signature_name": ADAPT, "inputs": {"image_bytes": [b64(GOOD)] * 2, "case": [1]}},
        400,
        "one for each image",
    )
    for name, (data, message) in bad_files().items():
        if name != "huge":  # beyond the server's limit of a body, which is tested below
            requests[f"png_{name}"] = ({"instances": [b64(data)]}, 400, message)
    second = {"instances": [b64(GOOD), b64(bad_files()["flipped"][0])]}
    requests["png_flipped"] = (second, 400, "image 1: damaged: its pixels cannot be decoded")
    return requests


@pytest.mark.parametrize("name", bad_requests())
def test_bad_bodies(name: str, http: httpx.Client) -> None:
    document, code, message = bad_requests()[name]
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    answer = http.post("models/semtf:predict", content=text)
    assert answer.headers["content-type"] == "application/json"
    assert (answer.status_code, list(answer.json())) == (code, ["error"])
    assert message in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "code", "message"),
    [
        ("POST", "x:predict", 404, "Servable not found for request: Latest(x)"),
        ("POST", "x/versions/2:predict", 404, "Servable not found for request: Specific(x, 2)"),
        ("POST", "semtf/versions/9:predict", 404, "not found for request: Specific(semtf, 9)"),
        ("POST", "semtf/labels/new:predict", 400, "Unrecognized servable version label: new"),
        ("POST", f"semtf/versions/{10**30}:predict", 400, "Failed to convert version: "),
        ("POST", f"semtf/versions/{'9' * 5000}:predict", 400, "Failed to convert version: "),
        ("GET", f"semtf/versions/{'9' * 5000}", 400, "Failed to convert version: "),
        ("POST", "semtf/versions/-1:predict", 400, "Malformed request: POST /v1/models/semtf/"),
        ("POST", "semtf", 400, "Malformed request: POST /v1/models/semtf"),
        ("POST", "semtf:explain", 400, "Malformed request: POST /v1/models/semtf:explain"),
        ("POST", "semtf:classify", 501, "send images to :predict"),
        ("POST", "semtf/versions/9:classify", 404, "not found for request: Specific(semtf, 9)"),
        ("POST", "x:classify", 404, "Servable not found for request: Latest(x)"),
        ("POST", "x/versions/2:regress", 404, "Servable not found for request: Specific(x, 2)"),
        ("GET", "semtf:predict", 400, "Malformed request: GET /v1/models/semtf:predict"),
        ("PUT", "semtf:predict", 400, "Malformed request: PUT"),
        ("DELETE", "semtf", 400, "Malformed request: DELETE"),
        ("GET", "x", 404, "Could not find any versions of model x"),
        ("GET", "semtf/versions/9", 404, "Could not find version 9 of model semtf"),
        ("GET", "semtf/versions/9/metadata", 404, "request: Specific(semtf, 9)"),
        ("GET", "x/metadata", 404, "Servable not found for request: Latest(x)"),
        ("GET", "", 400, "Malformed request: GET /v1/models/"),
        ("GET", "semtf/", 400, "Malformed request: GET /v1/models/semtf/"),
    ],
)
def test_bad_addresses(method: str, path: str, code: int, message: str, http: httpx.Client) -> None:
    content = json.dumps({"instances": [b64(GOOD)]}) if method == "POST" else None
    answer = http.request(method, f"models/{path}", content=content)
    assert answer.status_code == code
    assert message in answer.json()["error"]


def test_a_status_request_names_a_model(http: httpx.Client) -> None:
    answer = http.get("models")
    assert answer.status_code == 400
    assert answer.json() == {"error": "Missing model name in request."}


def test_too_long_bodies(served: Server, http: httpx.Client) -> None:
    answer = http.post("models/semtf:predict", content=b" " * (50 << 20))
    assert (answer.status_code, list(answer.json())) == (413, ["error"])

    def chunks() -> Iterator[bytes]:
        for _ in range(20):
            yield b" " * (100 << 10)

    answer = httpx.post(f"{served.model}:predict", content=chunks(), trust_env=False)
    assert answer.status_code == 413


def test_a_client_that_waits_to_send_a_too_long_body_is_refused_at_once(served: Server) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        head = (
            "POST /v1/models/semtf:predict HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Length: {50 << 20}\r\nExpect: 100-continue\r\n\r\n"
        )
        connection.sendall(head.encode())
        assert connection.makefile("rb").readline().startswith(b"HTTP/1.1 413 ")


def test_slow_body(served: Server) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        head = (
            "POST /v1/models/semtf:predict HTTP/1.1\r\n"
            "Host: localhost\r\nContent-Length: 99\r\n\r\n"
        )
        connection.sendall(head.encode() + b'{"instances"')
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"did not arrive within 2 s" in answer


def test_one_clients_bad_image_is_not_anothers_error(served: Server, images: np.ndarray) -> None:
    alone = served.post(body(images[:1]))
    gate = threading.Barrier(8)

    def post(number: int) -> httpx.Response:
        document = body(images[:1]) if number % 2 else {"instances": [b64(b"x")]}
        gate.wait()
        return served.post(document)

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(post, range(8)))
    assert [reply.status_code for reply in replies] == [400, 200] * 4
    expected = np.array(alone.json()["predictions"][0]["depth"])
    for reply in replies[1::2]:
        depth = reply.json()["predictions"][0]["depth"]
        np.testing.assert_allclose(depth, expected, atol=1e-3)


def test_metrics(served: Server, http: httpx.Client) -> None:
    def count() -> float:
        text = httpx.get(f"{served.url}/metrics", trust_env=False).text
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
        return float(lines['semtf_requests_total{code="200",method="predict"}'])

    before = count()
    assert http.post("models/semtf:predict", json=body(np.zeros((3, 72, 48), np.uint8))).is_success
    assert count() == before + 1


def test_the_front_process_holds_no_tensorflow(served: Server) -> None:
    maps = Path(f"/proc/{served.process.pid}/maps").read_text()
    assert "libpython" in maps or "numpy" in maps
    assert "tensorflow" not in maps
