"""A trained classifier: network, cases, temperature and threshold, in one folder."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from semtf.checkpoint import save_weights
from semtf.classification.baselines import logistic_regression, small_convnet
from semtf.classification.calibration import scaled_softmax
from semtf.classification.efficientnet import efficientnet_b0
from semtf.data.network_scale import to_network
from semtf.errors import InputError
from semtf.json_fields import parse_json

NETWORKS: dict[str, Callable[..., keras.Model]] = {
    "efficientnet_b0": efficientnet_b0,
    "small": small_convnet,
    "statistics": logistic_regression,
}
SETTINGS_FILE = "classifier.json"
WEIGHTS_FILE = "model.weights.h5"


@dataclass
class Classifier:
    """The case of an image, with a calibrated probability.

    Attributes:
        model: from float32 ``[batch, height, width, 1]`` in [-1, 1] to logits
            ``[batch, len(cases)]``.
        cases: the case of each logit, ascending.
        backbone: the network's name, a key of `NETWORKS`.
        temperature: the logits are divided by it before the softmax.
        threshold: the case of an image is in doubt where its highest probability is below it.
        metrics: accuracy, calibration error and reliability on the held-out images.
    """

    model: keras.Model
    cases: tuple[int, ...]
    backbone: str = "efficientnet_b0"
    temperature: float = 1.0
    threshold: float = 0.0
    metrics: dict[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the images, in pixels."""
        _, height, width, _ = self.model.input_shape
        return height, width

    @cached_property
    def _call(self) -> Callable[[tf.Tensor], tf.Tensor]:
        signature = [tf.TensorSpec([None, *self.shape, 1], tf.float32)]
        function = tf.function(lambda x: self.model(x, training=False), input_signature=signature)
        call: Callable[[tf.Tensor], tf.Tensor] = function
        return call

    def logits(self, images: NDArray[Any], *, batch: int = 256) -> NDArray[np.float32]:
        """Logits ``[n, len(cases)]`` of grey images ``[n, height, width]`` with levels 0–255."""
        if images.ndim != 3 or images.shape[1:] != self.shape:
            raise InputError(
                f"images of shape {images.shape}: the classifier takes [n, "
                f"{self.shape[0]}, {self.shape[1]}] grey levels"
            )
        parts = [
            self._call(tf.constant(to_network(images[start : start + batch])[..., None])).numpy()
            for start in range(0, len(images), batch)
        ]
        return np.concatenate([np.zeros((0, len(self.cases)), np.float32), *parts])

    def probabilities(self, images: NDArray[Any], *, batch: int = 256) -> NDArray[np.float32]:
        """Calibrated probability of each case.

        Args:
            images: grey levels, uint8 or float, ``[n, height, width]``.
            batch: images a forward pass.

        Returns:
            float32 ``[n, len(cases)]``, columns in the order of `cases`, rows summing to 1.

        Raises:
            InputError: the images have another shape.
        """
        return scaled_softmax(self.logits(images, batch=batch), self.temperature)

    def save(self, folder: Path) -> None:
        """Write the classifier into ``folder``: JSON and weights, nothing executable."""
        folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "backbone": self.backbone,
            "cases": list(self.cases),
            "shape": list(self.shape),
            "temperature": self.temperature,
            "threshold": self.threshold,
            "metrics": self.metrics,
        }
        text = json.dumps(settings, indent=2) + "\n"
        (folder / SETTINGS_FILE).write_text(text, encoding="utf-8")
        save_weights(self.model, folder / WEIGHTS_FILE)

    @classmethod
    def load(cls, folder: Path) -> "Classifier":
        """Read a saved classifier; raises InputError where its files are missing or broken."""
        path = folder / SETTINGS_FILE
        try:
            settings = parse_json(path.read_text(encoding="utf-8"))
            cases = tuple(int(case) for case in settings["cases"])
            height, width = settings["shape"]
            model = NETWORKS[settings["backbone"]]((height, width), len(cases))
            model.load_weights(folder / WEIGHTS_FILE)
            return cls(
                model,
                cases,
                settings["backbone"],
                float(settings["temperature"]),
                float(settings["threshold"]),
                settings["metrics"],
            )
        except OSError as error:
            raise InputError(f"{folder}: no classifier there ({error}); train one first") from error
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}: not a semtf classifier ({error}); train again") from error
