"""The versions of a model over fake workers: loaded, swapped, drained, loaded again."""

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semtf.serving.frames import Tensors
from semtf.serving.server.json_tensor import RequestError
from semtf.serving.server.metrics import Metrics
from semtf.serving.server.version import AVAILABLE, END, LOADING, UNLOADING, Options
from semtf.serving.server.versions import RESTART_SECONDS, RETRY_SECONDS, Versions
from semtf.serving.server.worker_handle import WorkerEndedError
from tests.serving.server.fake_worker import FakeWorker
from tests.serving.server.virtual_time import run, settle

BROKEN = b"broken"


class Starter:
    """Starts fake workers, and remembers them by the number of their version.

    Attributes:
        workers: by version, every worker that was started, the last one at the end.
        gate: workers start while it is set.
        hurried: whether each of them was started in a hurry, in order.
    """

    def __init__(self) -> None:
        self.workers: dict[int, list[FakeWorker]] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.hurried: list[bool] = []

    async def __call__(self, folder: Path, threads: int, hurry: bool) -> FakeWorker:
        self.hurried.append(hurry)
        await self.gate.wait()
        if (folder / "saved_model.pb").read_bytes() == BROKEN:
            raise WorkerEndedError("the model is broken")
        worker = FakeWorker()
        self.workers.setdefault(int(folder.name), []).append(worker)
        return worker


Scenario = Callable[[Path, Starter, Versions], Coroutine[Any, Any, None]]


def play(folder: Path, scenario: Scenario, **options: Any) -> None:
    """Run a scenario with version 1 served."""

    async def played() -> None:
        starter = Starter()
        versions = Versions(folder, "semtf", Options(window=0.0, **options), Metrics(), starter)
        add(folder, 1)
        await versions.update()
        await scenario(folder, starter, versions)
        await versions.close()

    run(played())


def add(folder: Path, number: int, content: bytes = b"good", changed: float = 1e9) -> None:
    version = folder / str(number)
    version.mkdir(exist_ok=True)
    (version / "saved_model.pb").write_bytes(content)
    os.utime(version / "saved_model.pb", (changed, changed))


def states(versions: Versions) -> dict[int, str]:
    return {number: state for number, state, _, _ in versions.states()}


def predict(versions: Versions, number: int | None = None) -> asyncio.Task[Tensors]:
    version = versions.find(number, None)
    return asyncio.create_task(version.predict("double", {"x": np.ones(1, np.float32)}))


def test_a_new_version_takes_over_and_the_old_one_ends(tmp_path: Path) -> None:
    async def scenario(folder: Path, starter: Starter, versions: Versions) -> None:
        assert versions.latest().number == 1
        add(folder, 2)
        (folder / "serving").mkdir()
        (folder / "3").mkdir()  # still being copied: it has no SavedModel
        starter.gate.clear()
        update = asyncio.create_task(versions.update())
        await settle()
        assert states(versions) == {2: LOADING, 1: AVAILABLE}
        assert versions.latest().number == 1
        starter.gate.set()
        await update
        await settle()
        assert versions.latest().number == 2
        assert states(versions) == {2: AVAILABLE, 1: END}
        assert starter.workers[1][0].closed
        assert not starter.workers[2][0].closed
        with pytest.raises(RequestError, match=r"Specific\(semtf, 1\)"):
            versions.find(1, None)

    play(tmp_path, scenario)


def test_a_version_answers_its_requests_before_it_ends(tmp_path: Path) -> None:
    async def scenario(folder: Path, starter: Starter, versions: Versions) -> None:
        (old,) = starter.workers[1]
        old.gate.clear()
        requests = [predict(versions), predict(versions)]
        await settle()
        add(folder, 2)
        await versions.update()
        await settle()
        assert states(versions) == {2: AVAILABLE, 1: UNLOADING}
        assert not old.closed
        assert (await predict(versions))["y"].tolist() == [10]
        assert starter.workers[2][0].calls == [[1]]
        old.gate.set()
        assert [result["y"].tolist() for result in await asyncio.gather(*requests)] == [[10], [10]]
        await settle()
        assert old.closed
        assert states(versions) == {2: AVAILABLE, 1: END}

    play(tmp_path, scenario)


