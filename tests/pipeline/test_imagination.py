"""Faces of texts: likeliest or drawn, with or without words first, and honest on disk."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facegpt.morphable.model import MorphableModel
from facegpt.pipeline import FaceGPT, RequestError, SpreadMissingError, requests
from facegpt.reconstruction import FaceReconstruction, read_record
from facegpt.rendering.restage import Staging, staged
from tiny_facegpt import saying, tiny_facegpt

MAN, WOMAN = "an elderly man with a long thin face, grinning", "A young woman frowns."


def vector(face) -> torch.Tensor:
    return face.theta.to_vector()[0]


def test_one_text_gives_its_likeliest_face(facegpt: FaceGPT) -> None:
    [face] = facegpt.imagine(f"  {MAN} ")
    assert (face.text, face.words) == (MAN, "")
    assert face.model is facegpt.model
    assert face.reconstruction.method == "nano"
    assert set(face.arkit) == set(facegpt.model.arkit_names)
    assert "smile" in face.semantics
    [again] = facegpt.imagine(MAN)
    assert torch.equal(vector(face), vector(again))


def test_a_list_gives_the_faces_of_each(facegpt: FaceGPT) -> None:
    [[man], [woman]] = facegpt.imagine([MAN, WOMAN])
    torch.testing.assert_close(vector(man), vector(facegpt.imagine(MAN)[0]), atol=1e-5, rtol=1e-4)
    assert (vector(man) - vector(woman)).abs().max() > 1e-3
    assert facegpt.imagine([]) == []


def test_samples_are_drawn_around_the_likeliest(facegpt: FaceGPT) -> None:
    three = facegpt.imagine(MAN, samples=3, seed=4)
    assert [f.reconstruction.source["sample"] for f in three] == [1, 2, 3]
    assert {f.reconstruction.source["seed"] for f in three} == {4}
    likeliest = vector(facegpt.imagine(MAN)[0])
    for face in three:
        assert (vector(face) - likeliest).abs().max() > 0.01
        assert torch.equal(vector(face)[224:], likeliest[224:])
    assert (vector(three[0]) - vector(three[1])).abs().max() > 0.01


def test_a_seed_draws_the_same_in_whatever_company(facegpt: FaceGPT) -> None:
    [_, [first, second]] = facegpt.imagine([WOMAN, MAN], samples=2, seed=4)
    [alone, _] = facegpt.imagine(MAN, samples=2, seed=4)
    [single] = facegpt.imagine(MAN, seed=4)
    torch.testing.assert_close(vector(alone), vector(first), atol=1e-5, rtol=1e-4)
    assert torch.equal(vector(alone), vector(single))
    assert (vector(facegpt.imagine(MAN, seed=5)[0]) - vector(single)).abs().max() > 0.01
    assert (vector(second) - vector(first)).abs().max() > 0.01


def test_without_a_spread_only_the_likeliest_can_be_had(tiny_face_model: MorphableModel) -> None:
    bare = tiny_facegpt(tiny_face_model)
    assert len(bare.imagine(MAN)) == 1
    for options in ({"samples": 2}, {"seed": 0}):
        with pytest.raises(SpreadMissingError, match="leave --samples and --seed out"):
            bare.imagine(MAN, **options)


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("", {}, "empty"),
        ("word " * 10_000, {}, "49,999 characters"),
        (MAN, {"samples": 0}, "--sam"),
    ],
)
def test_bad_requests(facegpt: FaceGPT, text: str, options: dict, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        facegpt.imagine(text, **options)


def test_words_come_first_and_change_the_face(facegpt: FaceGPT) -> None:
    with saying(facegpt.network, "The mouth opens. Sure, it is <FACE>."):
        [face] = facegpt.imagine("He won.", reason=True)
    assert face.words == "The mouth opens."
    assert face.to_record()["source"] == {"kind": "text", "text": "He won.", "words": face.words}
    [plain] = facegpt.imagine("He won.", reason=False)
    assert (vector(face) - vector(plain)).abs().max() > 1e-3


def test_a_model_that_forgets_the_face_is_made_to_give_one(facegpt: FaceGPT) -> None:
    with saying(facegpt.network, "The mouth opens. The lips part"):
        [face] = facegpt.imagine("He won.", reason=True)
    assert face.words == "The mouth opens."
    with saying(facegpt.network, "The mouth"):
        [face] = facegpt.imagine("He won.", reason=True)
    torch.testing.assert_close(vector(face), vector(facegpt.imagine("He won.")[0]))


def test_only_implicit_texts_reason_by_default(
    facegpt: FaceGPT, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "REASON_BY_DEFAULT", True)
    with saying(facegpt.network, "The mouth opens. <FACE>"):
        [[situation], [description]] = facegpt.imagine(["He won.", MAN])
    assert (situation.words, description.words) == ("The mouth opens.", "")


def test_the_record_says_that_there_is_no_photo(facegpt: FaceGPT) -> None:
    [face] = facegpt.imagine(MAN)
    record = face.to_record()
    assert record["source"] == {"kind": "text", "text": MAN}
    assert record["image_size"] == [224, 224]
    assert record["crop_from_image"] == torch.eye(3).tolist()
    assert record["errors"] == {}
    assert FaceReconstruction.from_record(record).is_imagined
    points = torch.tensor(record["landmarks68_px"])
    left, top, right, bottom = record["box_px"]
    assert (points.min(dim=0).values - torch.tensor([left, top])).abs().max() < 1e-3
    assert (points.max(dim=0).values - torch.tensor([right, bottom])).abs().max() < 1e-3
    assert {row["name"] for row in record["licences"]} == {
        *facegpt.model.licences,
        "smollm2",
        "nano",
        "nano-tower",
    }


def test_the_folder_of_an_imagined_face(facegpt: FaceGPT, tmp_path: Path) -> None:
    [face] = facegpt.imagine(MAN)
    face.save(tmp_path / "man")
    assert {p.name for p in (tmp_path / "man").iterdir()} == {
        *("head.glb", "head.obj", "head.mtl", "head.png", "head.ply"),
        *("portrait.png", "face.json"),
    }
    with Image.open(tmp_path / "man" / "portrait.png") as portrait:
        pixels = np.asarray(portrait)
    assert pixels.shape == (512, 512, 3)
    assert (pixels[0] == pixels[0, 0]).all()
    assert pixels[128:384, 128:384].std() > 5
    again = read_record(tmp_path / "man" / "face.json")
    assert again.to_record() == face.to_record()
    turned = staged(face.model, again.parameters, again.arkit, Staging((20.0, None, None)))
    assert turned.camera[0, 1] == pytest.approx(np.deg2rad(20))
    with pytest.raises(ValueError, match="no photo to lie on"):
        face.save(tmp_path / "other", ("overlay",))
    assert not (tmp_path / "other").exists()
