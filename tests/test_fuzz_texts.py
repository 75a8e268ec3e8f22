"""Tables, settings and manifests that nobody should write: one line that says so, never a crash."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semtf.cases import CHALLENGE, parse_cases
from semtf.data.average_depth import read_average_depth
from semtf.data.file_source import open_source
from semtf.errors import InputError
from semtf.estimation.predictions import read_column
from semtf.formats import stamped
from semtf.manifest import MANIFEST, check_manifest
from semtf.presets import preset
from semtf.run import CONFIG as CONFIG_FILE
from semtf.run import Run
from semtf.serving.server.model_config import read_model_config
from semtf.serving.server.version import Options

TABLE = b"name,site\na.png,1\nb.png,2\n"
AVERAGE = b"0,1\ndepth_110_site_00000,108.5\ndepth_120_site_00001,118\n"
CASES = json.dumps([{"case": 1, "plate": 140, "simulator": "Case_1", "fab": "Depth_110"}]).encode()
CONFIG = json.dumps(stamped("run", asdict(preset("quick")))).encode()
MODELS = b'model_config_list { config { name: "a" base_path: "b" model_platform: "tensorflow" } }'
MANIFESTED = b'{"a.npy": {"bytes": 3, "sha256": "00"}}'


def sites(path: Path) -> Any:
    return read_column(path, "site", np.array(["a.png", "b.png"]))


def average(path: Path) -> Any:
    source = open_source(path.parent)
    return read_average_depth(source, source.find(path.name), CHALLENGE)


def cases(path: Path) -> Any:
    return parse_cases(path.read_bytes().decode("utf-8", "replace"), path.name)


def models(path: Path) -> Any:
    return read_model_config(path, Options())


def manifest(path: Path) -> Any:
    return check_manifest(path.parent, "copy it anew", full=True)


def config(path: Path) -> Any:
    return Run.open(path.parent)


READERS: dict[str, tuple[Callable[[Path], Any], bytes, str]] = {
    "sites": (sites, TABLE, "sites.csv"),
    "average depth": (average, AVERAGE, "average_depth.csv"),
    "cases": (cases, CASES, "cases.json"),
    "config": (config, CONFIG, CONFIG_FILE),
    "models": (models, MODELS, "models.config"),
    "manifest": (manifest, MANIFESTED, MANIFEST),
}


@st.composite
def mutations(draw: st.DrawFn, whole: bytes) -> bytes:
    """A file with bytes changed, taken out, put in, or of any kind."""
    kind = draw(st.integers(0, 4))
    start = draw(st.integers(0, len(whole)))
    stop = draw(st.integers(start, min(len(whole), start + 20)))
    if kind == 0:
        return whole[:start] + whole[stop:]
    if kind == 1:
        return whole[:start] + draw(st.binary(max_size=8)) + whole[stop:]
    if kind == 2:
        word = draw(
            st.sampled_from(["NaN", "1e999", "-1", "null", "[]", "{}", '"', ",", ";", "\r"])
        )
        return whole[:start] + word.encode() + whole[stop:]
    if kind == 3:
        return draw(st.text(max_size=40)).encode("utf-8", "surrogatepass")
    return whole[:start] + whole[start:stop] * 3 + whole[stop:]


def check(kind: str, folder: Path, content: bytes) -> None:
    read, _, name = READERS[kind]
    (folder / name).write_bytes(content)
    try:
        read(folder / name)
    except InputError as refused:
        message = str(refused)
        assert message


FEW = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@pytest.mark.parametrize("kind", READERS)
@FEW
@given(data=st.data())
def test_mutated_texts(kind: str, tmp_path: Path, data: st.DataObject) -> None:
    check(kind, tmp_path, data.draw(mutations(READERS[kind][1])))


@pytest.mark.parametrize("kind", READERS)
def test_the_texts_themselves_are_taken(kind: str, tmp_path: Path) -> None:
    read, whole, name = READERS[kind]
    (tmp_path / "a.npy").write_bytes(b"abc")
    (tmp_path / name).write_bytes(whole)
    if kind == "manifest":
        with pytest.raises(InputError, match="SHA-256"):
            read(tmp_path / name)
    else:
        read(tmp_path / name)


@pytest.mark.slow
@pytest.mark.parametrize("kind", READERS)
@settings(FEW, max_examples=2000, derandomize=False)
@given(data=st.data())
def test_many_more_mutated_texts(kind: str, tmp_path: Path, data: st.DataObject) -> None:
    check(kind, tmp_path, data.draw(mutations(READERS[kind][1])))
