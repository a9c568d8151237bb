"""Waiting for a job: until it is done, its time is over, or whoever asked has gone."""

import asyncio
from typing import Any

from fastapi import Request

from facegpt.web.batching import Job
from facegpt.web.errors import GoneError, TooLateError

LOOK_EVERY_S = 0.25
"""How often it is asked whether somebody still waits."""


async def result_of(request: Request, job: Job, seconds: float) -> Any:
    """The result of a job.

    Raises:
        TooLateError: It took longer than that; the job is cancelled.
        GoneError: Nobody waits any more; the job is cancelled.
    """
    future = asyncio.wrap_future(job.result)
    until = asyncio.get_running_loop().time() + seconds
    try:
        while not future.done():
            left = until - asyncio.get_running_loop().time()
            if left <= 0:
                raise TooLateError(f"this took longer than {seconds:g} s; try again later")
            await asyncio.wait([future], timeout=min(left, LOOK_EVERY_S))
            if not future.done() and await request.is_disconnected():
                raise GoneError("nobody waits any more")
        return future.result()
    finally:
        if not future.done():
            job.cancel()
