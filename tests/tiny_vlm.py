"""Tiny random vision-language models of six families and their processors, without a download.

`tiny_vlm(name)` gives what a real checkpoint gives: a model that `AutoModelForImageTextToText`
knows and a processor with tokenizer, image processor and chat template. Some 50 k parameters,
32 px pictures. `tiny_facegpt(name)` puts FaceGPT around both.

The processors use the PIL image classes, so torchvision is not needed; those of
Qwen-VL and SmolVLM insist on a video processor, which needs it, so small stand-ins without video
take their place.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForImageTextToText,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    Idefics3Config,
    Idefics3ImageProcessorPil,
    Idefics3Processor,
    LlamaConfig,
    LlavaConfig,
    LlavaProcessor,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ProcessorMixin,
    Qwen2_5_VLConfig,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessorPil,
    Qwen3VLConfig,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
    SmolVLMConfig,
    SmolVLMImageProcessorPil,
)

from facegpt.model.modeling_facegpt import FaceGPTForConditionalGeneration
from facegpt.model.processing_facegpt import FaceGPTProcessor

IMAGE_SIZE, PATCH_SIZE, HIDDEN = 32, 8, 32

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<image>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<fake_token_around_image>",
    "<global-img>",
    "<end_of_utterance>",
)

CORPUS = (
    "A woman with a narrow face smiles at the camera. Can you give the face of this person? "
    "Sure, it is the face you asked for.\n\nHe looks to the left, his mouth is open.\n\n\n"
)
"""Enough for some merges, of line breaks too, which templates put where turns meet."""

_CHATML = (
    "{{% for message in messages %}}<|im_start|>{{{{ message['role'] }}}}\n"
    "{{% if message['content'] is string %}}{{{{ message['content'] }}}}{{% else %}}"
    "{{% for part in message['content'] %}}"
    "{{% if part['type'] == 'image' %}}{image}{{% else %}}{{{{ part['text'] }}}}{{% endif %}}"
    "{{% endfor %}}{{% endif %}}<|im_end|>\n{{% endfor %}}"
    "{{% if add_generation_prompt %}}<|im_start|>assistant\n{{% endif %}}"
)
CHATML = _CHATML.format(image="<image>")
CHATML_QWEN = _CHATML.format(image="<|vision_start|><|image_pad|><|vision_end|>")


@cache
def _vocabulary() -> str:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=360,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([CORPUS] * 4, trainer)
    return tokenizer.to_str()


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of 360 tokens that can spell everything."""
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_vocabulary()),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(SPECIAL_TOKENS[1:]),
    )


class PictureQwenProcessor(Qwen2_5_VLProcessor):
    """The processor of Qwen-VL without its video part."""

    def __init__(self, image_processor=None, tokenizer=None, chat_template=None):
        self.image_token, self.video_token = "<|image_pad|>", None
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)


def _decoder_sizes(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": HIDDEN,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _vision_sizes() -> dict[str, int]:
    return {
        "hidden_size": 24,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": IMAGE_SIZE,
        "patch_size": PATCH_SIZE,
    }


def _llava(
    vision_config: PreTrainedConfig, image_processor, extra_tokens: int, strategy: str, tied: bool
) -> tuple[PreTrainedConfig, ProcessorMixin]:
    tokenizer = tiny_tokenizer()
    config = LlavaConfig(
        vision_config=vision_config,
        text_config=LlamaConfig(**_decoder_sizes(tokenizer), tie_word_embeddings=tied),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
        vision_feature_select_strategy=strategy,
        tie_word_embeddings=tied,
    )
    processor = LlavaProcessor(
        image_processor,
        tokenizer,
        patch_size=PATCH_SIZE,
        vision_feature_select_strategy=strategy,
        num_additional_image_tokens=extra_tokens,
        chat_template=CHATML,
    )
    return config, processor


def _llava_clip() -> tuple[PreTrainedConfig, ProcessorMixin]:
    pictures = CLIPImageProcessorPil(
        size={"shortest_edge": IMAGE_SIZE}, crop_size={"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    )
    return _llava(CLIPVisionConfig(**_vision_sizes()), pictures, 1, "default", tied=True)


def _llava_siglip() -> tuple[PreTrainedConfig, ProcessorMixin]:
    pictures = SiglipImageProcessorPil(size={"height": IMAGE_SIZE, "width": IMAGE_SIZE})
    config = SiglipVisionConfig(**_vision_sizes(), vision_use_head=False)
    return _llava(config, pictures, 0, "full", tied=False)


def _qwen_processor(patch_size: int) -> PictureQwenProcessor:
    pixels = {"shortest_edge": 16 * patch_size**2, "longest_edge": 16 * patch_size**2}
    pictures = Qwen2VLImageProcessorPil(
        patch_size=patch_size, merge_size=2, temporal_patch_size=2, size=pixels
    )
    return PictureQwenProcessor(pictures, tiny_tokenizer(), chat_template=CHATML_QWEN)


def _qwen_tokens(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    names = ("image", "video", "vision_start", "vision_end")
    texts = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
    ids = tokenizer.convert_tokens_to_ids(list(texts))
    return {f"{name}_token_id": number for name, number in zip(names, ids, strict=True)}


def _qwen2_5_vl() -> tuple[PreTrainedConfig, ProcessorMixin]:
    processor = _qwen_processor(PATCH_SIZE)
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_heads": 2,
        "patch_size": PATCH_SIZE,
        "out_hidden_size": HIDDEN,
        "window_size": 4 * PATCH_SIZE,
        "fullatt_block_indexes": [1],
    }
    text = _decoder_sizes(processor.tokenizer) | {
        "rope_parameters": {
            "rope_type": "default",
            "mrope_section": [1, 1, 2],
            "rope_theta": 1e4,
        }
    }
    tokens = _qwen_tokens(processor.tokenizer)
    return Qwen2_5_VLConfig(text_config=text, vision_config=vision, **tokens), processor


def _qwen3_vl() -> tuple[PreTrainedConfig, ProcessorMixin]:
    processor = _qwen_processor(PATCH_SIZE)
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_heads": 2,
        "patch_size": PATCH_SIZE,
        "out_hidden_size": HIDDEN,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0],
    }
    text = _decoder_sizes(processor.tokenizer) | {
        "head_dim": 8,
        "rope_parameters": {
            "rope_type": "default",
            "mrope_section": [2, 1, 1],
            "rope_theta": 1e4,
            "mrope_interleaved": True,
        },
    }
    tokens = _qwen_tokens(processor.tokenizer)
    config = Qwen3VLConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=True, **tokens
    )
    return config, processor


