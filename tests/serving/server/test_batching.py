"""The batcher before a fake worker, on a clock that does not wait."""

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from semtf.serving.frames import Tensors
from semtf.serving.server.batching import Batcher
from semtf.serving.server.json_tensor import RequestError
from semtf.serving.server.worker_handle import WorkerEndedError
from tests.serving.server.fake_worker import BAD, FakeWorker
from tests.serving.server.virtual_time import run, settle

WINDOW = 5.0


def batcher(worker: FakeWorker, **options: Any) -> Batcher:
    return Batcher(worker, **{"max_images": 4, "window": WINDOW, "threads": 1, **options})


def predict(target: Batcher, *values: float, signature: str = "double") -> asyncio.Task[Tensors]:
    tensors = {"x": np.array(values, np.float32)}
    return asyncio.create_task(target.predict(signature, tensors))


def outputs(*tasks: asyncio.Task[Tensors]) -> list[list[float]]:
    return [task.result()["y"].tolist() for task in tasks]


def test_requests_within_the_window_share_a_call_and_get_their_rows() -> None:
    async def scenario() -> None:
        worker = FakeWorker()
        target = batcher(worker)
        first = predict(target, 1, 2)
        await asyncio.sleep(WINDOW - 0.1)
        second = predict(target, 3)
        await settle()
        assert worker.calls == []
        await asyncio.sleep(0.2)
        assert worker.calls == [[1, 2, 3]]
        assert outputs(first, second) == [[10, 20], [30]]
        late = predict(target, 4)
        await late
        assert worker.calls == [[1, 2, 3], [4]]
        assert asyncio.get_running_loop().time() == pytest.approx(2 * WINDOW + 0.1)

    run(scenario())


def test_a_full_batch_does_not_wait() -> None:
    async def scenario() -> None:
        sizes: list[int] = []
        worker = FakeWorker()
        target = batcher(worker, observe=sizes.append)
        tasks = [predict(target, i) for i in range(4)]
        await asyncio.gather(*tasks)
        assert asyncio.get_running_loop().time() == 0
        assert worker.calls == [[0, 1, 2, 3]]
        assert sizes == [4]
        assert outputs(*tasks) == [[0], [10], [20], [30]]

    run(scenario())


def test_a_request_that_does_not_fit_closes_the_batch_and_opens_the_next() -> None:
    async def scenario() -> None:
        worker = FakeWorker()
        target = batcher(worker)
        tasks = [predict(target, 1, 2), predict(target, 3, 4, 5)]
        await asyncio.gather(tasks[0])
        # The first batch was sent; the second one is still open.
        tasks.append(predict(target, 6))
        await asyncio.gather(*tasks)
        assert asyncio.get_running_loop().time() == 0
        assert worker.calls == [[1, 2], [3, 4, 5, 6]]
        assert outputs(*tasks) == [[10, 20], [30, 40, 50], [60]]

    run(scenario())


def test_a_batch_grows_while_the_worker_is_busy() -> None:
    async def scenario() -> None:
        worker = FakeWorker()
        target = batcher(worker)
        worker.gate.clear()
        large = predict(target, *range(4))
        await settle()
        second = predict(target, 10)
        await asyncio.sleep(3 * WINDOW)
        third = predict(target, 11, 12)
        await settle()
        assert worker.calls == [[0, 1, 2, 3]]
        worker.gate.set()
        await asyncio.gather(large, second, third)
        assert worker.calls == [[0, 1, 2, 3], [10, 11, 12]]
        assert outputs(second, third) == [[100], [110, 120]]

    run(scenario())


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_no_more_calls_than_threads_are_under_way(threads: int) -> None:
    async def scenario() -> None:
        worker = FakeWorker()
        target = batcher(worker, threads=threads)
        worker.gate.clear()
        tasks = [predict(target, *([i] * 4)) for i in range(5)]
        await settle()
        assert worker.calls == [[i] * 4 for i in range(threads)]
        worker.gate.set()
        await asyncio.gather(*tasks)
        assert worker.calls == [[i] * 4 for i in range(5)]

    run(scenario())


