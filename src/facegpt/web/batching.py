"""Many callers, one model: what waits at the same time and is alike is done in one go.

One thread works through a bounded queue. It takes the oldest job and all others of the same kind,
so nobody waits for ever, and hands them to the function of their kind together. Knows neither faces
nor HTTP.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import Any

from facegpt.web.errors import BusyError, ClosedError

_REMEMBERED = 0.8
"""How much of the mean time of a job stays when a new one is known."""


@dataclass(frozen=True, eq=False)
class Job:
    """One request in the queue."""

    kind: str
    """Which function does it."""
    payload: Any
    alike: Hashable = None
    """Jobs of one kind are done together if this is equal, too."""
    result: "Future[Any]" = field(default_factory=Future)
    _cancelled: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def is_cancelled(self) -> bool:
        """Whether nobody waits for it any more; who works on it may stop."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Nobody waits for it any more. A job that has not begun never begins."""
        self._cancelled.set()
        self.result.cancel()


Work = Callable[[Sequence[Job]], Sequence[Any]]
"""Does jobs that are alike; gives one result each, in order. An exception among them is the answer
to that job alone."""


class Batcher:
    """A queue with one thread that works on it."""

    def __init__(
        self,
        works: Mapping[str, Work],
        *,
        most_waiting: int = 64,
        most_at_once: int = 8,
        patience_s: float = 0.005,
        heard: Callable[[str, int, float], None] | None = None,
    ) -> None:
        """
        Args:
            works: Kind of job -> what does it.
            most_waiting: Jobs that may wait; further ones are refused.
            most_at_once: Jobs in one go.
            patience_s: How long a lonely job waits for company.
            heard: Is told kind, number and seconds of whatever was done in one go.
        """
        self._works = dict(works)
        self._most_waiting = most_waiting
        self._most_at_once = most_at_once
        self._patience_s = patience_s
        self._heard = heard
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._seconds_a_job = 0.0
        self._thread = threading.Thread(target=self._run, name="facegpt-batcher", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Jobs that have not begun."""
        return len(self._waiting)

    def submit(self, kind: str, payload: Any, alike: Hashable = None) -> Job:
        """Put a job at the end of the queue.

        Raises:
            BusyError: The queue is full; says when to come again.
            ClosedError: No more jobs are taken.
        """
        if kind not in self._works:
            raise KeyError(f"nothing does jobs of the kind {kind!r}")
        job = Job(kind, payload, alike)
        with self._changed:
            if self._closed:
                raise ClosedError("the server is being stopped; try again later")
            self._forget_cancelled()
            if len(self._waiting) >= self._most_waiting:
                raise BusyError(self._most_waiting, self._seconds_until_room())
            self._waiting.append(job)
            self._changed.notify()
        return job

    def close(self) -> None:
        """Finish what has begun, refuse what waits, and end the thread."""
        with self._changed:
            self._closed = True
            for job in self._waiting:
                _answer(job, ClosedError("the server was stopped; try again later"))
            self._waiting.clear()
            self._changed.notify()
        self._thread.join()

    def _seconds_until_room(self) -> float:
        return max(1.0, self._seconds_a_job * len(self._waiting) / 2)

    def _forget_cancelled(self) -> None:
        if any(job.is_cancelled for job in self._waiting):
            self._waiting = deque(job for job in self._waiting if not job.is_cancelled)

    def _run(self) -> None:
        while jobs := self._take():
            started = time.perf_counter()
            self._do(jobs)
            seconds = time.perf_counter() - started
            self._seconds_a_job = _REMEMBERED * self._seconds_a_job + (
                1 - _REMEMBERED
            ) * seconds / len(jobs)
            if self._heard is not None:
                self._heard(jobs[0].kind, len(jobs), seconds)

    def _take(self) -> list[Job]:
        """The oldest job and others like it; empty when the queue is closed."""
        with self._changed:
            while True:
                self._forget_cancelled()
                if self._waiting:
                    break
                if self._closed:
                    return []
                self._changed.wait()
            if len(self._waiting) < self._most_at_once and self._patience_s > 0:
                self._wait_for_company()
            return self._oldest_and_alike()

    def _wait_for_company(self) -> None:
        until = time.monotonic() + self._patience_s
        while len(self._waiting) < self._most_at_once and not self._closed:
            left = until - time.monotonic()
            if left <= 0:
                break
            self._changed.wait(left)

    def _oldest_and_alike(self) -> list[Job]:
        chosen: list[Job] = []
        left: deque[Job] = deque()
        for job in self._waiting:
            fits = not chosen or (job.kind, job.alike) == (chosen[0].kind, chosen[0].alike)
            if fits and len(chosen) < self._most_at_once:
                chosen.append(job)
            else:
                left.append(job)
        self._waiting = left
        return chosen

    def _do(self, jobs: Sequence[Job]) -> None:
        # A future that runs cannot be cancelled: what was cancelled before is not begun.
        begun = [job for job in jobs if job.result.set_running_or_notify_cancel()]
        if not begun:
            return
        try:
            results = self._works[begun[0].kind](begun)
        except Exception as error:  # the thread must outlive whatever a request contains
            if len(begun) == 1:
                _answer(begun[0], error)
                return
            # One of them may be to blame: the others shall not suffer for it.
            results = [self._alone(job) for job in begun]
        for job, result in zip(begun, results, strict=True):
            _answer(job, result)

    def _alone(self, job: Job) -> Any:
        if job.is_cancelled:
            return CancelledError()
        try:
            [result] = self._works[job.kind]([job])
        except Exception as error:
            return error
        return result


def _answer(job: Job, result: Any) -> None:
    if job.result.done():
        return
    if isinstance(result, BaseException):
        job.result.set_exception(result)
    else:
        job.result.set_result(result)
