"""The application with a fake model: who is let in, and what counts as under way."""

import asyncio
from pathlib import Path

import httpx
import pytest

from semtf.serving.server.app import application
from semtf.serving.server.metrics import Metrics
from semtf.serving.server.model_config import ModelConfig
from semtf.serving.server.models import Models
from semtf.serving.server.predicting import Limits, Predicting
from semtf.serving.server.version import Options


def answer(host: str, token: str | None = None, *, local_only: bool = True) -> httpx.Response:
    """What a server without versions answers to a status request that names a host."""

    async def ask() -> httpx.Response:
        metrics = Metrics()
        configs = {"semtf": ModelConfig("semtf", Path("/nowhere"), Options())}
        predicting = Predicting(Limits(), metrics)
        app = application(Models(configs, metrics), predicting, token, local_only=local_only)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            return await client.get("/v1/models/semtf")

    return asyncio.run(ask())


@pytest.mark.parametrize("host", ["127.0.0.1:8501", "localhost:8501", "[::1]:8501", "127.3.2.1"])
def test_names_of_this_machine_are_answered(host: str) -> None:
    assert answer(host).status_code == 404


@pytest.mark.parametrize("host", ["evil.example:8501", "127.0.0.1.evil.example", "10.0.0.1"])
def test_names_of_other_sites_are_refused_without_a_token(host: str) -> None:
    refused = answer(host)
    assert refused.status_code == 403
    assert "--token-file" in refused.json()["error"]
    assert answer(host, local_only=False).status_code == 404
