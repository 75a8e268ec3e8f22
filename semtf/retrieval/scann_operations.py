"""ScaNN's TensorFlow operations: loaded on demand, and as quiet as TensorFlow."""

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
            "take the exact index (--index exact of semtf train, predict and export), or install "
            "the versions that semtf doctor names"
        ) from error
    _keep_quiet(Path(scann_ops.__file__).parents[1] / "cc" / "_scann_ops.so")
    return scann_ops


@cache
def _keep_quiet(library: Path) -> None:
    """Let ScaNN log what ``TF_CPP_MIN_LOG_LEVEL`` lets TensorFlow log, and always errors.

    ScaNN reports every clustering on stderr. It logs through the copy of Abseil in TensorFlow's
    library, whose level no environment variable sets, only its C++ function. What fails in ScaNN's
    operations is an exception and not affected.
    """
    level = min(int(os.environ.get("TF_CPP_MIN_LOG_LEVEL", "0")), ERROR)
    frameworks = sorted(Path(tf.sysconfig.get_lib()).glob("libtensorflow_framework.so*"))
    if level == 0 or not frameworks or not library.is_file():
        return
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as code:
        found = SET_MIN_LOG_LEVEL.search(code)
        name = found[0].decode() if found else ""
    function = getattr(ctypes.CDLL(str(frameworks[0])), name, None)
    if function is not None:
        function(level)
