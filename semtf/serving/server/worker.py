"""The process that holds one version of a model: TensorFlow lives here, not in the server.

It reads requests from standard input and writes replies to standard output, as frames of
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
    # Libraries print to standard output; their text must not end up between the frames.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        model = LoadedModel(arguments.folder)
    except Exception as error:  # the server logs and shows whatever keeps a model from loading
        _send(replies, {"error": one_line(error)})
        return
    _send(replies, {"signature_def": model.signature_def})
    lock = threading.Lock()

    def reply(head: dict[str, Any], tensors: Tensors) -> None:
        frame = model.reply(head, tensors)
        with lock:
            replies.write(frame)
            replies.flush()

    with ThreadPoolExecutor(arguments.threads) as pool:
        for head, tensors in frames(sys.stdin.buffer):
            pool.submit(reply, head, tensors)


def _send(stream: BinaryIO, head: dict[str, Any]) -> None:
    stream.write(pack(head, {}))
    stream.flush()


class LoadedModel:
    """A loaded SavedModel, its warm-up requests replayed.

    Attributes:
        signature_def: by name, each signature's inputs and outputs as TensorFlow Serving's
            metadata shows them.
    """

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        from semtf.distribution import grow_memory
        from semtf.serving.saved_model.loading import load, signature_def
        from semtf.serving.saved_model.warmup import WARMUP, read_warmup

        grow_memory()
        self._tf = tf
        self.signature_def = signature_def(folder)
        self._model = load(folder)
        self._specs = {
            name: function.structured_input_signature[1]
            for name, function in self._model.signatures.items()
        }
        if (folder / WARMUP).exists():
            for name, inputs in read_warmup(folder).items():
                self.run(name, inputs)

    def reply(self, head: dict[str, Any], tensors: Tensors) -> bytes:
        """The frame that answers a request: its outputs, or an error and its HTTP status."""
        try:
            return pack({"id": head["id"]}, self.run(head["signature"], tensors))
        except (self._tf.errors.InvalidArgumentError, ValueError, TypeError) as error:
            failure = {"error": readable(getattr(error, "message", None) or error), "status": 400}
        except self._tf.errors.ResourceExhaustedError as error:
            failure = {"error": readable(getattr(error, "message", None) or error), "status": 429}
        except Exception as error:  # the process serves others: it must not end for one request
            failure = {"error": one_line(error), "status": 500}
        return pack({"id": head["id"], **failure}, {})

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
