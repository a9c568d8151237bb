"""The vision tower: its tokens, its road to theta, its way to disk and back."""

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModel

from facegpt.model.configuration_vision import FaceVisionConfig
from facegpt.model.vision_tower import FaceVisionAutoencoder, FaceVisionModel

SMALL = {"image_size": 64, "stage_sizes": [4, 4, 8, 8], "embedding_size": 4, "hidden_size": 16}
SMALL |= {"squeeze_size": 4, "depths": [1, 1, 1, 1]}


def pictures(count: int, size: int = 64, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def test_a_summary_comes_before_the_cells() -> None:
    tower = FaceVisionModel(FaceVisionConfig(**SMALL)).eval()
    seen = tower(pictures(2), output_hidden_states=-1)
    assert seen.last_hidden_state.shape == (2, 1 + 2 * 2, 16)
    assert tower.config.token_count == 5
    assert torch.equal(seen.pooler_output, seen.last_hidden_state[:, 0])
    assert torch.equal(seen.hidden_states[-1], seen.last_hidden_state)


def test_pictures_of_a_batch_do_not_touch_each_other() -> None:
    tower = FaceVisionModel(FaceVisionConfig(**SMALL)).eval()
    several = pictures(3)
    together = tower(several).last_hidden_state
    alone = torch.cat([tower(one[None]).last_hidden_state for one in several])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_the_default_is_small_enough_to_ship() -> None:
    config = FaceVisionConfig()
    with torch.device("meta"):
        tower = FaceVisionModel(config)
    assert sum(w.numel() for w in tower.parameters()) <= 25e6
    assert config.token_count == 17


def test_theta_has_its_center_and_scale() -> None:
    center, scale = [0.5] * 257, [2.0] * 257
    model = FaceVisionAutoencoder(
        FaceVisionConfig(**SMALL, theta_center=center, theta_scale=scale)
    ).eval()
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.fill_(1.0)
    theta = model(pictures(2))
    assert theta.dtype == torch.float32
    assert torch.equal(theta, torch.full((2, 257), 2.5))


def test_see_makes_crops_as_small_as_the_tower_wants_them() -> None:
    model = FaceVisionAutoencoder(FaceVisionConfig(**SMALL)).eval()
    crops = pictures(2, size=224)
    small = torch.nn.functional.interpolate(crops, size=(64, 64), mode="bilinear", antialias=True)
    torch.testing.assert_close(model.see(crops), model((small - 0.5) / 0.25))


def test_round_trip_is_exact(tmp_path: Path) -> None:
    model = FaceVisionAutoencoder(FaceVisionConfig(**SMALL)).eval().bfloat16()
    model.save_pretrained(tmp_path)
    again = FaceVisionAutoencoder.from_pretrained(tmp_path).eval()
    state, read = model.state_dict(), again.state_dict()
    assert state.keys() == read.keys()
    for name, value in state.items():
        assert value.dtype == read[name].dtype
        assert torch.equal(value, read[name])


def test_auto_classes_know_the_tower(tmp_path: Path) -> None:
    FaceVisionModel(FaceVisionConfig(**SMALL)).save_pretrained(tmp_path)
    assert isinstance(AutoModel.from_pretrained(tmp_path), FaceVisionModel)
    assert AutoConfig.from_pretrained(tmp_path).hidden_size == 16


def test_the_gradient_reaches_every_weight() -> None:
    model = FaceVisionAutoencoder(FaceVisionConfig(**SMALL)).train()
    model(pictures(4)).square().sum().backward()
    # The cells are for the language model: theta is read off the summary alone.
    silent = {n for n, w in model.named_parameters() if w.grad is None or not w.grad.any()}
    assert all(".patch." in name for name in silent), silent


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"image_size": 100}, "multiple of 32"), ({"depths": [1, 1]}, "four stages")],
)
def test_impossible_sizes_are_refused(wrong: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FaceVisionConfig(**{**SMALL, **wrong})


def test_another_picture_size_is_refused() -> None:
    tower = FaceVisionModel(FaceVisionConfig(**SMALL))
    with pytest.raises(ValueError, match="64 x 64"):
        tower(pictures(1, size=96))


def test_a_center_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="257"):
        FaceVisionAutoencoder(FaceVisionConfig(**SMALL, theta_center=[0.0]))
