"""Load an export in fresh processes, with both of TensorFlow's loaders, and compare its answers."""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from semtf.config import IndexKind
from semtf.estimation.estimator import load as load_estimator
from semtf.estimation.result import DepthResult
from semtf.retrieval.storage import Storage
from semtf.run import Run
from semtf.serving.frames import Tensors, frames, pack
from semtf.serving.saved_model.export_metadata import read_export_metadata
from semtf.serving.saved_model.loading import load, register_operations
from semtf.serving.saved_model.warmup import sample_inputs

LOADERS = ("saved_model", "graph")
IMAGES_PER_CASE = 4
TOLERANCE = 1e-3
Answers = Mapping[str, Tensors]
"""Outputs by name, by signature."""


@dataclass(frozen=True)
class Verification:
    """What a check of an export found.

    Attributes:
        difference: by loader, the largest difference of depth and sigma between the export and
            the estimator, in grey levels.
        images: how many were compared.
        recall: for ScaNN, the share of the exact search's neighbours that are found.
        rmse: for ScaNN, the depth's RMSE against the exact search, in grey levels.
    """

    difference: dict[str, float]
    images: int
    recall: float | None = None
    rmse: float | None = None


def verify(run: Run, export: Path, index: IndexKind, recall: float | None = None) -> Verification:
    """Compare all signatures of an export with the estimator on some of the run's own keys.

    Each loader runs in a process of its own: ``tf.saved_model.load``, and the graph loader in a
    session, which is what TensorFlow Serving does.

    Raises:
        RuntimeError: a loader fails, or a signature gives something else than the estimator.
    """
    images = np.concatenate(
        [Storage.open(run.storage(case)).keys[:IMAGES_PER_CASE] for case in run.cases]
    )
    each = [len(Storage.open(run.storage(case)).keys[:IMAGES_PER_CASE]) for case in run.cases]
    cases = tuple(np.repeat(run.cases, each).tolist())
    estimator = load_estimator(run.path, index=index, recall=recall)
    inputs = sample_inputs(images, cases, estimator.parts.cases)
    expected = estimator.predict(images)
    difference = {}
    for loader in LOADERS:
        found = answers(export, inputs, loader)
        difference[loader] = _difference(found, expected)
        if not difference[loader] <= TOLERANCE:
            raise RuntimeError(
                f"{export}: with the {loader} loader the depth is {difference[loader]:.3g} grey "
                "levels off the estimator's"
            )
    if index == "exact":
        return Verification(difference, len(images))
    exact = load_estimator(run.path, index="exact").predict(images)
    rmse = float(np.sqrt(np.mean(np.square(expected.depth - exact.depth))))
    return Verification(difference, len(images), _recall(expected, exact), rmse)


def _difference(found: Answers, expected: DepthResult) -> float:
    """Largest difference of depth and sigma over the signatures that give them."""
    whole = ("serving_default", "predict_float", "estimate")
    parts = [np.abs(found[name]["depth"] - expected.depth).max() for name in whole]
    parts += [np.abs(found[name]["sigma"] - expected.sigma).max() for name in whole]
    for name in (*whole, "classify"):
        if not np.array_equal(found[name]["case"], expected.case):
            raise RuntimeError(f"the signature {name} gives other cases than the estimator")
    for name in ("estimate", "neighbours"):
        names = [[pair.decode() for pair in row if pair] for row in found[name]["name"].tolist()]
        if names != [[n.pair for n in row] for row in expected.neighbours]:
            raise RuntimeError(f"the signature {name} gives other neighbours than the estimator")
    return float(max(parts))


def _recall(found: DepthResult, exact: DepthResult) -> float:
    shares = [
        len({n.pair for n in some} & {n.pair for n in all_}) / max(1, len(all_))
        for some, all_ in zip(found.neighbours, exact.neighbours, strict=True)
    ]
    return float(np.mean(shares))


def answers(export: Path, inputs: Mapping[str, Tensors], loader: str) -> Answers:
    """What the signatures of an export give, computed in a fresh process.

    Args:
        export: a version folder.
        inputs: by signature, its inputs by name.
        loader: one of `LOADERS`.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked, told = Path(folder) / "requests", Path(folder) / "answers"
        asked.write_bytes(b"".join(pack({"name": name}, given) for name, given in inputs.items()))
        command = [sys.executable, "-m", "semtf.serving.saved_model.verify", loader]
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            [*command, str(export), str(asked), str(told)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise RuntimeError(f"{export}: the {loader} loader fails: {last}")
        with told.open("rb") as file:
            return {head["name"]: outputs for head, outputs in frames(file)}


def _with_saved_model(export: Path) -> Callable[[str, Tensors], Tensors]:
    # The graph loader optimises the graph as a server does; once is enough, it takes long.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    model = load(export)

    def run(name: str, inputs: Tensors) -> Tensors:
        outputs = model.signatures[name](**{k: tf.constant(v) for k, v in inputs.items()})
        return {key: np.asarray(value.numpy()) for key, value in outputs.items()}

    return run


def _with_graph(export: Path) -> Callable[[str, Tensors], Tensors]:
    register_operations(read_export_metadata(export))
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        model = tf.compat.v1.saved_model.load(session, ["serve"], str(export))

    def run(name: str, inputs: Tensors) -> Tensors:
        signature = model.signature_def[name]
        given = {signature.inputs[key].name: value for key, value in inputs.items()}
        wanted = {key: info.name for key, info in signature.outputs.items()}
        found = session.run(wanted, given)
        return {key: np.asarray(value) for key, value in found.items()}

    return run


def main() -> None:
    """Entry point of the fresh process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("loader", choices=LOADERS)
    parser.add_argument("export", type=Path)
    parser.add_argument("requests", type=Path)
    parser.add_argument("answers", type=Path)
    arguments = parser.parse_args()
    start = _with_saved_model if arguments.loader == "saved_model" else _with_graph
    run = start(arguments.export)
    with arguments.requests.open("rb") as asked, arguments.answers.open("wb") as told:
        for head, inputs in frames(asked):
            told.write(pack(head, run(head["name"], inputs)))


if __name__ == "__main__":
    main()
