"""A full disk: known before, told in one line when it comes, and survived."""

import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from semtf import disk
from semtf.data.dataset import open_dataset
from semtf.disk import explain_full_disk, probe_room, require_room
from semtf.errors import InputError, TrainingError
from semtf.run import Run
from tests.command import finish, start
from tests.full_disk import fill

SMALL = (
    "--case", 2, "--adapter", "none", "--set", "classification.backbone=statistics",
    "--set", "classification.epochs=1", "--index", "exact",
)  # fmt: skip


def limited(size: int):
    """What makes a process unable to write files above a size, as a full disk would."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.fixture(scope="module")
def packed(fab: Path) -> Path:
    """The data set, its images packed already: what is tested is what comes after that."""
    open_dataset(fab)
    return fab


def test_room_is_asked_for_before(tmp_path: Path) -> None:
    require_room(tmp_path / "new" / "run", 1000, "the run")
    with pytest.raises(InputError, match=r"run: the run needs about 1e\+06 TB and the disk has "):
        require_room(tmp_path / "new" / "run", 10**18, "the run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("count", "text"), [(999, "999 B"), (1500, "1.5 kB"), (2.5e9, "2.5 GB")])
def test_sizes(count: float, text: str) -> None:
    assert disk.in_words(count) == text


def test_only_errors_of_a_full_disk_are_turned_into_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(TrainingError, match=r"no room left on the disk \(.*No space.*then go on"),
        explain_full_disk(tmp_path, "go on"),
    ):
        raise OSError(28, "No space left on device", "file")
    with pytest.raises(PermissionError), explain_full_disk(tmp_path, "go on"):
        raise PermissionError(13, "Permission denied")


def test_a_reservation_leaves_nothing(tmp_path: Path) -> None:
    probe_room(tmp_path / "file", 3 * disk.BLOCK + 7)
    assert list(tmp_path.iterdir()) == []


WEIGHTS = """
import sys
from pathlib import Path
import keras, resource
from semtf.checkpoint import save_weights
model = keras.Sequential([keras.Input((500,)), keras.layers.Dense(500)])
path = Path(sys.argv[1]) / "model.weights.h5"
save_weights(model, path)
before = path.read_bytes()
model.set_weights([weight + 1 for weight in model.get_weights()])
resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, 700_000))
try:
    save_weights(model, path)
except OSError as error:
    print("refused", error.errno)
assert path.read_bytes() == before
"""


def test_weights_on_a_full_disk_neither_end_the_process_nor_the_old_file(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WEIGHTS, tmp_path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "refused 27\n"), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["model.weights.h5"]


@pytest.mark.parametrize(
    ("options", "limit"),
    [
        (SMALL, 200_000),  # rows.npy
        ((*SMALL, "--adapter", "cyclegan", *(
            word for name in ("first_epochs", "steps_per_epoch", "warm_up_steps", "batch")
            for word in ("--set", f"adaptation.{name}=1")
        )), 400_000),  # checkpoint.npz of two networks of width 16
    ],
    ids=["storage", "checkpoint"],
)  # fmt: skip
def test_a_training_goes_on_when_there_is_room_again(
    options: tuple[str, ...], limit: int, packed: Path, tmp_path: Path
) -> None:
    arguments = ("train", "--data", packed, "--run", tmp_path / "run", *options)
    code, _, errors = finish(start(*arguments, before=limited(limit)))
    assert code == 1
    assert len(errors) == 1
    assert errors[0].startswith(f"error: {tmp_path / 'run'}: no room left on the disk (")
    assert errors[0].endswith("then the same command with --resume goes on")
    code, _, errors = finish(start(*arguments, "--resume"))
    assert (code, errors) == (0, [])
    assert Run.open(tmp_path / "run").finished


def test_a_disk_that_fills_up_during_training(packed: Path, tmpfs: Path) -> None:
    folder = tmpfs / "run"
    command = ("train", "--data", packed, "--run", folder, *SMALL)
    process = start(*command)
    while not (folder / "config.json").exists() and process.poll() is None:
        time.sleep(0.002)
    filler = tmpfs / "filler"
    fill(filler)
    code, _, errors = finish(process)
    assert code == 1
    assert [error.startswith(f"error: {folder}: no room left") for error in errors] == [True]
    filler.unlink()
    code, _, errors = finish(start(*command, "--resume"))
    assert (code, errors) == (0, [])


def test_too_small_a_disk_is_refused_before(packed: Path, tmpfs: Path) -> None:
    options = ("--set", "adaptation.width=64", "--set", "classification.backbone=statistics")
    process = start("train", "--data", packed, "--run", tmpfs / "run", *options)
    code, _, errors = finish(process)
    assert code == 2
    assert errors[0].startswith(f"error: {tmpfs / 'run'}: the run needs about ")
    assert list(tmpfs.iterdir()) == []


def test_too_small_a_disk_for_the_packed_images_is_refused_before(fab: Path, tmpfs: Path) -> None:
    fill(tmpfs / "filler")
    with pytest.raises(InputError, match=r"the image cache \(SEMTF_CACHE\) needs about 2\.16 MB"):
        open_dataset(fab, cache=tmpfs / "cache")
    assert [path.name for path in tmpfs.iterdir()] == ["filler"]
