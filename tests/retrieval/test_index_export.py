"""Several indexes in one SavedModel keep apart after reloading."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from semtf.retrieval.index import ExactIndex, Index
from semtf.retrieval.scann_index import ScannIndex


@pytest.mark.parametrize("kind", [ExactIndex, ScannIndex])
def test_two_indexes_in_one_saved_model(kind: type[Index], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(2, 300, 16)).astype(np.float32)
    queries = rng.normal(size=(20, 16)).astype(np.float32)
    module = tf.Module()
    module.first, module.second = kind.build(embeddings[0]), kind.build(embeddings[1])
    spec = tf.TensorSpec([None, 16], tf.float32)
    module.search = tf.function(
        lambda q: {"first": module.first.search(q, 3)[1], "second": module.second.search(q, 3)[1]},
        input_signature=[spec],
    )
    tf.saved_model.save(module, str(tmp_path / "model"))
    again = tf.saved_model.load(str(tmp_path / "model"))
    found = again.search(tf.constant(queries))
    for name, own in zip(("first", "second"), embeddings, strict=True):
        expected = np.argsort(-(queries @ own.T), axis=1)[:, :3]
        np.testing.assert_array_equal(found[name].numpy(), expected)
