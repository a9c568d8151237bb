"""FaceGPT around six families of backbones: theta, loss, padding, dtypes and the way to disk."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForImageTextToText, BatchFeature

from facegpt.model.configuration_facegpt import FaceGPTConfig
from facegpt.model.errors import ImageTokenError, ThetaSizeError
from facegpt.model.modeling_facegpt import FaceGPTForConditionalGeneration
from facegpt.model.processing_facegpt import FaceGPTProcessor
from tiny_vlm import FAMILIES, assistant, tiny_facegpt, tiny_picture, tiny_vlm, user

TOLERANCE = 1e-5
"""Of theta in float32, whatever the padding, the batch or the cache; theta is about one here."""

CHATS = (
    [
        user("Can you give the face of this person?", images=1),
        assistant("Sure, it is <FACE>."),
        user("And of his two brothers?"),
        assistant("They are <FACE> and <FACE>."),
    ],
    [user("A woman with a narrow face smiles."), assistant("Sure, it is <FACE>.")],
    [user("Who is it?", images=1), assistant("I do not know her.")],
)
"""Four faces in three chats, one of them without a picture and one without a face."""
FACES_PER_CHAT = (3, 1, 0)


def batch_of(processor: FaceGPTProcessor, *chats: int, **options) -> BatchFeature:
    """Some of CHATS; each chat has its own picture."""
    pictures = [[tiny_picture(0)], [], [tiny_picture(1)]]
    return processor.batch(
        [CHATS[chat] for chat in chats], [pictures[chat] for chat in chats], **options
    )


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=TOLERANCE)


@pytest.fixture(scope="module", params=FAMILIES)
def pair(request) -> tuple[FaceGPTForConditionalGeneration, FaceGPTProcessor]:
    return tiny_facegpt(request.param)


def test_every_face_token_becomes_theta(pair) -> None:
    model, processor = pair
    batch = batch_of(processor, 0, 1, 2)
    output = model(**batch)
    assert output.theta.shape == (4, 257)
    assert output.theta.dtype == torch.float32
    assert output.face_index[:, 0].tolist() == [0, 0, 0, 1]
    assert (batch["input_ids"][tuple(output.face_index.T)] == processor.face_token_id).all()
    assert torch.equal(output.face_index, processor.face_positions(batch["input_ids"]))
    distances = torch.cdist(output.theta, output.theta) + 100 * torch.eye(4)
    assert distances.min() > 0.1  # every place has its own face


def test_theta_is_the_head_on_the_last_hidden_state(pair) -> None:
    model, processor = pair
    batch = batch_of(processor, 0, 1)
    output = model(**batch)
    theirs = model.backbone(**batch, output_hidden_states=True)
    hidden = theirs.hidden_states[-1][tuple(output.face_index.T)]
    first, last = model.face_head.layers
    close(output.theta, last(nn.functional.gelu(first(hidden))))
    close(output.logits, theirs.logits)


def test_text_loss_equals_that_of_the_backbone(pair) -> None:
    model, processor = pair
    batch = batch_of(processor, 0, 1, 2, with_labels=True)
    output = model(**batch)
    close(output.loss, model.backbone(**batch).loss)
    assert output.logits is None
    for row in range(3):
        single = batch_of(processor, row, with_labels=True)
        close(output.row_losses[row], model.backbone(**single).loss)


@pytest.mark.parametrize("side", ["left", "right"])
def test_batch_and_padding_do_not_change_theta(pair, side) -> None:
    model, processor = pair
    together = model.predict_faces(**batch_of(processor, 0, 1, 2, padding_side=side)).theta
    alone = [model.predict_faces(**batch_of(processor, row)).theta for row in range(3)]
    assert [len(theta) for theta in alone] == list(FACES_PER_CHAT)
    close(together, torch.cat(alone))


def test_picture_and_words_matter(pair) -> None:
    model, processor = pair
    theta = model.predict_faces(**batch_of(processor, 0)).theta
    other = processor.batch([CHATS[0]], [tiny_picture(7)])
    assert (model.predict_faces(**other).theta - theta).abs().max() > 0.01
    words = [user("Can you give the mouth of this person?", images=1), *CHATS[0][1:]]
    other = processor.batch([words], [tiny_picture(0)])
    assert (model.predict_faces(**other).theta - theta).abs().max() > 0.01


def equal_weights(one: nn.Module, other: nn.Module) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(
        first[k].dtype == second[k].dtype and torch.equal(first[k], second[k]) for k in first
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", FAMILIES)
def test_saving_and_loading_is_exact(name, dtype, tmp_path: Path) -> None:
    model, processor = tiny_facegpt(name, dtype=dtype, theta_center=[0.5] * 257)
    model.backbone.generation_config.max_new_tokens = 77
    batch = batch_of(processor, 0, 1)
    output = model(**batch)
    model.save_pretrained(tmp_path)
    assert list(tmp_path.glob("*.bin")) == []
    for auto in (AutoModel, AutoModelForImageTextToText):
        again = auto.from_pretrained(tmp_path)
        assert isinstance(again, FaceGPTForConditionalGeneration)
        assert equal_weights(model, again)
        assert again.parts.tied == model.parts.tied
        assert not again.training
        assert again.backbone.generation_config.max_new_tokens == 77
        assert torch.equal(again(**batch).theta, output.theta)
        assert torch.equal(again(**batch).logits, output.logits)
    assert AutoConfig.from_pretrained(tmp_path).to_dict() == again.config.to_dict()


@pytest.mark.parametrize("saved", [torch.float32, torch.bfloat16])
def test_a_folder_loads_in_the_dtype_asked_for(saved, tmp_path: Path) -> None:
    model, _ = tiny_facegpt(dtype=saved)
    model.save_pretrained(tmp_path)
    for dtype in (torch.float32, torch.bfloat16):
        again = AutoModel.from_pretrained(tmp_path, dtype=dtype)
        assert {p.dtype for p in again.backbone.parameters()} == {dtype}
        assert {p.dtype for p in again.face_head.parameters()} == {torch.float32}


@pytest.mark.parametrize("name", FAMILIES)
def test_wrapping_changes_no_weight_of_the_backbone(name) -> None:
    backbone, _ = tiny_vlm(name)
    before, _ = tiny_vlm(name)
    rows = before.get_input_embeddings().weight.shape[0]
    model = FaceGPTForConditionalGeneration.wrap(backbone, rows, head_hidden_sizes=[4])
    after, grown = model.backbone.state_dict(), 0
    for key, tensor in before.state_dict().items():
        grown += after[key].shape[0] == rows + 1
        assert torch.equal(after[key][: len(tensor)] if tensor.ndim else after[key], tensor)
    assert grown == 2
    new = model.get_input_embeddings().weight
    close(new[rows], new[:rows].mean(dim=0))
    assert backbone.config is not model.config.vlm_config


def test_a_model_made_from_a_config_has_the_default_dtype() -> None:
    model, _ = tiny_facegpt(dtype=torch.bfloat16)
    assert model.config.vlm_config.dtype == torch.bfloat16
    again = FaceGPTForConditionalGeneration(model.config)
    assert {p.dtype for p in again.parameters()} == {torch.float32}


def test_wrapping_keeps_parts_that_were_put_in_later() -> None:
    backbone, processor = tiny_vlm()
    projector = backbone.model.multi_modal_projector
    projector.linear_2 = nn.Linear(32, 32)
    nn.init.constant_(projector.linear_2.weight, 0.25)
    FaceGPTForConditionalGeneration.wrap(backbone, len(processor.tokenizer), head_hidden_sizes=[4])
    assert (projector.linear_2.weight == 0.25).all()


def test_the_head_computes_in_float32_under_autocast() -> None:
    model, _ = tiny_facegpt()
    hidden = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
    expected = model.theta_of(hidden)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(model.theta_of(hidden), expected)
        assert torch.equal(
            model.theta_of(hidden.bfloat16()), model.theta_of(hidden.bfloat16().float())
        )


def test_centre_and_scale_are_applied_after_the_head() -> None:
    center, scale = [0.1 * i for i in range(257)], [1.0 + i for i in range(257)]
    plain, processor = tiny_facegpt()
    moved, _ = tiny_facegpt(theta_center=center, theta_scale=scale)
    batch = batch_of(processor, 0)
    expected = torch.tensor(center) + torch.tensor(scale) * plain(**batch).theta
    torch.testing.assert_close(moved(**batch).theta, expected)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_attention_can_be_chosen(implementation, tmp_path: Path) -> None:
    model, processor = tiny_facegpt()
    model.save_pretrained(tmp_path)
    again = AutoModel.from_pretrained(tmp_path, attn_implementation=implementation)
    assert again.get_decoder().config._attn_implementation == implementation
    assert again.get_encoder(modality="image").config._attn_implementation == implementation
    batch = batch_of(processor, 0, 1)
    close(again(**batch).theta, model(**batch).theta)


@pytest.mark.parametrize("name", FAMILIES)
def test_gradient_checkpointing_gives_the_same_gradients(name) -> None:
    model, processor = tiny_facegpt(name)
    batch = batch_of(processor, 0, 1, with_labels=True)
    gradients = []
    for checkpointing in (False, True):
        if checkpointing:
            model.activation_checkpointing_enable()
            assert model.is_activation_checkpointing
        model.train().zero_grad()
        output = model(**batch)
        (output.loss + output.theta.square().mean()).backward()
        gradients.append(
            {k: p.grad.clone() for k, p in model.named_parameters() if p.grad is not None}
        )
    assert gradients[0].keys() == gradients[1].keys()
    for key, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][key], gradient, rtol=1e-4, atol=1e-6)


def test_a_frozen_vision_encoder_stays_in_evaluation_mode() -> None:
    model, _ = tiny_facegpt()
    vision = model.get_encoder(modality="image")
    assert model.train().get_encoder(modality="image").training
    vision.requires_grad_(False)
    assert not model.train().get_encoder(modality="image").training
    assert model.get_decoder().training


def test_no_label_gives_zero_loss_and_a_gradient(pair) -> None:
    model, processor = pair
    batch = batch_of(processor, 0, 1, with_labels=True)
    batch["labels"][0] = -100
    output = model(**batch)
    assert output.row_losses[0] == 0
    assert output.row_losses[1] > 0
    batch["labels"][1] = -100
    output = model(**batch)
    assert output.loss == 0
    assert torch.equal(output.row_losses, torch.zeros(2))
    output.loss.backward()


def test_logits_of_the_last_positions_only() -> None:
    model, processor = tiny_facegpt()
    batch = batch_of(processor, 0, 1)
    close(model(**batch, logits_to_keep=3).logits, model(**batch).logits[:, -3:])


def test_a_text_without_faces_gives_none(pair) -> None:
    model, processor = pair
    output = model.predict_faces(**batch_of(processor, 2))
    assert output.theta.shape == (0, 257)
    assert output.face_index.shape == (0, 2)


def test_another_size_of_theta() -> None:
    model, processor = tiny_facegpt(theta_size=110, morphable_model="flame")
    assert model(**batch_of(processor, 1)).theta.shape == (1, 110)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"theta_size": 0}, "theta_size and head_hidden_sizes must be positive, got 0"),
        ({"head_hidden_sizes": [5, -1]}, "must be positive"),
        ({"theta_center": [0.0] * 3}, "theta_center has 3 numbers, but theta_size is 257"),
        ({"theta_scale": [1.0] * 257, "theta_size": 110}, "has 257 numbers, but theta_size is 110"),
    ],
)
def test_impossible_sizes_of_theta(fields, words) -> None:
    with pytest.raises(ThetaSizeError, match=words):
        FaceGPTConfig(**fields)


def test_image_tokens_without_pictures(pair) -> None:
    model, processor = pair
    batch = batch_of(processor, 0)
    text_only = {k: batch[k] for k in ("input_ids", "attention_mask")}
    for call in (model, model.predict_faces, model.generate_with_faces):
        with pytest.raises(ImageTokenError, match="image tokens, but no picture was given"):
            call(**text_only)


def test_pictures_without_image_tokens(pair) -> None:
    model, processor = pair
    text = batch_of(processor, 1)
    batch = {**batch_of(processor, 0), **text}
    with pytest.raises(ImageTokenError, match="has 0 image tokens, but pictures were given"):
        model(**batch)


def test_one_image_token_too_few(pair) -> None:
    model, processor = pair
    batch = batch_of(processor, 0)
    image_token = processor.processor.image_token_id
    first = (batch["input_ids"][0] == image_token).nonzero()[0, 0]
    batch["input_ids"][0, first] = 0
    batch.pop("mm_token_type_ids", None)
    with pytest.raises(ImageTokenError, match="do not fill the image tokens"):
        model(**batch)
