"""The base model answers the same in company as alone, and its own words surprise it least."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from facegpt.model.base_answers import BaseAnswers, answer_losses, whole_sentences
from facegpt.model.base_llm import prepare_base_llm
from tiny_gguf import tiny_language_model

PROMPTS = ["Hi!", "What is the capital of France, and how large is it?", "a"]
MOST = 6


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BaseAnswers]:
    with tiny_language_model(tmp_path_factory.mktemp("world") / "home"):
        folder: Path = prepare_base_llm()
        yield BaseAnswers(folder, most_tokens=MOST, dtype=torch.float32)


def test_a_batch_says_what_single_prompts_say(answers: BaseAnswers) -> None:
    together = answers(PROMPTS)
    assert together == [answers([prompt])[0] for prompt in PROMPTS]
    assert answers.tokens > 0
    assert any(together)


def test_losses_are_those_of_one_pass_over_the_whole_chat(answers: BaseAnswers) -> None:
    tokenizer, model = answers.tokenizer, answers.model
    prompt, answer = PROMPTS[1], "It is Paris."
    losses = answer_losses(model, tokenizer, prompt, answer)
    chat = f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
    asked = tokenizer(chat, add_special_tokens=False)["input_ids"]
    said = tokenizer(answer, add_special_tokens=False)["input_ids"]
    assert len(losses) == len(said)
    # The slow way: one pass per token, the likelihood of the next one looked up.
    for n, token in enumerate(said):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([asked + said[:n]])).logits[0, -1]
        assert float(losses[n]) == pytest.approx(float(-logits.log_softmax(0)[token]), abs=1e-4)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("One. Two! Thr", "One. Two!"),
        ("It costs 3.5 euros. And th", "It costs 3.5 euros."),
        ("First line\nsecond li", "First line"),
        ('He said "no." Then', 'He said "no."'),
        ("It ends well.", "It ends well."),
        ("no end at all", "no end at all"),
    ],
)
def test_what_was_cut_off_ends_with_a_whole_sentence(text: str, kept: str) -> None:
    assert whole_sentences(text) == kept
