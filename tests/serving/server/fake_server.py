"""A server whose models are fake workers: its parts, and on a real socket."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from semtf.serving.server.app import application
from semtf.serving.server.metrics import Metrics
from semtf.serving.server.model_config import ModelConfig
from semtf.serving.server.models import Models
from semtf.serving.server.predicting import Limits, Predicting
from tests.serving.server.fake_worker import FakeWorker

FLOATS = {"serving_default": {"inputs": {"x": {"dtype": "DT_FLOAT"}}}}
"""Signatures with one input, of float values."""


def fake_models(
    config: ModelConfig,
    worker: Callable[[], FakeWorker],
    limits: Limits | None = None,
    poll: float = 1.0,
) -> tuple[Models, Predicting]:
    """A model whose versions are fake workers, and what answers requests to it."""

    async def start(folder: Path, threads: int, hurry: bool) -> FakeWorker:
        return worker()

    metrics = Metrics()
    models = Models({config.name: config}, metrics, poll, start_worker=start)
    return models, Predicting(limits or Limits(), metrics)


@contextmanager
def listening(models: Models, predicting: Predicting, **settings: Any) -> Iterator[int]:
    """The port of a server of a model, which is available; ``settings`` are uvicorn's."""
    app = application(models, predicting)
    server = uvicorn.Server(uvicorn.Config(app, **settings))
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    port = listener.getsockname()[1]
    (name,) = models.by_name
    url = f"http://127.0.0.1:{port}/v1/models/{name}"
    while "AVAILABLE" not in httpx.get(url, trust_env=False, timeout=60).text:
        time.sleep(0.02)
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join()