def test_other_signatures_and_shapes_are_not_joined() -> None:
    async def scenario() -> None:
        worker = FakeWorker()
        target = batcher(worker)
        wide = asyncio.create_task(target.predict("double", {"x": np.ones((1, 2), np.float32)}))
        ints = asyncio.create_task(target.predict("double", {"x": np.ones(1, np.int32)}))
        await asyncio.gather(wide, ints, predict(target, 1), predict(target, 2, signature="other"))
        assert sorted(map(str, worker.calls)) == ["[1.0]", "[1]", "[2.0]", "[[1.0, 1.0]]"]

    run(scenario())


def test_arrays_that_do_not_fit_together_go_alone_at_once() -> None:
    async def scenario() -> None:
        worker = FakeWorker()
        target = batcher(worker)
        shapes = [((2,), (3,)), ((), ()), ((0,), (0,))]
        for x, other in shapes:
            await target.predict("double", {"x": np.ones(x), "other": np.ones(other)})
        assert worker.calls == [[1, 1], 1, []]
        assert asyncio.get_running_loop().time() == 0

    run(scenario())


def test_a_bad_request_costs_the_others_of_its_batch_a_second_call_only() -> None:
    async def scenario() -> None:
        sizes: list[int] = []
        worker = FakeWorker()
        target = batcher(worker, observe=sizes.append)
        good, bad, other = predict(target, 1, 2), predict(target, BAD), predict(target, 3)
        results = await asyncio.gather(good, bad, other, return_exceptions=True)
        assert worker.calls == [[1, 2, BAD, 3], [1, 2], [BAD], [3]]
        assert sizes == [4, 2, 1, 1]
        assert outputs(good, other) == [[10, 20], [30]]
        # The index in the message is that of the request's own image.
        assert isinstance(results[1], RequestError)
        assert (results[1].status, str(results[1])) == (400, "0 is bad")

    run(scenario())


def test_a_cancelled_request_is_left_out_of_its_batch() -> None:
    async def scenario() -> None:
        worker = FakeWorker()
        target = batcher(worker)
        first, given_up, last = predict(target, 1), predict(target, 2), predict(target, 3)
        await settle()
        given_up.cancel()
        await asyncio.gather(first, last)
        assert worker.calls == [[1, 3]]
        assert outputs(first, last) == [[10], [30]]
        alone = predict(target, 4)
        await settle()
        alone.cancel()
        await asyncio.sleep(2 * WINDOW)
        assert worker.calls == [[1, 3]]

    run(scenario())


def test_a_request_that_is_cancelled_during_the_call_does_not_shift_the_rows() -> None:
    async def scenario() -> None:
        worker = FakeWorker()
        target = batcher(worker)
        worker.gate.clear()
        tasks = [predict(target, 1), predict(target, 2, 3), predict(target, 4)]
        await settle()
        assert worker.calls == [[1, 2, 3, 4]]
        tasks[1].cancel()
        await settle()
        worker.gate.set()
        await asyncio.gather(tasks[0], tasks[2])
        assert outputs(tasks[0], tasks[2]) == [[10], [40]]

    run(scenario())


def test_a_worker_that_dies_in_a_batch_fails_each_of_its_requests_once() -> None:
    async def scenario() -> None:
        worker = FakeWorker()
        target = batcher(worker)
        worker.gate.clear()
        tasks = [predict(target, 1, 2), predict(target, 3, 4)]
        await settle()
        worker.die()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [WorkerEndedError] * 2
        assert worker.calls == [[1, 2, 3, 4]]

    run(scenario())


@pytest.mark.parametrize("wrong", [lambda y: y[:-1], lambda y: np.float32(3), lambda y: y[:0]])
def test_outputs_without_a_row_for_each_input_are_an_error(
    wrong: Callable[[np.ndarray], np.ndarray],
) -> None:
    class Careless(FakeWorker):
        async def predict(self, signature: str, tensors: Any) -> Tensors:
            return {"y": wrong((await super().predict(signature, tensors))["y"])}

    async def scenario() -> None:
        tasks = [predict(batcher(Careless()), 1, 2)]
        (result,) = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(result, RequestError)
        assert (result.status, "no row for each input" in str(result)) == (500, True)

    run(scenario())
