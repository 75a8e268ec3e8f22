"""Copies of functional models."""

from collections.abc import Callable
from typing import Any

from semtf.backend.checked_keras import keras
from semtf.backend.installed import is_classic


def with_layers(
    model: keras.Model, replaced: Callable[[keras.layers.Layer], keras.layers.Layer]
) -> keras.Model:
    """A copy of a functional model, each of its layers replaced; weights are new."""
    if is_classic():
        return keras.models.clone_model(model, clone_function=replaced)

    def call(layer: keras.layers.Layer, *inputs: Any, **options: Any) -> Any:
        # Only normalisation knows a mask; images have none.
        return layer(*inputs, **{k: v for k, v in options.items() if k != "mask"})

    return keras.models.clone_model(model, clone_function=replaced, call_function=call)
