"""The outputs of an export's signatures, computed in a fresh process by either of two loaders.

``saved_model`` is `tf.saved_model.load`; ``graph`` is the graph loader in a session, which is what
TensorFlow Serving uses.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tensorflow as tf

from semtf.serving.frames import Tensors, frames, pack
from semtf.serving.saved_model.export_metadata import read_export_metadata
from semtf.serving.saved_model.loading import load, register_operations

LOADERS = ("saved_model", "graph")
OPTIMISING = ("graph",)
"""Loaders that let TensorFlow optimise graphs, as a server does; once is enough, it takes long."""
OutputsBySignature = Mapping[str, Tensors]


def signature_outputs(
    export: Path, inputs: Mapping[str, Tensors], loader: str
) -> OutputsBySignature:
    """The outputs of an export, by signature.

    Args:
        export: a version folder.
        inputs: by signature, its inputs by name.
        loader: one of `LOADERS`.

    Raises:
        RuntimeError: the process fails; the message is its last line.
    """
    with tempfile.TemporaryDirectory() as folder:
        requests, replies = Path(folder) / "requests", Path(folder) / "replies"
        requests.write_bytes(
            b"".join(pack({"name": name}, tensors) for name, tensors in inputs.items())
        )
        command = [sys.executable, "-m", "semtf.serving.saved_model.fresh_process", loader]
        process = subprocess.run(  # noqa: S603 - our own interpreter and module
            [*command, str(export), str(requests), str(replies)],
            capture_output=True,
            text=True,
            check=False,
        )
        if process.returncode != 0:
            last_line = (process.stderr.strip().splitlines() or ["no message"])[-1]
            raise RuntimeError(f"{export}: the {loader} loader fails: {last_line}")
        with replies.open("rb") as file:
            return {head["name"]: outputs for head, outputs in frames(file)}


@contextmanager
def optimised_as_by(loader: str) -> Iterator[None]:
    """Let functions that are called in the block be optimised only where the loader does so.

    An optimised graph rounds otherwise: what is compared must be of one kind.
    """
    disable = "disable_meta_optimizer"
    before = tf.config.optimizer.get_experimental_options().get(disable, False)
    tf.config.optimizer.set_experimental_options({disable: loader not in OPTIMISING})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({disable: before})


def _open_saved_model(export: Path) -> Callable[[str, Tensors], Tensors]:
    model = load(export)

    def run(name: str, inputs: Tensors) -> Tensors:
        outputs = model.signatures[name](**{k: tf.constant(v) for k, v in inputs.items()})
        return {key: np.asarray(value.numpy()) for key, value in outputs.items()}

    return run


def _open_graph(export: Path) -> Callable[[str, Tensors], Tensors]:
    register_operations(read_export_metadata(export))
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        model = tf.compat.v1.saved_model.load(session, ["serve"], str(export))

    def run(name: str, inputs: Tensors) -> Tensors:
        signature = model.signature_def[name]
        feeds = {signature.inputs[key].name: value for key, value in inputs.items()}
        fetches = {key: info.name for key, info in signature.outputs.items()}
        outputs = session.run(fetches, feeds)
        return {key: np.asarray(value) for key, value in outputs.items()}

    return run


def main() -> None:
    """Entry point of the fresh process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("loader", choices=LOADERS)
    parser.add_argument("export", type=Path)
    parser.add_argument("requests", type=Path, help="file of frames, one a signature")
    parser.add_argument("replies", type=Path, help="file of frames to write")
    arguments = parser.parse_args()
    open_export = _open_saved_model if arguments.loader == "saved_model" else _open_graph
    with (
        optimised_as_by(arguments.loader),
        arguments.requests.open("rb") as requests,
        arguments.replies.open("wb") as replies,
    ):
        run = open_export(arguments.export)
        for head, inputs in frames(requests):
            replies.write(pack(head, run(head["name"], inputs)))


if __name__ == "__main__":
    main()
