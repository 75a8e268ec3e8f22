"""The case of an image: EfficientNet-B0 and lighter networks, calibrated."""

from semtf.backend import require_tensorflow

require_tensorflow()
