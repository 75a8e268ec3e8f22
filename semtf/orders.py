"""What the chief of several workers tells the others: what to do next, and with which content.

Every order is an all-reduce of a short header, to which all replicas but the first add zeros, and
one of the content where there is any. So all workers meet at every order: it is their barrier.
"""

import enum
import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.errors import InputError, TrainingError

RATES = 2
WORD = np.dtype(np.int64)
Words = npt.NDArray[np.int64]
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)
_broken: set[tf.distribute.Strategy] = set()


class Kind(enum.IntEnum):
    """What to do next."""

    DONE = 1
    """The training as a whole is over."""
    FAILED = 2
    """The chief ends with the error that the content tells."""
    REFUSED = 9
    """The chief ends because of the input, as the content tells."""
    TASK = 3
    """Build the networks that the content, JSON, describes."""
    STATE = 4
    """Take the content for the variables of the networks."""
    RESET = 5
    """An epoch begins: the running means start anew."""
    STEP = 6
    """Take a step, with these learning rates."""
    EVALUATE = 7
    """Go through the validation data."""
    STOP = 8
    """The training of these networks is over."""


@dataclass(frozen=True)
class Order:
    """An order, the learning rates to follow it with, and its content."""

    kind: Kind
    rates: tuple[float, ...] = ()
    content: bytes = b""


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process leads: it alone writes. A process without others leads itself."""
    return bool(strategy.extended.should_checkpoint)


def workers(strategy: tf.distribute.Strategy) -> int:
    """The number of processes that train together."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 1
    spec = strategy.cluster_resolver.cluster_spec()
    return sum(map(spec.num_tasks, spec.jobs)) or 1


def send(
    strategy: tf.distribute.Strategy,
    kind: Kind,
    content: bytes = b"",
    rates: Sequence[float] = (),
) -> None:
    """Give an order to the other workers; nothing happens where none can be reached."""
    if workers(strategy) == 1 or strategy in _broken:
        return
    header = np.zeros(2 + RATES, WORD)
    header[:2] = kind, len(content)
    header[2 : 2 + len(rates)] = np.asarray(rates, np.float64).view(WORD)
    _meet(strategy, header)
    if content:
        _meet(strategy, np.frombuffer(content + bytes(-len(content) % WORD.itemsize), WORD))


def receive(strategy: tf.distribute.Strategy) -> Order:
    """Wait for the chief's next order.

    Raises:
        InputError: the chief ends because of the input.
        TrainingError: the chief ends with another error, or a worker is lost.
    """
    header = _meet(strategy, np.zeros(2 + RATES, WORD))
    size = int(header[1])
    content = b""
    if size:
        content = _meet(strategy, np.zeros(-(-size // WORD.itemsize), WORD)).tobytes()[:size]
    order = Order(Kind(int(header[0])), tuple(header[2:].view(np.float64)), content)
    if order.kind in (Kind.FAILED, Kind.REFUSED):
        error = InputError if order.kind == Kind.REFUSED else TrainingError
        raise error(f"the chief ended: {content.decode()}")
    return order


def _meet(strategy: tf.distribute.Strategy, words: Words) -> Words:
    with together(strategy):
        total: Words = _summing(strategy)(tf.constant(words)).numpy()
    return total


@functools.cache
def _summing(strategy: tf.distribute.Strategy) -> Callable[[tf.Tensor], tf.Tensor]:
    """The function that returns the first replica's words ``[n]`` on all workers."""

    def chosen(words: tf.Tensor) -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        first = tf.equal(context.replica_id_in_sync_group, 0)
        return context.all_reduce(
            tf.distribute.ReduceOp.SUM, tf.where(first, words, tf.zeros_like(words))
        )

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64)], autograph=False)
    def total(words: tf.Tensor) -> tf.Tensor:
        return strategy.experimental_local_results(strategy.run(chosen, (words,)))[0]

    return total


class LostWorkerError(TrainingError):
    """A worker does not answer any more."""


@contextmanager
def together(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """What all workers do at once in the block; after an error in it no order reaches anyone.

    Raises:
        LostWorkerError: a worker ended or cannot be reached.
    """
    try:
        yield
    except LOST as error:
        _broken.add(strategy)
        raise LostWorkerError(
            "a worker does not answer any more; start any number of workers again with --resume, "
            "or go on without others with --resume --strategy auto and no TF_CONFIG"
        ) from error
    except BaseException:
        _broken.add(strategy)
        raise
