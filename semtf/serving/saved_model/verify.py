"""Load an export in fresh processes, with both of TensorFlow's loaders, and compare its outputs."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semtf.adaptation.base import Adapter
from semtf.config import IndexKind
from semtf.estimation.estimator import Estimator
from semtf.estimation.estimator import load as load_estimator
from semtf.estimation.result import DepthResult
from semtf.run import Run
from semtf.serving.frames import Tensors
from semtf.serving.saved_model.fresh_process import LOADERS, optimised_as_by, signature_outputs
from semtf.serving.saved_model.reference import Reference
from semtf.serving.saved_model.samples import Samples
from semtf.serving.saved_model.signature import Output, Signature
from semtf.serving.saved_model.signatures import (
    DEPTH,
    NAME,
    PAIR,
    SHIFTS,
    SIGMA,
    SIGNATURES,
    WEIGHTS,
)

IMAGES_PER_CASE = 4


@dataclass(frozen=True)
class Verification:
    """How far an export is from what Python computes.

    Attributes:
        difference: by loader, the largest difference of depth and sigma between the export and
            the estimator, in grey levels.
        images: how many were compared.
        recall: for ScaNN, the share of the exact search's neighbours that it finds.
        rmse: for ScaNN, the depth's RMSE against the exact search, in grey levels.
    """

    difference: dict[str, float]
    images: int
    recall: float | None = None
    rmse: float | None = None


def verify(
    run: Run,
    export: Path,
    adapters: Mapping[int, Adapter],
    index: IndexKind,
    recall: float | None = None,
) -> Verification:
    """Compare every output of every signature with what Python computes for the run's own keys.

    Each loader runs in a process of its own: ``tf.saved_model.load``, and the graph loader in a
    session, which is what TensorFlow Serving does.

    Args:
        run: the run that was exported.
        export: its version folder.
        adapters: the run's adapters by case.
        index: the kind of index that was exported.
        recall: the recall that it was exported with; as trained where None.

    Raises:
        RuntimeError: a loader fails, or an output is further from Python's than its tolerance.
    """
    estimator = load_estimator(run.path, index=index, recall=recall)
    samples = Samples.of_run(run, estimator.models, IMAGES_PER_CASE)
    inputs = {name: entry.sample_inputs(samples) for name, entry in SIGNATURES.items()}
    difference = {}
    # At the same time: while TensorFlow optimises a graph, it leaves all cores but one idle.
    with ThreadPoolExecutor(len(LOADERS)) as pool:
        outputs = pool.map(lambda loader: signature_outputs(export, inputs, loader), LOADERS)
        references = [_reference(estimator, adapters, samples, loader) for loader in LOADERS]
    for loader, found, (_, expected) in zip(LOADERS, outputs, references, strict=True):
        try:
            compared = [
                compare(entry, found[name], expected[name]) for name, entry in SIGNATURES.items()
            ]
        except ValueError as error:
            raise RuntimeError(f"{export}: with the {loader} loader {error}") from error
        difference[loader] = max(
            part.get(output.name, 0.0) for part in compared for output in (DEPTH, SIGMA)
        )
    count = len(samples.images)
    if index == "exact":
        return Verification(difference, count)
    exact = load_estimator(run.path, index="exact").predict(samples.images)
    result = references[-1][0].result
    rmse = float(np.sqrt(np.mean(np.square(result.depth - exact.depth))))
    return Verification(difference, count, _recall(result, exact), rmse)


def _reference(
    estimator: Estimator, adapters: Mapping[int, Adapter], samples: Samples, loader: str
) -> tuple[Reference, dict[str, Tensors]]:
    """What Python computes, and that by signature, in the kind of graph that a loader runs."""
    with optimised_as_by(loader):
        reference = Reference(estimator, adapters, samples)
        return reference, {name: entry.expected(reference) for name, entry in SIGNATURES.items()}


def compare(signature: Signature, outputs: Tensors, expected: Tensors) -> dict[str, float]:
    """The difference of each output of a signature from what Python computes.

    Raises:
        ValueError: an output is missing, of another type or shape, or beyond its tolerance.
    """
    names = {output.name for output in signature.outputs}
    if set(outputs) != names:
        raise ValueError(
            f"the signature {signature.name} gives {sorted(outputs)} instead of {sorted(names)}"
        )
    outputs, expected = _in_order_of_pairs(outputs), _in_order_of_pairs(expected)
    differences = {}
    for output in signature.outputs:
        actual, reference = outputs[output.name], expected[output.name]
        label = f"the output {output.name} of the signature {signature.name}"
        _check_form(label, output, actual, reference)
        difference = output.difference(actual, reference)
        if not difference <= output.tolerance:
            raise ValueError(
                f"{label} is {difference:.3g} off what Python computes (at most "
                f"{output.tolerance:g})"
            )
        differences[output.name] = difference
    return differences


def _check_form(label: str, output: Output, actual: np.ndarray, reference: np.ndarray) -> None:
    """Raise ValueError where an output is of another type or shape than it must be."""
    dtype = "string" if actual.dtype == object else actual.dtype.name
    if dtype != output.dtype:
        raise ValueError(f"{label} is {dtype} instead of {output.dtype}")
    # A PNG file is one string for what is an image in Python.
    is_png = output.dtype == "string" and reference.dtype != object
    shape = reference.shape[:1] if is_png else reference.shape
    if actual.shape != shape:
        raise ValueError(f"{label} has shape {list(actual.shape)} instead of {list(shape)}")


def _in_order_of_pairs(outputs: Tensors) -> Tensors:
    """Neighbours sorted by pair, where there are neighbours.

    The loaders optimise the graph differently, so that neighbours of the same similarity may
    change places. The similarities stay as they are: they show that the best come first.
    """
    pair = outputs.get(PAIR.name)
    if pair is None or NAME.name not in outputs:
        return outputs
    order = np.argsort(pair, axis=1, kind="stable")
    columns = (PAIR, NAME, SHIFTS, WEIGHTS)
    moved = {
        column.name: np.stack([row[i] for row, i in zip(outputs[column.name], order, strict=True)])
        for column in columns
        if column.name in outputs
    }
    return {**outputs, **moved}


def _recall(result: DepthResult, exact: DepthResult) -> float:
    """The mean share of the exact neighbours that are among those of ``result``."""
    shares = [
        len({n.pair for n in neighbours} & {n.pair for n in exact_neighbours})
        / max(1, len(exact_neighbours))
        for neighbours, exact_neighbours in zip(result.neighbours, exact.neighbours, strict=True)
    ]
    return float(np.mean(shares))
