"""The baseline without a language model: its weights on disk, its answers to photos."""

import json
from pathlib import Path

import pytest
import torch

from facegpt.baselines.errors import BaselineWeightsError
from facegpt.baselines.regression import Regression
from facegpt.baselines.regression_network import RegressionNetwork
from facegpt.fitting.found import find_faces
from facegpt.fitting.photos import PhotoReconstructor
from facegpt.model.configuration_vision import FaceVisionConfig
from facegpt.model.vision_tower import FaceVisionModel, tower_pixels
from facegpt.morphable.model import MorphableModel
from facegpt.perception.images import load_image
from facegpt.reconstruction import FaceReconstruction, FaceReconstructor
from tiny_facegpt import Knows, face_photo, nobody

SCALE = [0.1] * 257


def tiny_network(seed: int = 0) -> RegressionNetwork:
    config = FaceVisionConfig(
        image_size=64,
        stage_sizes=[4, 4, 8, 8],
        embedding_size=4,
        depths=[1, 1, 1, 1],
        hidden_size=16,
        squeeze_size=4,
        theta_scale=SCALE,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tower = FaceVisionModel(config)
    generator = torch.Generator().manual_seed(seed)
    return RegressionNetwork.on(tower, (8,), "tiny", generator).eval()


@pytest.fixture(scope="module")
def regression(tiny_face_model: MorphableModel) -> Regression:
    return Regression(tiny_network(), tiny_face_model, Knows(face_photo(tiny_face_model)[1]))


def test_theta_is_the_mlp_of_every_token() -> None:
    network = tiny_network()
    photo = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    tokens = network.tower(tower_pixels(photo, 64)).last_hidden_state
    assert tokens.shape == (2, 5, 16)
    first, last = network.head.layers
    by_hand = last(torch.nn.functional.gelu(first(tokens.flatten(1)))) * torch.tensor(SCALE)
    torch.testing.assert_close(network.see(photo), by_hand)


def test_only_the_mlp_learns() -> None:
    network = tiny_network().train()
    assert not network.tower.training
    assert {n.split(".")[0] for n, w in network.named_parameters() if w.requires_grad} == {"head"}
    before = {name: value.clone() for name, value in network.tower.state_dict().items()}
    network(torch.rand(2, 3, 64, 64)).sum().backward()
    assert all(torch.equal(before[n], v) for n, v in network.tower.state_dict().items())


def test_weights_come_back(tmp_path: Path) -> None:
    network = tiny_network()
    network.save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    again = RegressionNetwork.load(tmp_path)
    photo = torch.rand(1, 3, 100, 100, generator=torch.Generator().manual_seed(1))
    assert torch.equal(again.see(photo), network.see(photo))
    assert again.config.morphable_model == "tiny"


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BaselineWeightsError, match="facegpt train regression"):
        RegressionNetwork.load(tmp_path)
    tiny_network().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for changed in ({"head_hidden_sizes": [4]}, {"vision_config": None}, {"model_type": "llava"}):
        (tmp_path / "config.json").write_text(json.dumps(config | changed))
        with pytest.raises(BaselineWeightsError, match="cannot be used"):
            RegressionNetwork.load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BaselineWeightsError, match="cannot be used"):
        RegressionNetwork.load(tmp_path)


def test_it_answers_every_face_of_every_photo(
    regression: Regression, tiny_face_model: MorphableModel
) -> None:
    assert isinstance(regression, FaceReconstructor)
    assert isinstance(regression, PhotoReconstructor)
    rgb, points = face_photo(tiny_face_model)
    crowd = Regression(regression.network, tiny_face_model, Knows(points, faces=18))
    photos = [load_image(image) for image in (nobody(), rgb)]
    assert [len(faces) for faces in crowd.reconstruct_photos(photos)] == [0, 18]
    [face] = regression.reconstruct(rgb)
    assert face.method == "regression"
    found = find_faces(photos[1], regression.detector)
    torch.testing.assert_close(
        face.parameters.to_vector(), regression.predict(found).to_vector(), atol=1e-5, rtol=1e-4
    )
    assert face.errors["landmark_px"] > 0
    licences = {row["name"] for row in face.licences}
    assert {"points-of-a-test", "nano-tower"} <= licences
    FaceReconstruction.from_record(face.to_record())
