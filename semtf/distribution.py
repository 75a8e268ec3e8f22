"""The `tf.distribute` strategy of a run: one device, all GPUs of a machine, or many machines."""

from typing import TYPE_CHECKING

from semtf.cluster import VARIABLE, configured_cluster
from semtf.cluster_meeting import cluster_strategy
from semtf.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf

AUTO, ONE, MIRRORED, MULTIWORKER, TPU = "auto", "one", "mirrored", "multiworker", "tpu"


def choose_strategy(name: str = AUTO) -> "tf.distribute.Strategy":
    """The strategy of a name; GPUs take memory as they need it.

    ``"auto"`` is ``"multiworker"`` where the environment variable TF_CONFIG names a cluster,
    ``"mirrored"`` where there are GPUs, and ``"one"`` else.

    Args:
        name: ``"one"`` is the first GPU, or the CPU where there is none; ``"mirrored"`` all GPUs
            of this machine, or all logical devices of its CPU; ``"multiworker"`` all workers of
            TF_CONFIG; ``"tpu"`` the TPU of this machine.

    Raises:
        InputError: what the name asks for is not there, or TF_CONFIG is wrong.
        TrainingError: a worker of the cluster does not answer.
    """
    cluster = configured_cluster() if name in (AUTO, MULTIWORKER) else None
    if cluster is not None:
        return cluster_strategy(cluster, grow_memory)
    if name == MULTIWORKER:
        raise InputError(
            f"--strategy {MULTIWORKER}: {VARIABLE} names no cluster; set it as docs/scale.md "
            f"shows, or go on without other workers with --strategy {AUTO}"
        )
    import tensorflow as tf

    grow_memory()
    if name == TPU:
        return _tpu_strategy()
    gpus = tf.config.list_physical_devices("GPU")
    if gpus and name != ONE:
        return tf.distribute.MirroredStrategy()
    if name == MIRRORED:
        return tf.distribute.MirroredStrategy(
            [device.name for device in tf.config.list_logical_devices("CPU")]
        )
    # TensorFlow's default takes the first GPU, or the CPU. OneDeviceStrategy would, too, but under
    # it trainings now and then stood still for up to a minute at their end; likely it wraps batches
    # in data sets that TensorFlow autotunes, and the end of an iterator waits for the tuner.
    return tf.distribute.get_strategy()


def follows(name: str) -> bool:
    """Whether this process is a worker under a strategy of this name, and not the chief.

    Raises:
        InputError: TF_CONFIG is wrong.
    """
    cluster = configured_cluster() if name in (AUTO, MULTIWORKER) else None
    return cluster is not None and not cluster.leads


def _tpu_strategy() -> "tf.distribute.Strategy":
    import tensorflow as tf

    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
    except (ValueError, tf.errors.OpError) as error:
        raise InputError(
            f"--strategy {TPU}: no TPU was found ({str(error).splitlines()[0]})"
        ) from error
    return tf.distribute.TPUStrategy(resolver)


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
        f"(CUDA_VISIBLE_DEVICES says which are seen, {VARIABLE} which machines)"
    )
