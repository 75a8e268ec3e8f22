"""The process that holds one version of a model: TensorFlow lives here, not in the server.

It reads requests from standard input and writes answers to standard output, as frames of
`semtf.serving.frames`, several at a time where ``--threads`` allows. It ends when its input ends,
so it never outlives the server. A version is unloaded by ending the process: a searcher of ScaNN
never gives its memory back otherwise.
"""

import argparse
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from semtf.serving.frames import Tensors, frames, pack
from semtf.serving.messages import one_line, readable


def main() -> None:
    """Entry point of the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a version folder")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    # Whatever else writes to standard output must not end up between the frames.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        served = LoadedModel(arguments.folder)
    except Exception as error:  # any reason why a model does not load is for the server to tell
        _send(answers, {"error": one_line(error)})
        return
    _send(answers, {"signature_def": served.signature_def, "note": served.note})
    lock = threading.Lock()

    def answer(head: dict[str, Any], tensors: Tensors) -> None:
        frame = served.answer(head, tensors)
        with lock:
            answers.write(frame)
            answers.flush()

    with ThreadPoolExecutor(arguments.threads) as pool:
        for head, tensors in frames(sys.stdin.buffer):
            pool.submit(answer, head, tensors)


def _send(stream: BinaryIO, head: dict[str, Any]) -> None:
    stream.write(pack(head, {}))
    stream.flush()


class LoadedModel:
    """A loaded SavedModel, its warm-up requests replayed.

    Attributes:
        signature_def: by name, each signature's inputs and outputs as TensorFlow Serving's
            metadata shows them.
        note: what ``semtf.json`` says of the export.
    """

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        from semtf.serving.saved_model.export_metadata import read_export_metadata
        from semtf.serving.saved_model.loading import load, signature_def
        from semtf.serving.saved_model.warmup import WARMUP, read_warmup

        self._tf = tf
        self.note = read_export_metadata(folder)
        self.signature_def = signature_def(folder)
        self._model = load(folder)
        self._specs = {
            name: function.structured_input_signature[1]
            for name, function in self._model.signatures.items()
        }
        if (folder / WARMUP).exists():
            for name, inputs in read_warmup(folder):
                self.run(name, inputs)

    def answer(self, head: dict[str, Any], tensors: Tensors) -> bytes:
        """The frame that answers a request: its outputs, or an error and its kind."""
        try:
            return pack({"id": head["id"]}, self.run(head["signature"], tensors))
        except (self._tf.errors.InvalidArgumentError, ValueError, TypeError) as error:
            failed = {"error": readable(getattr(error, "message", None) or error), "status": 400}
        except self._tf.errors.ResourceExhaustedError as error:
            failed = {"error": readable(getattr(error, "message", None) or error), "status": 429}
        except Exception as error:  # the process serves others: it must not end for one request
            failed = {"error": one_line(error), "status": 500}
        return pack({"id": head["id"], **failed}, {})

    def run(self, name: str, tensors: Tensors) -> dict[str, npt.NDArray[Any]]:
        """The outputs of a signature."""
        inputs = {}
        for key, spec in self._specs[name].items():
            value = tensors[key]
            if not spec.shape.is_compatible_with(value.shape):
                raise ValueError(f"{key} must be of shape {spec.shape}; got {list(value.shape)}")
            inputs[key] = self._tf.constant(value, spec.dtype)
        outputs = self._model.signatures[name](**inputs)
        return {key: np.asarray(value.numpy()) for key, value in outputs.items()}


if __name__ == "__main__":
    main()
