"""Train small networks on the replicas of this process and of the workers of TF_CONFIG.

The argument is JSON: ``kinds`` (names of `KINDS`), ``folder``, where the results of the chief go,
and ``devices``, logical devices of this CPU to mirror over. The training of the kind ``stopped`` is
interrupted after two epochs.
"""

import contextlib
import dataclasses
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np

from semtf.config import AdaptationConfig, ClassificationConfig, ImageConfig
from semtf.distribution import choose_strategy

IMAGE = ImageConfig(24, 16)
SMALL = AdaptationConfig(
    width=4,
    batch=12,
    critic_steps=2,
    blocks=1,
    steps_per_epoch=3,
    tensorboard=False,
    warm_up_steps=0,
)
EPOCHS = 3
KINDS: dict[str, Any] = {
    "batch norm": {"norm": "batch", "synchronized": True},
    "lsgan": {"loss": "lsgan"},
    "cut": {"nce_patches": 8, "nce_features": 8},
    "stopped": {},
    "classifier": {},
}
# Plain gradient descent in float64: the first steps of Adam turn the rounding of a gradient near 0
# into a whole step, and sums in another order differ in float32 by as much as a small mistake.
RATE = 1e-2
CLASSIFIER = ClassificationConfig(
    backbone="small",
    batch=12,
    epochs=3,
    steps_per_epoch=3,
    synchronized=True,
    validation=0.3,
    learning_rate=RATE,
)


@contextlib.contextmanager
def float64() -> Iterator[None]:
    """Let networks that are made in the block compute in float64."""
    import keras

    before = keras.mixed_precision.global_policy()
    keras.backend.set_floatx("float64")
    keras.mixed_precision.set_global_policy("float64")
    try:
        yield
    finally:
        keras.backend.set_floatx("float32")
        keras.mixed_precision.set_global_policy(before)


def pairs() -> tuple[Any, Any]:
    from semtf.data.image_sets import FabSet, SimulatorSet

    rng = np.random.default_rng(0)
    sem = rng.integers(0, 213, (40, 2, 24, 16), dtype=np.uint8)
    names = np.array([f"n{i}" for i in range(40)])
    return (
        SimulatorSet(1, sem, sem[:, 0], names, names),
        FabSet(1, sem[::-1, 1] // 2, names, names),
    )


def adapt(kind: str, folder: Path, strategy: Any, *, stop: bool = False) -> list[Any]:
    """Train an adapter; the chief's variables and averages, then scores, history and choice."""
    import keras
    import tensorflow as tf

    from semtf import orders, training_loop
    from semtf.adaptation import train as training
    from semtf.adaptation.cut import CUT
    from semtf.adaptation.cyclegan import CycleGAN
    from semtf.adaptation.epoch_selection import CriterionEvaluator

    simulator, fab = pairs()
    config = dataclasses.replace(SMALL, **KINDS[kind])
    keras.utils.set_random_seed(orders.is_chief(strategy))
    with strategy.scope():
        network = (CUT if kind == "cut" else CycleGAN)(IMAGE, config, 0)
        network.compile(
            generator_optimizer=keras.optimizers.SGD(RATE),
            critic_optimizer=keras.optimizers.SGD(RATE),
        )

    def interrupt(epoch: int, logs: Any) -> None:
        if stop and epoch == 1:
            raise KeyboardInterrupt

    if orders.is_chief(strategy):
        evaluator = CriterionEvaluator(simulator, fab)
        training.fit(
            network,
            simulator,
            fab,
            evaluator,
            epochs=EPOCHS,
            folder=folder,
            seed=1,
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=interrupt)],
        )
        best = [variable for part in network.generators for variable in part.weights]
        rows = np.genfromtxt(folder / "criterion.csv", delimiter=",", skip_header=2)
        history = np.genfromtxt(folder / "history.csv", delimiter=",", skip_header=1)
        epoch = json.loads((folder / "choice.json").read_text())["epoch"]
        arrays = [*map(tf.convert_to_tensor, [*network.state(), *best]), rows[:, 1], history, epoch]
    else:
        data = training.batches(network, simulator, fab, 1)
        training_loop.follow(network, data, state=network.state())
        arrays = []
    return arrays


def classify(folder: Path, strategy: Any) -> list[Any]:
    """Train a classifier; its variables and its history, of the chief."""
    import keras

    from semtf import orders
    from semtf.classification import train as classification

    classification.optimizer = lambda config: keras.optimizers.SGD(RATE)
    simulator, _ = pairs()
    images = np.concatenate([simulator.sem[:, 0] // 2, simulator.sem[:, 1]])
    cases, sites = np.repeat([1, 2], 40), np.array([f"s{i // 4}" for i in range(80)])
    classifier = classification.train(
        images, cases, sites, CLASSIFIER, seed=0, folder=folder, strategy=strategy
    )
    if not orders.is_chief(strategy):
        return []
    history = np.genfromtxt(folder / "history.csv", delimiter=",", skip_header=1)
    return [*classifier.model.get_weights(), history]


def train(
    kinds: list[str], folder: Path, strategy: Any, *, stop: bool = False
) -> dict[str, list[np.ndarray]]:
    """Everything that the trainings ended in, by kind."""
    results = {}
    for kind in kinds:
        place = folder / kind
        place.mkdir(parents=True, exist_ok=True)
        arrays: list[Any] = []
        if kind == "classifier":
            arrays = classify(place, strategy)
        else:
            with float64(), contextlib.suppress(KeyboardInterrupt):
                arrays = adapt(kind, place, strategy, stop=stop and kind == "stopped")
        results[kind] = [np.asarray(array) for array in arrays]
    return results


def main() -> None:
    asked = json.loads(sys.argv[1])
    if devices := asked.get("devices"):
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        logical = [tf.config.LogicalDeviceConfiguration()] * devices
        tf.config.set_logical_device_configuration(cpu, logical)
    strategy = choose_strategy("mirrored" if devices else "multiworker")
    folder = Path(asked["folder"])
    from semtf import orders

    for kind, arrays in train(asked["kinds"], folder, strategy, stop=True).items():
        if orders.is_chief(strategy):
            np.savez(folder / f"{kind}.npz", *arrays)
    print(strategy.num_replicas_in_sync)


if __name__ == "__main__":
    main()
