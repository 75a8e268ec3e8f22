"""What all methods of a benchmark share: one data set, the truth of its test images, one seed."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.config import RunConfig
from semtf.data.dataset import Dataset
from semtf.data.image_folder import open_images
from semtf.data.image_sets import FabSet, SimulatorSet
from semtf.errors import InputError
from semtf.estimation.estimator import BATCH
from semtf.estimation.graph import case_shares, classify
from semtf.estimation.loading import load_models
from semtf.estimation.models import EstimatorModels
from semtf.estimation.predictions import read_column
from semtf.evaluation.rmse import read_cases
from semtf.run import Run

T = TypeVar("T")


class MissingPartError(Exception):
    """A method needs what the data set or the run has not; the message says what."""


class Truth(NamedTuple):
    """The test images of the compared cases, with what is known of them.

    Attributes:
        images: uint8 ``[n, H, W]``.
        depth: uint8 ``[n, H, W]``.
        cases: int ``[n]``, the true ones.
        units: ``[n]``, what the bootstrap draws: sites, or the images themselves.
    """

    images: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.uint8]
    cases: npt.NDArray[np.int64]
    units: npt.NDArray[np.str_]


class Settings(NamedTuple):
    """How a benchmark is made.

    Attributes:
        config: settings of what is fitted for it.
        networks: where trained networks are kept.
        pairs: how many pairs of each case are used; all where None.
    """

    config: RunConfig
    networks: Path
    pairs: int | None = None

    @property
    def seed(self) -> int:
        """The seed of all that is random."""
        return self.config.seed


class World:
    """A data set whose test images have known depth, and the run that is judged on it.

    Attributes:
        dataset: the data set.
        truth: folder with ``Depth/``, ``cases.csv`` and, for some methods, ``SEM/``.
        settings: how the benchmark is made.
        run: whose classifier and adapted keys are used; without one the true cases are given.
        test: the test images of the compared cases.
    """

    def __init__(
        self,
        dataset: Dataset,
        truth: Path,
        settings: Settings,
        run: Run | None = None,
        sites: Path | None = None,
        cases: Sequence[int] | None = None,
    ) -> None:
        """``cases`` are compared, those of the run or data set where None; ``sites`` is a CSV of
        the test images' sites, with the columns name and site.

        Raises:
            InputError: the truth is not that of the test images, or none is of a compared case.
        """
        self.dataset, self.truth, self.settings, self.run = dataset, truth, settings, run
        self.numbers = tuple(cases or (run.cases if run else dataset.cases))
        self.test = _test_images(dataset, truth, self.numbers, sites)
        self._cases: dict[int, CaseWorld] = {}

    def case(self, number: int) -> "CaseWorld":
        """What belongs to one case."""
        if number not in self._cases:
            self._cases[number] = CaseWorld(self, number)
        return self._cases[number]

    def joint(self) -> tuple[SimulatorSet, FabSet]:
        """Pairs and fab images of all cases as if they were of the first."""
        pairs = [self.case(number).simulator for number in self.numbers]
        fabs = [self.dataset.fab(number) for number in self.numbers]
        return (
            SimulatorSet(self.numbers[0], *_joined(pairs, "sem", "depth", "bases", "buckets")),
            FabSet(self.numbers[0], *_joined(fabs, "images", "sites", "names")),
        )

    def forget(self) -> None:
        """Give back the memory of what was made for methods."""
        for case in self._cases.values():
            case.forget()

    @cached_property
    def models(self) -> EstimatorModels | None:
        """What the run estimates with; None without a run."""
        return load_models(self.run, "exact") if self.run else None

    @cached_property
    def shares(self) -> npt.NDArray[np.float32]:
        """How much each case counts for each test image, ``[n, cases]`` in order of `numbers`.

        The run's classifier decides as in an estimate; without a run the true case has all.
        """
        if self.models is None:
            return np.asarray(self.test.cases[:, None] == np.array(self.numbers), np.float32)
        models, parts = self.models, []
        for start in range(0, len(self.test.images), BATCH):
            images = tf.constant(self.test.images[start : start + BATCH], tf.float32)
            parts.append(case_shares(classify(images, models), models)[0].numpy())
        columns = [models.cases.index(number) for number in self.numbers]
        return np.concatenate(parts)[:, columns]


class CaseWorld:
    """One case of a `World`; what methods have in common is made once.

    Attributes:
        number: of the case.
        simulator: its pairs.
        fab: its fab images.
        saved: seconds that methods would have spent on what was there already.
    """

    def __init__(self, world: World, number: int) -> None:
        self.world, self.number = world, number
        simulator = world.dataset.simulator(number)
        count = world.settings.pairs
        if count is not None and count < len(simulator):
            order = np.random.default_rng(world.settings.seed).permutation(len(simulator))
            simulator = simulator.subset(np.sort(order[:count]))
        self.simulator, self.fab = simulator, world.dataset.fab(number)
        self.saved = 0.0
        self._made: dict[str, tuple[Any, float]] = {}

    @property
    def config(self) -> RunConfig:
        """The settings of what is fitted."""
        return self.world.settings.config

    @property
    def plate(self) -> int:
        """The level of the plate."""
        return int(self.simulator.depth.max())

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What ``make`` makes, made at the first call of a name; later ones count its seconds."""
        if name not in self._made:
            saved, began = self.saved, time.perf_counter()
            made = make()
            spent = time.perf_counter() - began + self.saved - saved
            self._made[name] = made, spent
        else:
            self.saved += self._made[name][1]
        found: T = self._made[name][0]
        return found

    def forget(self) -> None:
        """Give back the memory of what was made."""
        self._made.clear()


def _joined(sets: list[Any], *fields: str) -> list[npt.NDArray[Any]]:
    return [np.concatenate([getattr(part, field) for part in sets]) for field in fields]


def _test_images(
    dataset: Dataset, truth: Path, numbers: tuple[int, ...], sites: Path | None
) -> Truth:
    test = dataset.test()
    true = open_images(truth / "Depth", size=dataset.shape)
    if list(true.names) != list(test.names):
        raise InputError(f"{truth / 'Depth'}: its names are not those of the test images")
    cases = read_cases(truth / "cases.csv", true.names)
    mine = np.isin(cases, numbers)
    if not mine.any():
        named = ", ".join(map(str, numbers))
        raise InputError(f"{truth / 'cases.csv'}: has no image of case {named}")
    units = test.names if sites is None else read_column(sites, "site", test.names)
    return Truth(test.images[mine], true.images[mine], cases[mine], units[mine])


def seeded(settings: Settings, seed: int) -> Settings:
    """The settings with another seed."""
    return settings._replace(config=dataclasses.replace(settings.config, seed=seed))
