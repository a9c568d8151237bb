"""What the base language model of nano answers by itself: greedy, in batches, in its chat format.

Replay data and the measurement of what was forgotten both need it. It knows no faces, no pictures
and no files.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import AutoTokenizer, LlamaForCausalLM

from facegpt.model.base_llm import prepare_base_llm
from facegpt.model.nano import CHAT_TEMPLATE

__all__ = ["BaseAnswers", "answer_losses", "whole_sentences"]

_END = "<|im_end|>"
_SENTENCE_END = re.compile(r"[.!?:;]['\")\]]?(?=\s)|\n")


class BaseAnswers:
    """The base model, ready to answer; what it says is the same in every run on one machine."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        most_tokens: int = 90,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        """Load the model (a second).

        Args:
            folder: From `prepare_base_llm`, which is asked by default.
            most_tokens: An answer that is longer is cut where its last whole sentence ends.
            dtype: bfloat16 is fast on processors that compute with it; batches then differ from
                single prompts in the last bits, so now and then in a word.
        """
        folder = folder or prepare_base_llm()
        self.most_tokens = most_tokens
        self.tokens = 0
        """How many were generated until now."""
        self.model: Any = LlamaForCausalLM.from_pretrained(folder, dtype=dtype).eval()
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.tokenizer.padding_side = "left"
        self._end = self.tokenizer.convert_tokens_to_ids(_END)

    @torch.no_grad()
    def __call__(self, prompts: Sequence[str]) -> list[str]:
        """One answer for each prompt, without the mark that ends it."""
        texts = [_chat(self.tokenizer, prompt) for prompt in prompts]
        asked = self.tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        found = self.model.generate(
            input_ids=asked["input_ids"],
            attention_mask=asked["attention_mask"],
            max_new_tokens=self.most_tokens,
            do_sample=False,
            eos_token_id=self._end,
            pad_token_id=self._end,
        )
        return [self._read(row) for row in found[:, asked["input_ids"].shape[1] :].tolist()]

    def _read(self, row: list[int]) -> str:
        is_whole = self._end in row
        said = row[: row.index(self._end)] if is_whole else row
        self.tokens += len(said) + is_whole
        text = self.tokenizer.decode(said, skip_special_tokens=True).strip()
        return text if is_whole else whole_sentences(text)


@torch.no_grad()
def answer_losses(model: Any, tokenizer: Any, prompt: str, answer: str) -> Float[Tensor, "token"]:
    """Cross entropy in nats of every token of an answer, given its prompt: how much a model would
    wonder at these words. The token that ends the turn does not count, since long answers were cut.

    Args:
        model: Any causal language model of transformers whose tokens are the tokenizer's.
    """
    asked = tokenizer(_chat(tokenizer, prompt), add_special_tokens=False)["input_ids"]
    said = tokenizer(answer, add_special_tokens=False)["input_ids"]
    tokens = torch.tensor([asked + said])
    logits = model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits
    rows = logits[0, len(asked) - 1 : -1].float()
    return torch.nn.functional.cross_entropy(rows, tokens[0, len(asked) :], reduction="none")


def _chat(tokenizer: Any, prompt: str) -> str:
    return tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}],
        chat_template=CHAT_TEMPLATE,
        add_generation_prompt=True,
        tokenize=False,
    )


def whole_sentences(text: str) -> str:
    """The text up to the end of its last whole sentence or line; all of it if there is no end."""
    ends = [found.end() for found in _SENTENCE_END.finditer(text)]
    if text.endswith((".", "!", "?")):
        ends.append(len(text))
    return text[: ends[-1]].strip() if ends else text
