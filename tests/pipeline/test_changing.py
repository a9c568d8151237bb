"""Faces changed by meaning: what moves, what stays, what the record says, what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facegpt.morphable.default import load_default
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.semantics import percentiles
from facegpt.pipeline.changing import Change, changed_face, edit_record
from facegpt.reconstruction import FaceReconstruction, read_record, write_record
from facegpt.rendering.texture import albedo_factor, model_texture, mouth_light, recoloured
from tiny_facegpt import face_photo, tiny_facegpt


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return load_default()


@pytest.fixture(scope="module")
def face(model: MorphableModel) -> FaceReconstruction:
    return tiny_facegpt(model).imagine("a man")[0].reconstruction


def test_measurements_move_as_far_as_asked(model: MorphableModel, face: FaceReconstruction) -> None:
    from facegpt.morphable.population import default_population

    new = changed_face(face, model, Change({"nose_width": 1.5, "skin_lightness": -1.0}))
    people = default_population(model)
    for name, shift in (("nose_width", 1.5), ("skin_lightness", -1.0)):
        moved = new.semantics[name]["value"] - face.semantics[name]["value"]
        assert moved == pytest.approx(shift * people.deviation(name), abs=0.01)
    assert percentiles(new.parameters, model)["nose_width"] > 50
    theta, before = new.parameters, face.parameters
    assert torch.equal(theta.expression, before.expression)
    assert torch.equal(theta.illumination, before.illumination)
    assert torch.equal(theta.camera, before.camera)


def test_blendshapes_are_set(model: MorphableModel, face: FaceReconstruction) -> None:
    new = changed_face(face, model, Change(arkit={"jawOpen": 0.7}))
    assert new.semantics["jaw_drop"]["value"] > face.semantics["jaw_drop"]["value"] + 5
    assert torch.equal(new.parameters.shape, face.parameters.shape)
    closed = changed_face(new, model, Change(arkit={"jawOpen": new.arkit["jawOpen"]}))
    torch.testing.assert_close(
        closed.parameters.expression, new.parameters.expression, atol=1e-4, rtol=0.0
    )


def test_the_record_says_what_was_changed_and_is_read_again(
    model: MorphableModel, face: FaceReconstruction, tmp_path: Path
) -> None:
    first = changed_face(face, model, Change({"jaw_width": 1.0}))
    second = changed_face(first, model, Change(arkit={"jawOpen": 0.5}))
    assert second.source["changes"] == [
        {"semantics": {"jaw_width": 1.0}, "arkit": {}},
        {"semantics": {}, "arkit": {"jawOpen": 0.5}},
    ]
    write_record(tmp_path / "face.json", second)
    again = read_record(tmp_path / "face.json")
    assert again.to_record() == second.to_record()
    assert again.source["kind"] == "text"


def test_the_face_of_a_photo_keeps_its_place_in_it(tiny_face_model: MorphableModel) -> None:
    rgb, _ = face_photo(tiny_face_model)
    [found] = tiny_facegpt(tiny_face_model).reconstruct(rgb)
    new = changed_face(found, tiny_face_model, Change({"nose_width": 0.5}))
    assert new.errors == {}
    assert new.image_size == found.image_size
    far = (new.landmarks68_px - found.landmarks68_px).norm(dim=1).max()
    assert far < 0.2 * (found.box_px[2] - found.box_px[0])
    assert new.to_record()["source"]["kind"] == "photo"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"nose_widht": 1.0}, "nose_width"),
        ({"nose_width": 4.5}, "at most 4"),
        ({"nose_width": float("nan")}, "at most 4"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Change(change)
    with pytest.raises(ValueError, match="between 0 and 1"):
        Change(arkit={"jawOpen": 1.5})


@pytest.mark.parametrize(
    ("pair", "said"), [("jawOpe=1", "jawOpen"), ("jawOpen", "NAME=VALUE"), ("jawOpen=x", "NAME=")]
)
def test_pairs_that_say_nothing_are_refused(model: MorphableModel, pair: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Change.of_pairs([pair], model)


def test_a_saved_face_is_changed_with_its_texture(
    model: MorphableModel, face: FaceReconstruction, tmp_path: Path
) -> None:
    write_record(tmp_path / "face.json", face)
    freckles = np.random.default_rng(0).integers(90, 200, (64, 64, 3), np.uint8)
    Image.fromarray(freckles).save(tmp_path / "head.png")
    edit_record(tmp_path / "face.json", ["skin_lightness=-1.5", "jawOpen=0.3"], tmp_path / "new")
    assert (tmp_path / "new" / "head.glb").is_file()
    after = np.asarray(Image.open(tmp_path / "new" / "head.png")).astype(float)
    assert after.shape == freckles.shape
    assert after.mean() < freckles.mean() - 10
    # The freckles are still there.
    together = np.corrcoef(after.ravel(), freckles.ravel())[0, 1]
    assert together > 0.85


def test_a_texture_follows_the_albedo(model: MorphableModel, face: FaceReconstruction) -> None:
    before = face.parameters
    same = model_texture(model, before, size=128)
    assert recoloured(same, model, before, before) is same
    after = changed_face(face, model, Change({"skin_lightness": 1.0})).parameters
    expected = model_texture(model, after, size=128).astype(float)
    got = recoloured(same, model, before, after).astype(float)
    assert np.abs(got - expected).mean() < 1.5
    torch.testing.assert_close(albedo_factor(model, before, before), torch.ones_like(model.mean_mm))


def test_only_the_inside_of_the_mouth_gets_less_light(model: MorphableModel) -> None:
    light = mouth_light(model)[:, 0]
    inside = model.part_mask(("mouth", "teeth", "tongue"))
    assert (light[~inside] == 1).all()
    assert float(light[inside].min()) >= 0.2
    assert float(light[inside].max()) <= 1.0
    teeth = model.part_mask(("teeth",))
    front = model.mean_mm[teeth, 2] > model.mean_mm[teeth, 2].max() - 3
    assert float(light[teeth][front].max()) > 0.8
    deep = model.mean_mm[inside, 2]
    assert torch.corrcoef(torch.stack([deep, light[inside]]))[0, 1] > 0.5
