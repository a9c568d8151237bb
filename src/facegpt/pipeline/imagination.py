"""From texts to faces: the request, perhaps some words first, one prefill, perhaps several draws.

Knows texts and theta; where the faces go is the business of their `save`.
"""

from collections.abc import Sequence
from typing import Any

import torch

from facegpt.morphable.parameters import FaceParameters
from facegpt.pipeline.errors import RequestError
from facegpt.pipeline.faces import ImaginedFace, imagined_faces
from facegpt.pipeline.network import Conversation, Network, Speaking, bounded
from facegpt.pipeline.photos import PhotoReader
from facegpt.pipeline.requests import (
    REASONED_OPENING,
    answer_turn,
    checked_text,
    said_before_face,
    text_request,
    user_turn,
    wants_reason,
)
from facegpt.pipeline.spread import Spread, needed

MOST_SAMPLES = 1000
_MOST_WORDS_TOKENS = 96


def imagine(
    texts: Sequence[str],
    network: Network,
    reader: PhotoReader,
    spread: Spread | None,
    *,
    samples: int,
    seed: int | None,
    reason: bool | None,
) -> list[list[ImaginedFace]]:
    """See `FaceGPT.imagine`."""
    if not 1 <= samples <= MOST_SAMPLES:
        raise RequestError(f"--samples must be between 1 and {MOST_SAMPLES}, got {samples}")
    tidy = [checked_text(text) for text in texts]
    drawn_from = needed(spread) if samples > 1 or seed is not None else None
    turns = [user_turn(network.plain(text_request(text))) for text in tidy]
    words = _words(tidy, turns, network, reason)
    likeliest = network.faces_of(
        [
            Conversation([turn, answer_turn(network.plain(said))])
            for turn, said in zip(turns, words, strict=True)
        ]
    )
    drawn, sources = [FaceParameters.zeros(0)], []
    for text, said, theta in zip(tidy, words, likeliest, strict=True):
        source: dict[str, Any] = {"text": text} | ({"words": said} if said else {})
        faces = theta if drawn_from is None else _draw(theta, drawn_from, samples, seed or 0)
        notes = (
            [{}]
            if drawn_from is None
            else [{"sample": i + 1, "seed": seed or 0} for i in range(samples)]
        )
        drawn.append(faces)
        sources += [source | note for note in notes]
    named = {"method": reader.name, "licences": reader.licences}
    made = imagined_faces(FaceParameters.cat(drawn), reader.model, sources, **named)
    return [made[first : first + samples] for first in range(0, len(made), samples)]


def _draw(theta: FaceParameters, spread: Spread, samples: int, seed: int) -> FaceParameters:
    generator = torch.Generator().manual_seed(seed)
    return bounded(spread.around(theta.to_vector()[0], samples, generator))


def _words(
    texts: Sequence[str],
    turns: Sequence[dict[str, Any]],
    network: Network,
    reason: bool | None,
) -> list[str]:
    """What the model says of each face before it makes it; empty for texts that need no words."""
    words = [""] * len(texts)
    chosen = [i for i, text in enumerate(texts) if wants_reason(text, reason)]
    if chosen:
        speaking = Speaking(
            _MOST_WORDS_TOKENS, follows_gate=False, stop_at_face=True, opening=REASONED_OPENING
        )
        spoken = network.answer([Conversation([turns[i]]) for i in chosen], speaking)
        for i, answer in zip(chosen, spoken, strict=True):
            said = said_before_face(answer.text)
            words[i] = "" if said == REASONED_OPENING else said
    return words
