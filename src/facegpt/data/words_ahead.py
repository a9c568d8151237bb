"""Words from servers while photos are still being read: several shards wait for their answers at
the same time, so that as many requests are on their way at the end of a shard as in its middle.

What waits is bounded and holds stored crops, not pictures. Knows no server.
"""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from facegpt.data.combined import requests_in_flight
from facegpt.data.describe import DescribeItem, Describer
from facegpt.data.photo_rows import Problem, with_words
from facegpt.data.schema import FaceRow
from facegpt.data.tokens import NO_TOKENS, Tokens
from facegpt.morphable.parameters import FaceParameters


@dataclass(frozen=True, eq=False)
class Draft:
    """A shard that is not written yet."""

    photos: int
    rows: list[FaceRow]
    problems: list[Problem]
    undescribed: int = 0
    tokens: Tokens = NO_TOKENS


def shards_ahead(describer: Describer, shard_photos: int) -> int:
    """Shards that wait for words at the same time: twice as many photos as requests."""
    return 1 + -(-2 * requests_in_flight(describer) // shard_photos)


def described_ahead(
    drafts: Iterator[Draft], describer: Describer, ahead: int
) -> Generator[Draft, None, None]:
    """The drafts with words, in their order.

    Args:
        ahead: At most so many drafts wait for words; no more are taken from `drafts` before.
    """
    waiting: deque[Future[Draft]] = deque()
    pool = ThreadPoolExecutor(ahead, thread_name_prefix="facegpt-words")
    try:
        for draft in drafts:
            waiting.append(pool.submit(_described, draft, describer))
            while waiting and (len(waiting) >= ahead or waiting[0].done()):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # Whoever interrupts does not want to wait for the others.
        pool.shutdown(wait=False, cancel_futures=True)


def _described(draft: Draft, describer: Describer) -> Draft:
    items = [
        DescribeItem(row.face_id, row.source, row.crop, _theta(row), row.labels)
        for row in draft.rows
    ]
    said = with_words(draft.rows, describer.describe(items), describer.name)
    return Draft(
        draft.photos,
        said.rows,
        [*draft.problems, *said.problems],
        said.undescribed,
        said.tokens,
    )


def _theta(row: FaceRow) -> FaceParameters | None:
    return None if row.theta is None else FaceParameters.from_vector(row.theta[None])
