"""The gate: it reads the end of the prompt, and free answers do what it says."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel

from facegpt.model.adapter import (
    AdapterConfig,
    add_adapter,
    load_adapter,
    load_merged,
    save_adapter,
)
from facegpt.model.errors import AdapterMismatchError, GenerationError
from facegpt.model.face_gate import FaceGate, FaceWords, FollowGate
from tiny_vlm import FAMILIES, assistant, tiny_facegpt, tiny_picture, user

ANSWER = "Sure, it is <FACE>"


def gated(name: str = "llava-clip"):
    """A tiny model with a gate, two prompts, and the tokens of an answer with a face."""
    model, processor = tiny_facegpt(name)
    model.add_face_gate()
    chats = [
        [user("Who is it?", images=1), assistant("It is <FACE>."), user("And without a beard?")],
        [user("A smiling woman, please.")],
    ]
    opening = processor.tokenizer(ANSWER, add_special_tokens=False)["input_ids"]
    words = FaceWords(tuple(opening), (tuple(opening[:2]),))
    return model, processor, processor.batch(chats, [tiny_picture()]), words


def ask_for_second_only(model, inputs) -> None:
    """Turn the gate so that it says no to the first prompt and yes to the second."""
    first, second = model.prompt_states(**inputs)
    with torch.no_grad():
        model.face_gate.weight.copy_(second - first)
        model.face_gate.bias.fill_(float(-(second - first) @ (second + first) / 2))


@pytest.mark.parametrize("name", FAMILIES)
def test_the_answer_opens_with_a_face_exactly_where_the_gate_says_yes(name) -> None:
    model, processor, inputs, words = gated(name)
    ask_for_second_only(model, inputs)
    length = len(words.opening) + 3
    love = {(processor.face_token_id,): 50.0}  # left to itself it writes nothing else
    made = model.generate_with_faces(
        **inputs, face_words=words, max_new_tokens=length, sequence_bias=love, eos_token_id=None
    )
    assert processor.face_token_id not in made.answers[0]
    assert tuple(made.answers[1][: len(words.opening)].tolist()) == words.opening
    assert [len(theta) for theta in made.theta] == [0, 4]


def test_theta_behind_the_gate_is_that_of_one_pass() -> None:
    model, processor, _, words = gated()
    model.face_gate.bias.data.fill_(1.0)
    prompt = [user("Who is it?", images=1)]
    made = model.generate_with_faces(
        **processor.batch([prompt], [tiny_picture()]),
        face_words=words,
        max_new_tokens=len(words.opening),
    )
    forced = processor.batch([[*prompt, assistant(ANSWER)]], [tiny_picture()])
    theta = model.predict_faces(**forced).theta
    torch.testing.assert_close(made.theta[0], theta, rtol=0, atol=1e-5)


def test_without_an_opening_the_words_decide() -> None:
    model, processor, inputs, _ = gated()
    love = {(processor.face_token_id,): 50.0}
    made = model.generate_with_faces(
        **inputs, max_new_tokens=2, sequence_bias=love, eos_token_id=None
    )
    assert [len(theta) for theta in made.theta] == [2, 2]


def test_an_opening_without_a_face_is_refused() -> None:
    model, _, inputs, words = gated()
    with pytest.raises(GenerationError, match="must end in the face token"):
        model.generate_with_faces(
            **inputs, face_words=FaceWords(words.opening[:-1]), max_new_tokens=2
        )


def test_an_answer_without_a_face_does_not_begin_as_one_with() -> None:
    follow = FollowGate(
        lambda: torch.tensor([False, False, True]),
        FaceWords((5, 6, 7, 8), ((5, 6, 7), (9,))),
        start=1,
    )
    prompt = torch.zeros(3, 1, dtype=torch.long)

    def scored(*written: list[int]) -> torch.Tensor:
        rows = torch.tensor(written) if written[0] else torch.zeros(3, 0, dtype=torch.long)
        return follow(torch.cat([prompt, rows], dim=1), torch.zeros(3, 10))

    def forbidden(scores: torch.Tensor) -> list[list[int]]:
        return [row.isneginf().nonzero()[:, 0].tolist() for row in scores]

    nothing_but = [[t for t in range(10) if t != only] for only in (5, 6, 7, 8)]
    assert forbidden(scored([], [], [])) == [[8, 9], [8, 9], nothing_but[0]]
    assert forbidden(scored([5], [4], [5])) == [[8], [8], nothing_but[1]]
    assert forbidden(scored([5, 6], [5, 4], [5, 6])) == [[7, 8], [8], nothing_but[2]]
    assert forbidden(scored([5, 6, 1], [5, 4, 7], [5, 6, 7])) == [[8], [8], nothing_but[3]]
    assert forbidden(scored([5, 6, 1, 1], [5, 4, 7, 1], [5, 6, 7, 8])) == [[8], [8], []]


def test_the_gate_asks_once() -> None:
    asked = []
    follow = FollowGate(lambda: asked.append(1) or torch.tensor([True]), FaceWords((5, 6)), start=1)
    for length in (1, 2, 3):
        follow(torch.zeros(1, length, dtype=torch.long), torch.zeros(1, 10))
    assert asked == [1]


def test_prompt_states_do_not_depend_on_the_padding() -> None:
    model, processor, inputs, _ = gated()
    alone = processor.batch([[user("A smiling woman, please.")]])
    together = model.prompt_states(**inputs)
    torch.testing.assert_close(model.prompt_states(**alone)[0], together[1], rtol=1e-4, atol=1e-5)


def test_a_new_gate_says_no() -> None:
    assert not (FaceGate(7)(torch.randn(5, 7)) > 0).any()


def test_the_gate_goes_to_disk_with_the_model_and_with_the_adapter(tmp_path: Path) -> None:
    model, _, inputs, _ = gated()
    ask_for_second_only(model, inputs)
    states = model.prompt_states(**inputs)
    said = model.face_gate(states)
    model.save_pretrained(tmp_path / "whole")
    again = AutoModel.from_pretrained(tmp_path / "whole")
    assert torch.equal(again.face_gate(states), said)
    add_adapter(model, AdapterConfig(rank=4))
    assert not any(p.requires_grad for p in model.face_gate.parameters())
    save_adapter(model, tmp_path / "adapter")
    for load in (load_adapter, load_merged):
        other, _, _, _ = gated()
        load(other, tmp_path / "adapter")
        assert torch.equal(other.face_gate(states), said)
    with pytest.raises(AdapterMismatchError, match="has_face_gate = True, this one has False"):
        load_adapter(tiny_facegpt()[0], tmp_path / "adapter")


def test_adapters_from_before_there_were_gates_load(tmp_path: Path) -> None:
    model, _ = tiny_facegpt()
    save_adapter(add_adapter(model, AdapterConfig(rank=4)), tmp_path)
    config = tmp_path / "adapter_config.json"
    record = json.loads(config.read_text())
    assert record["model"].pop("has_face_gate") is False
    config.write_text(json.dumps(record))
    assert not any(key.startswith("gate.") for key in load_file(tmp_path / "adapter.safetensors"))
    assert load_adapter(tiny_facegpt()[0], tmp_path).face_gate is None
