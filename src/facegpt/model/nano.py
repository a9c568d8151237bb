"""Nano: the small FaceGPT that is shipped. SmolLM2, the face tower and a small head, put together.

It is LLaVA in miniature: the tokens of the tower go through LLaVA's projector into the language
model, 17 per picture. It knows how the parts fit and how trained weights come back
(`nano_weights.py` keeps them), not how they were trained.
"""

import copy
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import (
    AutoTokenizer,
    CLIPImageProcessorPil,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)
from transformers.image_utils import PILImageResampling
from transformers.initialization import no_init_weights

from facegpt.model.adapter import load_adapter, load_merged, read_adapter_record
from facegpt.model.base_llm import (
    BASE_WEIGHTS_FILE,
    Progress,
    base_weights_sha256,
    prepare_base_llm,
)
from facegpt.model.configuration_vision import FaceVisionConfig
from facegpt.model.modeling_facegpt import FaceGPTForConditionalGeneration
from facegpt.model.nano_weights import (
    NanoRecord,
    NanoWeightsError,
    load_tower,
    read_record,
    save_nano,
)
from facegpt.model.number_types import Quantise
from facegpt.model.processing_facegpt import FaceGPTProcessor
from facegpt.model.quantised import quantise_decoder
from facegpt.model.vision_tower import PIXEL_MEAN, PIXEL_STD, FaceVisionModel

__all__ = [
    "NANO_WEIGHTS",
    "NanoWeightsError",
    "build_nano",
    "build_nano_processor",
    "load_nano",
    "save_nano",
]

