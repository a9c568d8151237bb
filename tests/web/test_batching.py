"""Waiting jobs that are alike are done together; nothing is lost, mixed up or done for nobody."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait

import pytest

from facegpt.web.batching import Batcher, Job
from facegpt.web.errors import BusyError, ClosedError


class Desk:
    """Doubles numbers; works only while the door is open, and remembers what came together."""

    def __init__(self, **options: object) -> None:
        self.together: list[list[object]] = []
        self.open = threading.Event()
        self.begun = threading.Event()
        self.heard: list[tuple[str, int]] = []
        options = {"patience_s": 0.0} | options
        self.batcher = Batcher(
            {"double": self.double, "negate": lambda jobs: [-job.payload for job in jobs]},
            heard=lambda kind, count, seconds: self.heard.append((kind, count)),
            **options,  # type: ignore[arg-type]
        )

    def double(self, jobs: Sequence[Job]) -> list[object]:
        self.begun.set()
        assert self.open.wait(30)
        self.together.append([job.payload for job in jobs])
        if any(job.payload == "bad" for job in jobs):
            raise ValueError("one of them is bad")
        return [ValueError("odd") if job.payload == "odd" else 2 * job.payload for job in jobs]

    def blocked(self) -> Job:
        """A first job that keeps the thread busy."""
        job = self.batcher.submit("double", 1)
        assert self.begun.wait(30)
        return job


@pytest.fixture
def desk():
    made: list[Desk] = []

    def make(**options: object) -> Desk:
        made.append(Desk(**options))
        return made[-1]

    yield make
    for one in made:
        one.open.set()
        one.batcher.close()


def test_what_waits_is_done_together_and_answered_apart(desk) -> None:
    d = desk(most_at_once=4)
    first = d.blocked()
    jobs = [d.batcher.submit("double", n) for n in range(2, 8)]
    assert d.batcher.waiting == 6
    d.open.set()
    assert [job.result.result(30) for job in (first, *jobs)] == [2 * n for n in range(1, 8)]
    assert d.together == [[1], [2, 3, 4, 5], [6, 7]]
    assert d.heard[:2] == [("double", 1), ("double", 4)]


def test_only_what_is_alike_goes_together_and_the_oldest_goes_first(desk) -> None:
    d = desk()
    d.blocked()
    d.batcher.submit("double", 2, alike="a")
    other = d.batcher.submit("negate", 5)
    d.batcher.submit("double", 3, alike="b")
    last = d.batcher.submit("double", 4, alike="a")
    d.open.set()
    assert last.result.result(30) == 8
    assert other.result.result(30) == -5
    d.batcher.close()
    assert d.together == [[1], [2, 4], [3]]


def test_a_lonely_job_waits_a_little_for_company(desk) -> None:
    d = desk(patience_s=0.5)
    d.open.set()
    jobs = [d.batcher.submit("double", n) for n in (1, 2, 3)]
    assert [job.result.result(30) for job in jobs] == [2, 4, 6]
    assert d.together == [[1, 2, 3]]
    started = time.monotonic()
    assert desk(patience_s=0.0, most_at_once=1).batcher.submit("negate", 1).result.result(30) == -1
    assert time.monotonic() - started < 5


def test_one_bad_job_spoils_no_other(desk) -> None:
    d = desk()
    d.blocked()
    jobs = [d.batcher.submit("double", payload) for payload in (2, "bad", 3, "odd")]
    d.open.set()
    assert jobs[0].result.result(30) == 4
    assert jobs[2].result.result(30) == 6
    with pytest.raises(ValueError, match="one of them is bad"):
        jobs[1].result.result(30)
    with pytest.raises(ValueError, match="odd"):
        jobs[3].result.result(30)
    assert d.together == [[1], [2, "bad", 3, "odd"], [2], ["bad"], [3], ["odd"]]


def test_a_full_queue_refuses_and_says_when_to_come_again(desk) -> None:
    d = desk(most_waiting=2)
    d.blocked()
    kept = [d.batcher.submit("double", n) for n in (2, 3)]
    with pytest.raises(BusyError, match="2 requests are waiting; try again in 1 s") as busy:
        d.batcher.submit("double", 4)
    assert busy.value.seconds == 1
    kept[0].cancel()
    assert d.batcher.submit("double", 5) is not None
    d.open.set()
    assert kept[1].result.result(30) == 6


def test_what_nobody_waits_for_is_not_begun(desk) -> None:
    d = desk()
    running = d.blocked()
    gone = d.batcher.submit("double", 2)
    gone.cancel()
    running.cancel()
    assert running.is_cancelled
    d.open.set()
    assert d.batcher.submit("double", 3).result.result(30) == 6
    assert d.together == [[1], [3]]
    with pytest.raises(CancelledError):
        gone.result.result(30)


def test_an_end_in_the_middle_leaves_nobody_waiting(desk) -> None:
    d = desk()
    running = d.blocked()
    waiting = d.batcher.submit("double", 2)
    closing = threading.Thread(target=d.batcher.close)
    closing.start()
    with pytest.raises(ClosedError):
        waiting.result.result(30)
    d.open.set()
    closing.join(30)
    assert running.result.result(30) == 2
    with pytest.raises(ClosedError):
        d.batcher.submit("double", 3)


def test_many_threads_get_their_own_answers(desk) -> None:
    d = desk(most_waiting=400, patience_s=0.001)
    d.open.set()
    with ThreadPoolExecutor(16) as callers:
        asked = {n: callers.submit(lambda n=n: d.batcher.submit("double", n)) for n in range(300)}
        jobs = {n: future.result(30) for n, future in asked.items()}
    wait([job.result for job in jobs.values()], timeout=60)
    assert {n: job.result.result() for n, job in jobs.items()} == {n: 2 * n for n in range(300)}
    assert sorted(p for part in d.together for p in part) == list(range(300))
    assert len(d.together) < 300
