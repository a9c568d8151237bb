"""The adapter: what is trained, what is not, and that saving, loading and merging keep theta."""

import copy
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModel

from facegpt.model.adapter import (
    WEIGHTS_FILE,
    AdapterConfig,
    adapter_parameters,
    add_adapter,
    has_adapter,
    load_adapter,
    load_merged,
    merge,
    read_adapter_record,
    save_adapter,
)
from facegpt.model.errors import AdapterMismatchError, AdapterMissingError, AdapterStateError
from facegpt.model.modeling_facegpt import FaceGPTForConditionalGeneration
from facegpt.model.processing_facegpt import FaceGPTProcessor
from tiny_vlm import FAMILIES, assistant, tiny_facegpt, tiny_picture, user

SMALL = AdapterConfig(rank=4, dropout=0.0)
MERGE_TOLERANCE = 1e-4
"""Of theta and logits between an adapter beside the weights and in them, float32."""


def chats(processor: FaceGPTProcessor):
    conversations = [
        [user("Who is it?", images=1), assistant("It is <FACE> or <FACE>.")],
        [user("A smiling woman, please."), assistant("Sure, it is <FACE>.")],
    ]
    return processor.batch(conversations, [tiny_picture()], with_labels=True)


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=MERGE_TOLERANCE)


def train(model: FaceGPTForConditionalGeneration, batch, steps: int = 4) -> list[float]:
    """A few steps of both losses; the values before each step."""
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer, losses = torch.optim.Adam(trained, lr=0.02), []
    model.train()
    for _ in range(steps):
        output = model(**batch)
        loss = output.loss + (output.theta - 1.0).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    return losses


def adapted(name: str = "llava-clip", dtype: torch.dtype = torch.float32):
    """A trained tiny model with its adapter still apart, its processor and a batch."""
    model, processor = tiny_facegpt(name, dtype=dtype)
    add_adapter(model, SMALL, torch.Generator().manual_seed(0))
    batch = chats(processor)
    train(model, batch)
    return model, processor, batch


@pytest.mark.parametrize("name", FAMILIES)
def test_a_new_adapter_changes_nothing(name) -> None:
    model, processor = tiny_facegpt(name)
    batch = chats(processor)
    before = model(**batch)
    assert not has_adapter(model)
    assert add_adapter(model, SMALL) is model
    assert has_adapter(model)
    after = model(**batch)
    assert torch.equal(after.theta, before.theta)
    torch.testing.assert_close(after.loss, before.loss)


@pytest.mark.parametrize("name", FAMILIES)
def test_exactly_the_right_parts_are_trained(name) -> None:
    model, processor = tiny_facegpt(name)
    parts = model.parts
    linears = sum(isinstance(m, torch.nn.Linear) for m in parts.decoder.modules())
    projector = {id(p) for m in parts.projectors.values() for p in m.parameters()}
    vision = {id(p) for p in parts.vision.parameters()} - projector
    frozen = {k: p.clone() for k, p in model.state_dict().items()}
    add_adapter(model, SMALL)
    adapter = adapter_parameters(model)
    trained = {id(p) for p in model.parameters() if p.requires_grad}
    assert trained == {id(p) for p in adapter.values()}
    assert projector < trained
    assert {id(p) for p in model.face_head.parameters()} < trained
    assert not vision & trained
    assert sum(name.startswith("lora.") for name in adapter) == 2 * linears
    assert sum(name.startswith("token.") for name in adapter) == (1 if parts.tied else 2)
    train(model, chats(processor))
    after = {k.replace("base_layer.", ""): p for k, p in model.state_dict().items()}
    changed = {k for k, p in frozen.items() if not torch.equal(after[k], p)}
    of_adapter = {k for k, p in model.named_parameters() if p.requires_grad}
    assert changed <= of_adapter
    assert any("face_head" in key for key in changed)


@pytest.mark.parametrize("name", FAMILIES)
def test_gradients_reach_every_part_of_the_adapter(name) -> None:
    model, processor = tiny_facegpt(name)
    add_adapter(model, SMALL)
    batch = chats(processor)
    losses = train(model, batch)  # at first the second LoRA matrix is zero and hides the other
    assert losses[-1] < losses[0]
    for of_loss in (lambda output: output.theta.square().mean(), lambda output: output.loss):
        model.zero_grad()
        output = model(**batch)
        of_loss(output).backward()
        reached = {
            k for k, p in adapter_parameters(model).items() if p.grad is not None and p.grad.any()
        }
        silent = {key for key in adapter_parameters(model) if key not in reached}
        # Text does not pass through the head, theta not through the output rows.
        assert all(key.startswith(("head.", "token.output")) for key in silent)


