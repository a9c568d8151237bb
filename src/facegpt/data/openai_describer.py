"""The `openai` describer: a vision-language model behind any server that speaks the OpenAI API.

The prompt is that of the paper (Fig. 6), the questions are those of Table 6 and more. Requests run
side by side, are repeated when the server is busy or broken, and every answer is kept in a JSONL
file, so that a build that was stopped asks only what is still open. The picture travels to the
server and nowhere else: it is neither logged nor kept. What the model says is not checked here.
"""

import base64
import hashlib
import io
import os
import random
import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from facegpt.data.answer_cache import AnswerCache
from facegpt.data.conversations import PHOTO_QUESTIONS, TABLE_6
from facegpt.data.describe import DescribeFailure, DescribeItem, Description
from facegpt.data.grammar import dice_of

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
_RETRIED_STATUS = frozenset({408, 409, 425, 429})


class DescriberUnavailableError(RuntimeError):
    """The describer cannot work here: a package is missing."""


@dataclass(frozen=True)
class OpenAISettings:
    """Which model to ask, and how patiently."""

    model: str
    """Name of the model on the server."""
    base_url: str = "http://127.0.0.1:8000/v1"
    """Where the server listens; this is where vLLM does."""
    key_variable: str = "OPENAI_API_KEY"
    """Environment variable that holds the key; servers of one's own mostly need none."""
    concurrency: int = 8
    """Requests at the same time."""
    attempts: int = 6
    """How often a request is tried before the face is given up."""
    timeout_s: float = 120.0
    """Time limit of one request."""
    first_wait_s: float = 1.0
    """Wait before the second attempt; it doubles from then on, with jitter."""
    longest_wait_s: float = 60.0
    questions: int = 3
    """Questions about each face, beside its description."""
    max_tokens: int = 500
    temperature: float = 0.2

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError("--model must name a model of the server, got an empty name")
        for name in ("concurrency", "attempts", "max_tokens"):
            if vars(self)[name] < 1:
                raise ValueError(f"--{name.replace('_', '-')} must be 1 or more")
        for name in ("timeout_s", "first_wait_s", "longest_wait_s"):
            if not vars(self)[name] > 0:
                raise ValueError(f"--{name.replace('_', '-')} must be positive")


class _GiveUpError(Exception):
    """No answer will come; the message says why."""


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
        self._sleep = sleep
        self._client = _client(settings)
        self._dice = dice_of(generator)
        self._seed = self._dice.getrandbits(64)
        self._lock = threading.Lock()

    def describe(self, items: Sequence[DescribeItem]) -> list[Description | DescribeFailure]:
        """Words for every face; a face that the server fails on does not stop the others."""
        with ThreadPoolExecutor(self.settings.concurrency) as pool:
            return list(pool.map(self._describe_one, items))

    def close(self) -> None:
        """Close the connections to the server."""
        self._client.close()

    def _describe_one(self, item: DescribeItem) -> Description | DescribeFailure:
        picture = _jpeg(item.crop)
        try:
            text = self._ask(picture, PROMPT)
            if _REFUSAL.match(text):
                raise _GiveUpError(f"the model {self.settings.model} declined to describe it")
            if len(text.split()) < _FEWEST_WORDS:
                raise _GiveUpError(
                    f"the model {self.settings.model} said next to nothing: {text!r}"
                )
            short = self._ask(picture, SHORT_PROMPT)
            pairs = [(q, self._ask(picture, q)) for q in self._questions(item.face_id)]
        except _GiveUpError as error:
            return DescribeFailure(item.face_id, str(error))
        return Description(
            descriptions=(text,),
            short="" if _REFUSAL.match(short) else short.strip(" .\"'"),
            conversations=tuple((q, a) for q, a in pairs if not _REFUSAL.match(a)),
        )

    def _questions(self, face_id: str) -> list[str]:
        """The same for a face whenever it is asked about with the same generator."""
        known = list(dict.fromkeys((*TABLE_6, *PHOTO_QUESTIONS)))
        dice = random.Random(f"{self._seed}:{face_id}")
        return dice.sample(known, min(self.settings.questions, len(known)))

    def _ask(self, picture: bytes, prompt: str) -> str:
        """The answer, from the cache where it was given before."""
        key = answer_key(picture, prompt, self.settings.model)
        answer = self.cache.get(key)
        if answer is None:
            answer = self._ask_patiently(picture, prompt)
            self.cache.put(key, self.settings.model, prompt, answer)
        return answer

    def _ask_patiently(self, picture: bytes, prompt: str) -> str:
        problem = ""
        for attempt in range(self.settings.attempts):
            if attempt:
                self._sleep(self._wait_s(attempt))
            try:
                return self._request(picture, prompt)
            except Exception as error:  # The client raises a dozen kinds; status tells them apart.
                problem = _in_words(error)
                if not _may_pass(error):
                    break
        raise _GiveUpError(f"no answer from {self.settings.base_url}: {problem}")

    def _wait_s(self, attempt: int) -> float:
        longest = min(self.settings.longest_wait_s, self.settings.first_wait_s * 2 ** (attempt - 1))
        with self._lock:
            return longest * self._dice.uniform(0.5, 1.0)

    def _request(self, picture: bytes, prompt: str) -> str:
        url = "data:image/jpeg;base64," + base64.b64encode(picture).decode()
        content = [
            {"type": "image_url", "image_url": {"url": url}},
            {"type": "text", "text": prompt},
        ]
        completion = self._client.chat.completions.create(
            model=self.settings.model,
            messages=[{"role": "user", "content": content}],
            max_tokens=self.settings.max_tokens,
            temperature=self.settings.temperature,
        )
        return _text_of(completion)


def answer_key(picture: bytes, prompt: str, model: str) -> str:
    """Under which an answer is kept: a hash of all that it depends on."""
    digest = hashlib.sha256()
    for part in (picture, prompt.encode(), model.encode()):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _client(settings: OpenAISettings) -> Any:
    try:
        import openai
    except ImportError as error:
        raise DescriberUnavailableError(
            "the openai describer needs the package openai; run: pip install openai"
        ) from error
    # A server of one's own wants no key, but the client insists on having one.
    key = os.environ.get(settings.key_variable) or "none"
    return openai.OpenAI(
        base_url=settings.base_url, api_key=key, timeout=settings.timeout_s, max_retries=0
    )


def _jpeg(crop: Float[Tensor, "3 height width"]) -> bytes:
    pixels = (crop.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


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


def _may_pass(error: Exception) -> bool:
    """Whether the same request may succeed later: not when the server understood and refused it."""
    status = getattr(error, "status_code", None)
    return not isinstance(status, int) or status >= 500 or status < 400 or status in _RETRIED_STATUS


def _in_words(error: Exception) -> str:
    """One line about an error; never its request, which holds the picture."""
    status = getattr(error, "status_code", None)
    text = " ".join(str(error).split())[:200]
    return f"status {status}, {text}" if status else f"{type(error).__name__}, {text}"
