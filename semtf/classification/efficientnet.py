"""EfficientNet-B0 through KerasCV, for small grey images."""

from types import ModuleType
from typing import Any

import keras
import tensorflow as tf

from semtf.backend.quiet import imported
from semtf.backend.seeds import kept_randomness
from semtf.errors import InputError

# The B0 row of the paper's scaling table. KerasCV's own alias for it asks the network for its
# preset even where no weights are wanted, so the arguments are given here.
B0: dict[str, Any] = {
    "stackwise_kernel_sizes": [3, 3, 5, 3, 5, 5, 3],
    "stackwise_num_repeats": [1, 2, 2, 3, 3, 4, 1],
    "stackwise_input_filters": [32, 16, 24, 40, 80, 112, 192],
    "stackwise_output_filters": [16, 24, 40, 80, 112, 192, 320],
    "stackwise_expansion_ratios": [1, 6, 6, 6, 6, 6, 6],
    "stackwise_strides": [1, 2, 2, 2, 1, 2, 1],
    "stackwise_squeeze_and_excite_ratios": [0.25] * 7,
    "width_coefficient": 1.0,
    "depth_coefficient": 1.0,
    "include_rescaling": False,
}


def keras_cv() -> ModuleType:
    """The module of KerasCV; raises InputError where it cannot be loaded."""
    try:
        return imported("keras_cv")
    except ImportError as error:
        raise InputError(
            f"classification.backbone=efficientnet_b0: KerasCV cannot be loaded ({error}); install "
            "keras-cv as docs/install.md says, or --set classification.backbone=small in a new run"
        ) from error


@kept_randomness()
def efficientnet_b0(
    shape: tuple[int, int],
    outputs: int,
    *,
    dropout: float = 0.2,
    drop_connect: float = 0.2,
    momentum: float = 0.99,
    synchronized: bool = False,
) -> keras.Model:
    """EfficientNet-B0 with one input channel and a linear head.

    KerasCV activates the output of every inverted bottleneck; the published network, and every
    set of published weights, leaves it linear (M. Tan and Q. Le, EfficientNet, 2019, after
    M. Sandler et al., MobileNetV2, 2018). The activation is taken out here.

    Args:
        shape: height and width of the images, in pixels.
        outputs: number of logits.
        dropout: rate before the head.
        drop_connect: rate at which the last residual block is skipped in training; earlier
            blocks are skipped less, in proportion to their place.
        momentum: of the moving statistics of batch normalisation. The published 0.99 needs
            several hundred steps to forget its start.
        synchronized: take the statistics of all replicas' images in batch normalisation.

    Returns:
        A model from float32 ``[batch, height, width, 1]`` to float32 logits ``[batch, outputs]``.
    """
    backbone = keras_cv().models.EfficientNetV1Backbone(
        **B0, drop_connect_rate=drop_connect, input_shape=(*shape, 1)
    )
    # Residual blocks that start as the identity learn from the first steps on (P. Goyal et al.,
    # Accurate, Large Minibatch SGD, 2017); as initialised by KerasCV, hundreds of steps pass first.
    closed = {
        layer.name.replace("_add", "_project_bn")
        for layer in backbone.layers
        if isinstance(layer, keras.layers.Add)
    }
    for layer in backbone.layers:
        if layer.name.endswith("project_activation"):
            layer.activation = keras.activations.linear
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum, layer.synchronized = momentum, synchronized
            if layer.name in closed:
                layer.gamma.assign(tf.zeros_like(layer.gamma))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(backbone.output)
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    logits = keras.layers.Dense(outputs, dtype="float32", name="logits")(x)
    return keras.Model(backbone.input, logits, name="efficientnet_b0")
