"""The sentences beside a photo: they say what the facts say, for every topic that is asked."""

import random

import pytest
import torch

from facegpt.data import phrases_questions
from facegpt.data.agreement import agrees
from facegpt.data.compose import compose_faces
from facegpt.data.face_note import FaceNote, face_note, face_notes, lines_for
from facegpt.data.facts import facts_of, read_faces
from facegpt.data.phrases_questions import QUESTIONS
from facegpt.losses import mean_light
from facegpt.morphable.blendshapes import expression_from_arkit
from facegpt.morphable.default import load_default
from facegpt.morphable.parameters import FaceParameters

ASKED = {
    "smile": "Is the person smiling?",
    "mouth": "Is the mouth open or closed?",
    "turned": "Which way is the head turned?",
}


def plain_face() -> FaceParameters:
    return FaceParameters.zeros(1).replace(illumination=mean_light()[None])


def note_of(theta: FaceParameters, *, is_grey: bool = False) -> FaceNote:
    return face_notes(theta, load_default(), is_grey=[is_grey])[0]


def test_expression_and_pose_stand_in_the_lines() -> None:
    smile = dict.fromkeys(("mouthSmileLeft", "mouthSmileRight"), 0.8)
    theta = plain_face().replace(
        expression=expression_from_arkit(load_default(), smile | {"jawOpen": 0.5}),
        camera=torch.tensor([[0.0, -0.4, 0.0, 0.0, 0.0, 0.0]]),
    )
    note = note_of(theta)
    assert note.answer("smile").startswith("Yes")
    assert "wide open" in note.answer("mouth").lower()
    assert "left" in note.answer("turned")
    idle = note_of(plain_face())
    assert idle.answer("smile").startswith(("No", "Barely", "Hardly"))
    assert "wide" not in idle.answer("mouth")


def test_every_line_agrees_with_the_measurements() -> None:
    model = load_default()
    people = compose_faces(48, model, generator=torch.Generator().manual_seed(8))
    judged = 0
    notes = face_notes(people.theta, model, dice=random.Random(3))
    for note, semantics in zip(notes, people.semantics, strict=True):
        for topic, question in ASKED.items():
            found = agrees(note.answer(topic), semantics, question=question)
            judged += len(found)
            assert all(found.values()), (topic, note.answer(topic), semantics)
    assert judged > 90


def test_the_same_measurements_give_the_same_words_and_dice_give_others() -> None:
    model = load_default()
    people = compose_faces(12, model, generator=torch.Generator().manual_seed(8))
    notes = [str(note) for note in face_notes(people.theta, model)]
    assert notes == [str(note) for note in face_notes(people.theta, model)]
    assert len(set(notes)) == 12
    assert notes != [str(n) for n in face_notes(people.theta, model, dice=random.Random(1))]
    for reading, note in zip(read_faces(people.theta, model), notes, strict=True):
        assert note == str(face_note(reading))


def test_new_wordings_behind_the_first_change_no_note(monkeypatch: pytest.MonkeyPatch) -> None:
    people = compose_faces(12, load_default(), generator=torch.Generator().manual_seed(8))
    before = [str(note) for note in face_notes(people.theta, load_default())]
    for strength, wordings in phrases_questions.TURN_ANSWERS.items():
        longer = (*wordings, "The head is new, {side}.", "Newer still, {side}.")
        monkeypatch.setitem(phrases_questions.TURN_ANSWERS, strength, longer)
    assert [str(note) for note in face_notes(people.theta, load_default())] == before
    by_dice = "".join(
        str(n) for n in face_notes(people.theta, load_default(), dice=random.Random(0))
    )
    assert "The head is new" in by_dice or "Newer still" in by_dice


def test_every_topic_that_can_be_asked_has_its_answer() -> None:
    model = load_default()
    people = compose_faces(6, model, generator=torch.Generator().manual_seed(2))
    for reading, note in zip(
        read_faces(people.theta, model), face_notes(people.theta, model), strict=True
    ):
        expected = set(QUESTIONS) - (set() if facts_of(reading).beard else {"beard"})
        assert set(note.topics) == expected
        text = str(note)
        assert text.startswith("[face\n")
        assert text.endswith("\n]")
        # Templates of the phrase tables must not leak.
        assert not set("|{}") & set(text)
        for topic in note.topics:
            lines = [f"{line}: {note.answer(line)}\n" for line in lines_for([topic])]
            assert all(line in text for line in lines)
            assert sorted(note.answer(topic)) == sorted(
                " ".join(map(note.answer, lines_for([topic])))
            )


def test_some_lines_can_be_chosen_and_keep_their_order() -> None:
    note = note_of(plain_face())
    few = note.about(["mouth", "smile"])
    assert list(few.sentences) == [t for t in note.sentences if t in ("smile", "mouth")]
    whole = note.about(lines_for(["whole"]))
    assert whole.answer("whole") == note.answer("whole")
    with pytest.raises(KeyError):
        few.answer("nose")


def test_a_photo_without_colour_has_no_hue() -> None:
    dark = plain_face().replace(albedo=torch.linspace(-1, 1, 80)[None])
    grey, colour = (note_of(dark, is_grey=g).answer("skin") for g in (True, False))
    assert grey != colour
    for hue in ("brown", "golden", "pink", "olive", "warm", "cool"):
        assert hue not in grey
