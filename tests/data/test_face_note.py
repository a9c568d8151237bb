"""The line of measured words: it says what the facts say, and nothing by chance."""

import torch

from facegpt.data.compose import compose_faces
from facegpt.data.face_note import face_note, face_notes
from facegpt.data.facts import facts_of, read_faces
from facegpt.losses import mean_light
from facegpt.morphable.blendshapes import expression_from_arkit
from facegpt.morphable.default import load_default
from facegpt.morphable.parameters import FaceParameters


def plain_face() -> FaceParameters:
    return FaceParameters.zeros(1).replace(illumination=mean_light()[None])


def note_of(theta: FaceParameters, *, is_grey: bool = False) -> str:
    return face_notes(theta, load_default(), is_grey=[is_grey])[0]


def test_expression_and_pose_stand_in_the_line() -> None:
    smile = dict.fromkeys(("mouthSmileLeft", "mouthSmileRight"), 0.8)
    theta = plain_face().replace(
        expression=expression_from_arkit(load_default(), smile | {"jawOpen": 0.5}),
        camera=torch.tensor([[0.0, -0.4, 0.0, 0.0, 0.0, 0.0]]),
    )
    note = note_of(theta)
    assert note.startswith("[face: smile broad; mouth wide open; ")
    assert "; head turned left, strong; chin level; " in note
    assert note.endswith("]")
    assert "smile none; mouth closed; " in note_of(plain_face())


def test_a_line_agrees_with_the_facts_and_repeats_itself() -> None:
    model = load_default()
    people = compose_faces(24, model, generator=torch.Generator().manual_seed(8))
    notes = face_notes(people.theta, model)
    assert notes == face_notes(people.theta, model)
    assert len(set(notes)) == 24
    for reading, note in zip(read_faces(people.theta, model), notes, strict=True):
        facts = facts_of(reading)
        assert note == face_note(reading)
        assert f"smile {facts.smile}" in note
        assert f"mood {facts.emotion}" in note
        assert f"skin {facts.tone}" in note
        side = f"head turned {facts.turned}" if facts.turned else "head frontal"
        assert side in note
        # Templates of the phrase tables must not leak.
        assert not set("|{}") & set(note)


def test_a_photo_without_colour_has_no_hue() -> None:
    dark = plain_face().replace(albedo=torch.linspace(-1, 1, 80)[None])
    grey, colour = note_of(dark, is_grey=True), note_of(dark)
    assert grey != colour
    for hue in ("brown", "golden", "pink", "olive", "warm", "cool"):
        assert hue not in grey
