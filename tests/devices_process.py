"""Train on so many replicas: one `semtf-train` for each list of arguments that the JSON file holds.

TensorFlow is told of logical CPU devices in their place, so a process of its own is needed. With
``"gpu": true`` it is made to believe that they are GPUs, as far as choosing the strategy goes.
With ``"stop": true`` each training is interrupted before its second checkpoint.

Prints, as JSON, the exit codes, and the devices whose memory may grow.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow as tf

from semtf import pipeline
from semtf.checkpoint import Checkpoint
from semtf.cli.main import run_train

list_devices = tf.config.list_physical_devices
write = Checkpoint.on_epoch_end
grown: list[str] = []


def believe_in_gpus() -> None:
    gpu = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")
    tf.config.list_physical_devices = lambda kind=None: (
        [gpu] if kind == "GPU" else list_devices(kind)
    )
    tf.config.experimental.set_memory_growth = lambda device, enable: grown.append(device.name)


def train_on(devices: list[str]) -> None:
    train = pipeline.train

    def with_strategy(*arguments: Any, **options: Any) -> Any:
        return train(*arguments, **options, strategy=tf.distribute.MirroredStrategy(devices))

    pipeline.train = with_strategy


def interrupt(self: Checkpoint, epoch: int, logs: object = None) -> None:
    if epoch == 1:
        raise KeyboardInterrupt
    write(self, epoch, logs)


def code(arguments: list[str]) -> int:
    try:
        run_train(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    raise AssertionError("semtf-train ends with SystemExit")


def main() -> None:
    asked = json.loads(Path(sys.argv[1]).read_text())
    replicas = asked["replicas"]
    cpu = list_devices("CPU")[0]
    logical = [tf.config.LogicalDeviceConfiguration()] * replicas
    tf.config.set_logical_device_configuration(cpu, logical)
    if asked.get("gpu"):
        believe_in_gpus()
    else:
        train_on([f"/cpu:{i}" for i in range(replicas)])
    if asked.get("stop"):
        Checkpoint.on_epoch_end = interrupt
    codes = [code(arguments) for arguments in asked["trainings"]]
    print(json.dumps({"codes": codes, "grown": grown}))


if __name__ == "__main__":
    main()