def test_a_version_that_does_not_load_leaves_the_old_one_until_it_is_mended(
    tmp_path: Path,
) -> None:
    async def scenario(folder: Path, starter: Starter, versions: Versions) -> None:
        add(folder, 2, BROKEN)
        for _ in range(3):
            await versions.update()
        assert versions.states(2) == [(2, END, "UNKNOWN", "the model is broken")]
        assert versions.states(1) == [(1, AVAILABLE, "OK", "")]
        assert (await predict(versions))["y"].tolist() == [10]
        add(folder, 2, changed=time.time())
        await versions.update()
        assert states(versions) == {2: END, 1: AVAILABLE}  # it may still be being written
        await versions.update()
        await settle()
        assert states(versions) == {2: AVAILABLE, 1: END}
        assert list(starter.workers) == [1, 2]

    play(tmp_path, scenario)


def test_a_deleted_version_gives_way_to_the_one_before(tmp_path: Path) -> None:
    async def scenario(folder: Path, starter: Starter, versions: Versions) -> None:
        add(folder, 2)
        await versions.update()
        await settle()
        shutil.rmtree(folder / "2")
        await versions.update()
        await settle()
        assert states(versions) == {2: END, 1: AVAILABLE}
        assert [len(workers) for workers in starter.workers.values()] == [2, 1]
        # The last version goes on serving where the folder is emptied.
        shutil.rmtree(folder / "1")
        await versions.update()
        await settle()
        assert versions.latest().number == 1

    play(tmp_path, scenario)


def test_labels_keep_their_versions_loaded(tmp_path: Path) -> None:
    async def scenario(folder: Path, starter: Starter, versions: Versions) -> None:
        for number in (2, 3):
            add(folder, number)
            await versions.update()
            await settle()
        assert states(versions) == {3: AVAILABLE, 2: END, 1: AVAILABLE}
        assert versions.find(None, "stable").number == 1
        assert versions.find(None, None).number == 3
        with pytest.raises(RequestError, match="label: new") as unknown:
            versions.find(None, "new")
        assert unknown.value.status == 400
        with pytest.raises(RequestError, match=r"Specific\(semtf, 9\)") as missing:
            versions.find(None, "next")
        assert missing.value.status == 404
        add(folder, 9)
        await versions.update()
        await settle()
        assert versions.find(None, "next").number == versions.latest().number == 9
        assert states(versions)[3] == END

    play(tmp_path, scenario, labels={"stable": 1, "next": 9})


def test_a_labelled_version_is_loaded_beside_the_newest(tmp_path: Path) -> None:
    async def scenario() -> None:
        starter = Starter()
        versions = Versions(tmp_path, "semtf", Options(labels={"old": 1}), Metrics(), starter)
        for number in (1, 2, 3):
            add(tmp_path, number)
        await versions.update()
        assert states(versions) == {3: AVAILABLE, 1: AVAILABLE}
        await versions.close()
        assert all(worker.closed for workers in starter.workers.values() for worker in workers)

    run(scenario())


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    async def scenario(folder: Path, starter: Starter, versions: Versions) -> None:
        (dead,) = starter.workers[1]
        dead.gate.clear()
        request = predict(versions)
        await settle()
        dead.die()
        (result,) = await asyncio.gather(request, return_exceptions=True)
        assert isinstance(result, RequestError)
        assert (result.status, "try again" in str(result)) == (503, True)
        await settle()
        message = "its process ended; it is being loaded again"
        assert versions.states() == [(1, LOADING, "UNKNOWN", message)]
        with pytest.raises(RequestError, match="is being loaded again") as refused:
            versions.latest()
        assert refused.value.status == 503
        await versions.update()  # the watcher looks in between, and must not load it as well
        assert len(starter.workers[1]) == 1
        await asyncio.sleep(RESTART_SECONDS + 0.1)
        assert states(versions) == {1: AVAILABLE}
        assert len(starter.workers[1]) == 2
        assert (await predict(versions))["y"].tolist() == [10]
        starter.workers[1][1].die()
        await asyncio.sleep(RESTART_SECONDS + 0.1)
        assert len(starter.workers[1]) == 3

    play(tmp_path, scenario)


def test_a_worker_that_dies_and_does_not_load_again_ends_the_version(tmp_path: Path) -> None:
    async def scenario(folder: Path, starter: Starter, versions: Versions) -> None:
        add(folder, 1, BROKEN)
        starter.workers[1][0].die()
        await asyncio.sleep(RESTART_SECONDS + 0.1)
        assert versions.states() == [(1, END, "UNKNOWN", "the model is broken")]
        with pytest.raises(RequestError, match=r"Latest\(semtf\)") as refused:
            versions.find(None, None)
        assert refused.value.status == 404
        add(folder, 1, changed=1.1e9)
        await versions.update()
        assert states(versions) == {1: AVAILABLE}

    play(tmp_path, scenario)


