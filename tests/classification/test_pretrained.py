"""Published weights: files made at random, against forward passes that share no code with ours."""

from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from safetensors.numpy import save_file

from semtf.classification.efficientnet import efficientnet_b0
from semtf.classification.pretrained import load_published_weights
from semtf.errors import InputError

SHAPE = (40, 36)
# kernel, repeats, channels in, channels out, expansion, stride: the paper's Table 1.
STAGES = [
    (3, 1, 32, 16, 1, 1),
    (3, 2, 16, 24, 6, 2),
    (5, 2, 24, 40, 6, 2),
    (3, 3, 40, 80, 6, 2),
    (5, 3, 80, 112, 6, 1),
    (5, 4, 112, 192, 6, 2),
    (3, 1, 192, 320, 6, 1),
]


def timm_state(seed: int = 0) -> dict[str, np.ndarray]:
    """A random state dict with timm's names and shapes for tf_efficientnet_b0."""
    generator = np.random.default_rng(seed)
    state: dict[str, np.ndarray] = {}

    def conv(name: str, *shape: int, bias: bool = False) -> None:
        scale = np.sqrt(2 / np.prod(shape[1:]))
        state[f"{name}.weight"] = generator.normal(0, scale, shape).astype(np.float32)
        if bias:
            state[f"{name}.bias"] = generator.normal(0, 0.1, shape[0]).astype(np.float32)

    def norm(name: str, size: int) -> None:
        state[f"{name}.weight"] = generator.uniform(0.5, 1.5, size).astype(np.float32)
        state[f"{name}.bias"] = generator.normal(0, 0.1, size).astype(np.float32)
        state[f"{name}.running_mean"] = generator.normal(0, 0.1, size).astype(np.float32)
        state[f"{name}.running_var"] = generator.uniform(0.5, 1.5, size).astype(np.float32)
        state[f"{name}.num_batches_tracked"] = np.array(7)

    conv("conv_stem", 32, 3, 3, 3)
    norm("bn1", 32)
    for stage, (kernel, repeats, first, channels, expansion, _) in enumerate(STAGES):
        for block in range(repeats):
            name, inputs = f"blocks.{stage}.{block}", channels if block else first
            wide = inputs * expansion
            if expansion > 1:
                conv(f"{name}.conv_pw", wide, inputs, 1, 1)
                norm(f"{name}.bn1", wide)
            conv(f"{name}.conv_dw", wide, 1, kernel, kernel)
            norm(f"{name}.bn{2 if expansion > 1 else 1}", wide)
            conv(f"{name}.se.conv_reduce", inputs // 4, wide, 1, 1, bias=True)
            conv(f"{name}.se.conv_expand", wide, inputs // 4, 1, 1, bias=True)
            conv(f"{name}.{'conv_pwl' if expansion > 1 else 'conv_pw'}", channels, wide, 1, 1)
            norm(f"{name}.bn{3 if expansion > 1 else 2}", channels)
    conv("conv_head", 1280, 320, 1, 1)
    norm("bn2", 1280)
    conv("classifier", 1000, 1280, bias=True)
    return state


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def swish(x: np.ndarray) -> np.ndarray:
    return x * sigmoid(x)


def conv2d(x: np.ndarray, kernel: np.ndarray, stride: int = 1) -> np.ndarray:
    """Convolution [n, c, h, w] with TensorFlow's padding; depthwise where the kernel is thin."""
    size = kernel.shape[-1]
    pads = [max((-(-n // stride) - 1) * stride + size - n, 0) for n in x.shape[2:]]
    x = np.pad(x, [(0, 0), (0, 0), *((p // 2, p - p // 2) for p in pads)])
    windows = sliding_window_view(x, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]
    if kernel.shape[1] == 1 and x.shape[1] > 1:
        return np.einsum("nchwij,cij->nchw", windows, kernel[:, 0])
    return np.einsum("nchwij,ocij->nohw", windows, kernel, optimize=True)


def timm_forward(state: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Pooled features of the colour network, in NumPy, from timm's definition of it."""
    state = {name: value.astype(np.float64) for name, value in state.items()}

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        weight, bias, mean, variance = (
            state[f"{name}.{part}"][:, None, None]
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / np.sqrt(variance + 1e-3) * weight + bias

    def squeeze(x: np.ndarray, name: str) -> np.ndarray:
        s = x.mean(axis=(2, 3), keepdims=True)
        for part, activation in (("conv_reduce", swish), ("conv_expand", sigmoid)):
            bias = state[f"{name}.{part}.bias"][:, None, None]
            s = activation(conv2d(s, state[f"{name}.{part}.weight"]) + bias)
        return x * s

    x = swish(norm(conv2d(x, state["conv_stem.weight"], 2), "bn1"))
    for stage, (_, repeats, first, channels, expansion, stride) in enumerate(STAGES):
        for block in range(repeats):
            name, shortcut = f"blocks.{stage}.{block}", x
            if expansion > 1:
                x = swish(norm(conv2d(x, state[f"{name}.conv_pw.weight"]), f"{name}.bn1"))
            kernel = state[f"{name}.conv_dw.weight"]
            x = conv2d(x, kernel, 1 if block else stride)
            x = swish(norm(x, f"{name}.bn{2 if expansion > 1 else 1}"))
            x = squeeze(x, f"{name}.se")
            last = "conv_pwl" if expansion > 1 else "conv_pw"
            x = norm(conv2d(x, state[f"{name}.{last}.weight"]), f"{name}.bn{3 if stage else 2}")
            if block or (first == channels and stride == 1):
                x = x + shortcut
    x = swish(norm(conv2d(x, state["conv_head.weight"]), "bn2"))
    return x.mean(axis=(2, 3))


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return efficientnet_b0(SHAPE, 4)


def grey_images() -> np.ndarray:
    return np.random.default_rng(1).uniform(-1, 1, (2, *SHAPE, 1)).astype(np.float32)


def head(model: keras.Model, features: np.ndarray) -> np.ndarray:
    kernel, bias = model.get_layer("logits").get_weights()
    return features @ kernel + bias


def test_timm_file_gives_timm_logits(tmp_path: Path, model: keras.Model) -> None:
    state = timm_state()
    save_file(state, tmp_path / "b0.safetensors")
    load_published_weights(model, tmp_path / "b0.safetensors")
    grey = grey_images()
    colour = np.repeat(grey.transpose(0, 3, 1, 2).astype(np.float64), 3, axis=1)
    expected = head(model, timm_forward(state, colour))
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(model(grey, training=False), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("prefix", ["model.", "module.model."])
def test_prefixes_of_training_scripts_do_not_matter(
    tmp_path: Path, model: keras.Model, prefix: str
) -> None:
    state = timm_state(seed=4)
    save_file(state, tmp_path / "b0.safetensors")
    load_published_weights(model, tmp_path / "b0.safetensors")
    expected = model(grey_images(), training=False).numpy()
    prefixed = {prefix + name: value for name, value in state.items()}
    save_file(prefixed | {"step": np.zeros(1)}, tmp_path / "mine.safetensors")
    load_published_weights(model, tmp_path / "mine.safetensors")
    np.testing.assert_array_equal(model(grey_images(), training=False), expected)


def test_torch_file_gives_the_same_weights(tmp_path: Path, model: keras.Model) -> None:
    torch = pytest.importorskip("torch")
    state = timm_state(seed=2)
    save_file(state, tmp_path / "b0.safetensors")
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in state.items()}
    torch.save(tensors, tmp_path / "b0.pth")
    load_published_weights(model, tmp_path / "b0.safetensors")
    expected = model(grey_images(), training=False).numpy()
    load_published_weights(model, tmp_path / "b0.pth")
    np.testing.assert_array_equal(model(grey_images(), training=False), expected)


def test_keras_applications_file_gives_its_logits(tmp_path: Path, model: keras.Model) -> None:
    other = keras.applications.EfficientNetB0(
        include_top=False, weights=None, input_shape=(*SHAPE, 3), pooling="avg"
    )
    generator = np.random.default_rng(3)
    with h5py.File(tmp_path / "b0.h5", "w") as file:
        for layer in other.layers:
            if layer.weights and layer.name != "normalization":
                _randomise(layer, generator)
                group = file.create_group(f"{layer.name}/{layer.name}")
                for weight in layer.weights:
                    group[f"{weight.name.split('/')[-1].removesuffix(':0')}:0"] = weight.numpy()
    load_published_weights(model, tmp_path / "b0.h5")
    grey = grey_images()
    # Its first layers divide by 255 and, never adapted, standardise by mean 0 and variance 1.
    features = other(np.repeat(grey * 255, 3, axis=3), training=False).numpy()
    np.testing.assert_allclose(
        model(grey, training=False), head(model, features), atol=1e-4, rtol=1e-4
    )


def _randomise(layer: keras.layers.Layer, generator: np.random.Generator) -> None:
    if isinstance(layer, keras.layers.BatchNormalization):
        low, high = [0.5, -0.1, -0.1, 0.5], [1.5, 0.1, 0.1, 1.5]
        layer.set_weights(
            [
                generator.uniform(a, b, weight.shape)
                for a, b, weight in zip(low, high, layer.weights, strict=True)
            ]
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("blocks.3.1.conv_dw.weight"), r"block4b_dwconv .* has none"),
        (lambda s: s.update({"bn2.bias": np.zeros(3, np.float32)}), r"top_bn .*\(3,\)"),
        (lambda s: s["conv_head.weight"].fill(np.nan), "top_conv has values that are not finite"),
    ],
)
def test_wrong_tensor_is_named(tmp_path: Path, model: keras.Model, change, message: str) -> None:
    state = timm_state()
    change(state)
    save_file(state, tmp_path / "b0.safetensors")
    with pytest.raises(InputError, match=message):
        load_published_weights(model, tmp_path / "b0.safetensors")


def test_wrong_file_is_named(tmp_path: Path, model: keras.Model) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_published_weights(model, tmp_path / "none.h5")
    for name, message in (("a.ckpt", r"\.safetensors"), ("a.h5", "a.h5: cannot be read as .h5")):
        (tmp_path / name).write_bytes(b"not weights")
        with pytest.raises(InputError, match=message):
            load_published_weights(model, tmp_path / name)
