"""The time that a training may take, shared out between its stages and epochs."""

import math
import time
from collections.abc import Callable, Sequence

from semtf.config import RunConfig
from semtf.errors import InputError

CLASSIFIER = "classifier"
STORAGE_SHARE = 0.15
"""Share of the whole that storages, tuning and calibration take; it is kept for them."""


def case_stage(case: int) -> str:
    """The name of the stage that adapts a case."""
    return f"case {case}"


class Budget:
    """Seconds for a training as a whole; what one stage leaves, the next ones have.

    Each stage gets of what is left as much as its weight in those that are still to come.
    """

    def __init__(
        self,
        minutes: float,
        weights: dict[str, float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the clock.

        Args:
            minutes: for all stages.
            weights: by stage, in the order in which they come.
            clock: seconds that pass.
        """
        self._weights = dict(weights)
        self._clock = clock
        self._end = clock() + 60 * minutes * (1 - STORAGE_SHARE)

    def seconds(self, stage: str) -> float:
        """What a stage may take from now on; stages before it are over, or left to others."""
        names = list(self._weights)
        coming = sum(self._weights[name] for name in names[names.index(stage) :])
        left = max(self._end - self._clock(), 0.0)
        return left * self._weights[stage] / coming

    def told(self) -> str:
        """The minutes of each stage that is still to come, in words."""
        left = max(self._end - self._clock(), 0.0) / 60
        total = sum(self._weights.values())
        return ", ".join(f"{name} {left * w / total:.1f}" for name, w in self._weights.items())


class EpochClock:
    """Tells how many more epochs fit into the time of a stage.

    Args:
        seconds: from now on; without end where None.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._began = self._epoch_began = time.monotonic()

    def begin_epoch(self) -> None:
        """An epoch begins."""
        self._epoch_began = time.monotonic()

    def affordable(self) -> float:
        """At the end of an epoch, how many more fit if they take as long as it did."""
        if self._seconds is None:
            return math.inf
        now = time.monotonic()
        left = self._seconds - (now - self._began)
        return max(left // max(now - self._epoch_began, 1e-9), 0.0)


def training_budget(minutes: float, config: RunConfig, cases: Sequence[int]) -> Budget:
    """The budget of a training: cases by their epochs, the classifier like the first case's.

    Args:
        minutes: for the whole training.
        config: the settings of the run.
        cases: those that are adapted, in their order.

    Raises:
        InputError: the minutes are negative or no number.
    """
    if not minutes >= 0:
        raise InputError(f"--budget {minutes:g}: give minutes, 0 or more")
    adaptation, first = config.adaptation, config.cases[0].case
    weights: dict[str, float] = {
        case_stage(case): adaptation.first_epochs if case == first else adaptation.other_epochs
        for case in cases
    }
    return Budget(minutes, weights | {CLASSIFIER: adaptation.first_epochs})