NANO_WEIGHTS = Path(__file__).parent / "assets" / "nano"
"""The shipped weights: tower, projector, adapter, head and token rows."""

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] if part['type'] == 'image' %}{{ '<image>' }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    "{% endif %}"
    "{{ '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""ChatML as SmolLM2 knows it, without its default system message; pictures come first in a turn."""

HEAD_HIDDEN_SIZES = (1024,)
"""Of the MLP behind `<FACE>`; the paper's two of 5120 are for a model fifty times as large."""
_IMAGE_TOKEN = "<image>"
_CELL_PX = 32


def build_nano(
    base_folder: Path,
    *,
    vision: FaceVisionModel | None = None,
    head_hidden_sizes: Sequence[int] = HEAD_HIDDEN_SIZES,
    dtype: torch.dtype = torch.float32,
    generator: torch.Generator | None = None,
    **config: Any,
) -> tuple[FaceGPTForConditionalGeneration, FaceGPTProcessor]:
    """An untrained nano on the CPU, in evaluation mode, and its processor.

    Args:
        base_folder: From `prepare_base_llm`.
        vision: A trained tower, which is used and not copied; by default a new one.
        head_hidden_sizes: Of the MLP from hidden state to theta.
        dtype: Of everything but the head, which is float32.
        generator: Of the first weights of projector, head and a new tower.
        config: Further fields of `FaceGPTConfig`; theta is centred and scaled as the tower's is
            unless they say otherwise.

    Raises:
        BaseModelError: The folder was not made by `prepare_base_llm`.
    """
    # Modules draw their first weights from the global generator, which is left as it was.
    with torch.random.fork_rng(devices=[]):
        tower = vision or _new_tower(generator)
        with ThreadPoolExecutor(1) as beside:  # a third of a second, while the tokenizer is read
            base = beside.submit(_read_base, base_folder, dtype)
            processor = build_nano_processor(base_folder, tower.config.image_size)
            nn.Module.to(tower, dtype)
            backbone = _build_backbone(base_folder, processor, tower, generator)
            _fill_language_model(backbone, base.result())
        _reset_projector(backbone, generator)
        names = ("theta_size", "theta_center", "theta_scale", "image_size")
        fields = {name: getattr(tower.config, name) for name in names} | config
        model = FaceGPTForConditionalGeneration.wrap(
            backbone,
            processor.face_token_id,
            generator=generator,
            head_hidden_sizes=list(head_hidden_sizes),
            **fields,
        )
    return model.eval(), processor


def build_nano_processor(base_folder: Path, image_size: int = 128) -> FaceGPTProcessor:
    """Tokenizer of the language model with `<image>` and `<FACE>`, chat template, and pictures
    made as small as the tower wants them (bilinear, antialiased; torchvision is not needed).

    Raises:
        BaseModelError: The folder was not made by `prepare_base_llm`.
    """
    base_weights_sha256(base_folder)
    tokenizer = AutoTokenizer.from_pretrained(base_folder, local_files_only=True)
    tokenizer.padding_side = "left"
    tokenizer.add_tokens([_IMAGE_TOKEN], special_tokens=True)
    pictures = CLIPImageProcessorPil(
        size={"height": image_size, "width": image_size},
        resample=PILImageResampling.BILINEAR,
        do_center_crop=False,
        image_mean=[PIXEL_MEAN] * 3,
        image_std=[PIXEL_STD] * 3,
    )
    return FaceGPTProcessor(
        LlavaProcessor(
            pictures,
            tokenizer,
            patch_size=_CELL_PX,
            vision_feature_select_strategy="full",
            num_additional_image_tokens=1,
            chat_template=CHAT_TEMPLATE,
        )
    )


def load_nano(
    weights: Path | None = None,
    *,
    base: Path | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    merge_adapter: bool = True,
    quantise: Quantise = "none",
    progress: Progress | None = None,
) -> tuple[FaceGPTForConditionalGeneration, FaceGPTProcessor]:
    """The trained nano, in evaluation mode, and its processor. Nothing is downloaded.

    Args:
        weights: A folder from `save_nano`; by default the shipped one.
        base: The language model; by default that of `prepare_base_llm`, made if it is not there.
        device: Where it shall compute.
        dtype: Of everything but the head, which is float32. bfloat16 is three times as fast on
            processors that compute with it (AVX512-BF16, AMX) and slower on others.
        merge_adapter: False keeps the adapter apart, to go on training it.
        quantise: Of the linear maps of the decoder; a merged adapter is quantised with them.
        progress: Is told what is being done, and how much of the whole is done, 0 to 1.

    Raises:
        NanoWeightsError: The weights are missing, damaged, or made for another base.
        AdapterMismatchError: The adapter has other sizes or names than the model.
        AssetMissingError: The language model is not installed.
        BaseModelError: `base` was not made by `prepare_base_llm`.
        QuantisationError: As `quantise_decoder`.
    """
    tell = progress or (lambda what, fraction: None)
    folder = weights or NANO_WEIGHTS
    record = read_record(folder)
    base_folder = base or prepare_base_llm(progress=lambda what, f: tell(what, 0.8 * f))
    _check_base(folder, record, base_folder)
    tell("putting nano together", 0.8)
    fields = {k: v for k, v in read_adapter_record(folder).model.items() if k != "face_token_id"}
    tower = load_tower(folder, record)
    model, processor = build_nano(base_folder, vision=tower, dtype=dtype, **fields)
    tell("loading the adapter", 0.9)
    if merge_adapter:
        quantise_decoder(load_merged(model, folder), quantise, device)
    else:
        load_adapter(quantise_decoder(model, quantise, device), folder)
    nn.Module.to(model, device)
    tell("nano is ready", 1.0)
    return model.eval(), processor


def _check_base(folder: Path, record: NanoRecord, base_folder: Path) -> None:
    if base_weights_sha256(base_folder) != record.base_weights_sha256:
        raise NanoWeightsError(
            f"the weights in {folder} were made for a language model with the SHA-256 "
            f"{record.base_weights_sha256}, but {base_folder} has another; leave `base` out, or "
            "train them again with facegpt train nano"
        )


def _new_tower(generator: torch.Generator | None) -> FaceVisionModel:
    if generator is not None:
        torch.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
    return FaceVisionModel(FaceVisionConfig())


def _build_backbone(
    base_folder: Path,
    processor: FaceGPTProcessor,
    tower: FaceVisionModel,
    generator: torch.Generator | None,
) -> LlavaForConditionalGeneration:
    text_config = LlamaConfig.from_pretrained(base_folder, local_files_only=True)
    text_config.vocab_size = len(processor.tokenizer)
    config = LlavaConfig(
        text_config=text_config,
        vision_config=copy.deepcopy(tower.config),
        image_token_index=processor.tokenizer.convert_tokens_to_ids(_IMAGE_TOKEN),
        image_seq_length=tower.config.token_count,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=True,
        # A field of ours, which is saved with the others: the adapter fits this base only.
        base_weights_sha256=base_weights_sha256(base_folder),  # pyright: ignore[reportCallIssue]
    )
    # Everything is filled below: drawing 135 million numbers first would take seconds.
    with no_init_weights():
        backbone = LlavaForConditionalGeneration._from_config(config, dtype=tower.dtype)
    backbone.model.vision_tower = tower
    return backbone.eval()


def _read_base(base_folder: Path, dtype: torch.dtype) -> dict[str, Tensor]:
    """The weights of the base by the names that they have in the decoder."""
    stored = load_file(base_folder / BASE_WEIGHTS_FILE)
    return {k.removeprefix("model."): weight.to(dtype) for k, weight in stored.items()}


@torch.no_grad()
def _fill_language_model(backbone: LlavaForConditionalGeneration, state: dict[str, Tensor]) -> None:
    """Take the weights of the base; the rows of new tokens are the mean of the others."""
    decoder = backbone.model.language_model
    rows = state["embed_tokens.weight"]
    mean = rows.float().mean(dim=0, keepdim=True).to(rows.dtype)
    new = decoder.config.vocab_size - len(rows)
    state["embed_tokens.weight"] = torch.cat([rows, mean.expand(new, -1)])
    decoder.load_state_dict(state, assign=True)
    backbone.tie_weights()


@torch.no_grad()
def _reset_projector(
    backbone: LlavaForConditionalGeneration, generator: torch.Generator | None
) -> None:
    """Tokens of a picture begin about as large as those of words."""
    projector = backbone.model.multi_modal_projector
    words = backbone.get_parameter("model.language_model.embed_tokens.weight")
    for layer, spread in (
        (projector.get_submodule("linear_1"), 1.0),
        (projector.get_submodule("linear_2"), float(words.float().std())),
    ):
        assert isinstance(layer, nn.Linear)
        drawn = torch.empty(layer.weight.shape)
        nn.init.normal_(drawn, std=spread / math.sqrt(layer.in_features), generator=generator)
        layer.weight.copy_(drawn)
        layer.bias.zero_()
