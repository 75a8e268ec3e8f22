"""Which of the two sets of versions is installed, found without importing any of it."""

from functools import cache
from importlib import metadata


@cache
def is_classic() -> bool:
    """Whether this is the classic set: Keras 2, with TensorFlow Addons beside it."""
    try:
        return metadata.version("keras").startswith("2.")
    except metadata.PackageNotFoundError:
        return False
