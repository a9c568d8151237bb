"""The formulas of the planner against what is counted while tiny models of LLaVA's kind compute."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from facegpt.model.adapter import AdapterConfig, add_adapter
from facegpt.training.parts import freeze_below, trust_autocast
from facegpt.training.plan.memory import Numbers, count_memory
from facegpt.training.plan.meter import count_bytes, count_flops_of
from facegpt.training.plan.shapes import model_shape
from facegpt.training.plan.work import Batch, Learning, count_flops, count_parameters
from tiny_vlm import tiny_facegpt

EXAMPLES, TOKENS, ANSWERED, HEAD = 8, 256, 40, 16
FAMILIES = ["llava-clip", "llava-siglip"]


@dataclass
class Patient:
    """A tiny model, and the plan's view of it."""

    model: Any
    learning: Learning
    numbers: Numbers

    @property
    def shape(self):
        return model_shape(self.model.config.vlm_config.to_dict())

    @property
    def batch(self) -> Batch:
        return Batch(EXAMPLES, TOKENS, ANSWERED, EXAMPLES, EXAMPLES)

    def forward(self) -> torch.Tensor:
        config = self.model.config
        generator = torch.Generator().manual_seed(0)
        ids = torch.randint(20, 200, (EXAMPLES, TOKENS), generator=generator)
        ids[:, : self.shape.vision.tokens] = config.vlm_config.image_token_id
        ids[:, -5] = config.face_token_id
        mask = torch.ones_like(ids)
        mask[0, -2:] = 0
        labels = torch.full_like(ids, -100)
        labels[:, -ANSWERED:] = ids[:, -ANSWERED:]
        pixels = torch.zeros(EXAMPLES, 3, 32, 32, dtype=self.model.dtype)
        with _autocast(self.numbers.bfloat16):
            output = self.model(
                input_ids=ids, attention_mask=mask, labels=labels, pixel_values=pixels
            )
            return output.loss + output.theta.sum()

    def update(self) -> None:
        self.forward().backward()


def _autocast(on: bool) -> contextlib.AbstractContextManager:
    return torch.autocast("cpu", dtype=torch.bfloat16) if on else contextlib.nullcontext()


def patient(
    family: str,
    *,
    dropout: float = 0.0,
    bfloat16: bool = False,
    projector: bool = True,
    frozen_layers: int = 0,
    checkpointing: bool = False,
) -> Patient:
    dtype = torch.bfloat16 if bfloat16 else torch.float32
    model, _ = tiny_facegpt(family, dtype=dtype, head_hidden_sizes=[HEAD])
    adapter = AdapterConfig(rank=8, alpha=16.0, dropout=dropout, projector=projector)
    add_adapter(model, adapter, torch.Generator().manual_seed(0))
    if frozen_layers:
        freeze_below(model, frozen_layers)
    if bfloat16:
        trust_autocast(model)
    if checkpointing:
        model.activation_checkpointing_enable()
    head = (model.config.get_text_config().hidden_size, HEAD, 257)
    learning = Learning(8, dropout, head, projector, frozen_layers, checkpointing)
    # On a CPU the mask of dropout is made of numbers.
    return Patient(model.train(), learning, Numbers(bfloat16, mask_bytes=2 if bfloat16 else 4))


@pytest.fixture
def plain_attention() -> Iterator[None]:
    """What the counter of FLOPs knows; it does not know fused attention on a CPU."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel(SDPBackend.MATH):
        yield


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("change", [{}, {"projector": False}, {"frozen_layers": 1}])
def test_parameters_are_those_of_the_model(family: str, change: dict[str, Any]) -> None:
    who = patient(family, **change)
    planned = count_parameters(who.shape, who.learning)
    weights = list(who.model.parameters())
    assert planned.total == sum(w.numel() for w in weights)
    assert planned.trainable == sum(w.numel() for w in weights if w.requires_grad)


@pytest.mark.usefixtures("plain_attention")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "change",
    [{}, {"checkpointing": True}, {"projector": False, "dropout": 0.05}, {"frozen_layers": 1}],
)
def test_flops_are_those_counted(family: str, change: dict[str, Any]) -> None:
    who = patient(family, **change)
    planned = count_flops(who.shape, who.learning, who.batch)
    forward = count_flops_of(who.forward)
    assert planned.vision + planned.forward == pytest.approx(forward, rel=0.02)
    assert planned.total == pytest.approx(count_flops_of(who.update), rel=0.02)
    assert count_flops_of(who.update) > 1.5 * forward


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize(
    "change", [{}, {"dropout": 0.05}, {"checkpointing": True}, {"frozen_layers": 1}]
)
def test_memory_is_that_counted(family: str, bfloat16: bool, change: dict[str, Any]) -> None:
    who = patient(family, bfloat16=bfloat16, **change)
    known = [*who.model.parameters(), *who.model.buffers()]
    counted = count_bytes(who.update, known)
    planned = count_memory(who.shape, who.learning, who.batch, who.numbers)
    made = planned.activations + planned.working + planned.gradients
    print(f"{family} {bfloat16=} {change}: {made:.0f} planned, {counted.peak} counted")
    assert made == pytest.approx(counted.peak, rel=0.15)
    assert planned.gradients == pytest.approx(counted.kept, rel=0.1)


def test_checkpointing_saves_memory_where_it_is_counted_and_where_it_is_planned() -> None:
    found = []
    for checkpointing in (False, True):
        who = patient("llava-clip", dropout=0.05, checkpointing=checkpointing)
        known = [*who.model.parameters(), *who.model.buffers()]
        planned = count_memory(who.shape, who.learning, who.batch, who.numbers)
        found.append((count_bytes(who.update, known).peak, planned.total))
    (counted, planned), (counted_less, planned_less) = found
    assert counted_less < 0.7 * counted
    assert planned_less < 0.7 * planned


def test_the_ledger_forgets_what_is_freed() -> None:
    def work() -> torch.Tensor:
        for _ in range(10):
            torch.zeros(1000)
        return torch.ones(500)

    counted = count_bytes(work)
    assert 4000 <= counted.peak <= 8000
    assert counted.kept == 0
