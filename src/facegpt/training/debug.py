"""Something to train in seconds without any file: a tiny random LLaVA and rendered faces.

The preset `debug` and the doctor live on it. The language is made of some hundred tokens and learns
nothing worth saying; everything around it, from the chat template to the renderer, is the real one.
"""

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Bool, Float
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from facegpt.data.examples import Example, FaceTarget, Kind
from facegpt.losses import mean_light
from facegpt.morphable.framing import CROP_SIZE
from facegpt.morphable.parameters import BLOCK_SIZES, FaceParameters
from facegpt.rendering.renderer import Renderer

_IMAGE_PX, _PATCH_PX, _HIDDEN = 32, 8, 64
_PAD, _, _END, _IMAGE = _SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>")
_WORDS = (
    "Can you give the face of this person? Sure, it is the face. What do you see? I see a person. "
    "This is person number 0 1 2 3 4 5 6 7 8 9. How much is one and one? Two. user assistant "
)
_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_SPREAD = {"shape": 0.8, "expression": 0.4, "albedo": 0.8, "illumination": 0.03, "camera": 0.05}
"""Standard deviations of rendered faces."""
_BACKGROUND = 0.5
_KINDS: tuple[Kind, ...] = ("image", "text", "image", "situation", "talk", "replay")


def tiny_backbone(seed: int) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """A random LLaVA of 100,000 weights and its processor; the global generator is left alone."""
    tokenizer = tiny_tokenizer()
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=_IMAGE_PX,
            patch_size=_PATCH_PX,
        ),
        text_config=LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=_HIDDEN,
            intermediate_size=2 * _HIDDEN,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=2048,
            bos_token_id=None,
            eos_token_id=_id_of(tokenizer, _END),
            pad_token_id=_id_of(tokenizer, _PAD),
            tie_word_embeddings=True,
        ),
        image_token_index=_id_of(tokenizer, _IMAGE),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = LlavaForConditionalGeneration(config)
        with torch.no_grad():
            for weight in backbone.parameters():
                # Wider than at birth, so that pictures and words reach the last layer.
                if weight.ndim > 1:
                    weight.normal_(std=weight.shape[-1] ** -0.5)
    return backbone, _processor(tokenizer)


def _id_of(tokenizer: PreTrainedTokenizerFast, token: str) -> int:
    number = tokenizer.convert_tokens_to_ids(token)
    assert isinstance(number, int)
    return number


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer of some 350 tokens that can spell everything."""
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_vocabulary()),
        eos_token=_END,
        pad_token=_PAD,
        additional_special_tokens=list(_SPECIAL[1:]),
    )


@cache
def _vocabulary() -> str:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=350,
        special_tokens=list(_SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([_WORDS] * 4, trainer)
    return tokenizer.to_str()


def _processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    return LlavaProcessor(
        CLIPImageProcessorPil(
            size={"shortest_edge": _IMAGE_PX},
            crop_size={"height": _IMAGE_PX, "width": _IMAGE_PX},
        ),
        tokenizer,
        patch_size=_PATCH_PX,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_TEMPLATE,
    )


@dataclass(frozen=True)
class RenderedFaces:
    """Random faces whose theta is known, as pictures."""

    theta: FaceParameters
    photo: Float[Tensor, "face 3 height width"]
    skin: Bool[Tensor, "face height width"]
    landmarks68_px: Float[Tensor, "face 68 2"]
    """In pixels of the 224 crop."""

    def target(self, index: int) -> FaceTarget:
        """One of them, as L_face wants it."""
        return FaceTarget(
            photo=self.photo[index],
            skin=self.skin[index],
            landmarks68_px=self.landmarks68_px[index],
            is_grey=False,
            theta=self.theta[index].to_vector()[0],
            theta_mask=None,
        )


def rendered_faces(renderer: Renderer, count: int, *, generator: torch.Generator) -> RenderedFaces:
    """Random faces before a grey wall, in the size of the renderer."""
    blocks = {
        name: torch.randn(count, size, generator=generator) * _SPREAD[name]
        for name, size in BLOCK_SIZES.items()
    }
    blocks["illumination"] = blocks["illumination"] + mean_light()
    theta = FaceParameters(**blocks)
    with torch.no_grad():
        rendering = renderer(theta)
    mask = rendering.mask
    photo = torch.where(mask.unsqueeze(1), rendering.image.clamp(0, 1), _BACKGROUND)
    in_crop = (rendering.landmarks_px + 0.5) * (CROP_SIZE / renderer.size) - 0.5
    return RenderedFaces(theta, photo, mask, in_crop)


def debug_examples(faces: RenderedFaces) -> list[Example]:
    """One example per face, of every kind in turn."""
    return [_example(faces, i, _KINDS[i % len(_KINDS)]) for i in range(len(faces.theta))]


def picture_examples(faces: RenderedFaces) -> list[Example]:
    """One example per face: the picture is shown, the face asked for."""
    return [_example(faces, i, "image") for i in range(len(faces.theta))]


def _example(faces: RenderedFaces, index: int, kind: Kind) -> Example:
    image = faces.photo[index] if kind in ("image", "talk") else None
    question, answer = {
        "image": ("Can you give the face of this person?", "Sure, it is <FACE>."),
        "text": (f"This is person number {index}. Can you give the face?", "Sure, it is <FACE>."),
        "situation": (f"What do you see? {index}.", "This person. It is <FACE>."),
        "talk": ("What do you see?", "I see a person."),
        "replay": ("How much is one and one?", "Two."),
    }[kind]
    content = [{"type": "text", "text": question}]
    if image is not None:
        content = [{"type": "image"}, *content]
    return Example(
        kind=kind,
        messages=[{"role": "user", "content": content}],
        answer=answer,
        image=image,
        target=faces.target(index) if "<FACE>" in answer else None,
    )
