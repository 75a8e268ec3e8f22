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

FIRST = "serving_default"
UNDECODABLE = "Invalid PNG data"
"""TensorFlow's word on an image, of which it does not say which one it is."""


def main() -> None:
    """Entry point of the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a version folder")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--hurry", action="store_true", help="warm only the default signature up")
    arguments = parser.parse_args()
    # Libraries print to standard output; their text must not end up between the frames.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        model = LoadedModel(arguments.folder)
        if arguments.hurry:
            model.warm_up(FIRST)
        else:
            model.warm_up()
    except Exception as error:  # the server logs and shows whatever keeps a model from loading
        _send(replies, {"error": readable(error)})
        return
    _send(replies, {"signature_def": model.signature_def, "warm": not arguments.hurry})
    lock = threading.Lock()

    def warm_up() -> None:
        model.warm_up_quietly()
        with lock:
            _send(replies, {"warm": True})

    if arguments.hurry:
        threading.Thread(target=warm_up, daemon=True).start()

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
    """A loaded SavedModel.

    Attributes:
        signature_def: by name, each signature's inputs and outputs as TensorFlow Serving's
            metadata shows them.
    """

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        from semtf.distribution import grow_memory
        from semtf.serving.saved_model.loading import load, signature_def

        grow_memory()
        self._tf = tf
        self._model = load(folder)  # first, since it tells which file is damaged
        self.signature_def = signature_def(folder)
        self._specs = {
            name: function.structured_input_signature[1]
            for name, function in self._model.signatures.items()
        }
        self._folder = folder

    def warm_up(self, *names: str) -> None:
        """Replay the warm-up requests of some signatures; of all where none is named."""
        from semtf.serving.saved_model.warmup import WARMUP, read_warmup

        if (self._folder / WARMUP).exists():
            for name, inputs in read_warmup(self._folder).items():
                if not names or name in names:
                    self.run(name, inputs)

    def warm_up_quietly(self) -> None:
        """Replay all warm-up requests; what goes wrong is told on standard error only."""
        try:
            self.warm_up()
        except Exception as error:  # the process serves others: it must not end for a warm-up
            print(f"a warm-up request failed: {one_line(error)}", file=sys.stderr)

    def reply(self, head: dict[str, Any], tensors: Tensors) -> bytes:
        """The frame that answers a request: its outputs, or an error and its HTTP status."""
        try:
            return pack({"id": head["id"]}, self.run(head["signature"], tensors))
        except (self._tf.errors.InvalidArgumentError, ValueError, TypeError) as error:
            message = str(getattr(error, "message", None) or error)
            if UNDECODABLE in message:
                message = self._undecodable(tensors) or message
            failure = {"error": readable(message), "status": 400}
        except self._tf.errors.ResourceExhaustedError as error:
            failure = {"error": readable(getattr(error, "message", None) or error), "status": 429}
        except Exception as error:  # the process serves others: it must not end for one request
            failure = {"error": one_line(error), "status": 500}
        return pack({"id": head["id"], **failure}, {})

    def _undecodable(self, tensors: Tensors) -> str:
        """Which image of a request TensorFlow cannot decode; empty where it can all of them."""
        for array in tensors.values():
            for index, file in enumerate(array.ravel() if array.dtype == object else ()):
                try:
                    self._tf.io.decode_png(file)
                except self._tf.errors.InvalidArgumentError as error:
                    if UNDECODABLE in str(error):
                        return f"image {index}: damaged: its pixels cannot be decoded"
        return ""

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
