"""The optimizer, its schedule, and `fit` with the callbacks."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from semtf.checkpoint import Checkpoint
from semtf.classification.augmentation import augmentation, with_noise
from semtf.classification.callbacks import HISTORY, Plateau, state
from semtf.config import ClassificationConfig
from semtf.data.pipelines import labelled
from semtf.progress import progress

Labelled = tuple[NDArray[np.uint8], NDArray[np.integer]]


def optimizer(config: ClassificationConfig, steps: int) -> keras.optimizers.Optimizer:
    """AdamW with the rate of the config: constant, or a cosine to zero after a linear warm-up.

    Args:
        config: rate, decay and schedule.
        steps: of an epoch.
    """
    rate: Any = config.learning_rate
    if config.schedule == "cosine":
        warm_up = round(config.warm_up * config.epochs * steps)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warm_up else config.learning_rate,
            max(config.epochs * steps - warm_up, 1),
            warmup_target=config.learning_rate if warm_up else None,
            warmup_steps=warm_up,
        )
    return keras.optimizers.AdamW(rate, weight_decay=config.weight_decay)


def fit(
    model: keras.Model,
    training: Labelled,
    validation: Labelled,
    config: ClassificationConfig,
    *,
    steps: int,
    seed: int,
    folder: Path,
    resume: bool,
) -> Checkpoint:
    """Run `keras.Model.fit`, with a CSV history and a checkpoint in ``folder``.

    Args:
        model: compiled; its optimizer is built.
        training: images uint8 ``[n, height, width]`` and labels ``[n]``.
        validation: the same, of other sites; may be empty.
        config: schedule and augmentation.
        steps: of an epoch.
        seed: of the order and the augmentation.
        folder: where history and checkpoint go.
        resume: go on from the checkpoint, if there is one.

    Returns:
        The checkpoint, to be removed when the classifier is saved.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = Checkpoint(state(model), folder, {HISTORY: 1})
    if not resume:
        checkpoint.remove()
    done = checkpoint.restore()
    data = labelled(
        *training,
        batch=config.batch,
        seed=seed,
        augmentation=augmentation(config),
        start=done * steps,
    )
    known = len(validation[0]) > 0
    callbacks: list[keras.callbacks.Callback] = []
    if config.schedule == "plateau":
        monitor = "val_loss" if known else "loss"
        past = folder / HISTORY if done else None
        callbacks.append(
            Plateau(config.learning_rate, past, monitor=monitor, patience=config.patience)
        )
    callbacks.append(keras.callbacks.CSVLogger(str(folder / HISTORY), append=done > 0))
    with progress("classifier", (config.epochs - done) * steps) as advance:
        model.fit(
            with_noise(data, config.noise, seed=seed, start=done * steps),
            steps_per_epoch=steps,
            initial_epoch=done,
            epochs=config.epochs,
            validation_data=labelled(*validation, batch=256, seed=seed, shuffle=False, repeat=False)
            if known
            else None,
            callbacks=[
                *callbacks,
                checkpoint,
                keras.callbacks.LambdaCallback(
                    on_train_batch_end=lambda _, logs: advance(1, _note(logs))
                ),
            ],
            verbose=0,
        )
    return checkpoint


def _note(logs: dict[str, float]) -> str:
    return f"loss {logs['loss']:.4f}, accuracy {logs['accuracy']:.4f}"