@pytest.mark.parametrize("name", FAMILIES)
def test_merging_keeps_theta_and_text(name) -> None:
    model, processor, batch = adapted(name)
    with torch.no_grad():
        before, logits = model(**batch), model(**without_labels(batch)).logits
        untrained = tiny_facegpt(name)[0](**batch)
    assert (before.theta - untrained.theta).abs().max() > 0.1
    rows = {k: p.detach().clone() for k, p in adapter_parameters(model).items() if "token." in k}
    prompt = processor.batch([[user("Who is it?", images=1)]], [tiny_picture()])
    said = model.generate(**prompt, max_new_tokens=8, do_sample=False)
    assert merge(model) is model
    assert not has_adapter(model)
    with torch.no_grad():
        after = model(**batch)
    close(after.theta, before.theta)
    close(after.loss, before.loss)
    close(model(**without_labels(batch)).logits, logits)
    assert torch.equal(model.generate(**prompt, max_new_tokens=8, do_sample=False), said)
    face = model.config.face_token_id
    assert torch.equal(model.get_input_embeddings().weight[face], rows["token.input"])
    written = rows.get("token.output", rows["token.input"])
    assert torch.equal(model.get_output_embeddings().weight[face], written)
    assert not any("lora" in key or "face_row" in key for key in model.state_dict())
    assert not any(p.requires_grad for p in model.parameters())


def without_labels(batch) -> dict:
    return {key: value for key, value in batch.items() if key != "labels"}


@pytest.mark.parametrize("name", FAMILIES)
def test_free_chat_with_an_adapter_equals_one_pass(name) -> None:
    model, processor, _ = adapted(name)
    inputs = processor.batch([[user("Who is it?", images=1)]], [tiny_picture()])
    bias = {(model.config.face_token_id,): 9.0}  # it likes to write <FACE>
    result = model.generate_with_faces(**inputs, max_new_tokens=8, sequence_bias=bias)
    assert len(result.theta[0]) > 0
    full = {**inputs, "input_ids": result.sequences}
    for key, filling in (("attention_mask", 1), ("mm_token_type_ids", 0)):
        if key in full:
            full[key] = torch.nn.functional.pad(full[key], (0, 8), value=filling)
            full[key] = full[key][:, : result.sequences.shape[1]]
    torch.testing.assert_close(
        result.theta[0], model.predict_faces(**full).theta, rtol=0, atol=MERGE_TOLERANCE
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", FAMILIES)
def test_saving_and_loading_is_exact(name, dtype, tmp_path: Path) -> None:
    model, _, batch = adapted(name, dtype)
    assert save_adapter(model, tmp_path) == tmp_path
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "adapter.safetensors",
        "adapter_config.json",
    ]
    fresh, _ = tiny_facegpt(name, dtype=dtype)
    assert load_adapter(fresh, tmp_path) is fresh
    mine, theirs = adapter_parameters(model), adapter_parameters(fresh)
    assert mine.keys() == theirs.keys()
    for key, tensor in mine.items():
        assert tensor.dtype == theirs[key].dtype
        assert torch.equal(tensor, theirs[key])
    with torch.no_grad():
        assert torch.equal(fresh(**batch).theta, model(**batch).theta)
        assert torch.equal(fresh(**batch).loss, model(**batch).loss)


def test_a_merged_model_goes_to_disk_and_back_exactly(tmp_path: Path) -> None:
    model, _, batch = adapted()
    merge(model).save_pretrained(tmp_path)
    again = AutoModel.from_pretrained(tmp_path)
    assert torch.equal(again(**batch).theta, model(**batch).theta)
    assert torch.equal(again(**batch).loss, model(**batch).loss)
    assert again.parts.tied


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", FAMILIES)
def test_loading_merged_is_loading_and_merging(name, dtype, tmp_path: Path) -> None:
    model, _, _ = adapted(name, dtype)
    save_adapter(model, tmp_path)
    at_once, _ = tiny_facegpt(name, dtype=dtype)
    assert load_merged(at_once, tmp_path) is at_once
    merged, loaded = merge(model).state_dict(), at_once.state_dict()
    assert merged.keys() == loaded.keys()
    for key, tensor in merged.items():
        assert tensor.dtype == loaded[key].dtype
        assert torch.equal(tensor, loaded[key]), key
    assert at_once.parts.tied == model.parts.tied
    assert not has_adapter(at_once)
    assert not any(p.requires_grad for p in at_once.parameters())


