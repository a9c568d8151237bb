"""From examples to a batch: which prediction is held against which target."""

from dataclasses import replace

import pytest
import torch

from facegpt.data.mixture import Example, FaceTarget
from facegpt.model.processing_facegpt import FaceGPTProcessor
from facegpt.morphable.parameters import PARAMETER_COUNT
from facegpt.training.collate import Collator, ExampleError, moved, stack_targets
from facegpt.training.debug import tiny_backbone


@pytest.fixture(scope="module")
def collate() -> Collator:
    """With the tiny processor."""
    return Collator(FaceGPTProcessor(tiny_backbone(0)[1]))


def target(number: float, theta: bool = False) -> FaceTarget:
    """A target that can be told from others by its photo."""
    return FaceTarget(
        photo=torch.full((3, 8, 8), number),
        skin=torch.ones(8, 8, dtype=torch.bool),
        landmarks68_px=torch.full((68, 2), number),
        is_grey=False,
        theta=torch.full((PARAMETER_COUNT,), number) if theta else None,
    )


def said(text: str, role: str = "user") -> dict:
    return {"role": role, "content": [{"type": "text", "text": text}]}


def example(answer: str, number: float | None = None, **changes) -> Example:
    made = Example("text", [said("Who?")], answer, None, None if number is None else target(number))
    return replace(made, **changes)


def test_every_face_of_an_answer_meets_the_target_of_its_example(collate: Collator) -> None:
    earlier = [said("A face?"), said("It is <FACE>.", "assistant"), said("Another <FACE>?")]
    batch = collate(
        [
            example("No face.", kind="talk"),
            example("<FACE> and <FACE>.", 0.25, kind="image"),
            example("Now <FACE>.", 0.5, kind="situation", messages=earlier),
            example("It is <FACE>.", 0.75),
        ]
    )
    ids = batch.inputs["input_ids"]
    faces = (ids == collate.processor.face_token_id).nonzero()
    assert faces[:, 0].tolist() == [1, 1, 2, 2, 2, 3]
    assert batch.theta_index.tolist() == [0, 1, 4, 5]
    assert batch.face_kinds == ("image", "image", "situation", "text")
    assert batch.targets is not None
    assert batch.targets.photo[:, 0, 0, 0].tolist() == [0.25, 0.25, 0.5, 0.75]
    assert batch.face_count == 4
    # Each chosen place is one that the answer is learnt at.
    for place in batch.theta_index.tolist():
        row, position = faces[place].tolist()
        assert batch.inputs["labels"][row, position] == collate.processor.face_token_id


def test_tokens_are_counted_where_they_are_predicted(collate: Collator) -> None:
    batch = collate([example("Two.", kind="replay"), example("It is <FACE>.", 0.5)])
    labels = batch.inputs["labels"]
    assert list(batch.row_tokens) == [int((row[1:] != -100).sum()) for row in labels]
    assert batch.token_count == sum(batch.row_tokens) > 0


def test_pictures_follow_their_examples(collate: Collator) -> None:
    asked = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Who?"}]}]
    image = torch.rand(3, 40, 40)
    batch = collate([example("Two."), example("It is <FACE>.", 0.5, messages=asked, image=image)])
    assert batch.inputs["pixel_values"].shape == (1, 3, 32, 32)
    assert collate([example("Two.")]).targets is None
    assert "pixel_values" not in collate([example("Two.")]).inputs


def test_target_without_face_is_refused(collate: Collator) -> None:
    with pytest.raises(ExampleError, match=r"'text'.*no <FACE>: 'Nothing.'"):
        collate([example("Nothing.", 0.5)])


def test_unknown_theta_is_masked() -> None:
    mask = torch.zeros(PARAMETER_COUNT, dtype=torch.bool)
    mask[3] = True
    partly = replace(target(0.5, theta=True), theta_mask=mask)
    batch = stack_targets([target(0.25), target(0.75, theta=True), partly])
    assert batch.theta is not None
    assert batch.theta_mask is not None
    assert batch.theta_mask.sum(dim=1).tolist() == [0, PARAMETER_COUNT, 1]
    assert batch.theta[1:, 3].tolist() == [0.75, 0.5]
    assert stack_targets([target(0.25)]).theta is None


def test_moving_keeps_everything_else(collate: Collator) -> None:
    batch = collate([example("It is <FACE>.", 0.5)])
    there = moved(batch, "meta")
    assert there.kinds == batch.kinds
    assert there.inputs["input_ids"].device.type == "meta"
    assert there.targets.photo.device.type == there.theta_index.device.type == "meta"
    assert there.targets.theta is None


def test_short_examples_are_put_together(collate: Collator) -> None:
    lengths = [1, 40, 2, 41, 3, 39]
    examples = [example("a " * words) for words in lengths]
    batches = collate.share_out(examples, 2)
    assert [sorted(e.answer.count("a") for e in batch) for batch in batches] == [
        [39, 40, 41],
        [1, 2, 3],
    ]
