"""The parts of any image-text-to-text backbone: vision encoder, projector, decoder, token rows.

Knows how transformers names such parts, not what they compute. The projector is whatever lies
between vision encoder and decoder: `multi_modal_projector` (LLaVA), `connector` (SmolVLM,
Idefics3), or inside the vision module the `merger` and, in Qwen3-VL, the `deepstack_merger_list`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from facegpt.model.errors import UnsupportedBackboneError

PROJECTOR_NAMES = (
    "multi_modal_projector",
    "connector",
    "merger",
    "deepstack_merger_list",
)


@dataclass(frozen=True)
class BackboneParts:
    """Where things are in a backbone. Nothing is copied."""

    body: nn.Module
    """Everything below the output rows; its `last_hidden_state` is what they multiply."""
    vision: nn.Module
    decoder: nn.Module
    projectors: Mapping[str, nn.Module]
    """By their names in the backbone."""
    input_rows: nn.Embedding
    output_rows: nn.Linear

    @property
    def tied(self) -> bool:
        """Whether a token is written with the row it is read with."""
        return self.output_rows.weight is self.input_rows.weight


def backbone_parts(backbone: PreTrainedModel) -> BackboneParts:
    """Find the parts.

    Raises:
        UnsupportedBackboneError: A part is missing, or words do not enter and leave the decoder by
            plain rows (scaled embeddings, capped logits).
    """
    name = type(backbone).__name__
    vision, decoder = backbone.get_encoder(modality="image"), backbone.get_decoder()
    if backbone.base_model is backbone or vision is backbone or decoder is backbone:
        raise UnsupportedBackboneError(
            f"{name} has no separate vision encoder and decoder; FaceGPT needs an "
            "image-text-to-text model such as LLaVA, Qwen-VL, SmolVLM or Idefics3"
        )
    projectors = {
        path: module
        for path, module in backbone.named_modules()
        if path.rsplit(".", 1)[-1] in PROJECTOR_NAMES
    }
    if not projectors:
        raise UnsupportedBackboneError(
            f"{name} has no module named {' or '.join(PROJECTOR_NAMES)} between vision encoder and "
            "decoder"
        )
    rows, head = backbone.get_input_embeddings(), backbone.get_output_embeddings()
    if type(rows) is not nn.Embedding or not isinstance(head, nn.Linear) or _bends_logits(backbone):
        raise UnsupportedBackboneError(
            f"{name} scales its embeddings or bends its logits, which FaceGPT does not imitate"
        )
    return BackboneParts(backbone.base_model, vision, decoder, projectors, rows, head)


def _bends_logits(backbone: PreTrainedModel) -> bool:
    config = backbone.config.get_text_config()
    scaling = getattr(config, "logits_scaling", None) or getattr(config, "logit_scale", None)
    return bool(getattr(config, "final_logit_softcapping", None)) or scaling not in (None, 1, 1.0)


def make_room_for_token(backbone: Any, token_id: int) -> None:
    """Grow the vocabulary so that it has this token; existing rows stay as they are.

    New rows are the mean of the old ones: a token about which nothing is known.
    """
    count = backbone.get_input_embeddings().weight.shape[0]
    if token_id < count:
        return
    backbone.resize_token_embeddings(token_id + 1, mean_resizing=False)
    parts = backbone_parts(backbone)
    _fill_with_mean(parts.input_rows.weight, count)
    if not parts.tied:
        _fill_with_mean(parts.output_rows.weight, count)


def _fill_with_mean(rows: Float[Tensor, "token hidden"], count: int) -> None:
    with torch.no_grad():
        rows[count:] = rows[:count].float().mean(dim=0).to(rows.dtype)
