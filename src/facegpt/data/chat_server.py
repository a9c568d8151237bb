"""A model behind any server that speaks the OpenAI chat API, asked patiently.

A request is repeated while the server is busy or broken, and given up when it was understood and
refused. What is asked and answered is the business of the callers; here is no cache and no prompt.
Pictures travel to the server and nowhere else, and no message of an error holds the key.
"""

import base64
import hashlib
import json
import os
import random
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from facegpt.data.tokens import NO_TOKENS, Tokens

Message = Mapping[str, Any]
"""One turn as the API wants it: `role` and `content`."""

_RETRIED_STATUS = frozenset({408, 409, 425, 429})
MOST_IN_FLIGHT = 1000
"""Connections that the client opens."""
_NO_KEY = "none"
_PICTURE = re.compile(r"base64,[A-Za-z0-9+/=]+")


class ChatUnavailableError(RuntimeError):
    """No server can be asked from here: a package is missing."""


class NoAnswerError(RuntimeError):
    """No answer will come; the message says why."""


@dataclass(frozen=True)
class Answer:
    """What a model said, and what it took."""

    text: str
    tokens: Tokens


@dataclass(frozen=True)
class Traffic:
    """What was sent since the connection was made."""

    requests: int = 0
    retried: int = 0
    """Of these, second and later attempts."""
    unanswered: int = 0
    """Questions that were given up."""
    tokens: Tokens = NO_TOKENS
    """Of the answers; requests that failed are not counted by servers."""


