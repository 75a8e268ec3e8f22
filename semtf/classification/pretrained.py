"""Published EfficientNet-B0 weights from a local file, ImageNet or noisy student.

Two families of files are read: those with timm's names (``tf_efficientnet_b0.ns_jft_in1k``,
formerly ``tf_efficientnet_b0_ns``), as ``.safetensors`` or as a PyTorch state dict, and the
``.h5`` files of `keras.applications`. None of them is unpickled into code: PyTorch reads its own
format with ``weights_only=True``.
"""

from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
from numpy.typing import NDArray

from semtf.classification.efficientnet import B0
from semtf.errors import InputError

Arrays = dict[str, NDArray[np.float32]]
PREFIXES = ("module.model.", "module.", "model.", "backbone.")
STEM = "conv_stem.weight"
NORM = ("weight", "bias", "running_mean", "running_var")
KERAS_ORDER = (
    ("depthwise_kernel", "kernel", "bias"),
    ("gamma", "beta", "moving_mean", "moving_variance"),
)


def load_published_weights(model: keras.Model, path: Path) -> None:
    """Put the weights of a published EfficientNet-B0 into a grey one; the head stays as it is.

    The stem's kernel is summed over red, green and blue, which is what the colour network
    computes of an image with three equal channels.

    Args:
        model: made by `efficientnet_b0`; changed in place.
        path: ``.safetensors``, ``.pth``, ``.pt`` or ``.bin`` with timm's names, or ``.h5`` of
            `keras.applications`.

    Raises:
        InputError: the file is missing, of another kind, or lacks a tensor of the right shape.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file of classifier weights")
    if path.suffix not in READERS:
        raise InputError(
            f"{path}: classifier weights are read from {', '.join(READERS)}; "
            "convert the file to .safetensors"
        )
    layers = [layer for layer in model.layers if layer.weights and layer.name != "logits"]
    try:
        read, weights_of = READERS[path.suffix]
        arrays = read(path)
    except InputError:
        raise
    except Exception as error:  # each reader has its own errors for a damaged file
        raise InputError(f"{path}: cannot be read as {path.suffix} weights ({error})") from error
    arrays = without_prefix(arrays)
    for layer in layers:
        _assign(layer, weights_of(arrays, layer), path)


def _assign(layer: keras.layers.Layer, values: list[NDArray[np.float32]], path: Path) -> None:
    if layer.name == "stem_conv" and values and values[0].ndim == 4:
        values = [values[0].sum(axis=2, keepdims=True), *values[1:]]
    expected = [tuple(weight.shape) for weight in layer.weights]
    shapes = [value.shape for value in values]
    if shapes != expected:
        raise InputError(
            f"{path}: layer {layer.name} of EfficientNet-B0 needs tensors of shapes {expected}, "
            f"the file has {shapes or 'none'}"
        )
    if not all(np.isfinite(value).all() for value in values):
        raise InputError(f"{path}: layer {layer.name} has values that are not finite")
    layer.set_weights(values)


def without_prefix(arrays: Arrays) -> Arrays:
    """The arrays of a file without ``model.`` or the like, which training scripts put first."""
    for prefix in PREFIXES:
        if STEM not in arrays and prefix + STEM in arrays:
            arrays = {
                name.removeprefix(prefix): array
                for name, array in arrays.items()
                if name.startswith(prefix)
            }
    return arrays


def _read_safetensors(path: Path) -> Arrays:
    from safetensors.numpy import load_file

    return dict(load_file(path))


def _read_torch(path: Path) -> Arrays:
    try:
        import torch
    except ImportError as error:
        raise InputError(
            f"{path}: reading it needs PyTorch; install torch or convert it to .safetensors"
        ) from error
    state = torch.load(path, map_location="cpu", weights_only=True)
    return {name: tensor.float().numpy() for name, tensor in state.items()}


def _read_keras(path: Path) -> Arrays:
    arrays: Arrays = {}

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            *_, layer, weight = name.split("/")
            arrays[f"{layer}/{weight.removesuffix(':0')}"] = np.asarray(item, np.float32)

    with h5py.File(path) as file:
        file.visititems(visit)
    return arrays


def _keras_weights(arrays: Arrays, layer: keras.layers.Layer) -> list[NDArray[np.float32]]:
    """The tensors of a layer, under the name `keras.applications` has for it."""
    name = layer.name
    if name.endswith("_project"):
        name += "_conv"
    name = name.replace("_dwconv_bn", "_bn")
    order = KERAS_ORDER[isinstance(layer, keras.layers.BatchNormalization)]
    return [arrays[f"{name}/{weight}"] for weight in order if f"{name}/{weight}" in arrays]


def _timm_weights(arrays: Arrays, layer: keras.layers.Layer) -> list[NDArray[np.float32]]:
    """The tensors of a layer, under timm's name, with the axes in TensorFlow's order."""
    prefix = TIMM_NAMES[layer.name]
    if isinstance(layer, keras.layers.BatchNormalization):
        return [arrays[f"{prefix}.{name}"] for name in NORM if f"{prefix}.{name}" in arrays]
    kernel = arrays.get(f"{prefix}.weight")
    if kernel is None or kernel.ndim != 4:
        return []
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    kernel = kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
    return [kernel, *(arrays[name] for name in [f"{prefix}.bias"] if name in arrays)]


def _timm_names() -> dict[str, str]:
    """KerasCV's layer names to timm's prefixes; the first stage has no expansion."""
    names = {"stem_conv": "conv_stem", "stem_bn": "bn1", "top_conv": "conv_head", "top_bn": "bn2"}
    parts = {
        "expand_conv": "conv_pw",
        "expand_bn": "bn1",
        "dwconv": "conv_dw",
        "dwconv_bn": "bn2",
        "se_reduce": "se.conv_reduce",
        "se_expand": "se.conv_expand",
        "project": "conv_pwl",
        "project_bn": "bn3",
    }
    first = parts | {"dwconv_bn": "bn1", "project": "conv_pw", "project_bn": "bn2"}
    for stage, repeats in enumerate(B0["stackwise_num_repeats"]):
        for block in range(repeats):
            for keras_part, timm_part in (parts if stage else first).items():
                keras_name = f"block{stage + 1}{'abcdefgh'[block]}_{keras_part}"
                names[keras_name] = f"blocks.{stage}.{block}.{timm_part}"
    return names


TIMM_NAMES = _timm_names()
Reader = Callable[[Path], Arrays]
Finder = Callable[[Arrays, keras.layers.Layer], list[NDArray[np.float32]]]
READERS: dict[str, tuple[Reader, Finder]] = {
    ".safetensors": (_read_safetensors, _timm_weights),
    ".pth": (_read_torch, _timm_weights),
    ".pt": (_read_torch, _timm_weights),
    ".bin": (_read_torch, _timm_weights),
    ".h5": (_read_keras, _keras_weights),
}
