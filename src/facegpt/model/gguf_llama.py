"""A small Llama out of a GGUF file: configuration, weights, tokenizer.

Done here and not by `from_pretrained(gguf_file=...)`, which takes three times as long, leaves a
quantizer attached that blocks saving, and forgets that SmolLM's tokenizer splits numbers into
digits. It knows the layout of llama.cpp for `llama` with a byte-level vocabulary, and no caches.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf.quants import dequantize
from jaxtyping import Float
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import LlamaConfig, PreTrainedTokenizerFast

__all__ = ["GgufLlama", "GgufLlamaError"]

_CONTROL_TOKEN = 3
"""Type of special tokens in GGUF."""

_PER_LAYER = {
    "self_attn.q_proj.weight": "attn_q.weight",
    "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.v_proj.weight": "attn_v.weight",
    "self_attn.o_proj.weight": "attn_output.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight",
    "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
    "input_layernorm.weight": "attn_norm.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
}

_KNOWN_TOKENIZER = ("gpt2", "smollm")
"""Byte-level pairs over the pattern of GPT-2, after every digit was set apart."""


class GgufLlamaError(ValueError):
    """A GGUF file is damaged, or holds another kind of model than is read here."""


class GgufLlama:
    """An open GGUF file with a Llama whose input and output embeddings are one."""

    def __init__(self, path: Path) -> None:
        """Read the table of contents; weights stay on the disk.

        Raises:
            GgufLlamaError: It is no such file.
        """
        self.path = path
        try:
            self._reader = gguf.GGUFReader(path)
        except (ValueError, IndexError, KeyError, OSError, UnicodeDecodeError) as error:
            raise GgufLlamaError(f"{path} cannot be read as a GGUF file: {error}") from error
        self._tensors = {tensor.name: tensor for tensor in self._reader.tensors}
        architecture = self._field("general.architecture")
        if architecture != "llama":
            raise GgufLlamaError(f"{path} holds a model of kind {architecture!r}, not a llama")
        if "output.weight" in self._tensors:
            raise GgufLlamaError(f"{path} has output embeddings of its own, which are not read")

    def _field(self, name: str) -> Any:
        field = self._reader.get_field(name)
        if field is None:
            raise GgufLlamaError(f"{self.path} lacks the field {name}")
        return field.contents()

    def config(self) -> LlamaConfig:
        """Sizes of the model, as transformers names them.

        Raises:
            GgufLlamaError: A field is missing.
        """
        read = self._field
        heads = read("llama.attention.head_count")
        return LlamaConfig(
            architectures=["LlamaForCausalLM"],
            vocab_size=len(read("tokenizer.ggml.tokens")),
            hidden_size=read("llama.embedding_length"),
            intermediate_size=read("llama.feed_forward_length"),
            num_hidden_layers=read("llama.block_count"),
            num_attention_heads=heads,
            num_key_value_heads=read("llama.attention.head_count_kv"),
            head_dim=read("llama.embedding_length") // heads,
            max_position_embeddings=read("llama.context_length"),
            rms_norm_eps=read("llama.attention.layer_norm_rms_epsilon"),
            rope_parameters={
                "rope_type": "default",
                "rope_theta": read("llama.rope.freq_base"),
            },
            bos_token_id=read("tokenizer.ggml.bos_token_id"),
            eos_token_id=read("tokenizer.ggml.eos_token_id"),
            pad_token_id=read("tokenizer.ggml.padding_token_id"),
            tie_word_embeddings=True,
            dtype="bfloat16",
        )

    def weights(self, progress: Callable[[float], None] | None = None) -> dict[str, Tensor]:
        """Weights by the names of `LlamaForCausalLM`, dequantised, in bfloat16.

        Args:
            progress: Is told the fraction that is done.

        Raises:
            GgufLlamaError: One is missing or has an unexpected shape.
        """
        config = self.config()
        wanted = _expected_shapes(config)
        result = {}
        for name, (stored, shape) in wanted.items():
            result[name] = self._weight(name, stored, shape, config)
            if progress:
                progress(len(result) / len(wanted))
        return result

    def _weight(
        self, name: str, stored: str, shape: tuple[int, ...], config: LlamaConfig
    ) -> Float[Tensor, "..."]:
        if stored not in self._tensors:
            raise GgufLlamaError(f"{self.path} lacks the weights {stored}")
        tensor = self._tensors[stored]
        values = dequantize(tensor.data, tensor.tensor_type)
        if values.shape != shape:
            raise GgufLlamaError(
                f"{self.path}: {stored} has the shape {values.shape}, expected {shape}"
            )
        if ".q_proj." in name:
            values = _rotary_halves(values, config.num_attention_heads)
        elif ".k_proj." in name:
            values = _rotary_halves(values, config.num_key_value_heads or 1)
        return torch.from_numpy(np.array(values, np.float32)).to(torch.bfloat16)

    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer, without a chat template.

        Raises:
            GgufLlamaError: The vocabulary is of a kind that is not known here.
        """
        kind = (self._field("tokenizer.ggml.model"), self._field("tokenizer.ggml.pre"))
        if kind != _KNOWN_TOKENIZER:
            raise GgufLlamaError(
                f"{self.path} has a tokenizer of kind {kind}; known is {_KNOWN_TOKENIZER}"
            )
        tokens = self._field("tokenizer.ggml.tokens")
        types = self._field("tokenizer.ggml.token_type")
        merges = [tuple(merge.split(" ")) for merge in self._field("tokenizer.ggml.merges")]
        vocabulary = {token: index for index, token in enumerate(tokens)}
        backend = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
        backend.decoder = decoders.ByteLevel()
        special = [t for t, kind in zip(tokens, types, strict=True) if kind == _CONTROL_TOKEN]
        backend.add_special_tokens([AddedToken(t, special=True) for t in special])
        name_of = partial(self._token_of, tokens)
        return PreTrainedTokenizerFast(
            tokenizer_object=backend,
            bos_token=name_of("bos"),
            eos_token=name_of("eos"),
            unk_token=name_of("unknown"),
            pad_token=name_of("padding"),
            model_max_length=self._field("llama.context_length"),
            clean_up_tokenization_spaces=False,
            padding_side="right",
        )

    def _token_of(self, tokens: list[str], role: str) -> str:
        return tokens[self._field(f"tokenizer.ggml.{role}_token_id")]


