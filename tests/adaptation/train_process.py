"""Train a small network, named in the registry, into a folder; a test kills and restarts it."""

import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np

from semtf.adaptation import gan_adapters  # noqa: F401 - registers the networks
from semtf.adaptation.registry import CLASSES
from semtf.adaptation.train import train
from semtf.config import AdaptationConfig, ImageConfig
from semtf.data.image_sets import FabSet, SimulatorSet

IMAGE = ImageConfig(24, 16)
CONFIG = AdaptationConfig(
    warm_up_steps=2,
    width=4,
    batch=2,
    first_epochs=40,
    early_stopping=False,
    steps_per_epoch=3,
    dropout=0.2,
)


def main() -> None:
    rng = np.random.default_rng(0)
    sem = rng.integers(0, 213, (20, 2, 24, 16), dtype=np.uint8)
    names = np.array([f"n{i}" for i in range(20)])
    simulator = SimulatorSet(1, sem, sem[:, 0], names, names)
    fab = FabSet(1, sem[::-1, 1], names, names)
    kind = CLASSES[sys.argv[1]].network
    train(simulator, fab, IMAGE, CONFIG, folder=Path(sys.argv[2]), seed=5, kind=kind)


if __name__ == "__main__":
    main()