def test_an_adapter_that_is_kept_in_bfloat16_is_multiplied_in_float32(tmp_path: Path) -> None:
    """As shipped weights are: products in bfloat16 are coarser and, on many processors, slow."""
    model, _, _ = adapted()
    save_adapter(model, tmp_path)
    short = {k: v.bfloat16() for k, v in load_file(tmp_path / WEIGHTS_FILE).items()}
    save_file(short, tmp_path / WEIGHTS_FILE)
    apart, at_once = tiny_facegpt()[0], tiny_facegpt()[0]
    merged = merge(load_adapter(apart, tmp_path)).state_dict()
    for key, tensor in load_merged(at_once, tmp_path).state_dict().items():
        assert torch.equal(tensor, merged[key]), key


def test_loading_merged_refuses_what_does_not_fit_and_changes_nothing(tmp_path: Path) -> None:
    model, _, _ = adapted()
    save_adapter(model, tmp_path)
    with pytest.raises(AdapterStateError, match="carries an adapter already"):
        load_merged(model, tmp_path)
    weights = load_file(tmp_path / "adapter.safetensors")
    key = next(key for key in weights if key.startswith("lora."))
    save_file({k: v for k, v in weights.items() if k != key}, tmp_path / "adapter.safetensors")
    fresh, _ = tiny_facegpt()
    before = {k: v.clone() for k, v in fresh.state_dict().items()}
    with pytest.raises(AdapterMismatchError, match=f"1 of .* such as '{key}'"):
        load_merged(fresh, tmp_path)
    assert all(torch.equal(v, before[k]) for k, v in fresh.state_dict().items())


def test_loading_over_an_adapter_goes_back_to_the_saved_one(tmp_path: Path) -> None:
    model, _, batch = adapted()
    theta = model(**batch).theta
    save_adapter(model, tmp_path)
    train(model, batch)
    assert (model(**batch).theta - theta).abs().max() > 0.01
    assert torch.equal(load_adapter(model, tmp_path)(**batch).theta, theta)
    train(model, batch)  # and it can be trained on


def test_the_record_says_how_to_wrap_the_backbone(tmp_path: Path) -> None:
    model, _ = tiny_facegpt(theta_size=5, theta_scale=[0.1] * 5, morphable_model="flame")
    save_adapter(add_adapter(model, SMALL), tmp_path)
    record = read_adapter_record(tmp_path)
    assert record.adapter == SMALL
    assert record.backbone == {
        "class": "LlavaForConditionalGeneration",
        "hidden_size": 32,
        "layers": 2,
    }
    backbone = tiny_facegpt()[0].backbone
    again = FaceGPTForConditionalGeneration.wrap(backbone, **record.model)
    load_adapter(again, tmp_path)
    assert again.config.theta_scale == [0.1] * 5


def test_a_second_adapter_after_merging(tmp_path: Path) -> None:
    model, _, batch = adapted()
    theta = merge(model)(**batch).theta
    add_adapter(model, AdapterConfig(rank=2, dropout=0.0))
    assert torch.equal(model(**batch).theta, theta)
    assert train(model, batch)[-1] < 1e9
    assert (model(**batch).theta - theta).abs().max() > 0.01


def test_the_first_matrices_come_from_the_generator() -> None:
    first, second, third = (
        adapter_parameters(
            add_adapter(tiny_facegpt()[0], SMALL, torch.Generator().manual_seed(seed))
        )
        for seed in (1, 1, 2)
    )
    key = next(key for key in first if key.endswith(".A"))
    assert torch.equal(first[key], second[key])
    assert not torch.equal(first[key], third[key])


def test_an_adapted_model_can_be_copied() -> None:
    model, _, batch = adapted()
    double = copy.deepcopy(model)
    train(model, batch)
    assert (double(**batch).theta - model(**batch).theta).abs().max() > 0.01


