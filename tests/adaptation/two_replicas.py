"""Print how far one and two replicas differ in a step on the same joint batch, and its size.

The argument is JSON, fields of the configuration to change.
"""

import dataclasses
import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf

from semtf.adaptation.cyclegan import CycleGAN
from semtf.config import AdaptationConfig, ImageConfig

IMAGE = ImageConfig(24, 16)
# Plain gradient descent below, because Adam's first step hides the size of a gradient.
CONFIG = AdaptationConfig(warm_up_steps=0, width=4, batch=4, critic_steps=2)


def change(
    config: AdaptationConfig, strategy: tf.distribute.Strategy, data: tf.data.Dataset
) -> np.ndarray:
    keras.utils.set_random_seed(0)
    with strategy.scope():
        network = CycleGAN(IMAGE, config, 0)
        network.compile()
        network.generator_optimizer = keras.optimizers.SGD(1e-3)
        network.critic_optimizer = keras.optimizers.SGD(1e-3)
        network.generator_optimizer.build(network.generator_variables())
        network.critic_optimizer.build(network.critic_variables())
    variables = network.generator_variables() + network.critic_variables()
    before = [np.array(v) for v in variables]
    network.fit(data, steps_per_epoch=1, verbose=0)
    return np.concatenate(
        [(np.array(v) - old).ravel() for v, old in zip(variables, before, strict=True)]
    )


def main() -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    config = dataclasses.replace(CONFIG, **json.loads(sys.argv[1]))
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (2, 8, 24, 16, 1)).astype(np.float32)
    data = tf.data.Dataset.from_tensors((images[0], images[1])).repeat()
    data = data.unbatch().batch(8, drop_remainder=True)
    one = change(config, tf.distribute.OneDeviceStrategy("/cpu:0"), data)
    two = change(config, tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"]), data)
    print(np.abs(one - two).max(), np.abs(one).max())


if __name__ == "__main__":
    main()
