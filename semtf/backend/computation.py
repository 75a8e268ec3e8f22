"""Keras computes with TensorFlow here; another backend is refused before anything is loaded."""

import json
import os
import sys
from pathlib import Path

from semtf.errors import InputError


def require_tensorflow() -> None:
    """Raise InputError where Keras computes, or would when it is imported, with anything else."""
    name, source = _backend()
    if name != "tensorflow":
        raise InputError(
            f"{source}: semtf computes with TensorFlow; set KERAS_BACKEND=tensorflow, before "
            "Keras is imported"
        )


def _backend() -> tuple[str, str]:
    """The name of the backend, and where it is set, for a message."""
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "config"):
        name = keras.config.backend()
        return name, f"Keras is loaded with the backend {name}"
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"], f"KERAS_BACKEND={os.environ['KERAS_BACKEND']}"
    home = os.environ.get("KERAS_HOME")
    path = (Path(home) if home else Path.home() / ".keras") / "keras.json"
    try:
        name = json.loads(path.read_text(encoding="utf-8")).get("backend", "tensorflow")
    except (OSError, ValueError):
        name = "tensorflow"
    return name, f"{path}: backend {name}"
