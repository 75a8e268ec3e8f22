"""The `tf.distribute` strategy of a run: one device, all GPUs of a machine, or many machines."""

import functools
from typing import TYPE_CHECKING

from semtf.cluster import cluster_strategy, configured_cluster
from semtf.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf


def choose_strategy() -> "tf.distribute.Strategy":
    """The strategy for the devices that are visible; GPUs take memory as they need it.

    Returns:
        MultiWorkerMirroredStrategy where the environment variable TF_CONFIG names a cluster,
        MirroredStrategy over all GPUs where there are any, OneDeviceStrategy on the CPU else.
    """
    import tensorflow as tf

    grow_memory()
    if (cluster := configured_cluster()) is not None:
        return cluster_strategy(cluster)
    if tf.config.list_physical_devices("GPU"):
        return tf.distribute.MirroredStrategy()
    return _on_cpu()


@functools.cache
def _on_cpu() -> "tf.distribute.Strategy":
    """One object for all trainings of a process: networks traced under it can be used again."""
    import tensorflow as tf

    return tf.distribute.OneDeviceStrategy("/cpu:0")


def grow_memory() -> None:
    """Let TensorFlow take GPU memory as it needs it, not all of it at once.

    That is only possible before the first operation; afterwards, or where the caller has split a
    GPU into logical devices, things stay as they are.
    """
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except (RuntimeError, ValueError):
            return


def make_deterministic() -> None:
    """Let every operation of this process give the same bits for the same input, from now on.

    An operation that cannot raises an error. TensorFlow has no way back.
    """
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()


def check_batch(field: str, batch: int, strategy: "tf.distribute.Strategy | None") -> None:
    """Raise InputError where a batch cannot be split evenly over the replicas of a strategy.

    Uneven parts would weigh images differently, and Keras fails on them.

    Args:
        field: the batch's name in the config.
        batch: images a step, on all replicas together.
        strategy: the current one where None.
    """
    import tensorflow as tf

    replicas = (strategy or tf.distribute.get_strategy()).num_replicas_in_sync
    if batch % replicas == 0:
        return
    below = batch - batch % replicas
    batches = [str(size) for size in (below, below + replicas) if size]
    fitting = [str(count) for count in range(1, replicas) if batch % count == 0]
    raise InputError(
        f"{field} {batch}: cannot be split evenly over {replicas} devices; set it to "
        f"{' or '.join(batches)}, or train on {' or '.join(fitting)} of them "
        "(CUDA_VISIBLE_DEVICES says which are seen)"
    )
