"""Where the parts of a backbone are, and which backbones have none."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from facegpt.model.backbone import backbone_parts, make_room_for_token
from facegpt.model.errors import UnsupportedBackboneError
from tiny_vlm import FAMILIES, tiny_vlm

PROJECTORS = {
    "llava-clip": ["model.multi_modal_projector"],
    "llava-siglip": ["model.multi_modal_projector"],
    "qwen2.5-vl": ["model.visual.merger"],
    "qwen3-vl": ["model.visual.merger", "model.visual.deepstack_merger_list"],
    "smolvlm": ["model.connector"],
    "idefics3": ["model.connector"],
}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_weight_belongs_to_one_part(name) -> None:
    backbone, _ = tiny_vlm(name)
    parts = backbone_parts(backbone)
    assert list(parts.projectors) == PROJECTORS[name]
    assert parts.tied == (name in {"llava-clip", "qwen3-vl"})
    projector = {id(p) for module in parts.projectors.values() for p in module.parameters()}
    vision = {id(p) for p in parts.vision.parameters()} - projector
    decoder = {id(p) for p in parts.decoder.parameters()}
    rows = {id(p) for p in parts.output_rows.parameters()} - decoder
    sets = [projector, vision, decoder, rows]
    assert all(sets[:3])
    assert sum(map(len, sets)) == len({id(p) for p in backbone.parameters()})


def test_a_language_model_without_eyes_is_refused() -> None:
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "vocab_size": 9}
    model = LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=2))
    with pytest.raises(UnsupportedBackboneError, match="no separate vision encoder"):
        backbone_parts(model)


def test_a_backbone_that_bends_its_logits_is_refused() -> None:
    backbone, _ = tiny_vlm()
    backbone.config.text_config.final_logit_softcapping = 30.0
    with pytest.raises(UnsupportedBackboneError, match="bends its logits"):
        backbone_parts(backbone)


def test_a_backbone_without_a_known_projector_is_refused() -> None:
    backbone, _ = tiny_vlm()
    backbone.model.bridge = backbone.model.multi_modal_projector
    del backbone.model.multi_modal_projector
    with pytest.raises(UnsupportedBackboneError, match="no module named multi_modal_projector or"):
        backbone_parts(backbone)


@pytest.mark.parametrize("name", ["llava-clip", "llava-siglip"])
def test_room_for_a_token_that_is_there_changes_nothing(name) -> None:
    backbone, _ = tiny_vlm(name)
    rows = backbone.get_input_embeddings().weight.clone()
    written = backbone.get_output_embeddings().weight.clone()
    make_room_for_token(backbone, len(rows) - 1)
    assert torch.equal(backbone.get_input_embeddings().weight, rows)
    make_room_for_token(backbone, len(rows) + 1)
    grown = backbone.get_input_embeddings().weight
    assert len(grown) == len(rows) + 2
    assert torch.equal(grown[: len(rows)], rows)
    new = backbone.get_output_embeddings().weight[len(rows) :]
    torch.testing.assert_close(new, written.mean(dim=0).expand(2, -1))
    assert backbone_parts(backbone).tied == (name == "llava-clip")
