"""Several processes, on one machine or on several, train the cases of one run folder.

A process holds the lock of the folder while it sets up, chooses a case or finishes the run, and the
lock of a case while it trains that. Who has no case left and sees nobody at one finishes the run.
"""

import time
from collections.abc import Callable, Sequence

from semtf.errors import TrainingError
from semtf.lock import HeldError, Holder, Lock, always, part_holders
from semtf.progress import inform
from semtf.run import Run

DOING = "trained"
SETTING_UP = "set up for training"
PAUSE_SECONDS = 1.0
PART = "case_{}"


def is_setting_up(holder: Holder) -> bool:
    """Whether the holder of a folder's lock gives it back soon."""
    return holder.doing == SETTING_UP


class CaseClaims:
    """The cases that this process trains, one after another, while others may train others.

    Args:
        lock: that of the run's folder, which is held between cases.
        run: the run.
        cases: what is to be trained, unless another process does.
    """

    def __init__(self, lock: Lock, run: Run, cases: Sequence[int]) -> None:
        self._lock = lock
        self._run = run
        self._cases = cases
        self._first = run.config.cases[0].case
        self._claimed = False

    def train(self, case: Callable[[int], None]) -> None:
        """Call ``case`` for each case that this process can claim, without the folder's lock.

        A case that would start from the first one waits while another process trains that. In the
        end the folder's lock is held again.

        Raises:
            InputError: others are at all the cases, or the one that this waits for runs on another
                machine and has given no sign for long.
            TrainingError: the process that trained the first case ended before it was done.
        """
        while claim := self._claim():
            number, held = claim
            self._claimed = True
            self._lock.release()
            try:
                case(number)
                # A case is given back under the folder's lock: else two would finish, or none.
                self._lock.take(SETTING_UP, waits=always)
            finally:
                held.release()

    def others(self) -> dict[str, Holder]:
        """By the part of the run, as in ``"case_3"``, the other processes that are at one."""
        return part_holders(self._run.path)

    def _claim(self) -> tuple[int, Lock] | None:
        """The next case and its lock; None where there is none for this process."""
        waited = False
        while pending := [case for case in self._cases if case not in self._run.cases]:
            blocking = self._first_in_training()
            if blocking is None or pending == [self._first]:
                if waited and not (self._has_first() or self._first in pending):
                    raise TrainingError(
                        f"{self._run.path}: the process that trained case {self._first} ended "
                        f"early; go on with --case {self._first} --resume, then with this"
                    )
                return self._take_one(pending)
            if blocking.silent:
                raise blocking
            if not waited:
                inform(f"{blocking.state}; the other cases wait for its weights to start from")
            waited = True
            self._pause()
        return None

    def _take_one(self, cases: Sequence[int]) -> tuple[int, Lock] | None:
        refusals = []
        for case in cases:
            held = Lock(self._run.path, PART.format(case))
            try:
                held.take(DOING)
            except HeldError as error:
                refusals.append(error)
            else:
                return case, held
        if not self._claimed or refusals[0].silent:
            raise refusals[0]
        return None

    def _has_first(self) -> bool:
        return self._run.adaptation(self._first).is_dir()

    def _first_in_training(self) -> HeldError | None:
        """Who trains the first case, from whose weights the others start."""
        if self._has_first():
            return None
        return Lock(self._run.path, PART.format(self._first)).refusal()

    def _pause(self) -> None:
        """Let others have the run's lock for a moment."""
        self._lock.release()
        time.sleep(PAUSE_SECONDS)  # weights in a folder do not tell when they come
        self._lock.take(SETTING_UP, waits=always)
