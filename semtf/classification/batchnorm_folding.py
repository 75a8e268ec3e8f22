"""Batch normalisation folded into the convolutions before it: the same outputs, fewer steps."""

import keras
import numpy as np
import tensorflow as tf

from semtf.backend.models import with_layers

CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)


def folded(model: keras.Model) -> keras.Model:
    """A copy of a functional model for inference, without the normalisation after convolutions.

    Outside training, batch normalisation is one affine map for each channel. Scaling the kernel of
    the convolution before it and shifting its bias has the same effect (B. Jacob et al.,
    "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", CVPR 2018, section 3.2). Normalisations after anything else stay.
    """
    normalised = _normalised(model)
    norms = {norm.name for norm in normalised.values()}

    def layer_of(layer: keras.layers.Layer) -> keras.layers.Layer:
        if layer.name in norms:
            return keras.layers.Identity(name=layer.name)
        config = layer.get_config()
        if layer.name in normalised:
            config["use_bias"] = True
        return type(layer).from_config(config)

    copy = with_layers(model, layer_of)
    for layer in model.layers:
        if layer.name in normalised:
            copy.get_layer(layer.name).set_weights(_weights(layer, normalised[layer.name]))
        elif layer.weights and layer.name not in norms:
            copy.get_layer(layer.name).set_weights(layer.get_weights())
    return copy


def _normalised(model: keras.Model) -> dict[str, keras.layers.BatchNormalization]:
    """The normalisation after each linear convolution whose output nothing else takes, by name."""
    consumers: dict[int, list[keras.layers.Layer]] = {}
    for layer in model.layers:
        for tensor in tf.nest.flatten(layer.input):
            consumers.setdefault(id(tensor), []).append(layer)
    normalised = {}
    for layer in model.layers:
        after = consumers.get(id(layer.output), [])
        linear = isinstance(layer, CONVOLUTIONS) and layer.activation is keras.activations.linear
        if linear and [type(consumer) for consumer in after] == [keras.layers.BatchNormalization]:
            normalised[layer.name] = after[0]
    return normalised


def _weights(layer: keras.layers.Layer, norm: keras.layers.BatchNormalization) -> list[np.ndarray]:
    """Kernel and bias of the convolution that does what convolution and normalisation did."""
    kernel, bias = layer.get_weights() if layer.use_bias else (*layer.get_weights(), 0.0)
    mean, variance = norm.moving_mean.numpy(), norm.moving_variance.numpy()
    gamma = norm.gamma.numpy() if norm.scale else 1.0
    beta = norm.beta.numpy() if norm.center else 0.0
    factor = gamma / np.sqrt(variance + norm.epsilon)
    # A depthwise kernel has its channels on the last axis but one.
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    scaled = kernel * (factor.reshape(kernel.shape[2:]) if depthwise else factor)
    return [scaled, beta + (bias - mean) * factor]
