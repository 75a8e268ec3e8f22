"""The keys of a case by the first half of a method's name, and what is fitted to them."""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from semtf.adaptation import adapter, adapter_selection
from semtf.adaptation.base import Adapter
from semtf.adaptation.task import AdaptationTask
from semtf.adapter_table import AUTO
from semtf.benchmark.registry import EPOCHS
from semtf.benchmark.training import FINISHED, Keys, epoch_file, fitted_adapter
from semtf.benchmark.world import CaseWorld, MissingPartError
from semtf.config import AdaptationConfig, RunConfig
from semtf.data.image_sets import FabSet, SimulatorSet
from semtf.data.png import read_png
from semtf.estimation.models import EstimatorModels
from semtf.estimation.preparation import Prepared, fitted, read_prepared
from semtf.retrieval.retriever import Retriever
from semtf.retrieval.storage import Storage

TARGET_KEYS = "SEM"
"""The folder of the target keys in that of the truth."""
LONG = "long"
"""The CycleGAN whose epochs are kept: of all epochs, at the full learning rate."""


def keys_of(case: CaseWorld, name: str) -> Keys:
    """The keys of a case's pairs, uint8 ``[n, H, W]``.

    Args:
        case: the case.
        name: the first half of a method's name.

    Raises:
        MissingPartError: the data set or the run has not what they are made of.
    """
    return case.once(f"keys {name}", lambda: _keys(case, name))


def prepared(case: CaseWorld, name: str) -> Prepared:
    """What training fits to a case's pairs with these keys; raises as `keys_of`.

    The run's own keys have what the run's training fitted.
    """

    def make() -> Prepared:
        models, run = _own_models(case, name), case.world.run
        if models is None or run is None:
            return fitted(retriever_of(case, name), case.fab, case.config)
        return read_prepared(models, case.number, run.storage(case.number))

    return case.once(f"estimators {name}", make)


def retriever_of(case: CaseWorld, name: str) -> Retriever:
    """The retriever of these keys, tuned only where they are the run's own; raises as `keys_of`."""

    def make() -> Retriever:
        models = _own_models(case, name)
        if models is not None:
            return models.retrievers[case.number]
        return built(keys_of(case, name), case.simulator, case.config)

    return case.once(f"retriever {name}", make)


def _own_models(case: CaseWorld, name: str) -> EstimatorModels | None:
    """What the run's training fitted, where these are its keys and all of them."""
    own = name == "adapted" and case.world.settings.pairs is None
    return case.world.models if own else None


def built(keys: Keys, simulator: SimulatorSet, config: RunConfig, **fields: Any) -> Retriever:
    """An exact retriever of pairs with these keys; ``fields`` go before the settings of a run."""
    retrieval = dataclasses.replace(config.retrieval, index="exact", **fields)
    return Retriever.build(keys_storage(keys, simulator), retrieval, config.seed)


def keys_estimators(
    keys: Keys, simulator: SimulatorSet, fab: FabSet, config: RunConfig
) -> Prepared:
    """The estimators of a case's pairs with other keys in place of the adapted ones.

    The index is exact, and all is chosen as training chooses it.

    Args:
        keys: uint8 ``[n, H, W]``, one for each pair.
        simulator: the pairs.
        fab: the fab's images of the case.
        config: the settings of a run.
    """
    return fitted(built(keys, simulator, config), fab, config)


def keys_storage(keys: Keys, simulator: SimulatorSet) -> Storage:
    """A storage of pairs with these keys."""
    return Storage(keys, np.asarray(simulator.depth), simulator.bases, simulator.case)


def target_keys(simulator: SimulatorSet, folder: Path) -> Keys:
    """The pairs as the fab's own microscope shows them, from ``truth/SEM/<case>``."""
    size = simulator.depth.shape[1:]
    return np.stack(
        [
            read_png(folder / bucket / f"{base}.png", size)
            for bucket, base in zip(simulator.buckets, simulator.bases, strict=True)
        ]
    )


def simulator_keys(simulator: SimulatorSet) -> Keys:
    """The pairs as the simulator shows them: the mean of both exposures."""
    return np.rint(simulator.mean_sem()).astype(np.uint8)


def _keys(case: CaseWorld, name: str) -> Keys:
    simulator = case.simulator
    if name == "none":
        return simulator_keys(simulator)
    if name == "none-one-exposure":
        return np.asarray(simulator.sem[:, 0])
    if name == "target":
        folder = case.world.truth / TARGET_KEYS
        if not folder.is_dir():
            raise MissingPartError(f"{folder} is not there (semtf simulate --target-keys)")
        return target_keys(simulator, folder / case.world.dataset.case(case.number).simulator)
    if name.startswith("epoch-"):
        return _epoch_keys(case, int(name.removeprefix("epoch-")))
    if name == "adapted-one-exposure":
        return adapter_of(case, "adapted").adapt(simulator.sem[:, 0].astype(np.float32))
    if name == "adapted" and case.world.run is not None:
        return _stored_keys(case, Storage.open(case.world.run.storage(case.number)))
    return adapter_of(case, name).adapt(simulator.mean_sem())


