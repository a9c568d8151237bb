"""The `openai` describer: a vision-language model behind any server that speaks the OpenAI API.

The prompt is that of the paper (Fig. 6), the questions are those of Table 6 and more. Requests run
side by side, are repeated when the server is busy or broken (`chat_server.py`), and every answer is
kept in a JSONL file, so that a build that was stopped asks only what is still open. The picture
travels to the server and nowhere else: it is neither logged nor kept. What the model says is not
checked here.
"""

import hashlib
import random
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from facegpt.data.answer_cache import AnswerCache
from facegpt.data.chat_server import (
    ChatServer,
    ChatSettings,
    ChatUnavailableError,
    NoAnswerError,
    Traffic,
    user_message,
)
from facegpt.data.conversations import PHOTO_QUESTIONS, TABLE_6
from facegpt.data.describe import DescribeFailure, DescribeItem, Description
from facegpt.data.grammar import dice_of
from facegpt.data.tokens import NO_TOKENS, Tokens

PROMPT = "\n".join(
    (
        "Analyze the image and generate a detailed textual description of the human face it "
        "contains. Focus on the following aspects:",
        "",
        "1. Face Shape: Description of the jawline shape (e.g., square, round, oval, "
        "heart-shaped). Forehead size and shape (e.g., wide, narrow, rounded). Cheekbone "
        "structure (e.g., high, low, prominent).",
        "2. Face Expression: Eyebrows (e.g., arched, straight, furrowed). Eyes (e.g., wide open, "
        "squinting, normal). Mouth (e.g., smiling, frowning, neutral). Additional details if any "
        "specific expression is featured (e.g., wrinkling of forehead, dimples).",
        "3. Face Color: Skin tone (e.g., fair, olive, dark, light). Any distinct color features "
        "such as freckles, rosiness, tan lines. Makeup if applicable (e.g., lipstick shade, "
        "eyeshadow color).",
        "4. Face Lighting: Direction of the light source (e.g., frontal, side, backlit). "
        "Intensity of the light (e.g., soft, harsh, moderate). Shadows observed on the face "
        "(specify areas such as under eyes, neck).",
        "5. Pose of Head: Mention the orientation of the head (e.g., facing forward, tilted to "
        "the side, looking upwards).",
        "Please give a response starting with 'He' or 'She'.",
    )
)
"""Fig. 6 of the paper, verbatim."""

SHORT_PROMPT = (
    "Describe the person in this picture as one noun phrase of six to fifteen words that begins "
    "with 'a' or 'an', as one would ask for a portrait. Give the phrase only."
)
"""Ours: for short requests."""

_REFUSAL = re.compile(
    r"^\W*(i'?m sorry|i am sorry|sorry|i apologi[sz]e|i can'?t|i cannot|i'?m unable|i am unable|"
    r"i'?m not able|i won'?t|unfortunately,? i)\b",
    re.IGNORECASE,
)
_FEWEST_WORDS = 8
"""A description with fewer words is none."""


class DescriberUnavailableError(RuntimeError):
    """The describer cannot work here: a package is missing."""


@dataclass(frozen=True)
class OpenAISettings(ChatSettings):
    """Which model to ask, how patiently, and how much."""

    questions: int = 3
    """Questions about each face, beside its description."""


class OpenAIDescriber:
    """Asks a vision-language model about every face."""

    name = "openai"

    def __init__(
        self,
        settings: OpenAISettings,
        *,
        cache: Path,
        generator: torch.Generator,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Nothing is sent yet.

        Args:
            cache: The JSONL file of answers; made when it is missing.
            generator: Decides the jitter of waits and which questions are asked.
            sleep: Waits between attempts.

        Raises:
            DescriberUnavailableError: The package openai is not installed.
        """
        self.settings = settings
        self.cache = AnswerCache(cache)
        dice = dice_of(generator)
        self._seed = dice.getrandbits(64)
        try:
            self._server = ChatServer(settings, dice=dice, sleep=sleep)
        except ChatUnavailableError as error:
            raise DescriberUnavailableError(f"the openai describer: {error}") from error
        # One pool for all calls: it is what bounds the requests at the same time.
        self._pool = ThreadPoolExecutor(settings.concurrency, thread_name_prefix="facegpt-ask")

    @property
    def requests_in_flight(self) -> int:
        """Requests at the same time, over all calls of `describe`."""
        return self.settings.concurrency

    @property
    def traffic(self) -> Traffic:
        """What was sent since this describer was made."""
        return self._server.traffic

    def describe(self, items: Sequence[DescribeItem]) -> list[Description | DescribeFailure]:
        """Words for every face; a face that the server fails on does not stop the others."""
        return list(self._pool.map(self._describe_one, items))

    def close(self) -> None:
        """Drop what is not asked yet, and close the connections to the server."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._server.close()

    def _describe_one(self, item: DescribeItem) -> Description | DescribeFailure:
        picture = item.jpeg
        took = NO_TOKENS
        said: list[str] = []
        questions = self._questions(item.face_id)
        try:
            for prompt in (PROMPT, SHORT_PROMPT, *questions):
                text, tokens = self._ask(picture, prompt)
                took += tokens
                if prompt == PROMPT:
                    self._check(text)
                said.append(text)
        except NoAnswerError as error:
            return DescribeFailure(item.face_id, str(error), took)
        text, short, *answers = said
        pairs = zip(questions, answers, strict=True)
        return Description(
            descriptions=(text,),
            short="" if _REFUSAL.match(short) else short.strip(" .\"'"),
            conversations=tuple((q, a) for q, a in pairs if not _REFUSAL.match(a)),
            tokens=took,
        )

    def _check(self, text: str) -> None:
        """Refuse a description that is none."""
        if _REFUSAL.match(text):
            raise NoAnswerError(f"the model {self.settings.model} declined to describe it")
        if len(text.split()) < _FEWEST_WORDS:
            raise NoAnswerError(f"the model {self.settings.model} said next to nothing: {text!r}")

    def _questions(self, face_id: str) -> list[str]:
        """The same for a face whenever it is asked about with the same generator."""
        known = list(dict.fromkeys((*TABLE_6, *PHOTO_QUESTIONS)))
        dice = random.Random(f"{self._seed}:{face_id}")
        return dice.sample(known, min(self.settings.questions, len(known)))

    def _ask(self, picture: bytes, prompt: str) -> tuple[str, Tokens]:
        """The answer and what it took, from the cache where it was given before."""
        key = answer_key(picture, prompt, self.settings.model)
        known = self.cache.get(key)
        if known is not None:
            return known, self.cache.tokens(key)
        answer = self._server.answer([user_message(prompt, picture)])
        self.cache.put(key, self.settings.model, prompt, answer.text, answer.tokens)
        return answer.text, answer.tokens


def answer_key(picture: bytes, prompt: str, model: str) -> str:
    """Under which an answer is kept: a hash of all that it depends on."""
    digest = hashlib.sha256()
    for part in (picture, prompt.encode(), model.encode()):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
