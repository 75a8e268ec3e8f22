"""ScaNN's TensorFlow operations: loaded on demand, and quiet about what is no error."""

import ctypes
import mmap
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import tensorflow as tf

from semtf.errors import InputError

# The C++ name of absl::SetMinLogLevel; the number in it is the release of Abseil.
SET_MIN_LOG_LEVEL = re.compile(rb"_ZN4absl\d+lts_\d+14SetMinLogLevelENS0_18LogSeverityAtLeastE")
ERROR = 2


def scann_operations() -> Any:
    """The module of ScaNN's operations.

    Raises:
        InputError: ScaNN is not installed, or does not load beside this TensorFlow.
    """
    try:
        from scann.scann_ops.py import scann_ops
    except (ImportError, tf.errors.NotFoundError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"ScaNN cannot be loaded beside TensorFlow {tf.__version__} ({reason}); "
            "use --index exact, or install the versions that docs/install.md names"
        ) from error
    _silence(Path(scann_ops.__file__).parents[1] / "cc" / "_scann_ops.so")
    return scann_ops


@cache
def _silence(library: Path) -> None:
    """Let ScaNN log errors only, except with ``TF_CPP_MIN_LOG_LEVEL=0``, which ``--debug`` sets.

    ScaNN reports every clustering on stderr. It holds a copy of Abseil's logging of its own, which
    reads no environment variable; the level can be set by its C++ function alone. Failures of
    its operations are exceptions and not affected.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0" or not library.is_file():
        return
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as code:
        name = SET_MIN_LOG_LEVEL.search(code)
        if name is not None:
            getattr(ctypes.CDLL(str(library)), name[0].decode())(ERROR)
