"""Estimation: from SEM images to case, neighbours and depth."""

from semtf.backend import require_tensorflow

require_tensorflow()
