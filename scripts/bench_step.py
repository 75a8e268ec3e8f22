"""Time of a CycleGAN training step by precision and compiler: float32, bfloat16, XLA.

    scripts/bench step [--preset quick] [--width 16] [--steps 20] [--only float32 …]

Every mode runs in a process of its own, on random images. The time of the first steps, which trace
and compile, is given apart; of the others the median counts.
"""

import argparse
import dataclasses
import os
import time

from isolated import run_isolated

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

MODES = {
    "float32": ("float32", False),
    "bfloat16": ("mixed_bfloat16", False),
    "float32, XLA": ("float32", True),
    "bfloat16, XLA": ("mixed_bfloat16", True),
}
WARM_UP = 3


def measure(mode: str, name: str, width: int | None, steps: int) -> tuple[float, float, float]:
    """The seconds of the warm-up, the median of a step, and the peak memory."""
    import resource

    import keras
    import numpy as np
    import tensorflow as tf

    from semtf.adaptation.cyclegan import CycleGAN
    from semtf.presets import preset

    precision, xla = MODES[mode]
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
    network.fit(data, steps_per_epoch=WARM_UP + steps, epochs=1, verbose=0, callbacks=[Clock()])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return (
        times[WARM_UP - 1] - start,
        float(np.median(np.diff(times[WARM_UP - 1 :]))),
        peak,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--width", type=int)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--only", nargs="+", choices=list(MODES), default=list(MODES))
    arguments = parser.parse_args()
    print(
        "| mode | first steps (s) | a step (s) | peak memory (GiB) | load |\n|---|---|---|---|---|"
    )
    for mode in arguments.only:
        first, step, peak = run_isolated(
            measure, mode, arguments.preset, arguments.width, arguments.steps
        )
        load = os.getloadavg()[0]
        print(f"| {mode} | {first:.1f} | {step:.3f} | {peak:.2f} | {load:.1f} |", flush=True)


if __name__ == "__main__":
    main()