def _stored_keys(case: CaseWorld, storage: Storage) -> Keys:
    row = {name: i for i, name in enumerate(storage.names.tolist())}
    missing = [base for base in case.simulator.bases.tolist() if base not in row]
    if missing:
        raise MissingPartError(f"the run was not trained on pair {missing[0]}")
    return np.asarray(storage.keys[[row[base] for base in case.simulator.bases.tolist()]])


def _epoch_keys(case: CaseWorld, epoch: int) -> Keys:
    adapter_of(case, LONG)
    keys: Keys = np.load(epoch_file(network_folder(case, LONG), epoch), allow_pickle=False)
    row = {base: i for i, base in enumerate(case.world.dataset.simulator(case.number).bases)}
    return keys[[row[base] for base in case.simulator.bases]]


def adapter_of(case: CaseWorld, name: str) -> Adapter:
    """The adapter of these keys: the run's own where it is that, else one that is fitted here."""
    return case.once(f"adapter {name}", lambda: _adapter(case, name))


def _adapter(case: CaseWorld, name: str) -> Adapter:
    run, config = case.world.run, adaptation_config(case.config.adaptation, name)
    if run is not None and (name == "adapted" or _same(config, run.config.adaptation, name)):
        return adapter.load(run.adaptation(case.number), run.config.image, run.config.adaptation)
    name = config.adapter if name == "adapted" else name
    if name == AUTO:
        return _chosen(case, config)
    first = case.world.numbers[0]
    folder = network_folder(case, name)
    start = None
    if name == "joint":
        folder = network_folder(case.world.case(first), name)
        simulator, fab = case.world.joint()
    else:
        # The networks learn from all pairs: only what is stored of them may be fewer.
        simulator, fab = case.world.dataset.simulator(case.number), case.fab
        if adapter.trained(config) and name != "cold" and case.number != first:
            adapter_of(case.world.case(first), name)
            start = network_folder(case.world.case(first), name)
    if name == "cold" and case.number == first:
        return adapter_of(case, "cyclegan")
    average_depth = None if name == "joint" else case.world.dataset.site_depths(case.number)
    task = _task(case, config, simulator, fab, average_depth)
    known = (folder / FINISHED).exists()
    found, seconds = fitted_adapter(task, folder, start, EPOCHS if name == LONG else ())
    if known:
        case.saved += seconds
    return found


def _chosen(case: CaseWorld, config: AdaptationConfig) -> Adapter:
    """The adapter that `auto` takes of its candidates, none of which is fitted for it alone."""
    dataset, folder = case.world.dataset, network_folder(case, AUTO)
    average_depth = dataset.site_depths(case.number)
    task = _task(case, config, dataset.simulator(case.number), case.fab, average_depth)
    fitted: dict[str, Adapter] = {}

    def fit(name: str) -> Adapter:
        fitted[name] = adapter_of(case, name)
        return fitted[name]

    trials = [adapter.judged(task, name, partial(fit, name)) for name in config.candidates]
    name, reason = adapter_selection.choose(trials)
    folder.mkdir(parents=True, exist_ok=True)
    adapter_selection.write(folder, trials, name, reason)
    return fitted[name]


def _task(
    case: CaseWorld,
    config: AdaptationConfig,
    simulator: SimulatorSet,
    fab: FabSet,
    average_depth: npt.NDArray[np.float64] | None,
) -> AdaptationTask:
    seed = case.config.seed + case.number
    return AdaptationTask(simulator, fab, case.config.image, config, seed, average_depth)


def network_folder(case: CaseWorld, name: str) -> Path:
    """Where the trained network of a name is kept."""
    networks = case.world.settings.networks
    return networks / name / f"seed_{case.config.seed}" / f"case_{case.number}"


def adaptation_config(config: AdaptationConfig, name: str) -> AdaptationConfig:
    """The settings of the adapter that makes the keys of a name."""
    if name == "lsgan":
        return dataclasses.replace(config, adapter="cyclegan", loss="lsgan")
    if name == LONG:
        return dataclasses.replace(
            config, adapter="cyclegan", early_stopping=False, decay=0.0, halve_at=(),
            first_epochs=EPOCHS[-1], other_epochs=EPOCHS[-1],
        )  # fmt: skip
    if name in ("joint", "cold"):
        return dataclasses.replace(config, adapter="cyclegan")
    return config if name == "adapted" else dataclasses.replace(config, adapter=name)


def _same(config: AdaptationConfig, other: AdaptationConfig, name: str) -> bool:
    return name not in ("joint", "cold", LONG) and config == other
