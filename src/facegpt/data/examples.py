"""Training examples: what is said, what is shown, and what a face is compared with.

One class per kind of data of the paper (section 4.1). Each makes an example of one of its rows and
a generator, so the same two give the same example. Knows no tokenizer and no network.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from facegpt.data.compose import ComposedFaces, compose_faces
from facegpt.data.conversations import (
    face_request,
    face_talk,
    forced_answer,
    image_conversation,
    reasoned_answer,
)
from facegpt.data.expression_targets import EXPRESSION, expression_mask, expressions_of
from facegpt.data.face_note import FaceNote, face_notes, lines_for
from facegpt.data.grammar import dice_of
from facegpt.data.instructions import Instruction
from facegpt.data.questions import question_on, unmeasured
from facegpt.data.schema import LANDMARK_COUNT
from facegpt.data.situations import Situation
from facegpt.data.table import FaceTable, StoredFace
from facegpt.morphable.framing import CROP_SIZE
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import PARAMETER_COUNT, FaceParameters
from facegpt.perception.images import load_image
from facegpt.rendering.renderer import Renderer

Kind = Literal["image", "text", "situation", "talk", "replay", "image-points", "text-points"]
"""The last two are those of `landmark_examples`."""
Message = dict[str, Any]
"""The form of Hugging Face: {"role": ..., "content": [{"type": "text", "text": ...}, ...]}."""

Turns = Sequence[tuple[str, str]]

_COMPOSED_AT_ONCE = 32

LONGEST_INSTRUCTION_SIDE = 672
"""Pictures of instruction data are reduced to this; image processors want at most half of it."""


@dataclass(frozen=True, eq=False)
class FaceTarget:
    """What L_face compares a predicted face with."""

    photo: Float[Tensor, "3 height width"]
    skin: Bool[Tensor, "height width"]
    """The mask A; nowhere true: the picture does not speak."""
    landmarks68_px: Float[Tensor, "68 2"]
    """In pixels of the 224 crop; NaN: the points do not speak."""
    is_grey: bool
    theta: Float[Tensor, "257"] | None = None
    theta_mask: Bool[Tensor, "257"] | None = None
    """Which coefficients of theta are known; None with a theta: all."""


@dataclass(frozen=True, eq=False)
class Example:
    """A conversation to learn, and the face that its last answer makes."""

    kind: Kind
    messages: list[Message]
    """The conversation so far; ends with what the user said."""
    answer: str
    """Holds `<FACE>` exactly if there is a target."""
    image: Float[Tensor, "3 height width"] | None = None
    """Shown in the first message."""
    target: FaceTarget | None = None


Augment = Callable[[FaceTarget, torch.Generator], FaceTarget]
"""Changes picture, mask and points of a face together. Its picture is then also the one shown, so
it must not mirror faces that words call left or right."""


@dataclass(frozen=True, eq=False)
class Notes:
    """The lines of measured words that stand beside a photo while it is talked about."""

    model: MorphableModel
    share: float = 1.0
    """How often they are there."""

    def of(self, face: StoredFace, generator: torch.Generator) -> FaceNote | None:
        """The lines of a face; none by chance, and of a face whose theta nobody knows."""
        theta = face.row.theta
        if float(torch.rand((), generator=generator)) >= self.share or theta is None:
            return None
        parameters = FaceParameters.from_vector(theta[None])
        dice = dice_of(generator)
        return face_notes(parameters, self.model, is_grey=[face.row.is_grey], dice=dice)[0]


@runtime_checkable
class ExampleSource(Protocol):
    """One kind of data."""

    def __len__(self) -> int:
        """Rows to go through before one comes again."""
        ...

    def example(self, row: int, generator: torch.Generator) -> Example:
        """An example of this row; the generator decides everything that is left open."""
        ...


@dataclass(frozen=True, eq=False)
class ImageToFace:
    """A photo, perhaps some talk about it, then the wish for its face (A.3)."""

    faces: FaceTable
    rows: Sequence[int]
    most_turns: int = 2
    """Question-answer pairs that are fused with the request: 0 to this many."""
    augment: Augment | None = None
    notes: Notes | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def example(self, row: int, generator: torch.Generator) -> Example:
        """The photo is shown and judges the answer."""
        face = self.faces[self.rows[row]]
        target = target_of(face, self.augment, generator)
        pairs = _some(face.row.conversations, self.most_turns, generator)
        *before, (request, answer) = image_conversation(pairs, generator)
        note = self.notes.of(face, generator) if self.notes else None
        shown = "" if note is None else str(note.about(_chosen(note.sentences, generator)))
        messages = conversation(before, request, image=True, note=shown)
        return Example("image", messages, answer, target.photo, target)


@dataclass(frozen=True, eq=False)
class TextToFace:
    """A description is all that is given; the photo serves the loss alone (section 3.2)."""

    faces: FaceTable
    rows: Sequence[int]
    """Faces with descriptions."""
    short: float = 0.25
    """Share of short phrases instead of full descriptions."""
    implicit: float = 0.0
    """Share of situations in which a face would look so, where a face has some."""

    def __len__(self) -> int:
        return len(self.rows)

    def example(self, row: int, generator: torch.Generator) -> Example:
        """The description of the row asks, its photo judges."""
        face = self.faces[self.rows[row]]
        kind, text = self._text(face, float(torch.rand((), generator=generator)), generator)
        messages = conversation((), face_request(kind, text, generator))
        return Example(
            "text", messages, forced_answer(generator), target=target_of(face, None, generator)
        )

    def _text(
        self, face: StoredFace, chance: float, generator: torch.Generator
    ) -> tuple[Literal["text", "situation"], str]:
        row = face.row
        if row.implicit and chance >= 1.0 - self.implicit:
            return "situation", row.implicit[draw(len(row.implicit), generator)]
        if (row.short and chance < self.short) or not row.descriptions:
            return "text", row.short
        return "text", row.descriptions[draw(len(row.descriptions), generator)]


@dataclass(frozen=True, eq=False)
class ComposedToFace:
    """People without a photo: theta is drawn, said in words and rendered as the picture that
    judges.

    They are made and kept by the dozen, which costs a thirtieth of making them one by one.
    """

    model: MorphableModel
    short: float = 0.25
    people: int = 16_384
    """How many there are before one comes again."""
    seed: int = 0

    def __len__(self) -> int:
        return self.people

    @cached_property
    def _renderer(self) -> Renderer:
        return Renderer(self.model.restricted_to())

    @cached_property
    def _made(self) -> dict[int, ComposedFaces]:
        return {}

    def example(self, row: int, generator: torch.Generator) -> Example:
        """The words of a person ask, theta and its rendering judge."""
        dozen, place = divmod(row, _COMPOSED_AT_ONCE)
        if dozen not in self._made:
            drawn = torch.Generator().manual_seed(self.seed * self.people + dozen)
            self._made[dozen] = compose_faces(_COMPOSED_AT_ONCE, self.model, generator=drawn)
        made = self._made[dozen]
        said, theta = made.descriptions[place], made.theta[place]
        is_short = bool(said.short) and float(torch.rand((), generator=generator)) < self.short
        text = (
            said.short if is_short else said.descriptions[draw(len(said.descriptions), generator)]
        )
        with torch.no_grad():
            rendering = self._renderer(theta)
        target = FaceTarget(
            rendering.image[0].clamp(0, 1),
            rendering.mask[0],
            rendering.landmarks_px[0],
            False,
            theta.to_vector()[0].float(),
            torch.ones(PARAMETER_COUNT, dtype=torch.bool),
        )
        messages = conversation((), face_request("text", text, generator))
        return Example("text", messages, forced_answer(generator), target=target)


@dataclass(frozen=True, eq=False)
class SituationToFace:
    """Everyday situations; of the face that they show only the expression is known."""

    model: MorphableModel
    situations: Sequence[Situation]
    reason: float = 0.5
    """Share of answers that first say in words how such a face looks, where the words are known."""

    def __len__(self) -> int:
        return len(self.situations)

    @cached_property
    def _expressions(self) -> Float[Tensor, "situation expression"]:
        return expressions_of(self.model, self.situations)

    def example(self, row: int, generator: torch.Generator) -> Example:
        """The situation asks; its blendshapes judge the expression."""
        situation = self.situations[row]
        theta = torch.zeros(PARAMETER_COUNT)
        theta[EXPRESSION] = self._expressions[row]
        messages = conversation((), face_request("situation", situation.situation, generator))
        reasons = bool(situation.face) and (
            float(torch.rand((), generator=generator)) < self.reason
        )
        answer = reasoned_answer(situation.face, generator) if reasons else forced_answer(generator)
        return Example("situation", messages, answer, target=_only_theta(theta, expression_mask()))


@dataclass(frozen=True, eq=False)
class Talk:
    """Questions about a photo that words answer; no face is asked for."""

    faces: FaceTable
    rows: Sequence[int]
    """Faces with conversations."""
    augment: Augment | None = None
    notes: Notes | None = None
    most_turns: int = 4
    unmeasured: float = 0.0
    """Share of conversations in which a question is asked that the face does not answer."""

    def __len__(self) -> int:
        return len(self.rows)

    def example(self, row: int, generator: torch.Generator) -> Example:
        """Some questions and their answers, all of which are learnt. Beside a note the answers are
        its lines, word for word: another wording would teach to look away from it."""
        face = self.faces[self.rows[row]]
        photo = target_of(face, self.augment, generator).photo
        note = self.notes.of(face, generator) if self.notes else None
        if note is None:
            pairs = face_talk(face.row.conversations, generator, self.most_turns)
            shown = ""
        else:
            topics = _chosen(note.topics, generator)[: 1 + draw(self.most_turns, generator)]
            pairs = [(question_on(t, generator), note.answer(t)) for t in topics]
            others = _chosen(note.sentences, generator)
            shown = str(note.about(lines_for(topics) | set(others)))
        if self.unmeasured > 0 and float(torch.rand((), generator=generator)) < self.unmeasured:
            pairs.insert(draw(len(pairs) + 1, generator), unmeasured(generator))
        *before, (question, answer) = pairs
        messages = conversation(before, question, image=True, note=shown)
        return Example("talk", messages, answer, photo)


@dataclass(frozen=True, eq=False)
class Instructions:
    """Instruction data and replayed answers of the base model."""

    instructions: Sequence[Instruction]
    most_turns: int = 4

    def __len__(self) -> int:
        return len(self.instructions)

    def example(self, row: int, generator: torch.Generator) -> Example:
        """The first turns of a conversation; every answer is learnt."""
        instruction = self.instructions[row]
        turns = instruction.turns[: 1 + draw(self.most_turns, generator)]
        *before, (question, answer) = turns
        image = None
        if instruction.image is not None:
            picture = Image.fromarray(load_image(instruction.image).rgb)
            picture.thumbnail((LONGEST_INSTRUCTION_SIDE, LONGEST_INSTRUCTION_SIDE))
            image = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
            image = image.view(picture.height, picture.width, 3).permute(2, 0, 1).float() / 255
        messages = conversation(before, question, image=image is not None)
        return Example("replay", messages, answer, image)


def conversation(
    before: Turns, request: str, *, image: bool = False, note: str = ""
) -> list[Message]:
    """Turns that are over and what the user says now, as messages; a picture comes first of all,
    and what was measured on it is the next line."""
    messages: list[Message] = []
    for question, answer in before:
        messages.append(_message("user", question))
        messages.append(_message("assistant", answer))
    messages.append(_message("user", request))
    if image:
        messages[0]["content"].insert(0, {"type": "image"})
    if note:
        messages[0]["content"].insert(1, note_part(note))
    return messages


def note_part(note: str) -> dict[str, str]:
    """The lines of `face_note` as a part of the message that shows the picture."""
    return {"type": "text", "text": f"{note}\n"}


def _chosen(topics: Iterable[str], generator: torch.Generator) -> list[str]:
    """Some of the topics in a random order: any number of them, one at least."""
    known = list(topics)
    return [known[i] for i in torch.randperm(len(known), generator=generator).tolist()][
        : 1 + draw(len(known), generator)
    ]


def draw(count: int, generator: torch.Generator) -> int:
    """A whole number below `count`."""
    return int(torch.randint(count, (), generator=generator))


def _message(role: str, text: str) -> Message:
    return {"role": role, "content": [{"type": "text", "text": text}]}


def _some(pairs: Turns, wanted: int, generator: torch.Generator) -> list[tuple[str, str]]:
    """So many of the pairs in a random order, or as many as there are."""
    order = torch.randperm(len(pairs), generator=generator)[:wanted].tolist()
    return [pairs[i] for i in order]


def target_of(face: StoredFace, augment: Augment | None, generator: torch.Generator) -> FaceTarget:
    """What L_face compares with, changed if `augment` changes it; its picture is the one shown."""
    row = face.row
    target = FaceTarget(face.photo, face.skin, row.landmarks68_px, row.is_grey, row.theta)
    return target if augment is None else augment(target, generator)


def _only_theta(
    theta: Float[Tensor, "257"], known: Bool[Tensor, "257"], size: int = CROP_SIZE
) -> FaceTarget:
    """A target whose picture and points do not speak."""
    return FaceTarget(
        torch.zeros(3, size, size),
        torch.zeros(size, size, dtype=torch.bool),
        torch.full((LANDMARK_COUNT, 2), float("nan")),
        False,
        theta,
        known,
    )