def _idefics(config_class, image_processor_class) -> tuple[PreTrainedConfig, ProcessorMixin]:
    tokenizer = tiny_tokenizer()
    config = config_class(
        text_config=LlamaConfig(**_decoder_sizes(tokenizer)).to_dict(),
        vision_config=_vision_sizes(),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        scale_factor=2,
        tie_word_embeddings=False,
    )
    pictures = image_processor_class(
        size={"longest_edge": IMAGE_SIZE},
        max_image_size={"longest_edge": IMAGE_SIZE},
        do_image_splitting=False,
    )
    processor = Idefics3Processor(pictures, tokenizer, image_seq_len=4, chat_template=CHATML)
    return config, processor


FAMILIES: dict[str, Callable[[], tuple[PreTrainedConfig, ProcessorMixin]]] = {
    "llava-clip": _llava_clip,
    "llava-siglip": _llava_siglip,
    "qwen2.5-vl": _qwen2_5_vl,
    "qwen3-vl": _qwen3_vl,
    "smolvlm": lambda: _idefics(SmolVLMConfig, SmolVLMImageProcessorPil),
    "idefics3": lambda: _idefics(Idefics3Config, Idefics3ImageProcessorPil),
}
"""llava-clip and qwen3-vl tie their token rows, the others do not."""


def tiny_vlm(
    name: str = "llava-clip", *, seed: int = 0, dtype: torch.dtype = torch.float32
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """A fresh tiny backbone in evaluation mode and its processor. The global generator is left as
    it was."""
    config, processor = FAMILIES[name]()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = AutoModelForImageTextToText.from_config(config, dtype=dtype)
        _spread(backbone)
    return backbone.eval(), processor


def _spread(backbone: PreTrainedModel) -> None:
    """Weights ten times as wide as at birth, so that pictures and words matter to the outputs."""
    with torch.no_grad():
        for weight in backbone.parameters():
            if weight.ndim > 1:
                weight.normal_(std=0.2)


def tiny_facegpt(
    name: str = "llava-clip", *, seed: int = 0, dtype: torch.dtype = torch.float32, **config: Any
) -> tuple[FaceGPTForConditionalGeneration, FaceGPTProcessor]:
    """FaceGPT around a tiny backbone, in evaluation mode, with theta of about the size of one."""
    backbone, plain = tiny_vlm(name, seed=seed, dtype=dtype)
    processor = FaceGPTProcessor(plain)
    model = FaceGPTForConditionalGeneration.wrap(
        backbone,
        processor.face_token_id,
        torch.Generator().manual_seed(seed),
        **{"head_hidden_sizes": [16]} | config,
    )
    with torch.no_grad():
        model.face_head.layers[-1].weight.mul_(10)
    return model, processor


def tiny_picture(seed: int = 0) -> Image.Image:
    """Coloured squares, as large as a crop."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (7, 7, 3), generator=generator, dtype=torch.uint8)
    return Image.fromarray(pixels.numpy()).resize((224, 224), Image.Resampling.NEAREST)


def user(text: str, images: int = 0) -> dict[str, Any]:
    """A turn of the user, pictures first."""
    return {"role": "user", "content": [{"type": "image"}] * images + [_text(text)]}


def assistant(text: str) -> dict[str, Any]:
    """A turn of the assistant."""
    return {"role": "assistant", "content": [_text(text)]}


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}
