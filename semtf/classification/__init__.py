"""The case of an image: EfficientNet-B0 and lighter networks, calibrated."""