def _expected_shapes(config: LlamaConfig) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Name in transformers -> name in the file, and shape."""
    hidden, inner = config.hidden_size, config.intermediate_size
    keys = (config.num_key_value_heads or 1) * (config.head_dim or 1)
    shapes = {
        "self_attn.q_proj.weight": (hidden, hidden),
        "self_attn.k_proj.weight": (keys, hidden),
        "self_attn.v_proj.weight": (keys, hidden),
        "self_attn.o_proj.weight": (hidden, hidden),
        "mlp.gate_proj.weight": (inner, hidden),
        "mlp.up_proj.weight": (inner, hidden),
        "mlp.down_proj.weight": (hidden, inner),
    }
    wanted = {
        "model.embed_tokens.weight": ("token_embd.weight", (config.vocab_size, hidden)),
        "model.norm.weight": ("output_norm.weight", (hidden,)),
    }
    for layer in range(config.num_hidden_layers):
        for name, stored in _PER_LAYER.items():
            wanted[f"model.layers.{layer}.{name}"] = (
                f"blk.{layer}.{stored}",
                shapes.get(name, (hidden,)),
            )
    return wanted


def _rotary_halves(
    values: Float[np.ndarray, "rows columns"], heads: int
) -> Float[np.ndarray, "rows columns"]:
    """Rows from llama.cpp's order (pairs side by side) to that of transformers (two halves)."""
    rows, columns = values.shape
    pairs = values.reshape(heads, rows // heads // 2, 2, columns)
    return pairs.swapaxes(1, 2).reshape(rows, columns)
