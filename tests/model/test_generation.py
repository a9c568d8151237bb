"""Free chat: theta of every `<FACE>` that is written, with and without a cache, as in one pass."""

import threading
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LogitsProcessor

from facegpt.model.errors import GenerationError
from facegpt.model.modeling_facegpt import FaceGPTForConditionalGeneration
from facegpt.model.processing_facegpt import FaceGPTProcessor
from tiny_vlm import FAMILIES, assistant, tiny_facegpt, tiny_picture, user

TOLERANCE = 1e-5
NEW_TOKENS = 6


class Dictation(LogitsProcessor):
    """Makes rows write given tokens at given steps, and greedy ones between."""

    def __init__(self, prompt_length: int, steps: dict[int, dict[int, int]]) -> None:
        self.prompt_length, self.steps = prompt_length, steps

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        for row, token in self.steps.get(input_ids.shape[1] - self.prompt_length, {}).items():
            scores[row] = -torch.inf
            scores[row, token] = 0.0
        return scores


@pytest.fixture(scope="module", params=FAMILIES)
def pair(request) -> tuple[FaceGPTForConditionalGeneration, FaceGPTProcessor]:
    return tiny_facegpt(request.param)


def prompts(processor: FaceGPTProcessor):
    """Of two lengths, with and without a picture; the first remembers a face."""
    chats = [
        [user("Who is it?", images=1), assistant("It is <FACE>."), user("And without a beard?")],
        [user("A smiling woman, please.")],
    ]
    return processor.batch(chats, [tiny_picture()])


def dictate(processor: FaceGPTProcessor, inputs, *steps: tuple[int, int], **options) -> dict:
    """Options that make (row, step) a `<FACE>`."""
    plan: dict[int, dict[int, int]] = {}
    for row, step in steps:
        plan.setdefault(step, {})[row] = processor.face_token_id
    dictation = Dictation(inputs["input_ids"].shape[1], plan)
    fixed = {"max_new_tokens": NEW_TOKENS, "eos_token_id": None, "do_sample": False}
    return {**inputs, **fixed, "logits_processor": [dictation], **options}


def in_one_pass(model: FaceGPTForConditionalGeneration, inputs: Any, sequences: Tensor):
    """The slow twin: all finished sequences through the model again, without a cache."""
    more = sequences.shape[1] - inputs["input_ids"].shape[1]
    full = {**inputs, "input_ids": sequences}
    for name, filling in (("attention_mask", 1), ("mm_token_type_ids", 0)):
        if name in full:
            old = full[name]
            full[name] = torch.cat([old, old.new_full((len(old), more), filling)], dim=1)
    return model.predict_faces(**full)


LAST = NEW_TOKENS - 1


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize(
    "steps", [[(0, 1)], [(0, 0), (0, 3), (1, 2)], [(0, 1), (1, LAST)], [(0, LAST), (1, LAST)], []]
)
def test_generated_faces_equal_those_of_one_pass(pair, steps, use_cache) -> None:
    model, processor = pair
    inputs = prompts(processor)
    result = model.generate_with_faces(**dictate(processor, inputs, *steps, use_cache=use_cache))
    start = inputs["input_ids"].shape[1]
    wanted = [[start + s for r, s in steps if r == row] for row in range(2)]
    assert result.face_positions == wanted
    assert result.prompt_length == start
    assert result.answers.shape == (2, NEW_TOKENS)
    again = in_one_pass(model, inputs, result.sequences)
    new = again.face_index[:, 1] >= start
    for row in range(2):
        expected = again.theta[new & (again.face_index[:, 0] == row)]
        assert result.theta[row].dtype == torch.float32
        torch.testing.assert_close(result.theta[row], expected, rtol=0, atol=TOLERANCE)


def test_generated_tokens_are_those_of_the_backbone(pair) -> None:
    model, processor = pair
    inputs = prompts(processor)
    options = {"max_new_tokens": 5, "do_sample": False}
    ours = model.generate_with_faces(**inputs, **options).sequences
    assert torch.equal(ours, model.backbone.generate(**inputs, **options))
    assert torch.equal(ours, model.generate(**inputs, **options))


def test_forced_answer_gives_the_face_of_free_chat(pair) -> None:
    model, processor = pair
    question = user("Can you give the face?", images=1)
    inputs = processor.batch([[question]], [tiny_picture()])
    answer = processor.tokenizer("Sure, it is <FACE>")["input_ids"]
    plan = {step: {0: token} for step, token in enumerate(answer)}
    free = model.generate_with_faces(
        **inputs,
        max_new_tokens=len(answer),
        do_sample=False,
        logits_processor=[Dictation(inputs["input_ids"].shape[1], plan)],
    )
    forced = processor.batch([[question, assistant("Sure, it is <FACE>.")]], [tiny_picture()])
    theta = model.predict_faces(**forced).theta
    torch.testing.assert_close(free.theta[0], theta, rtol=0, atol=TOLERANCE)


def test_a_row_that_ends_early_keeps_its_faces() -> None:
    model, processor = tiny_facegpt()
    inputs = prompts(processor)
    end = processor.tokenizer.eos_token_id
    options = dictate(processor, inputs, (0, 0), (1, LAST), eos_token_id=end)
    options["logits_processor"][0].steps[1] = {0: end}
    result = model.generate_with_faces(**options)
    assert [len(theta) for theta in result.theta] == [1, 1]
    assert (result.answers[0, 2:] == processor.tokenizer.pad_token_id).all()
    assert processor.decode(result.answers[0]) == "<FACE>"


def test_two_threads_do_not_mix_their_faces() -> None:
    model, processor = tiny_facegpt("llava-siglip")
    inputs = [processor.batch([[user(text)]]) for text in ("A thin man", "An old woman, laughing")]
    options = [dictate(processor, x, (0, 0), (0, LAST), max_new_tokens=30) for x in inputs]
    alone = [model.generate_with_faces(**x).theta[0] for x in options]
    together: list[Tensor] = [torch.empty(0)] * 2

    def run(index: int) -> None:
        together[index] = model.generate_with_faces(**options[index]).theta[0]

    threads = [threading.Thread(target=run, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=TOLERANCE)


def test_no_hook_stays_behind() -> None:
    model, processor = tiny_facegpt()
    inputs = prompts(processor)
    model.generate_with_faces(**dictate(processor, inputs, (0, LAST)))
    with pytest.raises(GenerationError):
        model.generate_with_faces(**inputs, num_beams=2)
    assert not model.get_decoder()._forward_hooks


@pytest.mark.parametrize("option", [{"num_beams": 2}, {"num_return_sequences": 3}])
def test_ways_that_reorder_hidden_states_are_refused(option) -> None:
    model, processor = tiny_facegpt()
    inputs = prompts(processor)
    [name] = option
    with pytest.raises(GenerationError, match=f"{name}={option[name]} would mix up"):
        model.generate_with_faces(**inputs, do_sample=True, **option)
    with pytest.raises(GenerationError, match="an assistant model would skip"):
        model.generate_with_faces(**inputs, assistant_model=model.backbone)
