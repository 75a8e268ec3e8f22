"""Keras, imported only where it computes with TensorFlow.

The packages that use Keras most make the same check in their ``__init__``.
"""

from semtf.backend.computation import require_tensorflow

require_tensorflow()

import keras  # noqa: E402 - another backend is refused before Keras loads it

__all__ = ["keras"]
