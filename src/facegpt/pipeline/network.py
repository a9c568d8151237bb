"""The language model with its face head behind one lock: theta of texts, and answers in words.

Two roads lead to theta. One prefill reads conversations whose answer already holds `<FACE>`; free
generation lets the model decide what to say and whether to make a face. Knows tokens and theta, not
wordings, photos or files of results.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import LogitsProcessorList, StoppingCriteriaList

from facegpt.data.conversations import ANNOUNCEMENTS, forced_answer
from facegpt.model.base_llm import Progress
from facegpt.model.face_gate import FaceWords
from facegpt.model.modeling_facegpt import FaceGPTForConditionalGeneration
from facegpt.model.nano import NANO_WEIGHTS, load_nano
from facegpt.model.number_types import Quantise
from facegpt.model.on_base import is_adapter_folder, load_on_base
from facegpt.model.processing_facegpt import FaceGPTProcessor, Message
from facegpt.model.quantised import quantise_decoder
from facegpt.morphable.parameters import PARAMETER_COUNT, FaceParameters
from facegpt.pipeline.decoding import (
    BeginWith,
    ForbidTokens,
    GumbelNoise,
    StopAtLoop,
    StopAtToken,
    TokenListener,
)
from facegpt.pipeline.errors import RequestError, WeightsError
from facegpt.startup import garbage_left_alone

BOUND = 4.0
"""No coefficient of shape, expression or albedo leaves [-BOUND, BOUND] standard deviations."""

_ROWS_AT_ONCE = 16
"""Conversations in one batch: more is no faster on a CPU and costs memory."""
_NANO_RECORD, _CONFIG = "nano.json", "config.json"


@dataclass(frozen=True, eq=False)
class Conversation:
    """Messages with the aligned crops that they show, in order of appearance."""

    messages: Sequence[Message]
    images: Sequence[Float[Tensor, "3 height width"]] = ()


@dataclass(frozen=True)
class Speaking:
    """How an answer is generated."""

    max_new_tokens: int = 200
    temperature: float = 0.0
    """0 takes the likeliest token every time."""
    seed: int = 0
    """Of the choices above temperature 0."""
    may_make_faces: bool = True
    follows_gate: bool = True
    """The gate of the model, if it has one, decides whether a face is made; False: the words do,
    so there may be a face at any place of the answer."""
    stop_at_face: bool = False
    opening: str = ""
    """What the answer begins with; a face does not follow it at once."""

    @property
    def may_follow_gate(self) -> bool:
        """Whether a gate is asked at all."""
        return self.may_make_faces and self.follows_gate

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise RequestError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")
        if not 0 <= self.temperature <= 10:
            raise RequestError(f"temperature must be between 0 and 10, got {self.temperature}")


@dataclass(frozen=True, eq=False)
class Spoken:
    """An answer."""

    tokens: Int[Tensor, "token"]
    """Without what closes the turn."""
    text: str
    """`<FACE>` stands where a face was made."""
    faces: FaceParameters
    """Of every `<FACE>`, in order."""
    is_finished: bool = True
    """The model closed the turn itself; otherwise the answer was cut off."""


@dataclass(frozen=True)
class Network:
    """A FaceGPT model ready to be asked from any thread; one question is answered at a time."""

    model: FaceGPTForConditionalGeneration
    processor: FaceGPTProcessor
    _lock: Any = field(default_factory=threading.RLock, repr=False)

    def __post_init__(self) -> None:
        size = self.model.config.theta_size
        if size != PARAMETER_COUNT:
            raise WeightsError(
                f"these weights predict {size} numbers, but a face has {PARAMETER_COUNT}; they "
                "were made for another morphable model: name other weights"
            )

    @classmethod
    def load(
        cls,
        folder: Path | None,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        quantise: Quantise = "none",
        base: str | None = None,
        progress: Progress | None = None,
    ) -> "Network":
        """The network of a folder: weights of nano, a merged model that `save_pretrained` wrote, or
        an adapter for another base.

        Args:
            quantise: Of the linear maps of the decoder.
            base: Of an adapter: folder or name of the model it was trained on, if it lies elsewhere
                than the adapter says.

        Raises:
            NanoWeightsError: There are no weights, they are damaged or of another base model.
            AssetMissingError: The base language model is not installed.
            BaseMissingError, AdapterMismatchError: The base of an adapter is missing, or another.
            QuantisationError: As `quantise_decoder`.
        """
        with garbage_left_alone():
            whole = folder is not None and (folder / _CONFIG).is_file()
            if folder and not whole and not is_nano(folder) and is_adapter_folder(folder):
                how = {"base": base, "device": device, "dtype": dtype, "quantise": quantise}
                return cls(*load_on_base(folder, **how))
            if folder is None or not whole or is_nano(folder):
                how = {"device": device, "dtype": dtype, "quantise": quantise}
                return cls(*load_nano(folder, progress=progress, **how))
            model = FaceGPTForConditionalGeneration.from_pretrained(
                folder, dtype=dtype, local_files_only=True
            )
            quantise_decoder(model, quantise, device)
            nn.Module.to(model, device)
            processor = FaceGPTProcessor.from_pretrained(folder, local_files_only=True)
            return cls(model.eval(), processor)

    @property
    def context_tokens(self) -> int:
        """Tokens of question and answer together that the model can read."""
        return int(self.model.config.get_text_config().max_position_embeddings)

    @property
    def reads_face_note(self) -> bool:
        """Whether the model was trained with lines of measured words beside photos."""
        return bool(self.model.config.reads_face_note)

    @cached_property
    def _face_words(self) -> FaceWords:
        """The forced answer up to its `<FACE>`, and what announces other answers with a face."""
        begins, face, _ = forced_answer().partition(self.processor.face_token)

        def tokens(text: str) -> tuple[int, ...]:
            return tuple(self.processor.tokenizer(text, add_special_tokens=False)["input_ids"])

        return FaceWords(tokens(begins + face), tuple(map(tokens, ANNOUNCEMENTS)))

    def plain(self, text: str) -> str:
        """A text in which nothing counts as a token of the chat: `<FACE>` becomes (FACE)."""
        for token in self.processor.tokenizer.get_added_vocab():
            if token in text and not token.isspace():
                text = text.replace(token, f"({token.strip('<|>')})")
        return text

    def faces_of(self, conversations: Sequence[Conversation]) -> FaceParameters:
        """One-prefill mode: the last `<FACE>` of every conversation as a face, in one batch.

        Raises:
            RequestError: A conversation is too long, or holds no `<FACE>`.
        """
        parts = [
            self._prefill(conversations[first : first + _ROWS_AT_ONCE])
            for first in range(0, len(conversations), _ROWS_AT_ONCE)
        ]
        return FaceParameters.cat([FaceParameters.zeros(0), *parts])

    def answer(
        self,
        conversations: Sequence[Conversation],
        speaking: Speaking,
        listen: Callable[[int], None] | None = None,
    ) -> list[Spoken]:
        """Free generation: what the model says to each conversation, which end with the user.

        Args:
            listen: Hears every token of the answer as it comes; for one conversation only.

        Raises:
            RequestError: A conversation is too long.
        """
        batch = self._batch(conversations, speaking.max_new_tokens)
        start = batch["input_ids"].shape[1]
        with self._lock:
            made = self.model.generate_with_faces(
                **batch,
                face_words=self._face_words if speaking.may_follow_gate else None,
                max_new_tokens=speaking.max_new_tokens,
                do_sample=False,
                num_beams=1,
                pad_token_id=self.processor.tokenizer.pad_token_id,
                logits_processor=self._logits_processors(speaking, start),
                stopping_criteria=self._stopping(speaking, start),
                streamer=TokenListener(listen) if listen else None,
            )
        return [
            self._spoken(answer, theta)
            for answer, theta in zip(made.answers, made.theta, strict=True)
        ]

    def _prefill(self, conversations: Sequence[Conversation]) -> FaceParameters:
        batch = self._until_last_face(self._batch(conversations, 0))
        with self._lock:
            output = self.model.predict_faces(**batch)
        assert output.theta is not None
        assert output.face_index is not None
        last = {int(row): i for i, row in enumerate(output.face_index[:, 0])}
        if len(last) != len(conversations):
            raise RequestError(
                f"{len(conversations) - len(last)} conversations hold no "
                f"{self.processor.face_token}; end each with an answer that does"
            )
        return bounded(output.theta[[last[row] for row in range(len(conversations))]])

    def _until_last_face(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Without the tokens behind every `<FACE>`: no state in front of them hears of them."""
        tokens = batch["input_ids"]
        columns = (tokens == self.model.config.face_token_id).any(dim=0).nonzero()
        end = int(columns.max()) + 1 if len(columns) else tokens.shape[1]
        return {k: v[:, :end] if v.shape == tokens.shape else v for k, v in batch.items()}

    def _batch(self, conversations: Sequence[Conversation], room: int) -> dict[str, Any]:
        batch = self.processor.batch(
            [c.messages for c in conversations], [list(c.images) for c in conversations]
        )
        length = batch["input_ids"].shape[1]
        if length + room > self.context_tokens:
            answer = f" and the answer up to {room}" if room else ""
            raise RequestError(
                f"this is too long: the conversation has {length} tokens{answer}, and the model "
                f"reads {self.context_tokens} at most; shorten the text or begin a new conversation"
            )
        weight = next(self.model.parameters())
        return dict(batch.to(weight.device, self.model.dtype))

    def _logits_processors(self, speaking: Speaking, start: int) -> LogitsProcessorList:
        rules: list[Any] = []
        if not speaking.may_make_faces:
            rules.append(ForbidTokens([self.processor.face_token_id]))
        if speaking.opening:
            opening = self.processor.tokenizer(speaking.opening, add_special_tokens=False)
            face = self.processor.face_token_id
            rules.append(BeginWith(opening["input_ids"], start, not_next=face))
        if speaking.temperature > 0:
            generator = torch.Generator().manual_seed(speaking.seed)
            rules.append(GumbelNoise(speaking.temperature, generator))
        return LogitsProcessorList(rules)

    def _stopping(self, speaking: Speaking, start: int) -> StoppingCriteriaList:
        rules: list[Any] = [StopAtLoop(start)]
        if speaking.stop_at_face:
            rules.append(StopAtToken(self.processor.face_token_id))
        return StoppingCriteriaList(rules)

    def _spoken(self, answer: Int[Tensor, "token"], theta: Float[Tensor, "_ 257"]) -> Spoken:
        tokenizer = self.processor.tokenizer
        closing = torch.tensor([tokenizer.eos_token_id, tokenizer.pad_token_id])
        ends = torch.isin(answer.cpu(), closing).nonzero().flatten()
        tokens = answer.cpu()[: int(ends[0])] if len(ends) else answer.cpu()
        text = self.processor.decode(tokens)
        return Spoken(tokens, text, bounded(theta), is_finished=len(ends) > 0)


def bounded(theta: Float[Tensor, "face 257"]) -> FaceParameters:
    """Faces on the CPU in float32 whose coefficients stay within four standard deviations."""
    faces = FaceParameters.from_vector(theta.detach().float().cpu())
    names = ("shape", "expression", "albedo")
    return faces.replace(**{k: faces.blocks()[k].clamp(-BOUND, BOUND) for k in names})


def weights_folder(weights: str | Path) -> Path | None:
    """Where the weights lie that somebody asks for: None for the shipped nano."""
    return None if weights == "nano" else Path(weights)


def is_nano(folder: Path | None) -> bool:
    """Whether the weights of a folder are those of nano."""
    return ((folder or NANO_WEIGHTS) / _NANO_RECORD).is_file()
