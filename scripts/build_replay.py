"""Record what the base model of nano answers to ordinary prompts: the replay data of training.

    python scripts/build_replay.py OUT.jsonl [--limit 0] [--batch 24] [--held-out FILE]

OUT gets one JSON object per line, `prompt` and `answer`; run it again and it goes on where it was
stopped. Prompts are those of `replay_prompts.txt`, and of two files that come close to asking for a
face and do not, but for near copies of the held-out prompts that
`benchmarks/nano_talk.py` judges by. Answers are greedy, at most 90 tokens long, and end with a
whole sentence. 753 prompts take 3 minutes on a core of their own (350 tokens/s).
"""

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import tyro

from facegpt.data.instructions import record_replay
from facegpt.model.base_answers import BaseAnswers

_NAMES = ("replay_prompts.txt", "replay_prompts_words.txt", "replay_prompts_contrast.txt")
PROMPTS = tuple(Path(__file__).with_name(name) for name in _NAMES)
HELD_OUT = Path(__file__).parents[1] / "benchmarks" / "assets" / "heldout_prompts.jsonl"
_NEAR = 0.6
"""Two prompts that share more of their words than this are near copies."""
_COMMON = (
    "a an the of to in on at is are was do does did i me my you your it and or for with this that "
    "what how why who which can could please tell give write explain"
)
_COMMON_WORDS = frozenset(re.findall(r"\w+", _COMMON))


@dataclass(frozen=True)
class Options:
    """What to record."""

    output: tyro.conf.Positional[Path]
    prompts: tuple[Path, ...] = PROMPTS
    """One a line; lines that begin with # are passed over."""
    limit: int = 0
    """Only the first prompts; 0 = all."""
    batch: int = 24
    most_tokens: int = 90
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    """bfloat16 is fast on processors that compute with it (AVX512-BF16, AMX) and very slow on
    others."""
    held_out: Path = HELD_OUT
    """JSONL with `prompt`: near copies of these are left out."""


def words_of(prompt: str) -> frozenset[str]:
    """The words that carry a prompt."""
    words = frozenset(re.findall(r"[a-z0-9]+", prompt.lower()))
    return (words - _COMMON_WORDS) or words


def is_near_copy(prompt: str, others: list[frozenset[str]]) -> bool:
    """Whether a prompt shares most of its words (Jaccard) with one of the others."""
    words = words_of(prompt)
    return any(len(words & other) > _NEAR * len(words | other) for other in others)


def chosen_prompts(options: Options) -> list[str]:
    """All prompts that are neither too many nor held out."""
    held_out = options.held_out.read_text(encoding="utf-8").splitlines()
    known = [words_of(json.loads(line)["prompt"]) for line in held_out]
    lines = [line for f in options.prompts for line in f.read_text(encoding="utf-8").splitlines()]
    prompts = [line for line in lines if line.strip() and not line.startswith("#")]
    fresh = [prompt for prompt in prompts if not is_near_copy(prompt, known)]
    return fresh[: options.limit] if options.limit else fresh


def main() -> None:
    """Record and say how fast it went."""
    options = tyro.cli(Options, description=__doc__)
    prompts = chosen_prompts(options)
    model = BaseAnswers(most_tokens=options.most_tokens, dtype=getattr(torch, options.dtype))
    started = time.perf_counter()

    def tell(count: int) -> None:
        rate = model.tokens / (time.perf_counter() - started)
        print(f"{count} of {len(prompts)} answers, {rate:.0f} tokens/s", flush=True)

    record_replay(prompts, model, options.output, batch_size=options.batch, progress=tell)


if __name__ == "__main__":
    main()
