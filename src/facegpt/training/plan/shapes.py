"""The sizes of a model, read from its config: what FLOPs and bytes are computed from.

Knows LLaVA's architecture (CLIP or SigLIP, a projector of two layers, a decoder of Llama's kind)
and the tower of nano. Reads JSON values and loads neither torch nor transformers.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LLAVA_7B_NAME = "llava-hf/llava-1.5-7b-hf"
LLAVA_7B_CONFIG: dict[str, Any] = {
    "model_type": "llava",
    "image_token_index": 32000,
    "image_seq_length": 576,
    "vision_feature_layer": -2,
    "vision_feature_select_strategy": "default",
    "pad_token_id": 32001,
    "tie_word_embeddings": False,
    "text_config": {
        "model_type": "llama",
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "vocab_size": 32064,
    },
    "vision_config": {
        "model_type": "clip_vision_model",
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": 336,
        "patch_size": 14,
        "projection_dim": 768,
    },
}
"""Of llava-hf/llava-1.5-7b-hf: CLIP ViT-L/14 at 336 px and Vicuna 7B (section 4.2), 7,063,427,072
weights. Vicuna's 32,000 rows were filled up to 32,064; `<FACE>` is 32,002, so none is added."""
LLAVA_7B_FACE_TOKEN = 32002

NANO_CONFIG: dict[str, Any] = {
    "model_type": "llava",
    "vision_feature_select_strategy": "full",
    "tie_word_embeddings": True,
    "text_config": {
        "model_type": "llama",
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "vocab_size": 49154,
    },
    "vision_config": {"model_type": "facegpt_vision"},
}
"""SmolLM2-135M with `<image>` and `<FACE>`, and the tower of nano."""

_DEFAULTS: dict[str, dict[str, Any]] = {
    "llama": {
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "vocab_size": 32000,
    },
    "clip_vision_model": dict(LLAVA_7B_CONFIG["vision_config"]),
    "siglip_vision_model": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "image_size": 224,
        "patch_size": 16,
    },
    "facegpt_vision": {
        "image_size": 128,
        "num_channels": 3,
        "embedding_size": 64,
        "stage_sizes": [64, 128, 256, 512],
        "depths": [2, 2, 2, 2],
        "squeeze_size": 128,
        "hidden_size": 512,
    },
}
"""What transformers takes where a config.json is silent; many are."""


class PlanError(ValueError):
    """Something that cannot be planned."""


@dataclass(frozen=True)
class DecoderShape:
    """A decoder of Llama's kind."""

    hidden: int
    layers: int
    heads: int
    key_value_heads: int
    head_size: int
    intermediate: int
    vocabulary: int
    tied: bool
    """Whether words are written with the rows they are read with."""

    @property
    def linears(self) -> list[tuple[int, int]]:
        """Input and output of the linear maps of one layer: q, k, v, o, gate, up, down."""
        attention = self.heads * self.head_size
        grouped = self.key_value_heads * self.head_size
        hidden, middle = self.hidden, self.intermediate
        return [
            (hidden, attention),
            (hidden, grouped),
            (hidden, grouped),
            (attention, hidden),
            (hidden, middle),
            (hidden, middle),
            (middle, hidden),
        ]

    @property
    def layer_parameters(self) -> int:
        """Of the linear maps of one layer."""
        return sum(a * b for a, b in self.linears)

    @property
    def row_parameters(self) -> int:
        """Of one matrix of token rows."""
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """All of them: rows, layers, norms."""
        rows = self.row_parameters * (1 if self.tied else 2)
        norms = (2 * self.layers + 1) * self.hidden
        return rows + self.layers * self.layer_parameters + norms


@dataclass(frozen=True)
class VisionShape:
    """A vision encoder, which is frozen in every recipe of a language model."""

    parameters: int
    flops: float
    """Of one picture, forward."""
    tokens: int
    """That the decoder reads per picture."""
    width: int
    """Of a token before the projector."""
    kept_values: int
    """Numbers per picture that its forward pass holds at once: the states of all its layers."""


@dataclass(frozen=True)
class ModelShape:
    """Vision encoder, projector and decoder."""

    decoder: DecoderShape
    vision: VisionShape
    projector_bias: bool = True

    @property
    def projector(self) -> list[tuple[int, int]]:
        """Input and output of its two linear maps."""
        hidden = self.decoder.hidden
        return [(self.vision.width, hidden), (hidden, hidden)]

    @property
    def projector_parameters(self) -> int:
        """Of the two maps."""
        return sum(a * b + (b if self.projector_bias else 0) for a, b in self.projector)

    @property
    def parameters(self) -> int:
        """Without face head and adapter."""
        return self.decoder.parameters + self.vision.parameters + self.projector_parameters


