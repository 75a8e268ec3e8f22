"""Time of a CycleGAN training step by precision and compiler: float32, bfloat16, XLA.

    scripts/bench step [--preset quick] [--width 16] [--steps 20] [--only float32 …]

Every way runs in a process of its own, on random images; the first steps, which trace and compile,
are told apart from the others. The median of the others counts.
"""

import argparse
import dataclasses
import os
import time

from isolated import run_isolated

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

WAYS = {
    "float32": ("float32", False),
    "bfloat16": ("mixed_bfloat16", False),
    "float32, XLA": ("float32", True),
    "bfloat16, XLA": ("mixed_bfloat16", True),
}
WARM = 3


def measure(way: str, name: str, width: int | None, steps: int) -> tuple[float, float, float]:
    """The seconds of the warm-up, the median of a step, and the peak memory."""
    import resource

    import keras
    import numpy as np
    import tensorflow as tf

    from semtf.adaptation.cyclegan import CycleGAN
    from semtf.config import preset

    precision, xla = WAYS[way]
    run = preset(name)
    config = dataclasses.replace(run.adaptation, xla=xla, width=width or run.adaptation.width)
    keras.utils.set_random_seed(0)
    keras.mixed_precision.set_global_policy(precision)
    network = CycleGAN(run.image, config, 0)
    network.compile(jit_compile=xla)
    shape = (config.batch * config.critic_steps, *run.image.shape, 1)
    images = np.random.default_rng(0).uniform(-1, 1, (2, *shape)).astype(np.float32)
    times: list[float] = []

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
            times.append(time.perf_counter())

    data = tf.data.Dataset.from_tensors(tuple(map(tf.constant, images))).repeat()
    start = time.perf_counter()
    network.fit(data, steps_per_epoch=WARM + steps, epochs=1, verbose=0, callbacks=[Clock()])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return times[WARM - 1] - start, float(np.median(np.diff(times[WARM - 1 :]))), peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--width", type=int)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--only", nargs="+", choices=list(WAYS), default=list(WAYS))
    arguments = parser.parse_args()
    print(
        "| way | first steps (s) | a step (s) | peak memory (GiB) | load |\n|---|---|---|---|---|"
    )
    for way in arguments.only:
        first, step, peak = run_isolated(
            measure, way, arguments.preset, arguments.width, arguments.steps
        )
        load = os.getloadavg()[0]
        print(f"| {way} | {first:.1f} | {step:.3f} | {peak:.2f} | {load:.1f} |", flush=True)


if __name__ == "__main__":
    main()
