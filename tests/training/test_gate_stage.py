"""The stage of the gate: where its prompts come from, what it learns, and how it is judged."""

from pathlib import Path

import pytest
import torch

from facegpt.data.gate_prompts import (
    FILES,
    WrittenPrompt,
    gate_prompts,
    read_written_prompts,
)
from facegpt.data.schema import DatasetError
from facegpt.model.face_gate import FaceGate
from facegpt.training.gate_stage import (
    PromptStates,
    fit_gate,
    held_out_accuracy,
    read_prompt_states,
)
from facegpt.training.parts import build_parts
from runs import quick

SHIPPED = Path(__file__).parents[2] / "scripts" / "gate_prompts"
HELD_OUT = Path(__file__).parents[2] / "benchmarks" / "assets" / "heldout_prompts.jsonl"


def separable(count: int = 400, width: int = 6, noise: float = 0.0) -> PromptStates:
    """States of very different spreads; one direction says whether a face is asked for."""
    dice = torch.Generator().manual_seed(0)
    points = torch.randn(count, width, generator=dice)
    asks = points[:, 0] + noise * torch.randn(count, generator=dice) > 0.8
    return PromptStates(points * torch.logspace(-2, 2, width) + 3.0, asks)


def test_a_gate_finds_the_line() -> None:
    states = separable()
    gate = FaceGate(6)
    fit_gate(gate, states, ridge=1e-5)
    with torch.no_grad():
        right = (gate(states.hidden) > 0) == states.asks_for_face
    assert right.float().mean() > 0.99


def test_both_classes_count_the_same() -> None:
    states = separable(4000, noise=2.0)  # one in five asks, and the line is blurred
    gate = FaceGate(6)
    fit_gate(gate, states)
    with torch.no_grad():
        said, asks = gate(states.hidden) > 0, states.asks_for_face
    missed, false = (~said[asks]).float().mean(), said[~asks].float().mean()
    assert abs(float(missed - false)) < 0.08
    assert float(asks.float().mean()) < 0.4


def test_held_out_accuracy_is_that_of_prompts_not_seen() -> None:
    asked, other = held_out_accuracy(separable(noise=0.2))
    assert 0.85 < asked <= 1.0
    assert 0.85 < other <= 1.0
    dice = torch.Generator().manual_seed(1)
    by_chance = PromptStates(torch.randn(60, 80, generator=dice), torch.arange(60) % 2 == 0)
    assert sum(held_out_accuracy(by_chance)) / 2 < 0.75  # though 80 numbers fit 60 prompts by heart


@pytest.mark.parametrize("asks", [0, 1, 7, 8])
def test_one_class_alone_is_refused(asks) -> None:
    states = PromptStates(torch.randn(8, 3), torch.arange(8) < asks)
    with pytest.raises(ValueError, match=f"{asks} of 8 prompts ask for a face"):
        fit_gate(FaceGate(3), states)


def test_states_are_read_where_answers_begin(tmp_path: Path) -> None:
    parts = build_parts(quick(tmp_path), 24)
    examples = [parts.examples[i] for i in range(24)]
    written = [
        WrittenPrompt("Make him, please.", True, True),
        WrittenPrompt("Is he old?", True, False),
        WrittenPrompt("Tell me a joke.", False, False),
    ]
    prompts = gate_prompts(written, examples, seed=3)
    assert [p.asks_for_face for p in prompts] == [e.target is not None for e in examples] + [
        True,
        False,
        False,
    ]
    for prompt, said in zip(prompts[24:], written, strict=True):
        assert (prompt.image is not None) == said.shows_photo
        assert prompt.messages[-1]["role"] == "user"
        assert prompt.messages[-1]["content"][-1]["text"] == said.text
        shown = [p for m in prompt.messages for p in m["content"] if p["type"] == "image"]
        assert len(shown) == said.shows_photo
    states = read_prompt_states(parts.model, parts.processor, [[p] for p in prompts])
    alone = parts.processor.batch(
        [prompts[-1].messages], [[]] if prompts[-1].image is None else [[prompts[-1].image]]
    )
    torch.testing.assert_close(states.hidden[-1:], parts.model.prompt_states(**alone))
    assert len(states) == 27


def test_written_prompts_come_alone_and_after_other_turns(tmp_path: Path) -> None:
    parts = build_parts(quick(tmp_path), 24)
    examples = [parts.examples[i] for i in range(24)]
    written = [WrittenPrompt(f"Question {i}", i % 2 == 0, False) for i in range(60)]
    prompts = gate_prompts(written, examples)[24:]
    lengths = {len(p.messages) for p in prompts}
    assert 1 in lengths
    assert max(lengths) >= 3
    again = gate_prompts(written, examples)[24:]
    assert [p.messages for p in prompts] == [p.messages for p in again]
    assert [p.messages for p in prompts] != [
        p.messages for p in gate_prompts(written, examples, seed=1)[24:]
    ]


def test_examples_of_one_kind_are_refused(tmp_path: Path) -> None:
    parts = build_parts(quick(tmp_path), 24)
    with_photo = [e for e in (parts.examples[i] for i in range(24)) if e.image is not None]
    with pytest.raises(DatasetError, match="with a photo and without"):
        gate_prompts([WrittenPrompt("Hello", False, False)], with_photo)


def test_the_shipped_prompts_are_many_different_and_no_held_out_ones() -> None:
    written = read_written_prompts(SHIPPED)
    counts = {(p.shows_photo, p.asks_for_face): 0 for p in written}
    for prompt in written:
        counts[prompt.shows_photo, prompt.asks_for_face] += 1
    assert len(counts) == 4
    assert min(counts.values()) >= 300
    said = {(p.text.lower(), p.shows_photo) for p in written}
    assert len(said) == len(written)
    held_out = HELD_OUT.read_text(encoding="utf-8").lower()
    assert not [p.text for p in written if f'"{p.text.lower()}"' in held_out]


def test_missing_and_empty_files_are_named(tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).write_text("Hello\n\n")
    assert [p.text for p in read_written_prompts(tmp_path)] == ["Hello"] * 4
    (tmp_path / "text_words.txt").write_text("\n \n")
    with pytest.raises(DatasetError, match=r"text_words\.txt holds no prompt"):
        read_written_prompts(tmp_path)
    (tmp_path / "photo_asked.txt").unlink()
    with pytest.raises(DatasetError, match=r"photo_asked\.txt cannot be read"):
        read_written_prompts(tmp_path)
