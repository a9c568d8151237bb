"""Questions to a model whose answers must be readable: asked again with a reminder, kept, and asked
side by side.

Only answers that could be read are kept, under everything that decides them. So a run that was
stopped asks what is still open, and repeating a finished one asks what failed. Knows no prompt.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from facegpt.data.answer_cache import AnswerCache
from facegpt.data.chat_server import (
    ChatServer,
    Message,
    NoAnswerError,
    assistant_message,
    user_message,
)

Item = TypeVar("Item")
Value = TypeVar("Value")

Progress = Callable[[int, int], None]
"""Hears how many questions are done, and how many there are."""


class UnreadableAnswerError(ValueError):
    """A model answered something else than what it was asked for."""


@dataclass(frozen=True)
class Unanswered:
    """A question that stayed open, and why, in one sentence."""

    reason: str


@dataclass(frozen=True)
class Interviewer:
    """Asks one model, and remembers what it said."""

    server: ChatServer
    cache: AnswerCache
    tries: int = 3
    """How often an answer that cannot be read is asked for."""

    def __post_init__(self) -> None:
        if self.tries < 1:
            raise ValueError(f"--tries must be 1 or more, got {self.tries}")

    def ask(
        self, messages: Sequence[Message], read: Callable[[str], Value], *, reminder: str
    ) -> tuple[str, Value]:
        """An answer, and what was read from it.

        Args:
            read: Raises an UnreadableAnswerError where it cannot.
            reminder: What the model is told after such an answer.

        Raises:
            NoAnswerError: The server does not answer.
            UnreadableAnswerError: No answer could be read.
        """
        key = self.server.settings.request_key([*messages, user_message(reminder)])
        known = self.cache.get(key)
        if known is not None:
            # What an earlier version could read, this one may not: then it is asked again.
            with suppress(UnreadableAnswerError):
                return known, read(known)
        said, value = self._ask_anew(messages, read, reminder)
        self.cache.put(key, self.server.settings.model, _last_text(messages), said)
        return said, value

    def _ask_anew(
        self, messages: Sequence[Message], read: Callable[[str], Value], reminder: str
    ) -> tuple[str, Value]:
        talk = list(messages)
        problem = UnreadableAnswerError("nobody was asked")
        for _ in range(self.tries):
            said = self.server.ask(talk)
            try:
                return said, read(said)
            except UnreadableAnswerError as error:
                problem = error
            # The bare question would get the same answer again at temperature 0.
            talk = [*messages, assistant_message(said), user_message(reminder)]
        raise UnreadableAnswerError(
            f"{self.server.settings.model} gave no readable answer in {self.tries} tries: {problem}"
        ) from problem

    def ask_all(
        self,
        items: Iterable[Item],
        ask: Callable[[Item], Value],
        progress: Progress | None = None,
    ) -> list[Value | Unanswered]:
        """What `ask` returns for every item, in their order, several at the same time; an item that
        fails does not stop the others."""

        def guarded(item: Item) -> Value | Unanswered:
            try:
                return ask(item)
            except (NoAnswerError, UnreadableAnswerError) as error:
                return Unanswered(str(error))

        with ThreadPoolExecutor(self.server.settings.concurrency) as pool:
            futures = [pool.submit(guarded, item) for item in items]
            try:
                for done, future in enumerate(as_completed(futures), start=1):
                    future.result()
                    if progress is not None:
                        progress(done, len(futures))
            except BaseException:
                # Whoever interrupts does not want to wait for all the other questions.
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            return [future.result() for future in futures]


def _last_text(messages: Sequence[Message]) -> str:
    """What the last turn says, without its picture."""
    content = messages[-1]["content"]
    return content if isinstance(content, str) else str(content[-1]["text"])
