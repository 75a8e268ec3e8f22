"""What the functions of `semtf.backend` give for drawn inputs; both sets must give the same.

python tests/backend/addons_figures.py    # in the current set: writes the stored figures
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from semtf.backend import images, layers, metrics, optimizers

STORED = Path(__file__).parents[1] / "fixtures/addons.npz"
Figures = dict[str, np.ndarray]


def drawn(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(1.0, 2.0, shape).astype(np.float32)


def normalised(layer: keras.layers.Layer) -> Figures:
    """Outputs of a layer of normalisation, and the gradients of inputs, gains and offsets."""
    inputs = tf.constant(drawn((2, 8, 6, 8)))
    layer.build(inputs.shape)
    layer.set_weights([drawn((8,), 1), drawn((8,), 2)])
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs)
        loss = tf.reduce_sum(outputs * drawn(outputs.shape, 3))
    gradients = tape.gradient(loss, [inputs, *layer.trainable_variables])
    return {"outputs": outputs, **{f"gradient_{i}": g for i, g in enumerate(gradients)}}


def spectral() -> Figures:
    """Outputs and kernel of a convolution after two training steps, and its gradients."""
    inputs = tf.constant(drawn((2, 8, 6, 3)))
    layer = layers.spectral_normalization(keras.layers.Conv2D(4, 3))
    layer.build(inputs.shape)
    layer.layer.set_weights([drawn((3, 3, 3, 4), 1), drawn((4,), 2)])
    (vector,) = (v for v in layer.non_trainable_variables if tuple(v.shape) == (1, 4))
    vector.assign(drawn((1, 4), 3))
    layer(inputs, training=True)
    with tf.GradientTape() as tape:
        outputs = layer(inputs, training=True)
        loss = tf.reduce_sum(outputs**2)
    gradients = tape.gradient(loss, layer.layer.trainable_variables)
    return {
        "outputs": outputs,
        "kernel": layer.layer.get_weights()[0],
        "vector": vector.numpy(),
        "kernel_gradient": gradients[0] / 100,
        "evaluated": layer(inputs, training=False),
    }


def adamw() -> Figures:
    """Weights after steps of falling rates, at the last of which it is zero."""
    weights = [tf.Variable(drawn((3, 4), i)) for i in range(2)]
    optimizer = optimizers.adamw(0.01, 0.1)
    optimizer.build(weights)
    for step, rate in enumerate((0.01, 0.02, 0.005, 0.0)):
        optimizer.learning_rate = rate
        gradients = [tf.constant(drawn((3, 4), 10 * step + i)) for i in range(2)]
        optimizer.apply_gradients(zip(gradients, weights, strict=True))
    (rate,) = optimizers.learning_rates(optimizer)
    return {"first": weights[0], "second": weights[1], "rate": tf.convert_to_tensor(rate)}


def averaged() -> Figures:
    """Averages of weights after steps with a decay that grows to its limit."""
    averages = [tf.Variable(drawn((3, 4)), trainable=False)]
    update = optimizers.moving_average(0.9)
    found = {}
    for step in (1, 2, 50, 1000):
        update(averages, [tf.constant(drawn((3, 4), step))], tf.constant(step, tf.int64))
        found[f"after_{step}"] = averages[0].numpy()
    return found


def translated() -> Figures:
    """Images moved by whole pixels, all alike and each in its own way."""
    grey = np.random.default_rng(0).integers(0, 256, (4, 8, 6)).astype(np.uint8)
    moves = ((0, 0), (2, -1), (-3, 2), (0, 3))
    found = {
        f"by_{i}": images.translated(tf.constant(grey, tf.float32), move)
        for i, move in enumerate(moves)
    }
    found["each"] = images.each_translated(grey, np.array(moves))
    pairs = np.stack([grey, 255 - grey], axis=1)
    found["pairs"] = images.each_translated(pairs, np.array(moves))
    return found


def kappa() -> Figures:
    """Cohen's kappa of labels of which most agree."""
    generator = np.random.default_rng(0)
    true = generator.integers(0, 4, 50)
    predicted = np.where(generator.random(50) < 0.7, true, generator.integers(0, 4, 50))
    return {"kappa": np.array(metrics.cohen_kappa(true, predicted, 4))}


FIGURES: dict[str, Callable[[], Any]] = {
    "instance": lambda: normalised(layers.instance_normalization()),
    "group": lambda: normalised(layers.group_normalization(4)),
    "spectral": spectral,
    "adamw": adamw,
    "averaged": averaged,
    "translated": translated,
    "kappa": kappa,
}

if __name__ == "__main__":
    arrays = {
        f"{name}/{part}": np.asarray(value)
        for name, figures in FIGURES.items()
        for part, value in figures().items()
    }
    np.savez_compressed(STORED, **arrays)
