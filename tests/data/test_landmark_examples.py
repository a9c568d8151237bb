"""LLaVA-Key's examples: points as answers, to photos and to descriptions."""

import pytest
import torch

from facegpt.data.examples import ExampleSource, FaceTarget
from facegpt.data.landmark_examples import ImageToLandmarks, TextToLandmarks
from facegpt.data.landmark_text import read_landmarks, write_landmarks
from facegpt.data.mixture import MixtureSettings, face_mixture, seeded
from facegpt.data.schema import DatasetError
from facegpt.data.table import FaceTable


def test_a_photo_is_answered_with_its_points(faces: FaceTable) -> None:
    source = ImageToLandmarks(faces, [4, 1])
    assert isinstance(source, ExampleSource)
    example = source.example(1, seeded(0))
    assert (example.kind, example.target) == ("image-points", None)
    assert example.image is not None
    assert torch.equal(example.image, faces[1].photo)
    assert example.messages[0]["content"][0] == {"type": "image"}
    assert example.answer == write_landmarks(faces[1].row.landmarks68_px)


def test_picture_and_points_change_together(faces: FaceTable) -> None:
    def moved(target: FaceTarget, generator: torch.Generator) -> FaceTarget:
        return FaceTarget(
            target.photo.roll(20, dims=2), target.skin, target.landmarks68_px + 11.2, False
        )

    [plain, changed] = (
        ImageToLandmarks(faces, [1], augment).example(0, seeded(0)) for augment in (None, moved)
    )
    assert plain.image is not None
    assert changed.image is not None
    assert torch.equal(changed.image, plain.image.roll(20, dims=2))
    shift = [read_landmarks(e.answer).landmarks68_px for e in (changed, plain)]
    assert (shift[0] - shift[1] - 11.2).abs().max() < 0.01


def test_a_description_is_answered_with_the_points_of_its_photo(faces: FaceTable) -> None:
    source = TextToLandmarks(faces, [3])
    examples = [source.example(0, seeded(n)) for n in range(12)]
    asked = {example.messages[0]["content"][0]["text"] for example in examples}
    assert len(asked) == 2  # two descriptions
    assert all("d.png" in text and "68 facial landmark" in text for text in asked)
    assert {e.answer for e in examples} == {write_landmarks(faces[3].row.landmarks68_px)}
    assert all(e.image is None and e.target is None for e in examples)


def test_the_mixture_draws_them(faces: FaceTable) -> None:
    shares = dict.fromkeys(("image", "text", "talk"), 0.0)
    settings = MixtureSettings(**shares, image_points=1.0, text_points=1.0, length=40)
    mixture = face_mixture(settings, faces=faces)
    kinds = [mixture[i].kind for i in range(40)]
    assert set(kinds) == {"image-points", "text-points"}
    with pytest.raises(DatasetError, match=r"--mixture\.text-points 0"):
        face_mixture(settings, faces=faces, rows=[2])  # c.png has no words
