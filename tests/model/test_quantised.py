"""Decoders in 8 and 4 bits on a CPU: theta, text, what stays in full precision, and training."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from facegpt.model.adapter import (
    AdapterConfig,
    adapter_parameters,
    add_adapter,
    load_adapter,
    load_merged,
    merge,
    save_adapter,
)
from facegpt.model.errors import AdapterStateError, BaseMissingError, QuantisationError
from facegpt.model.modeling_facegpt import FaceGPTForConditionalGeneration
from facegpt.model.number_types import Quantise
from facegpt.model.on_base import load_on_base
from facegpt.model.processing_facegpt import FaceGPTProcessor
from facegpt.model.quantised import quantise_decoder
from facegpt.pipeline.network import Network
from tiny_vlm import assistant, tiny_facegpt, tiny_picture, user

pytest.importorskip("bitsandbytes", reason="quantised weights need bitsandbytes")

KINDS: list[Quantise] = ["8bit", "4bit"]
LARGEST_DIFFERENCE = {"8bit": 0.1, "4bit": 0.4}
"""Of theta, relative, for random weights of 32 columns, which are harder than trained ones; 1.5-5 %
and 14-22 % were measured."""


def asked(processor: FaceGPTProcessor) -> dict[str, torch.Tensor]:
    turns = [user("the face?", images=1), assistant("it is <FACE>.")]
    return dict(processor.batch([turns], [tiny_picture()], with_labels=True))


def theta_of(model: FaceGPTForConditionalGeneration, batch: dict) -> torch.Tensor:
    inputs = {name: values for name, values in batch.items() if name != "labels"}
    theta = model.predict_faces(**inputs).theta
    assert theta is not None
    return theta


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["llava-clip", "qwen3-vl"])
def test_theta_stays_near(family: str, kind: Quantise) -> None:
    model, processor = tiny_facegpt(family)
    batch = asked(processor)
    before = theta_of(model, batch)
    after = theta_of(quantise_decoder(model, kind), batch)
    difference = float((after - before).norm() / before.norm())
    print(f"{family} {kind}: theta differs by {difference:.1%}")
    assert 0 < difference < LARGEST_DIFFERENCE[kind]
    assert after.dtype == torch.float32


def test_4_bits_compute_with_the_weights_that_they_stand_for() -> None:
    """The same theta as a full model whose weights were rounded: nothing else was touched."""
    from bitsandbytes.functional import dequantize_4bit

    packed, processor = tiny_facegpt()
    quantise_decoder(packed, "4bit")
    rounded, _ = tiny_facegpt()
    for name, layer in rounded.get_decoder().named_modules():
        if isinstance(layer, nn.Linear):
            weight = packed.get_decoder().get_submodule(name).weight
            with torch.no_grad():
                layer.weight.copy_(dequantize_4bit(weight.data, weight.quant_state))
    batch = asked(processor)
    torch.testing.assert_close(
        theta_of(packed, batch), theta_of(rounded, batch), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_maps_of_the_decoder_are_quantised(kind: Quantise) -> None:
    model, _ = tiny_facegpt("llava-siglip")
    plain = dict(model.named_parameters())
    quantise_decoder(model, kind)
    held = {"8bit": torch.int8, "4bit": torch.uint8}[kind]
    for name, weight in model.named_parameters():
        in_decoder = "language_model.layers" in name and "norm" not in name
        assert (weight.dtype == held) == in_decoder, name
        if not in_decoder:
            torch.testing.assert_close(weight, plain[name], rtol=0, atol=0)
    assert model.quantised == kind


@pytest.mark.parametrize("kind", KINDS)
def test_what_learns_learns_on_frozen_quantised_weights(kind: Quantise) -> None:
    model, processor = tiny_facegpt()
    quantise_decoder(model, kind)
    add_adapter(model, AdapterConfig(rank=4, alpha=8.0), torch.Generator().manual_seed(0))
    learns = adapter_parameters(model.train())
    assert {weight.dtype for weight in learns.values()} == {torch.float32}
    frozen = {n: w.clone() for n, w in model.named_parameters() if not w.requires_grad}
    optimiser = torch.optim.AdamW(learns.values(), lr=1e-2)
    batch, losses = asked(processor), []
    for _ in range(8):
        output = model(**batch)
        loss = output.loss + output.theta.square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    groups = {name.split(".")[0] for name, w in learns.items() if w.grad.abs().sum() > 0}
    assert groups == {"lora", "token", "projector", "head"}
    for name, weight in model.named_parameters():
        if name in frozen:
            torch.testing.assert_close(weight, frozen[name], rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_it_talks(kind: Quantise) -> None:
    model, processor = tiny_facegpt(dtype=torch.bfloat16)
    quantise_decoder(model, kind)
    batch = processor.encode_chat([user("hello")])
    made = model.generate(**batch, max_new_tokens=5, do_sample=False)
    assert made.shape[1] > batch["input_ids"].shape[1]


def test_an_adapter_goes_back_onto_its_quantised_base(tmp_path: Path) -> None:
    def learnt(kind: Quantise) -> tuple[FaceGPTForConditionalGeneration, FaceGPTProcessor]:
        model, processor = tiny_facegpt()
        return quantise_decoder(model, kind), processor

    model, processor = learnt("4bit")
    add_adapter(model, AdapterConfig(rank=4, alpha=8.0))
    with torch.no_grad():
        for weight in adapter_parameters(model).values():
            weight.add_(0.01)
    save_adapter(model, tmp_path)
    again, _ = learnt("4bit")
    load_adapter(again, tmp_path)
    batch = asked(processor)
    torch.testing.assert_close(theta_of(again.eval(), batch), theta_of(model.eval(), batch))
    with pytest.raises(AdapterStateError, match="cannot be written"):
        merge(model)
    with pytest.raises(AdapterStateError, match="cannot be written"):
        load_merged(learnt("8bit")[0], tmp_path)


@pytest.mark.parametrize("kind", ["none", *KINDS])
def test_a_trained_folder_is_loaded_on_its_base(tmp_path: Path, kind: Quantise) -> None:
    """As `facegpt train llava-7b` leaves it: the adapter says where its base lies."""
    model, processor = tiny_facegpt("llava-siglip", head_hidden_sizes=[16])
    base, folder = tmp_path / "base", tmp_path / "last"
    model.backbone.save_pretrained(base)
    processor.processor.save_pretrained(base)
    model.config.vlm_config._name_or_path = str(base)
    add_adapter(model, AdapterConfig(rank=4, alpha=8.0, projector=False))
    with torch.no_grad():
        for weight in adapter_parameters(model).values():
            weight.add_(0.01)
    save_adapter(model, folder)
    processor.save_pretrained(folder)
    network = Network.load(folder, quantise=kind)
    batch = asked(processor)
    expected, found = theta_of(model.eval(), batch), theta_of(network.model, batch)
    difference = float((found - expected).norm() / expected.norm())
    assert difference < (1e-4 if kind == "none" else LARGEST_DIFFERENCE[kind])
    assert math.isfinite(difference)
    elsewhere = base.rename(tmp_path / "elsewhere")
    with pytest.raises(BaseMissingError, match="hf download"):
        load_on_base(folder, quantise=kind)
    load_on_base(folder, base=str(elsewhere), quantise=kind)


def test_quantising_twice_or_too_late_is_refused() -> None:
    model, _ = tiny_facegpt()
    quantise_decoder(model, "8bit")
    with pytest.raises(QuantisationError, match="already"):
        quantise_decoder(model, "4bit")
    with pytest.raises(AdapterStateError, match="held in 8bit"):
        model.save_pretrained("never-written")
    other, _ = tiny_facegpt()
    add_adapter(other)
    with pytest.raises(QuantisationError, match="fresh"):
        quantise_decoder(other, "8bit")


def test_without_bitsandbytes_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    model, _ = tiny_facegpt()
    with pytest.raises(QuantisationError, match=r"facegpt\[quantise\]"):
        quantise_decoder(model, "4bit")


def test_a_device_that_cannot_is_an_error_of_its_own() -> None:
    model, _ = tiny_facegpt()
    with pytest.raises(QuantisationError, match="cannot hold weights in 4bit on hip"):
        quantise_decoder(model, "4bit", "hip:0")