def test_a_retired_worker_is_not_started_again(tmp_path: Path) -> None:
    async def scenario(folder: Path, starter: Starter, versions: Versions) -> None:
        add(folder, 2)
        await versions.update()
        await asyncio.sleep(10 * RESTART_SECONDS)
        assert len(starter.workers[1]) == 1
        assert states(versions) == {2: AVAILABLE, 1: END}

    play(tmp_path, scenario)


def test_the_watcher_follows_the_folder_and_survives_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(folder: Path, starter: Starter, versions: Versions) -> None:
        watcher = asyncio.create_task(versions.watch())
        update = versions.update

        async def failing() -> None:
            raise RuntimeError("of the folder")

        monkeypatch.setattr(versions, "update", failing)
        await asyncio.sleep(3 * versions.options.poll)
        monkeypatch.setattr(versions, "update", update)
        add(folder, 2)
        await asyncio.sleep(1.5 * versions.options.poll)
        assert versions.latest().number == 2
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)

    play(tmp_path, scenario, poll=60.0)


def test_unknown_versions_have_no_state(tmp_path: Path) -> None:
    async def scenario(folder: Path, starter: Starter, versions: Versions) -> None:
        with pytest.raises(RequestError, match="Could not find version 7 of model semtf"):
            versions.states(7)

    play(tmp_path, scenario)


def test_a_version_that_is_copied_slowly_is_loaded_when_it_is_whole(tmp_path: Path) -> None:
    async def scenario(folder: Path, starter: Starter, versions: Versions) -> None:
        add(folder, 2, changed=time.time())
        variables = folder / "2/variables"
        for size in range(3):
            await versions.update()
            assert states(versions) == {1: AVAILABLE}
            variables.mkdir(exist_ok=True)
            (variables / "variables.data").write_bytes(b"x" * (size + 1))
        await versions.update()
        assert states(versions) == {1: AVAILABLE}
        await versions.update()
        await settle()
        assert states(versions) == {2: AVAILABLE, 1: END}
        assert len(starter.workers[2]) == 1

    play(tmp_path, scenario)


def test_a_version_that_was_copied_with_its_times_is_tried_again_when_it_grows(
    tmp_path: Path,
) -> None:
    async def scenario(folder: Path, starter: Starter, versions: Versions) -> None:
        add(folder, 2, BROKEN)
        await versions.update()
        assert states(versions) == {2: END, 1: AVAILABLE}
        add(folder, 2)
        (folder / "2/variables.data").write_bytes(b"x")
        os.utime(folder / "2/variables.data", (1e9, 1e9))
        await versions.update()
        await settle()
        assert states(versions) == {2: AVAILABLE, 1: END}

    play(tmp_path, scenario)


def test_a_version_that_does_not_load_is_tried_again_five_times(tmp_path: Path) -> None:
    async def scenario(folder: Path, starter: Starter, versions: Versions) -> None:
        add(folder, 2, BROKEN)
        await versions.update()
        attempts = []
        for _ in range(10):
            await versions.update()
            attempts.append(versions.known[2].attempts)
            await asyncio.sleep(RETRY_SECONDS)
        assert attempts == [1, 2, 3, 4, 5, 6, 6, 6, 6, 6]
        assert versions.latest().number == 1

    play(tmp_path, scenario)


def test_a_served_version_whose_files_are_touched_goes_on(tmp_path: Path) -> None:
    async def scenario(folder: Path, starter: Starter, versions: Versions) -> None:
        add(folder, 2)
        await versions.update()
        await settle()
        (folder / "2/notes.txt").write_text("looked at")
        await versions.update()
        await settle()
        assert states(versions) == {2: AVAILABLE, 1: END}
        assert len(starter.workers[2]) == 1

    play(tmp_path, scenario)


def test_a_version_that_is_loaded_again_is_busy_and_not_unknown(tmp_path: Path) -> None:
    async def scenario(folder: Path, starter: Starter, versions: Versions) -> None:
        starter.gate.clear()
        starter.workers[1][0].die()
        await settle()
        for number, label in ((1, None), (None, "stable"), (None, None)):
            with pytest.raises(RequestError, match="being loaded again") as refused:
                versions.find(number, label)
            assert refused.value.status == 503
        with pytest.raises(RequestError, match=r"Specific\(semtf, 7\)") as unknown:
            versions.find(7, None)
        assert unknown.value.status == 404
        starter.gate.set()
        await asyncio.sleep(2 * RESTART_SECONDS)
        assert versions.find(None, "stable").number == 1

    play(tmp_path, scenario, labels={"stable": 1})