def test_the_adapter_is_float32_beside_bfloat16_weights() -> None:
    model, _ = tiny_facegpt(dtype=torch.bfloat16)
    for key, tensor in adapter_parameters(add_adapter(model)).items():
        assert (tensor.dtype == torch.float32) != key.startswith("projector."), key


def test_two_adapters_or_none_are_explained(tmp_path: Path) -> None:
    model, _ = tiny_facegpt()
    for call in (merge, adapter_parameters, lambda m: save_adapter(m, tmp_path / "new")):
        with pytest.raises(AdapterStateError, match="carries no adapter: call add_adapter"):
            call(model)
    assert not (tmp_path / "new").exists()
    add_adapter(model)
    with pytest.raises(AdapterStateError, match="already: call merge"):
        add_adapter(model)
    with pytest.raises(AdapterStateError, match="call save_adapter"):
        model.save_pretrained(tmp_path / "new")


@pytest.mark.parametrize("missing", ["adapter.safetensors", "adapter_config.json"])
def test_a_missing_file_is_named(missing, tmp_path: Path) -> None:
    save_adapter(add_adapter(tiny_facegpt()[0], SMALL), tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(AdapterMissingError, match=f"has no {missing}"):
        load_adapter(tiny_facegpt()[0], tmp_path)
    with pytest.raises(FileNotFoundError):
        read_adapter_record(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"name": "idefics3"}, "class = 'LlavaForConditionalGeneration', this one has 'Idefics3"),
        ({"theta_size": 110}, "theta_size = 257, this one has 110"),
        ({"head_hidden_sizes": [8]}, r"head_hidden_sizes = \[16\], this one has \[8\]"),
        ({"theta_center": [0.0] * 257}, r"theta_center = None, this one has \[0.0"),
        ({"morphable_model": "bfm2017"}, "morphable_model = 'default', this one has 'bfm2017'"),
    ],
)
def test_an_adapter_of_another_model_is_refused(other, words, tmp_path: Path) -> None:
    save_adapter(add_adapter(tiny_facegpt()[0], SMALL), tmp_path)
    model, processor = tiny_facegpt(**other)
    batch = chats(processor)
    before = model(**batch).theta
    with pytest.raises(AdapterMismatchError, match=words):
        load_adapter(model, tmp_path)
    assert not has_adapter(model)
    assert torch.equal(model(**batch).theta, before)


def test_an_adapter_of_another_rank_is_refused(tmp_path: Path) -> None:
    save_adapter(add_adapter(tiny_facegpt()[0], SMALL), tmp_path)
    model = add_adapter(tiny_facegpt()[0], AdapterConfig(rank=8))
    with pytest.raises(AdapterMismatchError, match="rank = 4, this one has 8"):
        load_adapter(model, tmp_path)


def test_another_vision_encoder_shows_in_the_tensors(tmp_path: Path) -> None:
    save_adapter(add_adapter(tiny_facegpt()[0], SMALL), tmp_path)
    weights = load_file(tmp_path / "adapter.safetensors")
    key = "projector.model.multi_modal_projector.linear_1.weight"
    weights[key] = weights[key][:, :-1].contiguous()
    save_file(weights, tmp_path / "adapter.safetensors")
    with pytest.raises(AdapterMismatchError, match=rf"1 of .* another size, such as '{key}'"):
        load_adapter(tiny_facegpt()[0], tmp_path)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    save_adapter(add_adapter(tiny_facegpt()[0], SMALL), tmp_path)
    (tmp_path / "adapter.safetensors").write_bytes(b"no weights")
    with pytest.raises(AdapterMismatchError, match=r"adapter\.safetensors is damaged"):
        load_adapter(tiny_facegpt()[0], tmp_path)
    record = json.loads((tmp_path / "adapter_config.json").read_text())
    for broken in ("{", json.dumps(record | {"format": "other/9"}), "[]"):
        (tmp_path / "adapter_config.json").write_text(broken)
        with pytest.raises(AdapterMismatchError, match="is not a config of the format facegpt"):
            load_adapter(tiny_facegpt()[0], tmp_path)


@pytest.mark.parametrize("fields", [{"rank": 0}, {"dropout": 1.0}, {"dropout": -0.1}])
def test_impossible_adapters(fields) -> None:
    [name] = fields
    with pytest.raises(ValueError, match=f"--adapter.{name} must be"):
        AdapterConfig(**fields)
