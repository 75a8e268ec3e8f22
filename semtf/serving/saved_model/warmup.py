"""The warm-up requests of an export, which TensorFlow Serving replays before a version goes live.

The format is a TFRecord file of ``tensorflow.serving.PredictionLog`` messages.
"""

from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf

from semtf.serving.frames import Tensors
from semtf.serving.saved_model import prediction_log

WARMUP = Path("assets.extra") / "tf_serving_warmup_requests"


def write_warmup(folder: Path, inputs: Mapping[str, Tensors]) -> None:
    """Write one request for each signature into an export; ``inputs`` are by signature."""
    path = folder / WARMUP
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, tensors in inputs.items():
            writer.write(prediction_log.serialise(name, tensors))


def read_warmup(folder: Path) -> dict[str, Tensors]:
    """The warm-up requests of an export: by signature, its inputs by name."""
    records = tf.data.TFRecordDataset(str(folder / WARMUP)).as_numpy_iterator()
    return dict(map(prediction_log.parse, records))
