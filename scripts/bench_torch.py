"""One training step of the CycleGAN, beside the same networks and the same step in PyTorch.

    scripts/bench torch [--presets quick challenge] [--steps 12]

PyTorch is an optional extra (``pip install -e '.[torch]'``). Each measurement runs in a process of
its own, one after the other. Networks, padding, normalisation, loss and the number of critic
steps are those of the preset, with 16 images a batch; both sides use the generators' passes for
critics and generators alike. PyTorch is measured in both of its memory formats. The floating
point operations are those of all convolutions of a step; the peak is that of a
float32 ``tf.matmul`` of 4096 × 4096 in the same run.
"""

import argparse
import dataclasses
import os
import time
from typing import Any
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from isolated import run_isolated

from semtf.config import AdaptationConfig, ImageConfig
from semtf.presets import preset

BATCH, SIDE = 16, 4096
IMAGE = ImageConfig()
KINDS = ("tensorflow", "pytorch", "pytorch, channels last")
Found = dict[str, Any]


def settings(name: str) -> AdaptationConfig:
    return dataclasses.replace(preset(name).adaptation, batch=BATCH)


def images(config: AdaptationConfig, seed: int) -> np.ndarray:
    shape = (BATCH * config.critic_steps, *IMAGE.shape, 1)
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def measure_tensorflow(config: AdaptationConfig, steps: int) -> Found:
    """Median seconds of a step of ``fit``, operations a step, and trained parameters."""
    import keras
    import tensorflow as tf

    from semtf.adaptation.cyclegan import CycleGAN

    class Clock(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.times: list[float] = []

        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            self.times.append(time.perf_counter())

    network = CycleGAN(IMAGE, config, 0)
    network.compile(jit_compile=config.xla)
    data = tuple(tf.constant(images(config, seed)) for seed in range(2))
    clock = Clock()
    repeated = tf.data.Dataset.from_tensors(data).repeat()
    network.fit(repeated, steps_per_epoch=steps + 1, verbose=0, callbacks=[clock])
    variables = network.generator_variables() + network.critic_variables()
    return {
        "seconds": float(np.median(np.diff(clock.times))),
        "flop": count_operations(config, data),
        "parameters": int(sum(np.prod(v.shape) for v in variables)),
    }


def count_operations(config: AdaptationConfig, data: tuple[Any, Any]) -> int:
    """Floating point operations of a step, with Keras' own convolutions everywhere.

    The multiplications by zero of `OneChannelConv2D` are not counted, and those that Winograd's
    algorithm saves are.
    """
    import keras
    import tensorflow as tf

    from semtf.adaptation import networks, winograd
    from semtf.adaptation.cyclegan import CycleGAN

    with (
        mock.patch.object(networks, "OneChannelConv2D", keras.layers.Conv2D),
        mock.patch.object(winograd, "suits", return_value=False),
    ):
        network = CycleGAN(IMAGE, config, 0)
        network.compile()
        graph = tf.function(network.train_step).get_concrete_function(data).graph
    return sum(operations(op) for op in graph.get_operations())


def operations(op: Any) -> int:
    """Floating point operations of a convolution: two a multiplication with sum."""
    if op.type == "Conv2D":
        small, kernel = op.outputs[0].shape, op.inputs[1].shape
    elif op.type == "Conv2DBackpropInput":
        small, kernel = op.inputs[2].shape, op.inputs[1].shape
    elif op.type == "Conv2DBackpropFilter":
        small, kernel = op.inputs[2].shape, op.outputs[0].shape
    else:
        return 0
    rows, columns, inputs, _ = kernel
    return 2 * int(np.prod(small)) * rows * columns * inputs


def measure_torch(config: AdaptationConfig, steps: int, channels_last: bool) -> Found:
    """The same in PyTorch, eager."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(os.cpu_count() or 1)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    generators = [torch_generator(config).to(memory_format=layout) for _ in range(2)]
    critics = [torch_critic(config).to(memory_format=layout) for _ in range(2)]
    parts = [[p for net in nets for p in net.parameters()] for nets in (generators, critics)]
    betas = (config.beta_1, config.beta_2)
    optimizers = [torch.optim.Adam(p, config.learning_rate, betas, eps=1e-7) for p in parts]
    data = [
        torch.from_numpy(images(config, seed)).permute(0, 3, 1, 2).contiguous(memory_format=layout)
        for seed in range(2)
    ]
    times = []
    for _ in range(steps + 1):
        torch_step(config, generators, critics, optimizers, data)
        times.append(time.perf_counter())
    return {
        "seconds": float(np.median(np.diff(times))),
        "parameters": sum(p.numel() for part in parts for p in part),
    }


def torch_step(
    config: AdaptationConfig, generators: list, critics: list, optimizers: list, data: list
) -> None:
    """``critic_steps`` updates of both critics, then one of both generators."""
    import torch

    to_target, to_source = generators
    steps = config.critic_steps
    sources, targets = ([domain[p::steps] for p in range(steps)] for domain in data)
    early = []
    if steps > 1:
        with torch.no_grad():
            early_targets = to_target(torch.cat(sources[:-1])).chunk(steps - 1)
            early_sources = to_source(torch.cat(targets[:-1])).chunk(steps - 1)
        early = list(zip(early_sources, early_targets, strict=True))
    source, target = sources[-1], targets[-1]
    fakes = to_source(target), to_target(source)
    detached = tuple(fake.detach() for fake in fakes)
    for real, fake in zip(zip(sources, targets, strict=True), [*early, detached], strict=True):
        loss = sum(
            torch_critic_loss(config, *three) for three in zip(critics, real, fake, strict=True)
        )
        optimizers[1].zero_grad()
        loss.backward()
        optimizers[1].step()
    for critic in critics:
        critic.requires_grad_(False)
    fake_source, fake_target = fakes
    loss = -sum(critic(fake).mean() for critic, fake in zip(critics, fakes, strict=True))
    cycle = (source - to_source(fake_target)).abs().mean()
    cycle = cycle + (target - to_target(fake_source)).abs().mean()
    identity = (source - fake_target).abs().mean() + (target - fake_source).abs().mean()
    loss = loss + config.lambda_cycle * cycle + config.lambda_identity * identity
    optimizers[0].zero_grad()
    loss.backward()
    optimizers[0].step()
    for critic in critics:
        critic.requires_grad_(True)


def torch_critic_loss(config: AdaptationConfig, critic: Any, real: Any, fake: Any) -> Any:
    import torch

    real_scores, fake_scores = critic(torch.cat([real, fake])).chunk(2)
    mix = torch.rand(len(real), 1, 1, 1)
    between = (mix * real + (1 - mix) * fake).requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    norm = (gradient.square().sum(dim=(1, 2, 3)) + 1e-12).sqrt()
    penalty = (norm - 1).square().mean()
    return fake_scores.mean() - real_scores.mean() + config.lambda_gp * penalty


def torch_norm(norm: str, channels: int) -> Any:
    from torch import nn

    if norm == "batch":
        return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)
    groups = {"instance": channels, "group": 4}[norm]
    return nn.GroupNorm(groups, channels, eps=1e-3)


def torch_conv(config: AdaptationConfig, *sizes: int, stride: int = 1, bias: bool = False) -> Any:
    from torch import nn

    mode = "zeros" if config.padding == "zero" else "replicate"
    pad = (sizes[2] - 1) // 2
    return nn.Conv2d(*sizes, stride=stride, padding=pad, padding_mode=mode, bias=bias)


def torch_generator(config: AdaptationConfig) -> Any:
    from torch import nn

    class Residual(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.inner = nn.Sequential(
                torch_conv(config, width, width, 3),
                torch_norm(config.norm, width),
                nn.ReLU(),
                torch_conv(config, width, width, 3),
                torch_norm(config.norm, width),
            )

        def forward(self, x: Any) -> Any:
            return x + self.inner(x)

    width = config.width
    return nn.Sequential(
        torch_conv(config, 1, width, 7),
        torch_norm(config.norm, width),
        nn.ReLU(),
        torch_conv(config, width, 2 * width, 4, stride=2),
        torch_norm(config.norm, 2 * width),
        nn.ReLU(),
        *(Residual(2 * width) for _ in range(config.blocks)),
        nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=False),
        torch_norm(config.norm, width),
        nn.ReLU(),
        torch_conv(config, width, 1, 7, bias=True),
        nn.Tanh(),
    )


def torch_critic(config: AdaptationConfig) -> Any:
    from torch import nn

    layers: list[Any] = []
    before = 1
    for level in range(3):
        width = config.width * 2**level
        layers.append(torch_conv(config, before, width, 4, stride=2, bias=True))
        if level > 0:
            layers.append(torch_norm(config.critic_norm, width))
        layers.append(nn.LeakyReLU(0.2))
        if config.dropout > 0:
            layers.append(nn.Dropout(config.dropout))
        before = width
    rest = nn.Conv2d(before, 1, (IMAGE.height // 8, IMAGE.width // 8))
    return nn.Sequential(*layers, rest, nn.Flatten(0))


def measure_peak() -> float:
    """GFLOP/s of `tf.matmul`, the best of six runs."""
    import tensorflow as tf

    matrix = tf.random.stateless_uniform((SIDE, SIDE), (0, 0))
    times = []
    for _ in range(6):
        start = time.perf_counter()
        tf.matmul(matrix, matrix).numpy()
        times.append(time.perf_counter() - start)
    return 2e-9 * SIDE**3 / min(times)


def measure(kind: str, name: str, steps: int) -> Found:
    if kind == "tensorflow":
        return measure_tensorflow(settings(name), steps)
    return measure_torch(settings(name), steps, kind != "pytorch")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presets", nargs="+", default=["quick", "challenge"])
    parser.add_argument("--steps", type=int, default=12, help="of quick; challenge: a quarter")
    arguments = parser.parse_args()
    peak = run_isolated(measure_peak)
    print(f"float32 tf.matmul: {peak:.0f} GFLOP/s", flush=True)
    print("| preset | width | library | s a step | ratio | GFLOP/s | of the matmul peak |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for name in arguments.presets:
        steps = arguments.steps if name == "quick" else max(2, arguments.steps // 4)
        report(name, {kind: run_isolated(measure, kind, name, steps) for kind in KINDS}, peak)
    print(f"load {os.getloadavg()[0]:.1f}")


def report(name: str, results: dict[str, Found], peak: float) -> None:
    """A row a library; the ratio is how many steps TensorFlow takes while it takes one."""
    tensorflow = results["tensorflow"]
    counts = {kind: result["parameters"] for kind, result in results.items()}
    if len(set(counts.values())) > 1:
        raise SystemExit(f"{name}: the networks are not the same: {counts}")
    for kind, result in results.items():
        speed = 1e-9 * tensorflow["flop"] / result["seconds"]
        ratio = result["seconds"] / tensorflow["seconds"]
        print(
            f"| {name} | {settings(name).width} | {kind} | {result['seconds']:.2f} | {ratio:.2f} "
            f"| {speed:.0f} | {speed / peak:.0%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
