"""Batches with and without pictures call the same layers, in every family of backbones."""

from typing import Any

import pytest
import torch

from facegpt.data.examples import Example
from facegpt.model.modeling_facegpt import FaceGPTForConditionalGeneration
from facegpt.model.processing_facegpt import FaceGPTProcessor
from facegpt.training.collate import Collator
from tiny_vlm import FAMILIES, tiny_facegpt


def example(image: torch.Tensor | None) -> Example:
    words = [{"type": "text", "text": "Who is it?"}]
    shown = [{"type": "image"}] if image is not None else []
    messages = [{"role": "user", "content": [*shown, *words]}]
    return Example(kind="talk", messages=messages, answer="A woman.", image=image, target=None)


def calls(model: FaceGPTForConditionalGeneration, inputs: Any) -> list[str]:
    """Every module, in the order of its calls."""
    seen: list[str] = []
    handles = [
        module.register_forward_pre_hook(lambda *_, name=name: seen.append(name))
        for name, module in model.named_modules()
    ]
    model(**inputs)
    for handle in handles:
        handle.remove()
    return seen


def made(family: str) -> tuple[FaceGPTForConditionalGeneration, FaceGPTProcessor]:
    model, processor = tiny_facegpt(family)
    model.requires_grad_(False)
    for projector in model.parts.projectors.values():
        projector.requires_grad_(True)
    return model, processor


@pytest.mark.parametrize("family", FAMILIES)
def test_a_blank_picture_calls_the_layers_of_a_picture(family: str) -> None:
    model, processor = made(family)
    collate = Collator(processor, same_layers=True)
    shown = collate([example(torch.rand(3, 32, 32))])
    words = collate([example(None)])
    assert "blank_picture" in words.inputs
    assert "blank_picture" not in shown.inputs
    assert calls(model, words.inputs) == calls(model, shown.inputs)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_blank_picture_teaches_nothing(family: str) -> None:
    """The loss stays as it was; the projector gets a gradient, and it is zero."""
    model, processor = made(family)
    plain = Collator(processor)([example(None)])
    blank = Collator(processor, same_layers=True)([example(None)])
    losses = [model(**batch.inputs).row_losses for batch in (plain, blank)]
    assert torch.equal(losses[0], losses[1])
    assert not losses[0].requires_grad
    losses[1].sum().backward()
    gradients = [w.grad for p in model.parts.projectors.values() for w in p.parameters()]
    assert gradients
    for gradient in gradients:
        assert gradient is not None
        assert not gradient.any()
