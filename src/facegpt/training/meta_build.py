"""The model of a run in its true size without its weights: on the meta device.

Tensors there have shapes and types but no memory, so a model of 7B is built in seconds, its adapter
put in and a batch sent through it. Nothing is read but configs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForImageTextToText, LlavaConfig
from transformers.initialization import no_init_weights

from facegpt.model.adapter import AdapterConfig, add_adapter
from facegpt.model.configuration_vision import FaceVisionConfig
from facegpt.model.modeling_facegpt import FaceGPTForConditionalGeneration
from facegpt.model.processing_facegpt import FaceGPTProcessor
from facegpt.model.vision_tower import FaceVisionModel
from facegpt.training.config import TrainConfig, TrainConfigError
from facegpt.training.debug import tiny_backbone
from facegpt.training.plan.meter import count_flops_of
from facegpt.training.plan.shapes import (
    LLAVA_7B_CONFIG,
    LLAVA_7B_FACE_TOKEN,
    LLAVA_7B_NAME,
    NANO_CONFIG,
)
from facegpt.training.plan.work import Batch
from facegpt.training.readiness import base_folder


@dataclass(frozen=True)
class Passed:
    """What a batch became on its way through a model."""

    shapes: dict[str, tuple[int, ...]]
    """Name of a station -> shape of what it gave."""
    flops: int
    """Counted, forward and backward."""


def build_on_meta(config: TrainConfig) -> FaceGPTForConditionalGeneration:
    """The model of a recipe with its adapter; all of it is on the meta device.

    Raises:
        TrainConfigError: The recipe has no language model, or the sizes of its base are not known.
        UnsupportedBackboneError: The base cannot carry a `<FACE>` token.
    """
    if config.recipe not in _BACKBONES:
        raise TrainConfigError(
            f"the recipe {config.recipe!r} has no language model to put together; those that have: "
            f"{sorted(_BACKBONES)}"
        )
    dtype = torch.float32 if config.precision == "float32" else torch.bfloat16
    with torch.device("meta"), no_init_weights():
        backbone, face_token_id = _BACKBONES[config.recipe](config, dtype)
        backbone.tie_weights()
        model = FaceGPTForConditionalGeneration.wrap(
            backbone,
            face_token_id,
            head_hidden_sizes=list(config.head_hidden_sizes),
            morphable_model=config.morphable_model,
        )
        add_adapter(model, AdapterConfig(**vars(config.adapter)))
    return model.train()


def _pretrained(config: TrainConfig, dtype: torch.dtype) -> tuple[Any, int]:
    folder = base_folder(config.base)
    if folder is not None:
        sizes = AutoConfig.from_pretrained(folder, local_files_only=True)
        token = _face_token(folder, sizes)
    elif config.base == LLAVA_7B_NAME:
        sizes, token = LlavaConfig(**LLAVA_7B_CONFIG), LLAVA_7B_FACE_TOKEN
    else:
        raise TrainConfigError(
            f"the sizes of {config.base or 'no base'} are not known: it is not on this disk, and "
            f"by name only {LLAVA_7B_NAME} is known. Give a folder with a config.json with --base"
        )
    return AutoModelForImageTextToText.from_config(sizes, dtype=dtype), token


def _face_token(folder: Path, sizes: Any) -> int:
    """Of the processor if the folder has one; else the first row behind the vocabulary."""
    try:
        with torch.device("cpu"):
            return FaceGPTProcessor.from_pretrained(folder, local_files_only=True).face_token_id
    except (OSError, ValueError):
        return int(sizes.get_text_config().vocab_size)


def _nano(config: TrainConfig, dtype: torch.dtype) -> tuple[Any, int]:
    vision = FaceVisionConfig()
    sizes = LlavaConfig(**{**NANO_CONFIG, "vision_config": vision})
    backbone = AutoModelForImageTextToText.from_config(sizes, dtype=dtype)
    backbone.model.vision_tower = nn.Module.to(FaceVisionModel(vision), dtype)
    return backbone, sizes.get_text_config().vocab_size - 1


def _debug(config: TrainConfig, dtype: torch.dtype) -> tuple[Any, int]:
    with torch.device("cpu"):
        backbone, processor = tiny_backbone(config.seed)
        token = FaceGPTProcessor(processor).face_token_id
    return nn.Module.to(backbone, "meta"), token


_BACKBONES: dict[str, Callable[[TrainConfig, torch.dtype], tuple[Any, int]]] = {
    "debug": _debug,
    "nano": _nano,
    "pretrained": _pretrained,
}


def pass_through(
    model: FaceGPTForConditionalGeneration, batch: Batch, *, checkpointing: bool
) -> Passed:
    """Send a batch through a LLaVA on the meta device, there and back, station by station.

    The whole model cannot be called there: where a `<FACE>` stands and which tokens are pictures is
    asked of the values of tokens, and there are none.

    Raises:
        TrainConfigError: The backbone is no LLaVA, or the stations do not fit together.
    """
    if model.config.vlm_config.model_type != "llava":
        raise TrainConfigError(
            f"the way through a {model.config.vlm_config.model_type!r} is not known; its shapes "
            "show when the training starts"
        )
    if checkpointing:
        decoder: Any = model.get_decoder()
        decoder.activation_checkpointing_enable()
    shapes: dict[str, tuple[int, ...]] = {}

    def update() -> None:
        shapes.update(_update(model, batch))

    try:
        return Passed(shapes, count_flops_of(update))
    except RuntimeError as error:
        raise TrainConfigError(f"the parts of the model do not fit together: {error}") from error
    finally:
        model.zero_grad(set_to_none=True)


def _update(model: FaceGPTForConditionalGeneration, batch: Batch) -> dict[str, tuple[int, ...]]:
    seen, read = _picture_tokens(model, batch)
    rows, words = model.get_input_embeddings(), batch.tokens - read.shape[1]
    text = rows(torch.zeros(batch.examples, words, dtype=torch.long, device="meta"))
    inputs = torch.cat([read.to(text.dtype), text], dim=1)
    mask = torch.ones(
        batch.examples, 1, batch.tokens, batch.tokens, dtype=torch.bool, device="meta"
    )
    decoder: Any = model.get_decoder()
    hidden = decoder(inputs_embeds=inputs, attention_mask=mask, use_cache=False).last_hidden_state
    logits = model.get_output_embeddings()(hidden[:, -batch.answer_tokens :])
    theta = model.theta_of(hidden[:, -1])
    (logits.float().sum() + theta.sum()).backward()
    stations = {
        "vision": seen,
        "projector": read,
        "decoder": hidden,
        "logits": logits,
        "theta": theta,
    }
    return {name: tuple(values.shape) for name, values in stations.items()}


def _picture_tokens(model: FaceGPTForConditionalGeneration, batch: Batch) -> tuple[Tensor, Tensor]:
    """What the vision encoder gives, and what of it the decoder reads."""
    config, parts = model.config.vlm_config, model.parts
    side = config.vision_config.image_size
    pixels = torch.empty(batch.pictures, 3, side, side, device="meta", dtype=model.dtype)
    states = parts.vision(pixels, output_hidden_states=True).hidden_states
    seen = states[config.vision_feature_layer]
    if config.vision_feature_select_strategy == "default":
        seen = seen[:, 1:]
    [projector] = parts.projectors.values()
    return seen, projector(seen)
