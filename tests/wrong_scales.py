"""Images that cannot be grey levels, for Python and for the exported graph."""

import numpy as np

GREY = np.random.default_rng(0).integers(0, 213, (72, 48)).astype(np.float32)


def wrong_scales() -> dict[str, tuple[np.ndarray, str]]:
    """By name, float32 ``[72, 48]`` on a wrong scale, and what must be said about it."""
    return {
        "unit": (GREY / 255, r"floats of at most 0\.83137.*; multiply by 255"),
        "unit_white": (GREY / 212, r"floats of at most 1(\.0)?, .*; multiply by 255"),
        "black": (0 * GREY, r"floats of at most 0(\.0)?, .*give it as uint8 or PNG"),
        "network": (GREY / 106 - 1, r"values down to -1(\.0)?, .*undo the scaling"),
        "zero_mean": (GREY - 106, r"values down to -106(\.0)?, .*undo the scaling"),
        "overshoot": (GREY - 0.25, r"values down to -0\.25, .*clip what only overshoots"),
        "twelve_bits": (GREY * 16, r"values up to 3392(\.0)?, .*0-255 .*--range16"),
        "sixteen_bits": (GREY * 256, r"values up to 54272(\.0)?, .*divide by 257"),
    }
