"""The start of a training: what generators learn before the critics, and when they do."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from semtf.adaptation import train as training
from semtf.adaptation.cut import CUT
from semtf.adaptation.cyclegan import CycleGAN
from semtf.adaptation.warm_up import warm_up
from semtf.config import AdaptationConfig, ImageConfig
from semtf.data.image_sets import FabSet, SimulatorSet
from semtf.presets import preset

IMAGE = ImageConfig(24, 16)
CONFIG = AdaptationConfig(
    width=8, batch=4, critic_steps=1, first_epochs=1, other_epochs=1, steps_per_epoch=1,
    tensorboard=False,
)  # fmt: skip


def sets() -> tuple[SimulatorSet, FabSet]:
    """Smooth dark images of large contrast, and bright ones of small contrast."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:24, :16]
    phases = rng.uniform(0, 6, (20, 2, 1, 1))
    waves = np.sin(rows / 4 + phases[:, :1]) * np.cos(columns / 3 + phases[:, 1:])
    sem = np.rint(70 + 50 * waves).astype(np.uint8)
    fab = np.rint(150 + 20 * waves[::-1, 0]).astype(np.uint8)
    names = np.array([f"n{i}" for i in range(20)])
    pairs = SimulatorSet(1, np.repeat(sem, 2, axis=1), sem[:, 0], names, names)
    return pairs, FabSet(1, fab, names, names)


def far(network: CycleGAN | CUT, simulator: SimulatorSet, fab: FabSet) -> list[float]:
    """How far each generator's images lie from the moments of its target, in grey levels."""
    domains = (simulator.mean_sem().astype(float), fab.images.astype(float))
    found = []
    for model, source, target in zip(network.generators, domains, domains[::-1], strict=False):
        made = (np.asarray(model(source[..., None] / 106 - 1))[..., 0] + 1) * 106
        scale = target.std(axis=0) / source.std(axis=0)
        expected = (source - source.mean(axis=0)) * scale + target.mean(axis=0)
        found.append(float(np.abs(made - expected).mean()))
    return found


@pytest.mark.parametrize("kind", [CycleGAN, CUT])
def test_generators_learn_the_moments_of_their_targets(kind: type) -> None:
    simulator, fab = sets()
    network = kind(IMAGE, CONFIG, 0)
    network.compile()
    before = far(network, simulator, fab)
    critic = network.critics[0].get_weights()
    batches = training.batches(network, simulator, fab, 0)(0).take(60)
    warm_up(network, simulator, fab, IMAGE, batches)
    after = far(network, simulator, fab)
    assert len(after) == len(network.generators)
    assert max(after) < 12 < min(before)
    for one, other in zip(critic, network.critics[0].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert int(tf.convert_to_tensor(network.step)) == 0


def test_only_new_networks_start_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simulator, fab = sets()
    counts = []

    def count(*arguments: object) -> None:
        counts.append(len(list(arguments[-1])))  # type: ignore[call-overload]

    monkeypatch.setattr(training, "warm_up", count)
    for steps in (0, 3):
        config = dataclasses.replace(CONFIG, warm_up_steps=steps)
        folder = tmp_path / str(steps)
        training.train(simulator, fab, IMAGE, config, folder=folder, seed=0)
    assert counts == [3]
    training.train(
        simulator, fab, IMAGE, config, folder=tmp_path / "later", seed=0, warm_start=folder
    )
    assert counts == [3]
    assert len(pd.read_csv(tmp_path / "later" / "history.csv")) == 1


def test_the_recipe_starts_from_random_weights() -> None:
    assert preset("challenge").adaptation.warm_up_steps == 0
    assert preset("quick").adaptation.warm_up_steps > 0
