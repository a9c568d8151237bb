"""The spread of faces that fit one text: the covariance of residuals, no more and no less."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from facegpt.pipeline import Spread, SpreadMissingError, WeightsError, residual_factor
from facegpt.pipeline.spread import SPREAD_FILE, needed


def residuals(count: int = 40, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 257, generator=generator) + 3.0


def test_the_factor_is_a_root_of_the_covariance() -> None:
    found = residuals()
    factor = residual_factor(torch.zeros_like(found), found, rank=200)
    assert factor.shape == (39, 257)
    expected = torch.cov(found[:, :224].T)
    torch.testing.assert_close((factor.T @ factor)[:224, :224], expected, atol=1e-4, rtol=1e-4)


def test_light_and_camera_stay() -> None:
    found = residuals()
    assert (residual_factor(torch.zeros_like(found), found)[:, 224:] == 0).all()


def test_a_small_rank_keeps_the_strongest_directions() -> None:
    found = residuals()
    whole = residual_factor(torch.zeros_like(found), found, rank=200)
    few = residual_factor(torch.zeros_like(found), found, rank=3)
    torch.testing.assert_close(few.norm(dim=1), whole.norm(dim=1)[:3])
    assert (whole.norm(dim=1).diff() <= 1e-5).all()
    with pytest.raises(ValueError, match="at least two faces"):
        residual_factor(found[:1], found[:1])


def test_samples_have_the_covariance_of_the_factor(spread: Spread) -> None:
    centre = torch.linspace(-1, 1, 257)
    drawn = spread.around(centre, 20_000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.mean(dim=0), centre, atol=0.02, rtol=0)
    expected = spread.factor.T @ spread.factor
    assert (torch.cov(drawn.T) - expected).abs().max() < 0.02
    assert torch.equal(drawn[:, 224:], centre[224:].expand(20_000, -1))


def test_it_comes_back_from_disk(spread: Spread, tmp_path: Path) -> None:
    assert spread.save(tmp_path) == tmp_path / SPREAD_FILE
    again = Spread.load(tmp_path)
    assert again is not None
    assert torch.equal(again.factor, spread.factor)


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    assert Spread.load(tmp_path) is None
    with pytest.raises(SpreadMissingError, match="--samples and --seed"):
        needed(None)
    file = tmp_path / SPREAD_FILE
    for tensors in ({"other": torch.zeros(2, 257)}, {"factor": torch.zeros(2, 9)}):
        save_file(tensors, file)
        with pytest.raises(WeightsError, match=r"build_spread\.py"):
            Spread.load(tmp_path)
    file.write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="cannot be used"):
        Spread.load(tmp_path)
