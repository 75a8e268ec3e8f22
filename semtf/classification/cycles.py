"""How long a classifier trains, and its learning rate until then: cosines that double in length.

Warm restarts (Loshchilov and Hutter, SGDR, 2017): at the end of every cycle the rate is zero and
the network as good as its length allows, so training may end there or go on for a cycle of twice
the length. Where the cases are plain, the first cycle is enough; where they are faint, another one
pays.
"""

import math

import keras
import tensorflow as tf

from semtf.classification.callbacks import TimeLimit
from semtf.config import ClassificationConfig

WORTH = 0.01
"""Share of wrong images, of those put aside, for which another cycle is worth its time."""
GAIN = 0.1
"""Share by which a cycle that is not the first must have lowered it for another one."""


class Cycles(keras.callbacks.Callback):
    """Set the rate of every step, and end the training with a cycle that needs no other.

    Attributes:
        status: for the progress bar: what the last cycle left to gain.
    """

    def __init__(
        self, config: ClassificationConfig, steps: int, limit: TimeLimit | None = None
    ) -> None:
        """Watch a training.

        Args:
            config: the peak rate, its warm-up, the first cycle's epochs and the cap on all.
            steps: of an epoch.
            limit: what the time allows; it must be told of an epoch's end before this callback.
        """
        super().__init__()
        self.config, self.steps, self.limit = config, steps, limit
        first = min(config.cycle, config.epochs)
        self._start = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._length = tf.Variable(first, dtype=tf.int64, trainable=False)
        self._wrong = tf.Variable(math.inf, dtype=tf.float64, trainable=False)
        self._epoch = 0
        self._affordable = math.inf
        self.status = ""

    def variables(self) -> list[tf.Variable]:
        """What the cycles go on from after a kill."""
        return [self._start, self._length, self._wrong]

    @property
    def start(self) -> int:
        """The epoch, from 0, that this cycle began with."""
        return int(self._start.numpy())

    @property
    def end(self) -> int:
        """Epochs at the end of this cycle, as far as the time allows them."""
        return int(min(self.start + int(self._length.numpy()), self._affordable))

    def rate(self, step: int) -> float:
        """The rate of a step of this cycle, from 0: a linear warm-up, then a cosine to zero."""
        steps = (self.end - self.start) * self.steps
        warm_up = round(self.config.warm_up * steps)
        if step < warm_up:
            return self.config.learning_rate * step / warm_up
        phase = (step - warm_up) / max(steps - warm_up, 1)
        return self.config.learning_rate * (1 + math.cos(math.pi * phase)) / 2

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        step = (self._epoch - self.start) * self.steps + batch
        self.model.optimizer.learning_rate = self.rate(step)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        done = epoch + 1
        if self.limit is not None:
            self._affordable = done + self.limit.affordable
        if done >= self.end and not self._begin_another(done, logs or {}):
            self.model.stop_training = True

    def _begin_another(self, done: int, logs: dict[str, float]) -> bool:
        """Begin a cycle of twice the length, or of what is left, where it is worth its time."""
        length = int(self._length.numpy())
        longer = int(min(2 * length, min(self.config.epochs, self._affordable) - done))
        if longer < length:
            return False
        wrong, before = 1 - logs.get("val_accuracy", 1.0), float(self._wrong.numpy())
        if not WORTH < wrong <= (1 - GAIN) * before:
            return False
        self._start.assign(done)
        self._length.assign(longer)
        self._wrong.assign(wrong)
        self.status = f"{wrong:.1%} of the images put aside are wrong: {longer} more epochs"
        return True
