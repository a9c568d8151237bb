"""From conversations and pictures to tokens, labels and pixels, with any backbone's processor.

Adds `<FACE>` to the tokenizer and marks what an assistant said, whatever the chat template: each
assistant turn is the text by which the rendered conversation grows, and the tokens that overlap it
are labelled (pictures that the processor spells out as many tokens are accounted for). Knows no
wordings: those are in `data/conversations.py`.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Int
from PIL import Image
from tokenizers import AddedToken
from torch import Tensor
from transformers import AutoProcessor, BatchFeature, ProcessorMixin

from facegpt.model.errors import ChatError, ImageTokenError, PictureError
from facegpt.model.text_loss import IGNORED

Message: TypeAlias = Mapping[str, Any]
"""`{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "..."}]}`; a content
that is a string is one text."""

Picture: TypeAlias = Image.Image | Tensor
"""A PIL picture, or a (3, H, W) float tensor, sRGB in [0, 1]."""

_OWN_FILE = "facegpt_processor.json"


class FaceGPTProcessor:
    """A backbone's processor that knows `<FACE>` and speaks in conversations.

    `<FACE>` is no special token for the tokenizer: it stays in the text that `decode` gives.
    """

    def __init__(self, processor: ProcessorMixin, face_token: str = "<FACE>") -> None:
        """Take a processor and add the token to it.

        Args:
            processor: With tokenizer, image processor and chat template. Its tokenizer gets a
                padding token too if it has none.
        """
        self.processor: Any = processor
        self.face_token = face_token
        token = AddedToken(face_token, normalized=False, special=False)
        if face_token not in self.tokenizer.get_vocab():
            self.tokenizer.add_tokens([token])
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.face_token_id: int = self.tokenizer.convert_tokens_to_ids(face_token)

    @property
    def tokenizer(self) -> Any:
        """Of the backbone, with `<FACE>`."""
        return self.processor.tokenizer

    def save_pretrained(self, folder: Path | str) -> None:
        """Beside the model, in the files that transformers uses and one of ours."""
        self.processor.save_pretrained(folder)
        (Path(folder) / _OWN_FILE).write_text(json.dumps({"face_token": self.face_token}) + "\n")

    @classmethod
    def from_pretrained(cls, folder: Path | str, **options: Any) -> "FaceGPTProcessor":
        """Of a FaceGPT folder, or of a backbone that does not know `<FACE>` yet."""
        own = Path(folder) / _OWN_FILE
        known = json.loads(own.read_text()) if own.is_file() else {}
        return cls(AutoProcessor.from_pretrained(folder, **options), **known)

    def chat_text(self, messages: Sequence[Message], add_generation_prompt: bool = False) -> str:
        """The conversation as the chat template writes it, one image token for each picture.

        Raises:
            ChatError: The template refuses it.
        """
        plain = [{**message, "content": _parts(message)} for message in messages]
        try:
            return self.processor.apply_chat_template(
                plain, tokenize=False, add_generation_prompt=add_generation_prompt
            )
        except Exception as error:  # Jinja lets a template raise whatever it likes.
            raise ChatError(
                f"the chat template refuses this conversation ({error}); messages are "
                '{"role": ..., "content": [{"type": "text", "text": ...}]} and roles alternate'
            ) from error

    def encode_chat(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool = True,
        images: Sequence[Picture] = (),
    ) -> BatchFeature:
        """One conversation as a batch of one, by default ready for the next answer.

        Raises:
            ChatError, ImageTokenError, PictureError: As `batch`.
        """
        text = self.chat_text(messages, add_generation_prompt)
        return self._encode([text], [list(images)], [messages], "left")[0]

    def batch(
        self,
        conversations: Sequence[Sequence[Message]],
        images: Sequence[Picture] | Sequence[Sequence[Picture]] = (),
        with_labels: bool = False,
        padding_side: str | None = None,
    ) -> BatchFeature:
        """Conversations as one batch of tokens and pixels.

        A conversation that ends with the user is made ready for the answer.

        Args:
            images: In order of appearance: all in one sequence, or a sequence per conversation.
            with_labels: Adds `labels`: the tokens of assistant turns with what closes them, -100
                elsewhere.
            padding_side: "left" or "right"; None pads on the right with labels, as training likes
                it, else on the left, as generation needs it.

        Raises:
            ChatError: The template refuses a conversation.
            ImageTokenError: Image parts and pictures differ in number.
            PictureError: Something is no picture.
        """
        texts = [self.chat_text(c, bool(c) and c[-1]["role"] == "user") for c in conversations]
        rows = self._deal(conversations, images)
        side = padding_side or ("right" if with_labels else "left")
        batch, characters = self._encode(texts, rows, conversations, side)
        if with_labels:
            said = [
                _overlaps(places, self._assistant_spans(messages), replaced)
                for (places, replaced), messages in zip(characters, conversations, strict=True)
            ]
            learnt = torch.stack(said) & batch["attention_mask"].bool()
            batch["labels"] = batch["input_ids"].masked_fill(~learnt, IGNORED)
        return batch

    def face_positions(self, input_ids: Int[Tensor, "batch token"]) -> Int[Tensor, "face 2"]:
        """Row and position of every `<FACE>`, row by row."""
        return (input_ids == self.face_token_id).nonzero()

    def decode(self, tokens: Int[Tensor, "token"] | Sequence[int]) -> str:
        """Text without special tokens; `<FACE>` stays in it."""
        return self.tokenizer.decode(tokens, skip_special_tokens=True)

    def _deal(
        self,
        conversations: Sequence[Sequence[Message]],
        images: Sequence[Any],
    ) -> list[list[Picture]]:
        """A list of pictures per conversation."""
        if images and all(isinstance(row, list | tuple) for row in images):
            if len(images) != len(conversations):
                raise ImageTokenError(
                    f"{len(images)} lists of pictures for {len(conversations)} conversations; give "
                    "one list per conversation, empty where there is no picture"
                )
            return [list(row) for row in images]
        counts = [_count_images(messages) for messages in conversations]
        _check_count(sum(counts), len(images), "the conversations")
        left = iter(images)
        return [[next(left) for _ in range(count)] for count in counts]

    def _encode(
        self,
        texts: list[str],
        images: list[list[Picture]],
        conversations: Sequence[Sequence[Message]],
        padding_side: str,
    ) -> tuple[BatchFeature, list[tuple[Tensor, Any]]]:
        """Tokens and pixels; and for each row the first and last character of every token, with
        where the processor has spelt pictures out."""
        self._check_images(texts, images, conversations)
        pictures = [[as_pil(picture) for picture in row] for row in images]
        bos = self.tokenizer.bos_token
        spelt = {"add_special_tokens": False} if bos and texts[0].startswith(bos) else {}
        batch = self.processor(
            text=texts,
            images=pictures if any(pictures) else None,
            padding=True,
            padding_side=padding_side,
            return_offsets_mapping=True,
            return_text_replacement_offsets=True,
            images_kwargs={"return_tensors": "pt"},  # texts later: offsets make no tensor
            **spelt,
        )
        places = torch.tensor(batch.pop("offset_mapping"))
        replaced = batch.pop("text_replacement_offsets", None) or [[] for _ in texts]
        return batch.convert_to_tensors("pt"), list(zip(places, replaced, strict=True))

    def _check_images(
        self,
        texts: list[str],
        images: list[list[Picture]],
        conversations: Sequence[Sequence[Message]],
    ) -> None:
        mark = getattr(self.processor, "image_token", None)
        for row, (text, pictures) in enumerate(zip(texts, images, strict=True)):
            parts = _count_images(conversations[row])
            _check_count(parts, len(pictures), f"conversation {row}")
            if mark is not None and text.count(mark) != parts:
                raise ImageTokenError(
                    f"conversation {row} has {parts} image parts but its text has "
                    f"{text.count(mark)} {mark}; write pictures as parts, not as {mark} in a text"
                )

    def _assistant_spans(self, messages: Sequence[Message]) -> list[tuple[int, int]]:
        """First and last character of every assistant turn in the rendered conversation, with what
        closes the turn but without white space after it."""
        whole = self.chat_text(messages)
        spans = []
        for index, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            before = self.chat_text(messages[:index], add_generation_prompt=True)
            after = self.chat_text(messages[: index + 1])
            if not (after.startswith(before) and whole.startswith(after.rstrip())):
                raise ChatError(
                    "this chat template changes earlier turns when later ones come, so it cannot "
                    "say which tokens are an answer's; give the processor a template that appends"
                )
            spans.append((len(before), len(after.rstrip())))
        return spans


def _parts(message: Message) -> list[Any]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _count_images(messages: Sequence[Message]) -> int:
    return sum(part["type"] == "image" for message in messages for part in _parts(message))


def _check_count(parts: int, pictures: int, where: str) -> None:
    if parts != pictures:
        raise ImageTokenError(
            f"{where}: {parts} <image> parts but {pictures} pictures; give exactly one picture per "
            "<image>, in order"
        )


def _overlaps(
    offsets: Int[Tensor, "token 2"],
    spans: Sequence[tuple[int, int]],
    replaced: Sequence[Mapping[str, Any]],
) -> Bool[Tensor, "token"]:
    """Tokens that stand for some character of the spans of the chat text."""
    found = torch.zeros(len(offsets), dtype=torch.bool)
    for span in spans:
        start, end = (_after_replacement(at, replaced) for at in span)
        found |= (offsets[:, 0] < end) & (offsets[:, 1] > start)
    return found


def _after_replacement(position: int, replaced: Sequence[Mapping[str, Any]]) -> int:
    """Where a character of the chat text is once pictures are spelt out as many tokens."""
    moved = position
    for item in replaced:
        if item["span"][1] <= position:
            moved = position + item["new_span"][1] - item["span"][1]
    return moved


def as_pil(picture: Picture) -> Image.Image:
    """An RGB picture of 8 bits, as every image processor understands it.

    Raises:
        PictureError: It is neither a picture nor a (3, H, W) tensor in [0, 1].
    """
    if isinstance(picture, Image.Image):
        return picture.convert("RGB")
    if not isinstance(picture, Tensor) or picture.ndim != 3 or picture.shape[0] != 3:
        got = tuple(picture.shape) if isinstance(picture, Tensor) else type(picture).__name__
        raise PictureError(f"a picture is a PIL image or a (3, H, W) tensor, got {got}")
    values = picture.detach().float().cpu()
    if not (values.isfinite().all() and values.min() >= 0 and values.max() <= 1):
        raise PictureError(
            f"a picture tensor must be in [0, 1], got {values.min():.3g} to {values.max():.3g}; "
            "clamp it, or divide bytes by 255"
        )
    pixels = (values * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return Image.fromarray(np.ascontiguousarray(pixels))
