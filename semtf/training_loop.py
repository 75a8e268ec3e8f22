"""Keras' `fit`, and the loop in its place where several replicas train.

Keras 3 cannot `fit` over several workers: it reduces scalar logs along an axis that they do not
have, and it builds the model with batches that are still split over replicas. Nor are the logs of
`fit` on several devices of a machine those of all of them, but of the first.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from semtf import orders
from semtf.backend.checked_keras import keras
from semtf.backend.optimizers import learning_rates
from semtf.orders import Kind

Data = Callable[[int], tf.data.Dataset]
"""From the step to begin with, batches of all replicas together."""
Step = Callable[[Any], dict[str, Any]]
"""From a batch to the running means."""


def fit(
    model: keras.Model,
    data: Data,
    *,
    state: Sequence[Any],
    done: int,
    epochs: int,
    steps: int,
    callbacks: Sequence[keras.callbacks.Callback],
    validation: tf.data.Dataset | None = None,
) -> None:
    """Train a compiled model as `keras.Model.fit` does, on every replica of its strategy.

    Where several workers train, this is the chief's part, and `follow` that of the others. Only
    the chief calls callbacks. They may set ``model.stop_training``, raise, change ``state`` before
    training begins and learning rates at any time.

    Args:
        model: compiled; its optimizer is built.
        data: batches without end; every replica gets an equal part of each.
        state: every variable that decides how training goes on, in a fixed order.
        done: epochs taken before.
        epochs: the number of epochs in the end, those before included.
        steps: of an epoch.
        callbacks: in the order in which they are called.
        validation: what is judged after every epoch, in batches that are split alike.

    Raises:
        TrainingError: a worker was lost, or a callback raised it.
    """
    strategy = model.distribute_strategy
    if not replicated(strategy):
        if done < epochs:
            model.fit(
                data(done * steps),
                epochs=epochs,
                initial_epoch=done,
                steps_per_epoch=steps,
                validation_data=validation,
                callbacks=list(callbacks),
                # Keras 3.15 warns of data sets whose order it is not told to leave.
                shuffle=False,
                verbose=0,
            )
        return
    orders.send(strategy, Kind.STATE, _packed(done * steps, state))
    loop = _Loop(model, data(done * steps), validation)
    try:
        if done < epochs:
            _lead(loop, done, epochs, steps, callbacks)
    finally:
        orders.send(strategy, Kind.STOP)


def follow(
    model: keras.Model,
    data: Data,
    *,
    state: Sequence[Any],
    validation: tf.data.Dataset | None = None,
) -> None:
    """Take the steps that the chief orders, of a model that was made as the chief's was.

    Arguments are those of `fit`; ``state`` is overwritten with the chief's.

    Raises:
        TrainingError: a worker was lost, or the chief ended with an error.
    """
    strategy = model.distribute_strategy
    start = _unpack(orders.receive(strategy).content, state)
    loop = _Loop(model, data(start), validation)
    actions = {Kind.RESET: loop.reset, Kind.STEP: loop.step, Kind.EVALUATE: loop.evaluate}
    while (order := orders.receive(strategy)).kind != Kind.STOP:
        for rate, value in zip(loop.rates, order.rates, strict=False):
            rate.assign(value)
        actions[order.kind]()


def _lead(
    loop: "_Loop",
    done: int,
    epochs: int,
    steps: int,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    """The epochs of `fit`, with the callbacks in their places."""
    model = loop.model
    called = keras.callbacks.CallbackList(
        list(callbacks), model=model, epochs=epochs, steps=steps, verbose=0
    )
    model.stop_training = False
    called.on_train_begin()
    logs: dict[str, float] = {}
    for epoch in range(done, epochs):
        loop.order(Kind.RESET)
        loop.reset()
        called.on_epoch_begin(epoch)
        for step in range(steps):
            called.on_train_batch_begin(step)
            loop.order(Kind.STEP)
            logs = loop.step()
            called.on_train_batch_end(step, logs)
        if loop.validation is not None:
            loop.order(Kind.EVALUATE)
            logs |= {f"val_{name}": value for name, value in loop.evaluate().items()}
        called.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    called.on_train_end(logs)


class _Loop:
    """The steps that all workers take together."""

    def __init__(
        self, model: keras.Model, data: tf.data.Dataset, validation: tf.data.Dataset | None
    ) -> None:
        self.model = model
        self.strategy = model.distribute_strategy
        self.rates = learning_rates(model.optimizer)
        self.validation = None if validation is None else split(self.strategy, validation)
        self._batches = iter(split(self.strategy, data))
        self._train = self._joint(model.train_step)
        self._test = self._joint(model.test_step)

    def order(self, kind: Kind) -> None:
        """Tell the other workers what comes next, and the learning rates."""
        rates = [float(tf.convert_to_tensor(rate)) for rate in self.rates]
        orders.send(self.strategy, kind, rates=rates)

    def reset(self) -> None:
        """Start the running means anew."""
        self.model.reset_metrics()

    def step(self) -> dict[str, float]:
        """Take a step, and return the means over all replicas since the epoch began."""
        return self._train(next(self._batches))

    def evaluate(self) -> dict[str, float]:
        """Go through the validation data, and return the means over all of it."""
        self.reset()
        logs: dict[str, float] = {}
        for batch in self.validation or ():
            logs = self._test(batch)
        return logs

    def _joint(self, function: Step) -> Callable[[Any], dict[str, float]]:
        """A step on every replica; the logs, of equal parts each, are means over the replicas."""
        names: list[str] = []

        def on_replica(batch: Any) -> tf.Tensor:
            logs = function(batch)
            names[:] = logs
            values = tf.stack([tf.cast(value, tf.float32) for value in logs.values()])
            context = tf.distribute.get_replica_context()
            return context.all_reduce(tf.distribute.ReduceOp.MEAN, values)

        @tf.function(reduce_retracing=True)
        def on_all(batch: Any) -> tf.Tensor:
            results = self.strategy.run(on_replica, (batch,))
            return self.strategy.experimental_local_results(results)[0]

        def joint(batch: Any) -> dict[str, float]:
            with orders.together(self.strategy):
                values = on_all(batch).numpy()
            return dict(zip(names, map(float, values), strict=True))

        return joint


def split(strategy: tf.distribute.Strategy, data: tf.data.Dataset) -> Any:
    """Batches of all replicas together, as parts of equal size for each of them.

    Replica r gets the r-th part of every batch. Every worker reads whole batches, so that the
    order of images does not depend on the number of workers.
    """
    replicas = strategy.num_replicas_in_sync

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        local = replicas // context.num_input_pipelines
        first = context.input_pipeline_id * local

        def parts(*batch: tf.Tensor) -> tf.data.Dataset:
            return tf.data.Dataset.from_tensor_slices(
                tuple(_parts(tensor, replicas)[first : first + local] for tensor in batch)
            )

        return data.flat_map(parts)

    return strategy.distribute_datasets_from_function(of_worker)


def _parts(tensor: tf.Tensor, count: int) -> tf.Tensor:
    """``[batch, …]`` as ``[count, batch / count, …]``."""
    batch = tensor.shape[0] or tf.shape(tensor)[0]
    return tf.reshape(tensor, [count, batch // count, *tensor.shape[1:]])


def replicated(strategy: tf.distribute.Strategy) -> bool:
    """Whether the loop of this module trains in place of Keras' `fit`."""
    return strategy.num_replicas_in_sync > 1 or isinstance(
        strategy, tf.distribute.MultiWorkerMirroredStrategy
    )


def _packed(start: int, state: Sequence[Any]) -> bytes:
    arrays = (tf.convert_to_tensor(variable).numpy() for variable in state)
    return b"".join([np.int64(start).tobytes(), *(array.tobytes() for array in arrays)])


def _unpack(content: bytes, state: Sequence[Any]) -> int:
    """Assign what `_packed` packed, and return the first step."""
    offset = 8
    for variable in state:
        kind = np.dtype(variable.dtype if isinstance(variable.dtype, str) else variable.dtype.name)
        count = int(np.prod(variable.shape))
        values = np.frombuffer(content, kind, count, offset)
        variable.assign(values.reshape(variable.shape))
        offset += values.nbytes
    return int(np.frombuffer(content, np.int64, 1)[0])
