"""How long a training goes on, and its learning rate until then.

The rate stays until the criterion stops improving, or until the cap or the time is near; then it
falls linearly to zero, and training ends. So the length is found and not planned, and the moving
average runs over the calm end of it.
"""

import math

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.adaptation.gan import GAN
from semtf.budget import EpochClock
from semtf.config import AdaptationConfig

WINDOW = 2
"""Epochs whose mean residual is compared with that of as many epochs before."""
ELASTICITY = 0.35
"""Least gain for which training goes on, as the slope of log residual over log epochs.

One more epoch after e, those of the case it starts from included, lengthens the training by a
share 1/e, and must gain at least a third of it.
"""
SIGNIFICANT = 2.0
"""Standard errors that the gain must exceed."""
UNDECIDED = -1
REASONS = (
    "",
    "the criterion gains no more than its noise",
    "the criterion gains too little for the time",
    "the cap on epochs is near",
    "the time is up",
)
NOISE, SLOW, CAP, TIME = range(1, len(REASONS))

Floats = npt.NDArray[np.float32]


class Schedule(keras.callbacks.Callback):
    """Set the learning rate of every step, decide when it begins to fall, and end the training.

    `judged` must be told the residuals of every epoch before this callback's end of the epoch.

    Attributes:
        note: for the progress bar: what the last epochs gained.
    """

    def __init__(
        self,
        network: GAN,
        sites: npt.NDArray[np.str_],
        *,
        epochs: int,
        before: int = 0,
        seconds: float | None = None,
    ) -> None:
        """Watch a training.

        Args:
            network: what is trained.
            sites: the site of each fab image whose residual is judged, ``[q]``.
            epochs: the cap.
            before: epochs that the networks had in another case, from which they start. They
                count where a gain is weighed against the length of the training.
            seconds: the time that the training may take from now on; any where None.
        """
        super().__init__()
        self.network, self.epochs, self.seconds = network, epochs, seconds
        self.before = before
        _, self._site = np.unique(sites, return_inverse=True)
        self._recent = tf.Variable(np.full((2 * WINDOW, len(sites)), np.nan), trainable=False)
        self._fall = tf.Variable(UNDECIDED, dtype=tf.int64, trainable=False)
        self._reason = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.note = ""
        self._clock = EpochClock(seconds)

    @property
    def config(self) -> AdaptationConfig:
        return self.network.config

    def variables(self) -> list[tf.Variable]:
        """What the schedule goes on from after a kill."""
        return [self._recent, self._fall, self._reason]

    @property
    def reason(self) -> str:
        """Why the rate falls or training ends, in words; empty while it does not."""
        return REASONS[int(tf.convert_to_tensor(self._reason))]

    @property
    def fall(self) -> int | None:
        """The epoch, from 0, from which on the rate falls; None where that is not decided."""
        fall = int(tf.convert_to_tensor(self._fall))
        return None if fall == UNDECIDED else fall

    @property
    def status(self) -> str:
        """Why training goes on, or why it is about to end, for the progress bar."""
        return f"ending: {self.reason}" if self.reason else self.note

    @property
    def end(self) -> int:
        """How many epochs there will be, as far as that is known."""
        fall = self.fall
        return self.epochs if fall is None else min(fall + self.tail(fall), self.epochs)

    def tail(self, fall: int) -> int:
        """Epochs of falling rate after ``fall`` epochs: ``config.decay`` of them all."""
        decay = self.config.decay
        return math.ceil(fall * decay / (1 - decay)) if decay else 0

    def begin(self, done: int) -> None:
        """Start after ``done`` epochs: without any time left none is added to them."""
        if done and self.seconds is not None and self.seconds <= 0:
            self.epochs = done
            self._reason.assign(TIME)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._clock.begin_epoch()
        if self.fall is None and epoch + self.tail(epoch) >= self.epochs:
            self._decide(epoch, CAP)
        config, fall = self.config, self.fall
        rate = config.learning_rate * 0.5 ** sum(epoch >= halving for halving in config.halve_at)
        if fall is not None:
            # The middle of the epoch, on the line from the whole rate at its start to zero.
            rate *= 1 - (epoch - fall + 0.5) / (self.end - fall)
        self.network.optimizer.learning_rate = rate

    def judged(self, epoch: int, residuals: Floats) -> None:
        """Take the residual ``[q]`` of each fab image after ``epoch`` epochs."""
        recent = np.concatenate([tf.convert_to_tensor(self._recent)[1:], residuals[None]])
        self._recent.assign(recent)
        if not np.isfinite(recent).all():
            return
        gain = recent[:WINDOW].mean(axis=0) - recent[WINDOW:].mean(axis=0)
        share = gain.mean() / WINDOW / residuals.mean()
        self.note = f"residual {residuals.mean():.4f}, {-share:+.1%} an epoch"
        if not self.config.early_stopping or self.fall is not None:
            return
        if gain.mean() <= SIGNIFICANT * clustered_error(gain, self._site):
            self._decide(epoch, NOISE)
        elif share < ELASTICITY / (self.before + epoch):
            self._decide(epoch, SLOW)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        affordable = self._clock.affordable()
        if self.fall is None and affordable <= self.tail(epoch + 1):
            self._decide(epoch + 1, TIME)
        if affordable < 1:
            self.epochs = epoch + 1
        if epoch + 1 >= self.end:
            self.model.stop_training = True

    def _decide(self, fall: int, reason: int) -> None:
        self._fall.assign(fall)
        self._reason.assign(reason)


def clustered_error(values: Floats, cluster: npt.NDArray[np.int64]) -> float:
    """Standard error of the mean of values ``[q]`` that are alike within clusters ``[q]``.

    Liang and Zeger (1986): the sums of a cluster's deviations are independent, its values need
    not be.
    """
    sums = np.bincount(cluster, values - values.mean())
    count = len(sums)
    return float(np.sqrt(np.sum(sums**2) * count / max(count - 1, 1)) / len(values))
