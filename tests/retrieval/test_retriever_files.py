"""Retrievers on disk."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from semtf.config import RetrievalConfig
from semtf.errors import InputError
from semtf.retrieval.blending import Blending, blend
from semtf.retrieval.retriever import Retriever
from semtf.retrieval.retriever_files import load_retriever, save_retriever
from semtf.retrieval.storage import Storage

KINDS = ("exact", "scann")


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded(
    tmp_path: Path, kind: str, storage: Callable[..., Storage], blobs: Callable[..., np.ndarray]
) -> None:
    pairs = storage(tmp_path / "storage", 30)
    built = Retriever.build(pairs, RetrievalConfig(index=kind), seed=0)
    save_retriever(built, tmp_path / "index")
    loaded = load_retriever(tmp_path / "index", Storage.open(tmp_path / "storage"))
    queries = tf.constant(blobs(9, 7), tf.float32)
    estimates = [
        blend(retriever, queries, retriever.search(queries, 4), Blending(4, "reconstruction"))
        for retriever in (built, loaded)
    ]
    tf.nest.map_structure(np.testing.assert_array_equal, *estimates)


def test_other_storage_or_folder_is_refused(
    tmp_path: Path, storage: Callable[..., Storage]
) -> None:
    retriever = Retriever.build(storage(tmp_path / "a", 12), RetrievalConfig(), seed=0)
    save_retriever(retriever, tmp_path / "index")
    with pytest.raises(InputError, match="built on 12 pairs"):
        load_retriever(tmp_path / "index", storage(tmp_path / "b", 9))
    with pytest.raises(InputError, match="not a retrieval folder"):
        load_retriever(tmp_path / "a", storage(tmp_path / "b", 9))