@dataclass(frozen=True)
class ChatSettings:
    """Which model to ask, how, and how patiently."""

    model: str
    """Name of the model on the server."""
    base_url: str = "http://127.0.0.1:8000/v1"
    """Where the server listens; this is where vLLM does."""
    key_variable: str = "OPENAI_API_KEY"
    """Environment variable that holds the key; servers of one's own mostly need none."""
    concurrency: int = 8
    """Requests at the same time, hundreds where the server batches them."""
    attempts: int = 6
    """How often a request is tried before it is given up."""
    timeout_s: float = 120.0
    """Time limit of one request."""
    first_wait_s: float = 1.0
    """Wait before the second attempt; it doubles from then on, with jitter."""
    longest_wait_s: float = 60.0
    longest_asked_wait_s: float = 600.0
    """A server that asks for patience (Retry-After) gets at most so much."""
    max_tokens: int = 500
    temperature: float = 0.2
    seed: int | None = None
    """Sent along where it is given; a server may pass it over."""

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError("--model must name a model of the server, got an empty name")
        for name in ("concurrency", "attempts", "max_tokens"):
            if vars(self)[name] < 1:
                raise ValueError(f"--{name.replace('_', '-')} must be 1 or more")
        if self.concurrency > MOST_IN_FLIGHT:
            raise ValueError(
                f"at most {MOST_IN_FLIGHT} requests can be in flight, not {self.concurrency}"
            )
        for name in ("timeout_s", "first_wait_s", "longest_wait_s", "longest_asked_wait_s"):
            if not vars(self)[name] > 0:
                raise ValueError(f"--{name.replace('_', '-')} must be positive")
        if not 0 <= self.temperature <= 2:
            raise ValueError(f"--temperature must be in [0, 2], got {self.temperature}")

    @property
    def shown_url(self) -> str:
        """The address without a name or a password that may stand in it."""
        parts = urlsplit(self.base_url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

    def record(self) -> dict[str, Any]:
        """What decides an answer, beside the messages; fit to be published."""
        return {
            "model": self.model,
            "server": self.shown_url,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
        }

    def request_key(self, messages: Sequence[Message]) -> str:
        """Under which an answer is kept: a hash of everything that decides it."""
        asked = {**self.record(), "server": self.base_url, "messages": [dict(m) for m in messages]}
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def system_message(text: str) -> Message:
    """What the model is told to be."""
    return {"role": "system", "content": text}


def user_message(text: str, picture_jpeg: bytes | None = None) -> Message:
    """A question, perhaps about a picture."""
    if picture_jpeg is None:
        return {"role": "user", "content": text}
    url = "data:image/jpeg;base64," + base64.b64encode(picture_jpeg).decode()
    return {
        "role": "user",
        "content": [
            {"type": "image_url", "image_url": {"url": url}},
            {"type": "text", "text": text},
        ],
    }


def assistant_message(text: str) -> Message:
    """What the model said before."""
    return {"role": "assistant", "content": text}


class ChatServer:
    """A connection to a model; safe for threads."""

    def __init__(
        self,
        settings: ChatSettings,
        *,
        dice: random.Random | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Nothing is sent yet.

        Args:
            dice: Decides the jitter of waits, and nothing that is asked.
            sleep: Waits between attempts.

        Raises:
            ChatUnavailableError: The package openai is not installed.
        """
        self.settings = settings
        self._dice = dice or random.Random(0)
        self._sleep = sleep
        self._lock = threading.Lock()
        self._traffic = Traffic()
        # A server of one's own wants no key, but the client insists on having one.
        self._key = os.environ.get(settings.key_variable) or _NO_KEY
        self._client = _client(settings, self._key)

    def __enter__(self) -> "ChatServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @property
    def traffic(self) -> Traffic:
        """What was sent so far."""
        return self._traffic

    def ask(self, messages: Sequence[Message]) -> str:
        """The answer to a conversation, without white space around it.

        Raises:
            NoAnswerError: The server refused, or did not answer in any of the attempts.
        """
        return self.answer(messages).text

    def answer(self, messages: Sequence[Message]) -> Answer:
        """The same with the tokens that it took.

        Raises:
            NoAnswerError: The server refused, or did not answer in any of the attempts.
        """
        problem = ""
        asked_wait_s = 0.0
        for attempt in range(self.settings.attempts):
            if attempt:
                self._sleep(self._wait_s(attempt, asked_wait_s))
            try:
                return self._request(messages, is_retry=attempt > 0)
            except Exception as error:  # The client raises a dozen kinds; status tells them apart.
                problem = self._in_words(error)
                asked_wait_s = _asked_wait_s(error)
                if not _may_pass(error):
                    break
        self._count(unanswered=1)
        raise NoAnswerError(f"no answer from {self.settings.shown_url}: {problem}")

    def _wait_s(self, attempt: int, asked_s: float) -> float:
        """Seconds before the next attempt, with jitter: what failed together must not come back
        together. A server that says how long it needs is not asked before."""
        longest = min(self.settings.longest_wait_s, self.settings.first_wait_s * 2 ** (attempt - 1))
        with self._lock:
            own = longest * self._dice.uniform(0.5, 1.0)
        if asked_s <= 0:
            return own
        return min(asked_s, self.settings.longest_asked_wait_s) + own

    def _request(self, messages: Sequence[Message], *, is_retry: bool) -> Answer:
        seed = {} if self.settings.seed is None else {"seed": self.settings.seed}
        self._count(requests=1, retried=int(is_retry))
        completion = self._client.chat.completions.create(
            model=self.settings.model,
            messages=[dict(message) for message in messages],
            max_tokens=self.settings.max_tokens,
            temperature=self.settings.temperature,
            **seed,
        )
        answer = Answer(_text_of(completion), _tokens_of(completion))
        self._count(tokens=answer.tokens)
        return answer

    def _count(
        self,
        requests: int = 0,
        retried: int = 0,
        unanswered: int = 0,
        tokens: Tokens = NO_TOKENS,
    ) -> None:
        with self._lock:
            before = self._traffic
            self._traffic = Traffic(
                before.requests + requests,
                before.retried + retried,
                before.unanswered + unanswered,
                before.tokens + tokens,
            )

    def _in_words(self, error: Exception) -> str:
        """One line about an error, without picture or key: some servers repeat what they refuse."""
        status = getattr(error, "status_code", None)
        text = _PICTURE.sub("base64,...", " ".join(str(error).split()))
        if self._key != _NO_KEY:
            text = text.replace(self._key, "***")
        text = text[:200]
        return f"status {status}, {text}" if status else f"{type(error).__name__}, {text}"


def _client(settings: ChatSettings, key: str) -> Any:
    try:
        import openai
    except ImportError as error:
        raise ChatUnavailableError(
            "asking a server needs the package openai; run: pip install openai"
        ) from error
    return openai.OpenAI(
        base_url=settings.base_url, api_key=key, timeout=settings.timeout_s, max_retries=0
    )


def _text_of(completion: Any) -> str:
    """The text of the first choice.

    Raises:
        ValueError: The server answered with something else than a completion.
    """
    choices = getattr(completion, "choices", None)
    if not isinstance(choices, list) or not choices:
        raise ValueError("the answer is not a chat completion")
    message = getattr(choices[0], "message", None)
    refusal = getattr(message, "refusal", None)
    text = getattr(message, "content", None) or (f"I'm sorry: {refusal}" if refusal else None)
    if not isinstance(text, str) or not text.strip():
        raise ValueError("the answer holds no text")
    return text.strip()


def _tokens_of(completion: Any) -> Tokens:
    """What the server says that the answer took; some say nothing."""
    usage = getattr(completion, "usage", None)
    prompt, said = (getattr(usage, f"{kind}_tokens", None) for kind in ("prompt", "completion"))
    if not isinstance(prompt, int) or not isinstance(said, int) or min(prompt, said) < 0:
        return Tokens(answers=1, uncounted=1)
    return Tokens(answers=1, prompt=prompt, completion=said)


def _asked_wait_s(error: Exception) -> float:
    """Seconds that the server asks to wait (Retry-After: a number or a date); 0 if it does not."""
    headers = getattr(getattr(error, "response", None), "headers", None)
    said = headers.get("retry-after") if headers is not None else None
    if not said:
        return 0.0
    try:
        seconds = float(said)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(said).timestamp() - time.time()
        except (TypeError, ValueError):
            return 0.0
    return seconds if 0 < seconds < float("inf") else 0.0


def _may_pass(error: Exception) -> bool:
    """Whether the same request may succeed later: not when the server understood and refused it."""
    status = getattr(error, "status_code", None)
    return not isinstance(status, int) or status >= 500 or status < 400 or status in _RETRIED_STATUS
