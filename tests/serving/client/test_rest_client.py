"""The client and `semtf predict --server` against a running server."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from semtf.cli import main
from semtf.errors import InputError
from semtf.estimation.estimator import Estimator
from semtf.estimation.result import DepthResult
from semtf.run import Run
from semtf.serving import Client, ServerError
from tests.serving.conftest import Server
from tests.serving.pngs import png

TOKEN = "a-token-of-some-length"  # noqa: S105 - of a server that lives for one test


@pytest.fixture
def client(served: Server) -> Iterator[Client]:
    with Client(served.url, batch=3) as client:
        yield client


def test_predict_gives_what_the_estimator_gives(
    client: Client, expected: DepthResult, images: np.ndarray
) -> None:
    result = client.predict(images)
    np.testing.assert_allclose(result.depth, expected.depth, atol=1e-3)
    np.testing.assert_allclose(result.sigma, expected.sigma, atol=1e-3)
    np.testing.assert_allclose(result.case_probability, expected.case_probability, atol=1e-6)
    np.testing.assert_allclose(result.similarity, expected.similarity, atol=1e-5)
    np.testing.assert_array_equal(result.case, expected.case)
    assert result.depth.dtype == np.float32
    assert result.flags == expected.flags
    for row, wanted in zip(result.neighbours, expected.neighbours, strict=True):
        assert [(n.pair, n.shift) for n in row] == [(n.pair, n.shift) for n in wanted]
        np.testing.assert_allclose([n.weight for n in row], [n.weight for n in wanted], atol=1e-5)
    files = client.predict([png(image) for image in images])
    np.testing.assert_allclose(files.depth, expected.depth, atol=1e-3)


def test_other_signatures(
    client: Client, estimator: Estimator, expected: DepthResult, images: np.ndarray
) -> None:
    np.testing.assert_array_equal(client.depth(images), expected.grey())
    case, probability = client.classify(images)
    np.testing.assert_allclose(probability, estimator.classify(images), atol=1e-6)
    np.testing.assert_array_equal(case, probability.argmax(axis=1) + 1)
    names = [[neighbour.pair for neighbour in row] for row in client.neighbours(images)]
    assert names == [[neighbour.pair for neighbour in row] for row in expected.neighbours]
    adapted = client.adapt(images, [1, 2, 3, 4, 1, 2, 3, 4])
    assert adapted.shape == images.shape
    np.testing.assert_allclose(client.adapt(images[:1], [1])[0], adapted[0], atol=1e-3)
    assert client.shape == (72, 48)
    assert client.status()[0]["state"] == "AVAILABLE"
    shares = np.tile(np.float32([0, 0, 1, 0]), (len(images), 1))
    result = client.predict(images, shares)
    np.testing.assert_array_equal(result.case, 3)
    np.testing.assert_allclose(result.depth, estimator.predict(images, shares).depth, atol=1e-3)
    assert client.call("classify", []) == []
    assert client.predict(images[:0]).flags == []


def test_refused(client: Client, served: Server, images: np.ndarray) -> None:
    with pytest.raises(ServerError, match="image 0: it is no PNG file") as refused:
        client.depth([b"hello"])
    assert refused.value.status == 400
    with pytest.raises(InputError, match="give uint8"):
        client.predict(images.astype(np.float32))
    with pytest.raises(InputError, match="not a URL"):
        Client("ftp://x")
    with pytest.raises(InputError, match="not both"):
        Client(served.url, version=1, label="stable")
    with Client(served.url, version=9) as other, pytest.raises(ServerError, match="404"):
        other.metadata()
    with Client("http://127.0.0.1:1", retries=1) as nobody, pytest.raises(ServerError) as lost:
        nobody.status()
    assert lost.value.status is None


@pytest.fixture
def answering() -> Iterator[Callable[[list[int]], str]]:
    """Starts a server that answers with the given codes, one after the other."""
    servers = []

    def start(codes: list[int]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(codes.pop(0))
                self.end_headers()
                self.wfile.write(json.dumps({"model_version_status": [], "error": "no"}).encode())

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_retries(answering: Callable[[list[int]], str]) -> None:
    codes = [429, 503, 200, 500, 503, 503, 503]
    with Client(answering(codes), retries=2, patience=0) as client:
        assert client.status() == []
        assert len(codes) == 4
        with pytest.raises(ServerError, match="500: no"):
            client.status()
        assert len(codes) == 3
        with pytest.raises(ServerError, match="503: no"):
            client.status()
        assert codes == []


def test_a_version_that_is_loaded_again_is_waited_for(
    answering: Callable[[list[int]], str],
) -> None:
    codes = [503, 503, 503, 503, 200, 429, 503, 429, 200]
    with Client(answering(codes), retries=1) as client:
        assert client.status() == []
        assert len(codes) == 4
        with pytest.raises(ServerError, match="429: no"):
            client.status()
        assert codes == [200]


def semtf(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        main.run([str(argument) for argument in arguments])
    return int(stop.value.code or 0)


def test_predict_from_a_server_writes_the_same_files(
    served: Server, run: Run, fab: Path, tmp_path: Path
) -> None:
    command = ("predict", "--images", fab / "test/SEM", "--arrays")
    here, there = tmp_path / "here", tmp_path / "there"
    assert semtf(*command, "--out", here, "--run", run.path, "--index", "exact") == 0
    assert semtf(*command, "--out", there, "--server", served.url) == 0
    names = sorted(path.name for path in here.iterdir())
    assert sorted(path.name for path in there.iterdir()) == names
    assert len(names) == 24 * 3 + 1
    for name in names:
        if name.endswith(".npy"):
            np.testing.assert_allclose(np.load(there / name), np.load(here / name), atol=1e-3)
    one, other = ((folder / "predictions.csv").read_text().splitlines() for folder in (here, there))
    assert one[0] == other[0]
    for row, wanted in zip(other[1:], one[1:], strict=True):
        assert row.split(",")[:2] == wanted.split(",")[:2]
        numbers = [[float(value) for value in line.split(",")[2:5]] for line in (row, wanted)]
        np.testing.assert_allclose(*numbers, atol=1e-3)
        assert row.split(",")[5] == wanted.split(",")[5]


def test_wrong_calls(
    served: Server, run: Run, fab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("predict", "--images", fab / "test/SEM", "--out", tmp_path / "out")
    short = tmp_path / "token"
    short.write_text("short\n")
    for options, message in (
        ((), "give --run or --server"),
        (("--run", run.path, "--server", served.url), "and not both"),
        (("--server", served.url, "--k", "3"), "--k: decided when the model was exported"),
        (("--server", served.url, "--size", "80,48"), "--size 80,48"),
        (("--server", served.url, "--token-file", short), "at least 16 characters"),
        (("--server", "localhost:8501"), "not a URL"),
        (("--server", served.url, "--model", "other"), "404: Servable not found for request"),
    ):
        assert semtf(*command, *options) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
