"""Prompts of which it is known whether they ask for a face: what the gate learns from.

Most of them were written for this, in four text files, and are put beside photos and behind turns
of the mixture; the others are the mixture's own. Knows no model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from facegpt.data.examples import Example
from facegpt.data.mixture import seeded
from facegpt.data.schema import DatasetError

FILES = {
    "photo_asked.txt": (True, True),
    "photo_words.txt": (True, False),
    "text_asked.txt": (False, True),
    "text_words.txt": (False, False),
}
"""Name -> whether a photo is shown beside these prompts, and whether they ask for a face."""

LATER = 0.3
"""Share of the written prompts that come after other turns."""


@dataclass(frozen=True)
class WrittenPrompt:
    """What somebody says to the model."""

    text: str
    shows_photo: bool
    asks_for_face: bool


@dataclass(frozen=True, eq=False)
class GatePrompt:
    """A conversation that waits for its answer."""

    messages: list[dict]
    asks_for_face: bool
    image: Float[Tensor, "3 height width"] | None = None
    """Shown in the first message."""


def read_written_prompts(folder: Path) -> list[WrittenPrompt]:
    """The prompts of the four files `FILES`, one per line; empty lines do not count.

    Raises:
        DatasetError: A file is missing, is no text, or has no prompt.
    """
    written: list[WrittenPrompt] = []
    for name, (shows_photo, asks) in FILES.items():
        try:
            lines = (folder / name).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeError) as error:
            raise DatasetError(
                f"{folder / name} cannot be read ({error}); the gate learns from the four files "
                f"{', '.join(FILES)} in one folder"
            ) from error
        found = [WrittenPrompt(line.strip(), shows_photo, asks) for line in lines if line.strip()]
        if not found:
            raise DatasetError(f"{folder / name} holds no prompt; write one per line")
        written += found
    return written


def gate_prompts(
    written: Sequence[WrittenPrompt], examples: Sequence[Example], seed: int = 0
) -> list[GatePrompt]:
    """The prompts of examples as they are, and every written one in a place like theirs.

    Args:
        written: From `read_written_prompts`.
        examples: Of a mixture. Those with a photo lend it, its note and their turns to the written
            prompts about photos, the others their turns.

    Raises:
        DatasetError: No example shows a photo, or each of them does.
    """
    places = {shows: [e for e in examples if (e.image is not None) == shows] for shows in (0, 1)}
    if not (places[0] and places[1]):
        raise DatasetError(
            "the gate needs examples with a photo and without: give image or talk, and text or "
            "replay, a weight above zero in --mixture"
        )
    prompts = [GatePrompt(e.messages, e.target is not None, e.image) for e in examples]
    for number, prompt in enumerate(written):
        dice = seeded(seed, "gate", number)
        around = places[prompt.shows_photo]
        place = around[int(torch.randint(len(around), (), generator=dice))]
        is_later = float(torch.rand((), generator=dice)) < LATER
        messages = (_after if is_later else _instead)(place, prompt.text)
        prompts.append(GatePrompt(messages, prompt.asks_for_face, place.image))
    return prompts


def _after(place: Example, text: str) -> list[dict]:
    """The prompt as the next turn of an example."""
    answered = {"role": "assistant", "content": [{"type": "text", "text": place.answer}]}
    asked = {"role": "user", "content": [{"type": "text", "text": text}]}
    return [*place.messages, answered, asked]


def _instead(place: Example, text: str) -> list[dict]:
    """The prompt in place of what the user said first: the photo and its note stay."""
    first = place.messages[0]
    *shown, said = first["content"]
    return [{**first, "content": [*shown, {**said, "text": text}]}]
