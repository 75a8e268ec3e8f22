"""`fit` of a classifier with its schedule and the other callbacks."""

import math
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from semtf import training_loop
from semtf.checkpoint import Checkpoint
from semtf.classification.augmentation import augmentation, with_noise
from semtf.classification.callbacks import Plateau, TimeLimit, state
from semtf.classification.cycles import Cycles
from semtf.config import ClassificationConfig
from semtf.data.pipelines import labelled
from semtf.progress import progress
from semtf.run import HISTORY

EVALUATED = 256
"""Images at a time, at most, when the classifier is judged on held-out sites."""

Labelled = tuple[NDArray[np.uint8], NDArray[np.integer]]


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
    seconds: float | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Checkpoint:
    """Run `semtf.training_loop.fit`, with a CSV history and a checkpoint in ``folder``.

    Args:
        model: compiled; its optimizer is built.
        training: images uint8 ``[n, height, width]`` and labels ``[n]``.
        validation: the same, of other sites; may be empty.
        config: schedule and augmentation.
        steps: of an epoch.
        seed: of the order and the augmentation.
        folder: where history and checkpoint go.
        resume: go on from the checkpoint, if there is one.
        seconds: the time that it may take, looked at after each epoch; any where None.
        callbacks: other Keras callbacks, called when the checkpoint is written.

    Returns:
        The checkpoint, to be removed when the classifier is saved.
    """
    folder.mkdir(parents=True, exist_ok=True)
    judged, history = _judged(model, validation, seed), folder / HISTORY
    limit = None if seconds is None else TimeLimit(seconds)
    schedule: Cycles | Plateau
    if config.schedule == "cosine":
        schedule = Cycles(config, steps, limit)
    else:
        schedule = Plateau(config, history, monitor="loss" if judged is None else "val_loss")
    checkpoint = Checkpoint([*state(model), *schedule.variables()], folder, {HISTORY: 1})
    if not resume:
        checkpoint.remove()
    done = checkpoint.restore()
    if not done:
        history.unlink(missing_ok=True)
    with progress("classifier", (schedule.end - done) * steps) as advance:
        training_loop.fit(
            model,
            _batches(training, config, seed),
            state=state(model),
            done=done,
            epochs=done if done == schedule.end else config.epochs,
            steps=steps,
            validation=judged,
            callbacks=[
                *([] if limit is None else [limit]),
                schedule,
                keras.callbacks.CSVLogger(str(history), append=done > 0),
                checkpoint,
                *callbacks,
                keras.callbacks.LambdaCallback(
                    on_train_batch_end=lambda _, logs: advance(
                        1, _note(logs, schedule.status), (schedule.end - done) * steps
                    )
                ),
            ],
        )
    return checkpoint


def follow(
    model: keras.Model,
    training: Labelled,
    validation: Labelled,
    config: ClassificationConfig,
    *,
    seed: int,
) -> None:
    """A worker's part in the training that the chief's `fit` leads, with the same arguments."""
    training_loop.follow(
        model,
        _batches(training, config, seed),
        state=state(model),
        validation=_judged(model, validation, seed),
    )


def _batches(training: Labelled, config: ClassificationConfig, seed: int) -> training_loop.Data:
    """The batches of a training, from the step to begin with."""

    def data(start: int) -> tf.data.Dataset:
        batches = labelled(
            *training,
            batch=config.batch,
            seed=seed,
            augmentation=augmentation(config),
            start=start,
        )
        return with_noise(batches, config.noise, seed=seed, start=start)

    return data


def _judged(model: keras.Model, validation: Labelled, seed: int) -> tf.data.Dataset | None:
    """What is judged after an epoch, in batches that all replicas share alike."""
    replicas = model.distribute_strategy.num_replicas_in_sync
    count, size = even_batches(len(validation[0]), replicas)
    if not count:
        return None
    images, labels = validation
    return labelled(
        images[:count], labels[:count], batch=size, seed=seed, shuffle=False, repeat=False
    )


def even_batches(count: int, replicas: int) -> tuple[int, int]:
    """How many of ``count`` images are judged after an epoch, and in batches of which size.

    One replica takes them all. Several get equal parts of equal batches, for Keras and batch
    normalisation fail where a replica gets fewer or none; fewer than ``replicas`` images a batch
    are left out of the history's ``val_loss``, none of the calibration.
    """
    if replicas == 1 or count == 0:
        return count, EVALUATED
    batches = math.ceil(count / EVALUATED)
    batch = count // batches // replicas * replicas
    return batch * batches, batch


def _note(logs: dict[str, float], status: str) -> str:
    return f"loss {logs['loss']:.4f}, accuracy {logs['accuracy']:.4f}{status and '; '}{status}"
