"""The `tf.distribute` strategy of a run: one device, all GPUs of a machine, or many machines."""

from typing import TYPE_CHECKING

from semtf.cluster import configured, form

if TYPE_CHECKING:
    import tensorflow as tf


def choose_strategy() -> "tf.distribute.Strategy":
    """The strategy for the devices that are visible.

    Returns:
        MultiWorkerMirroredStrategy where the environment variable TF_CONFIG names a cluster,
        MirroredStrategy over all GPUs where there are any, OneDeviceStrategy on the CPU else.
    """
    import tensorflow as tf

    if (cluster := configured()) is not None:
        return form(cluster)
    if tf.config.list_physical_devices("GPU"):
        return tf.distribute.MirroredStrategy()
    return tf.distribute.OneDeviceStrategy("/cpu:0")
