"""The whole loop on frozen weights in 4 bits, and what a checkpoint of it holds."""

from pathlib import Path

import pytest
import torch

from facegpt.training.parts import load_model
from facegpt.training.run import train
from runs import quick, weights

pytest.importorskip("bitsandbytes", reason="quantised weights need bitsandbytes")


def test_a_run_on_4_bits_learns_and_goes_on(tmp_path: Path) -> None:
    config = quick(tmp_path / "run", quantise="4bit", steps=2)
    model, _ = load_model(config)
    held = {w.dtype for n, w in model.named_parameters() if "base_layer" in n}
    assert held == {torch.uint8}
    first = train(config)
    learnt = weights(first.weights)
    assert all(torch.isfinite(weight).all() for weight in learnt.values())
    assert {weight.dtype for weight in learnt.values()} == {torch.float32}
    again = train(quick(tmp_path / "run", quantise="4bit", steps=4))
    assert again.first_step == 2
    moved = weights(again.weights)
    assert any(not torch.equal(moved[name], learnt[name]) for name in learnt)