def config_of(folder: Path) -> dict[str, Any]:
    """The config.json of a folder.

    Raises:
        PlanError: There is none, or it is no JSON object.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError("it is no JSON object")
    except (OSError, ValueError) as error:
        raise PlanError(
            f"{path} cannot be read ({error}); name the folder of a model of Hugging Face with "
            "--base"
        ) from error
    return config


def model_shape(config: Mapping[str, Any]) -> ModelShape:
    """The sizes in a config of LLaVA, of nano or of a merged FaceGPT around one of them.

    Raises:
        PlanError: It is of another architecture, or lacks sizes.
    """
    config = config.get("vlm_config") or config
    if config.get("model_type") != "llava":
        raise PlanError(
            f"the planner knows LLaVA's architecture, not {config.get('model_type')!r}; name a "
            "LLaVA with --base"
        )
    text = _filled(config.get("text_config"), "llama")
    vision = _filled(config.get("vision_config"), "clip_vision_model")
    full = config.get("vision_feature_select_strategy", "default") == "full"
    try:
        return ModelShape(
            _decoder(text, bool(config.get("tie_word_embeddings"))),
            _VISIONS[vision["model_type"]](vision, full),
            bool(config.get("multimodal_projector_bias", True)),
        )
    except (KeyError, TypeError, ZeroDivisionError) as error:
        raise PlanError(f"the config of this model lacks or garbles a size: {error!r}") from error


def _filled(part: Any, usual: str) -> dict[str, Any]:
    given = {k: v for k, v in (part or {}).items() if v is not None}
    kind = given.get("model_type", usual)
    if kind not in _DEFAULTS:
        raise PlanError(f"the planner does not know {kind!r}; it knows {sorted(_DEFAULTS)}")
    return {**_DEFAULTS[kind], **given, "model_type": kind}


def _decoder(config: Mapping[str, Any], tied: bool) -> DecoderShape:
    heads = config["num_attention_heads"]
    return DecoderShape(
        hidden=config["hidden_size"],
        layers=config["num_hidden_layers"],
        heads=heads,
        key_value_heads=config.get("num_key_value_heads", heads),
        head_size=config.get("head_dim", config["hidden_size"] // heads),
        intermediate=config["intermediate_size"],
        vocabulary=config["vocab_size"],
        tied=tied or bool(config.get("tie_word_embeddings", False)),
    )


def _transformer(config: Mapping[str, Any], full: bool, *, clip: bool) -> VisionShape:
    """CLIP has a class token, a norm before its layers and no bias at the patches."""
    width, middle, layers = (
        config["hidden_size"],
        config["intermediate_size"],
        config["num_hidden_layers"],
    )
    patches = (config["image_size"] // config["patch_size"]) ** 2
    cell = config.get("num_channels", 3) * config["patch_size"] ** 2 * width
    tokens = patches + int(clip)
    matrices = 4 * width * width + 2 * width * middle
    layer = matrices + 4 * width + middle + width + 4 * width
    ends = (4 * width + width) if clip else (2 * width + width)
    pooled = 0 if clip or not config.get("vision_use_head", True) else _pooling(width, middle)
    # All layers run, although LLaVA reads the last but one.
    flops = 2.0 * patches * cell + layers * (2 * tokens * matrices + 4 * tokens**2 * width)
    return VisionShape(
        parameters=cell + tokens * width + layers * layer + ends + pooled,
        flops=flops,
        tokens=tokens if full or not clip else patches,
        width=width,
        kept_values=(layers + 1) * tokens * width,
    )


def _pooling(width: int, middle: int) -> int:
    """The attention pooling of SigLIP, which LLaVA does not read."""
    attention = 4 * width * width + 4 * width
    return width + attention + 2 * width + 2 * width * middle + middle + width


def _tower(config: Mapping[str, Any], full: bool) -> VisionShape:
    """The ResNet of nano: stem, basic blocks, squeeze, summary, norm."""
    side = config["image_size"] // 2
    channels, stem = config["num_channels"], config["embedding_size"]
    parameters = 49 * channels * stem + 2 * stem
    flops = 2.0 * side**2 * 49 * channels * stem
    side, before, values = side // 2, stem, side**2 * stem
    for stage, (size, depth) in enumerate(
        zip(config["stage_sizes"], config["depths"], strict=True)
    ):
        side = side // 2 if stage else side
        for block in range(depth):
            kernels = 9 * (before if block == 0 else size) * size + 9 * size * size
            norms = 4 * size
            if block == 0 and (stage or before != size):
                kernels, norms = kernels + before * size, norms + 2 * size
            parameters += kernels + norms
            flops += 2.0 * side**2 * kernels
        before = size
    cells, squeeze, width = side**2, config["squeeze_size"], config["hidden_size"]
    linear = cells * squeeze * width + before * width
    parameters += before * squeeze + squeeze + linear + 2 * width + 2 * width
    flops += 2.0 * cells * before * squeeze + 2.0 * cells * squeeze * width
    flops += 2.0 * cells * before * width
    return VisionShape(parameters, flops, cells + 1 if full else cells, width, 3 * values)


_VISIONS = {
    "clip_vision_model": lambda config, full: _transformer(config, full, clip=True),
    "siglip_vision_model": lambda config, full: _transformer(config, full, clip=False),
    "facegpt_vision": _tower,
}
