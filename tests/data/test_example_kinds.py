"""Every kind of example: what is shown, what is asked, what is answered, and who judges."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facegpt.data.examples import (
    ComposedToFace,
    Example,
    ExampleSource,
    FaceTarget,
    ImageToFace,
    Instructions,
    Notes,
    SituationToFace,
    Talk,
    TextToFace,
)
from facegpt.data.expression_targets import expression_mask
from facegpt.data.instructions import Instruction
from facegpt.data.mixture import seeded
from facegpt.data.situations import Situation
from facegpt.data.table import FaceTable, StoredFace
from facegpt.morphable.blendshapes import expression_from_arkit
from facegpt.morphable.default import load_default
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.rendering.renderer import Renderer

WEIGHTS = {"jawOpen": 0.8, "mouthSmileLeft": 0.5}
SITUATION = Situation("The gift is a dog.", "The mouth falls open.", "joy", WEIGHTS)


def drawn(source: ExampleSource, row: int, count: int = 40) -> list[Example]:
    return [source.example(row, seeded("test", n)) for n in range(count)]


def said(example: Example) -> list[tuple[str, str]]:
    """Role and text of every message."""
    return [
        (m["role"], " ".join(part["text"] for part in m["content"] if part["type"] == "text"))
        for m in example.messages
    ]


def check_form(example: Example) -> None:
    roles = [role for role, _ in said(example)]
    assert roles == [("user", "assistant")[i % 2] for i in range(len(roles))]
    assert roles[-1] == "user"
    assert all(text.strip() for _, text in said(example))
    kinds = [part["type"] for message in example.messages for part in message["content"]]
    shown = 0 if example.image is None else 1
    assert kinds.count("image") == shown
    assert kinds[0] == ("image" if shown else "text")
    assert example.answer.count("<FACE>") == (0 if example.target is None else 1)
    assert "<FACE>" not in "".join(text for _, text in said(example))


def test_a_photo_asks_for_its_face_after_some_talk(faces: FaceTable) -> None:
    examples = drawn(ImageToFace(faces, [4, 1]), 1)
    for example in examples:
        check_form(example)
        assert example.kind == "image"
        assert example.image is not None
        assert example.target is not None
        assert torch.equal(example.image, faces[1].photo)
        assert torch.equal(example.target.skin, faces[1].skin)
        assert torch.equal(example.target.landmarks68_px, faces[1].row.landmarks68_px)
    assert {len(e.messages) for e in examples} == {1, 3, 5}
    assert len({said(e)[-1] for e in examples}) > 5
    talk = {text for e in examples for role, text in said(e)[:-1] if role == "assistant"}
    assert "The man of b.png." in talk


def test_a_photo_without_words_asks_at_once(faces: FaceTable) -> None:
    examples = drawn(ImageToFace(faces, [2]), 0, 10)
    assert all(len(e.messages) == 1 and e.image is not None for e in examples)
    silent = drawn(ImageToFace(faces, [0], most_turns=0), 0, 10)
    assert all(len(e.messages) == 1 for e in silent)


def test_a_description_asks_and_the_photo_only_judges(faces: FaceTable) -> None:
    examples = drawn(TextToFace(faces, [3], short=0.3, implicit=0.3), 0, 120)
    texts = ["he is the man of d.png", "d.png shows a man", "a man of d.png", "waiting in d.png"]
    seen = dict.fromkeys(texts, 0)
    for example in examples:
        check_form(example)
        assert (example.kind, example.image) == ("text", None)
        assert example.target is not None
        assert torch.equal(example.target.photo, faces[3].photo)
        [(_, request)] = said(example)
        [found] = [text for text in texts if text in request.lower()]
        seen[found] += 1
    assert min(seen.values()) > 10
    explicit = drawn(TextToFace(faces, [3], short=0.0), 0)
    assert not any(text in said(e)[0][1].lower() for e in explicit for text in texts[2:])


def test_a_situation_tells_the_expression_alone(tiny_face_model: MorphableModel) -> None:
    source = SituationToFace(tiny_face_model, [SITUATION], reason=0.5)
    examples = drawn(source, 0)
    for example in examples:
        check_form(example)
        assert "The gift is a dog" in said(example)[0][1]
        target = example.target
        assert target is not None
        assert target.theta is not None
        assert target.theta_mask is not None
        assert not target.skin.any()
        assert target.landmarks68_px.isnan().all()
        assert torch.equal(target.theta_mask, expression_mask())
        delta = FaceParameters.from_vector(target.theta[None]).expression
        expected = expression_from_arkit(tiny_face_model, WEIGHTS)
        torch.testing.assert_close(delta, expected, atol=1e-4, rtol=1e-4)
    reasoned = [e.answer.startswith("The mouth falls open. ") for e in examples]
    assert 8 < sum(reasoned) < 32
    for reason, expected in ((0.0, False), (1.0, True)):
        source = SituationToFace(tiny_face_model, [SITUATION], reason=reason)
        assert {SITUATION.face in e.answer for e in drawn(source, 0, 10)} == {expected}
    unsaid = SituationToFace(tiny_face_model, [replace(SITUATION, face="")], reason=1.0)
    for example in drawn(unsaid, 0, 10):
        check_form(example)
        assert example.answer[0].isupper()


def test_talk_asks_for_no_face(faces: FaceTable) -> None:
    examples = drawn(Talk(faces, [5]), 0)
    for example in examples:
        check_form(example)
        assert (example.kind, example.target) == ("talk", None)
        assert example.image is not None
        assert torch.equal(example.image, faces[5].photo)
    assert {len(e.messages) for e in examples} == {1, 3, 5}
    assert len({e.answer for e in examples}) > 1


class Measured(FaceTable):
    """The faces of a table, with the theta of a plain face."""

    def __init__(self, faces: FaceTable) -> None:
        vars(self).update(vars(faces))

    def __getitem__(self, row: int) -> StoredFace:
        face = super().__getitem__(row)
        return replace(face, row=replace(face.row, theta=torch.zeros(257)))


def test_a_note_stands_between_the_photo_and_the_words(faces: FaceTable) -> None:
    measured, notes = Measured(faces), Notes(load_default())
    for example in drawn(Talk(measured, [5], notes=notes), 0, 6):
        check_form(example)
        first, second, third = example.messages[0]["content"][:3]
        assert (first["type"], third["type"]) == ("image", "text")
        assert second["text"].startswith("[face\n")
        assert second["text"].endswith("\n]\n")
        assert not any("[face" in text for _, text in said(example)[1:])
    half = ImageToFace(measured, [4], notes=replace(notes, share=0.5))
    noted = ["[face\n" in said(example)[0][1] for example in drawn(half, 0)]
    assert 8 < sum(noted) < 32


def test_answers_beside_a_note_are_its_lines(faces: FaceTable) -> None:
    """The smallest model can learn to find a line; it cannot learn to put it in other words."""
    talk = Talk(Measured(faces), [5], notes=Notes(load_default()), most_turns=6)
    turns, lines = set(), set()
    for example in drawn(talk, 0, 30):
        [_, *given, _] = example.messages[0]["content"][1]["text"].strip().split("\n")
        sentences = {line.split(": ", 1)[1] for line in given}
        answers = [text for role, text in said(example) if role == "assistant"]
        for answer in [*answers, example.answer]:
            rest = answer
            for sentence in sentences:
                rest = rest.replace(sentence, "")
            assert not rest.strip(), answer
        turns.add(len(answers) + 1)
        lines.add(len(given))
    assert turns <= set(range(1, 7))
    assert len(turns) > 3
    assert len(lines) > 5


def test_some_questions_have_no_answer_in_the_face(faces: FaceTable) -> None:
    """Half of the conversations ask one such question, anywhere among the others."""
    talk = Talk(Measured(faces), [5], notes=Notes(load_default()), most_turns=3, unmeasured=0.5)
    honest, places = re.compile("cannot|can say nothing|do not know|does not"), set()
    for example in drawn(talk, 0):
        check_form(example)
        answers = [text for role, text in said(example) if role == "assistant"]
        open_ = [bool(honest.search(answer)) for answer in [*answers, example.answer]]
        assert sum(open_) <= 1
        places.add((len(open_), open_.index(True)) if any(open_) else None)
    assert None in places
    assert len(places) > 5
    never = drawn(replace(talk, unmeasured=0.0), 0, 20)
    assert not any(honest.search(example.answer) for example in never)


def test_a_face_that_nobody_measured_has_no_note(faces: FaceTable) -> None:
    for example in drawn(Talk(faces, [5], notes=Notes(load_default())), 0, 4):
        check_form(example)
        assert "[face" not in said(example)[0][1]


def test_composed_people_are_what_is_said_of_them(tiny_face_model: MorphableModel) -> None:
    source = ComposedToFace(tiny_face_model)
    other = ComposedToFace(tiny_face_model, seed=1).example(0, seeded("words"))
    first, second = (source.example(row, seeded("words")) for row in (0, 1))
    again = ComposedToFace(tiny_face_model).example(0, seeded("words"))
    for example in (first, second):
        check_form(example)
        assert (example.kind, example.image) == ("text", None)
    assert first.target is not None
    assert first.target.theta is not None
    assert second.target is not None
    assert second.target.theta is not None
    assert not torch.equal(first.target.theta, second.target.theta)
    assert other.target is not None
    assert other.target.theta is not None
    assert not torch.equal(first.target.theta, other.target.theta)
    assert again.target is not None
    assert torch.equal(first.target.photo, again.target.photo)
    assert first.messages == again.messages
    rendering = Renderer(tiny_face_model.restricted_to())(
        FaceParameters.from_vector(first.target.theta[None])
    )
    torch.testing.assert_close(first.target.photo, rendering.image[0].clamp(0, 1))
    assert first.target.theta_mask is not None
    assert first.target.theta_mask.all()
    assert first.target.skin.any()


def test_instructions_keep_their_order_and_their_picture(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    pixels = np.zeros((100, 1400, 3), np.uint8)
    pixels[:, :700, 0] = 255
    Image.fromarray(pixels).save(path)
    turns = (("One?", "1."), ("Two?", "2."), ("Three?", "3."))
    source = Instructions([Instruction(turns, path), Instruction(turns[:1])], most_turns=2)
    examples = drawn(source, 0, 20)
    for example in examples:
        check_form(example)
        assert example.image is not None
        assert example.image.shape == (3, 48, 672)
        assert example.image[0, :, :300].min() > 0.95
        assert example.image[:, :, 400:].max() < 0.05
    assert {e.answer for e in examples} == {"1.", "2."}
    assert said(examples[[e.answer for e in examples].index("2.")]) == [
        ("user", "One?"),
        ("assistant", "1."),
        ("user", "Two?"),
    ]
    [text] = drawn(source, 1, 1)
    assert (text.kind, text.image, text.answer) == ("replay", None, "1.")


@pytest.mark.parametrize("kind", [ImageToFace, Talk])
def test_a_changed_photo_is_shown_and_judges(
    faces: FaceTable, kind: type[ImageToFace] | type[Talk]
) -> None:
    def darker(target: FaceTarget, generator: torch.Generator) -> FaceTarget:
        gain = torch.rand((), generator=generator)
        return FaceTarget(target.photo * gain, target.skin, target.landmarks68_px, target.is_grey)

    source = kind(faces, [0], augment=darker)
    examples = drawn(source, 0, 5)
    levels = [float(e.image.mean()) for e in examples if e.image is not None]
    assert len(set(levels)) == 5
    assert max(levels) <= float(faces[0].photo.mean())
    for example in examples:
        if example.target is not None:
            assert example.image is example.target.photo
