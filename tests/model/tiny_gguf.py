"""A GGUF file as llama.cpp writes it for SmolLM2, with a Llama of two tiny layers in it."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf.quants import quantize
from safetensors.torch import save_file
from tokenizers import pre_tokenizers

from facegpt.assets import ASSETS
from facegpt.model import base_llm
from facegpt.model.gguf_llama import GgufLlama

HIDDEN, INNER, LAYERS, HEADS, KEY_HEADS = 32, 64, 2, 4, 2
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>")
MERGES = ("h e", "l l", "he ll", "Ġ Ġ", "Ċ Ċ", "u s", "e r", "us er")


def tiny_vocabulary() -> list[str]:
    """Special tokens, every byte, and what the merges make."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    return [*SPECIAL_TOKENS, *letters, *(merge.replace(" ", "") for merge in MERGES)]


def write_tiny_gguf(
    path: Path,
    *,
    architecture: str = "llama",
    pre_tokenizer: str = "smollm",
    without: str = "",
    extra: str = "",
) -> Path:
    """Write the file; `without` leaves out a weight, `extra` adds a vector."""
    tokens = tiny_vocabulary()
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(LAYERS)
    writer.add_context_length(512)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_rope_freq_base(100000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer)
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in SPECIAL_TOKENS else 1 for token in tokens])
    writer.add_token_merges(list(MERGES))
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    weights = _weights(len(tokens))
    weights.pop(without, None)
    if extra:
        weights[extra] = np.zeros(HIDDEN, np.float32)
    for name, values in weights.items():
        if values.ndim == 1:
            writer.add_tensor(name, values)
            continue
        kind = gguf.GGMLQuantizationType.Q4_1
        if name == "token_embd.weight":
            kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _weights(vocabulary_size: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    keys = KEY_HEADS * HIDDEN // HEADS
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (vocabulary_size, HIDDEN),
        "output_norm.weight": (HIDDEN,),
    }
    for layer in range(LAYERS):
        shapes |= {
            f"blk.{layer}.attn_q.weight": (HIDDEN, HIDDEN),
            f"blk.{layer}.attn_k.weight": (keys, HIDDEN),
            f"blk.{layer}.attn_v.weight": (keys, HIDDEN),
            f"blk.{layer}.attn_output.weight": (HIDDEN, HIDDEN),
            f"blk.{layer}.ffn_gate.weight": (INNER, HIDDEN),
            f"blk.{layer}.ffn_up.weight": (INNER, HIDDEN),
            f"blk.{layer}.ffn_down.weight": (HIDDEN, INNER),
            f"blk.{layer}.attn_norm.weight": (HIDDEN,),
            f"blk.{layer}.ffn_norm.weight": (HIDDEN,),
        }
    return {
        name: (random.normal(0, 0.2, shape) + (len(shape) == 1)).astype(np.float32)
        for name, shape in shapes.items()
    }


@contextmanager
def tiny_language_model(folder: Path) -> Iterator[Path]:
    """A world in which the tiny file is the language model: facegpt finds it among the user's
    assets below `folder`, takes its checksums for the right ones, and has an empty cache there."""
    asset = ASSETS["smollm2"]
    file = folder / "assets" / asset.file
    file.parent.mkdir(parents=True)
    write_tiny_gguf(file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACEGPT_HOME", str(folder))
        patch.delenv("FACEGPT_CACHE", raising=False)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        patch.setitem(ASSETS, "smollm2", replace(asset, sha256=digest))
        weights = folder / "weights.safetensors"
        save_file(GgufLlama(file).weights(), weights)
        patch.setattr(base_llm, "_WEIGHTS_SHA256", base_llm.weights_digest(weights))
        weights.unlink()
        yield file
