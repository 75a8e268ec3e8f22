"""Checkpoints: round trips, and what is no checkpoint of these networks."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from semtf import checkpoint
from semtf.backend.sets import CLASSIC, CURRENT, installed_set
from semtf.checkpoint import Checkpoint
from semtf.errors import InputError


def made(folder: Path, *shapes: tuple[int, ...]) -> Checkpoint:
    return Checkpoint([tf.Variable(np.zeros(shape, np.float32)) for shape in shapes], folder, {})


def test_variables_come_back_with_the_number_of_epochs(tmp_path: Path) -> None:
    first, again = made(tmp_path, (2, 3), ()), made(tmp_path, (2, 3), ())
    assert again.restore() == 0
    for variable, value in zip(first.variables, (np.full((2, 3), 1.5), 7.0), strict=True):
        variable.assign(value)
    first.on_epoch_end(4)
    assert again.restore() == 5
    for variable, value in zip(again.variables, first.variables, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value.numpy())


def test_another_network_and_another_set_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path, (2,)).on_epoch_end(0)
    with pytest.raises(InputError, match="of another network"):
        made(tmp_path, (3,)).restore()
    begun = installed_set()
    other = CURRENT if begun is CLASSIC else CLASSIC
    monkeypatch.setattr(checkpoint, "installed_set", lambda: other)
    with pytest.raises(InputError, match=rf"begun in the {begun.name} set of .* go on there"):
        made(tmp_path, (2,)).restore()


def test_a_checkpoint_without_the_name_of_its_set_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "checkpoint.npz", epochs=np.int64(3), **{"0000": np.ones(2, np.float32)})
    read = made(tmp_path, (2,))
    assert read.restore() == 3
    assert read.variables[0].numpy().tolist() == [1.0, 1.0]
