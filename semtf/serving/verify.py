"""Load an export in fresh processes, with both of TensorFlow's loaders, and compare the depth."""

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from semtf.config import IndexKind
from semtf.estimation.estimator import load
from semtf.retrieval.storage import Storage
from semtf.run import Run

LOADERS = ("saved_model", "graph")
IMAGES_PER_CASE = 4


@dataclass(frozen=True)
class Verification:
    """Largest difference of depth, in grey levels, between an export and the estimator."""

    difference: dict[str, float]
    images: int


def verify(run: Run, export: Path, index: IndexKind) -> Verification:
    """Compare an export with the estimator on some of the run's own keys.

    Each loader runs in a process of its own: ``tf.saved_model.load``, and the graph loader in a
    session, which is what TensorFlow Serving does.

    Raises:
        RuntimeError: a loader fails.
    """
    images = np.concatenate(
        [Storage.open(run.storage(case)).keys[:IMAGES_PER_CASE] for case in run.cases]
    ).astype(np.float32)
    expected = load(run.path, index=index).predict(images).depth
    difference = {
        loader: float(np.abs(predict(export, images, loader) - expected).max())
        for loader in LOADERS
    }
    return Verification(difference, len(images))


def predict(export: Path, images: npt.NDArray[np.float32], loader: str) -> npt.NDArray[np.float32]:
    """Depth from an export, computed in a fresh process with one of `LOADERS`."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "images.npy", images)
        command = [sys.executable, "-m", "semtf.serving.verify", loader, str(export), folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter and module
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise RuntimeError(f"{export}: the {loader} loader fails: {last}")
        depth: npt.NDArray[np.float32] = np.load(Path(folder) / "depth.npy")
    return depth


def _with_saved_model(export: str, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    import tensorflow as tf

    model = tf.saved_model.load(export)
    depth: npt.NDArray[np.float32] = model.signatures["serving_default"](tf.constant(images))[
        "depth"
    ].numpy()
    return depth


def _with_graph(export: str, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    import tensorflow as tf

    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        signature = tf.compat.v1.saved_model.load(session, ["serve"], export).signature_def[
            "serving_default"
        ]
        (given,) = signature.inputs.values()
        depth: npt.NDArray[np.float32] = session.run(
            signature.outputs["depth"].name, {given.name: images}
        )
    return depth


def main() -> None:
    """Entry point of the fresh process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("loader", choices=LOADERS)
    parser.add_argument("export")
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    _register_scann(Path(arguments.export))
    images = np.load(arguments.folder / "images.npy")
    function = _with_saved_model if arguments.loader == "saved_model" else _with_graph
    np.save(arguments.folder / "depth.npy", function(arguments.export, images))


def _register_scann(export: Path) -> None:
    if json.loads((export / "semtf.json").read_text(encoding="utf-8"))["needs_scann_operations"]:
        importlib.import_module("scann.scann_ops.py.scann_ops")


if __name__ == "__main__":
    main()
