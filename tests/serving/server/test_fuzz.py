"""Bodies that no client should send: never a 500, never anything but JSON, the server goes on."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semtf.serving.server.app import application
from semtf.serving.server.model_config import ModelConfig
from semtf.serving.server.version import Options
from tests.serving.server.fake_server import fake_models
from tests.serving.server.fake_worker import FakeWorker
from tests.serving.server.test_versions import add

KINDS = ("FLOAT", "DOUBLE", "INT8", "INT32", "INT64", "UINT8", "UINT64", "BOOL", "STRING")
SIGNATURES = {kind: {"inputs": {"x": {"dtype": f"DT_{kind}"}}} for kind in KINDS} | {
    "serving_default": {"inputs": {"x": {"dtype": "DT_FLOAT"}}},
    "two": {"inputs": {"x": {"dtype": "DT_STRING"}, "y": {"dtype": "DT_INT32"}}},
    "other": {"inputs": {"x": {"dtype": "DT_COMPLEX64"}}},
}
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=8),
    st.builds(lambda text: {"b64": text}, st.text("aGVs=+/_- \n", max_size=9)),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["x", "y", "b64", "z"]), inner, max_size=3)
    ),
    max_leaves=12,
)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "signature_name": st.sampled_from([*SIGNATURES, "none", ""]) | LEAVES,
        "instances": VALUES,
        "inputs": VALUES,
        "context": LEAVES,
    },
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A request, mutated in some of the cases, or bytes of any kind."""
    body = json.dumps(draw(DOCUMENTS), ensure_ascii=draw(st.booleans()))
    encoded = body.encode("utf-8", "surrogatepass")
    kind = draw(st.integers(0, 4))
    if kind == 0:
        place = draw(st.integers(0, len(encoded)))
        return encoded[:place] + draw(st.binary(max_size=6)) + encoded[place:]
    if kind == 1:
        return encoded[: draw(st.integers(0, len(encoded)))]
    if kind == 2:
        return draw(st.binary(max_size=60))
    return encoded


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Asks the application, whose worker gives back its inputs."""
    folder = tmp_path_factory.mktemp("m")
    add(folder, 1)

    class Echo(FakeWorker):
        async def predict(self, signature: str, tensors: Any) -> Any:
            return {"y": tensors["x"]}

    loop = asyncio.new_event_loop()
    config = ModelConfig("m", folder, Options(window=0.0))
    models, predicting = fake_models(config, lambda: Echo(SIGNATURES))
    loop.run_until_complete(models.served("m", None).update())
    transport = httpx.ASGITransport(application(models, predicting))
    client = httpx.AsyncClient(transport=transport, base_url="http://localhost")

    def asked(path: str, content: bytes, method: str = "POST") -> httpx.Response:
        return loop.run_until_complete(client.request(method, path, content=content))

    yield asked
    loop.run_until_complete(client.aclose())
    loop.run_until_complete(models.close())
    loop.close()


def check(ask: Callable[..., httpx.Response], path: str, content: bytes) -> None:
    answer = ask(path, content)
    assert answer.status_code in (200, 400, 404, 413, 501), (content, answer.text)
    document = json.loads(answer.text)
    assert set(document) in ({"error"}, {"predictions"}, {"outputs"})


FEW = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
MANY = settings(FEW, max_examples=20_000, derandomize=False)


@FEW
@given(content=bodies())
def test_bodies(ask: Callable[..., httpx.Response], content: bytes) -> None:
    check(ask, "/v1/models/m:predict", content)


@FEW
@given(content=st.text(max_size=30))
def test_paths(ask: Callable[..., httpx.Response], content: str) -> None:
    path = "".join(letter for letter in content if letter not in "?#\\" and letter.isprintable())
    for method in ("GET", "POST"):
        answer = ask(f"/v1/{path}", b'{"instances": [1]}', method)
        assert answer.status_code in (200, 400, 404, 501, 307), (path, answer.text)


@pytest.mark.slow
@MANY
@given(content=bodies())
def test_many_more_bodies(ask: Callable[..., httpx.Response], content: bytes) -> None:
    check(ask, "/v1/models/m:predict", content)
