"""Open an export: its signatures, and the SavedModel with the operations it needs."""

import importlib
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from semtf.backend.messages import as_json
from semtf.manifest import MANIFEST, check_manifest
from semtf.serving.saved_model.export_metadata import read_export_metadata

SCANN = "scann.scann_ops.py.scann_ops"


def register_operations(metadata: dict[str, Any]) -> None:
    """Register ScaNN's operations where an export needs them."""
    if metadata.get("needs_scann_operations"):
        importlib.import_module(SCANN)


def load(folder: Path) -> Any:
    """The SavedModel of an export, as `tf.saved_model.load` gives it.

    Raises:
        InputError: a file of the export is missing or is not as it was written.
    """
    if (folder / MANIFEST).exists():
        check_manifest(folder, "copy the export anew, or export again", complete=True)
    register_operations(read_export_metadata(folder))
    return tf.saved_model.load(str(folder))


def signature_def(folder: Path) -> dict[str, Any]:
    """The signatures of a SavedModel as JSON objects, as TensorFlow Serving's metadata has them."""
    model = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    signatures = {
        name: as_json(definition) for name, definition in model.meta_graphs[0].signature_def.items()
    }
    return dict(sorted(signatures.items()))
