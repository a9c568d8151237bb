"""From examples to a batch: tokens for the model, targets for the objective, and who is who.

Only examples with a target are judged by L_face. Every `<FACE>` of the answer is held against the
target of its example; one in an earlier turn is not, it was answered before. Knows the processor,
not the model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from facegpt.data.mixture import Example, FaceTarget
from facegpt.model.processing_facegpt import FaceGPTProcessor
from facegpt.morphable.framing import CROP_SIZE
from facegpt.morphable.parameters import PARAMETER_COUNT
from facegpt.training.even_batches import even_batches
from facegpt.training.objective import TargetBatch


class ExampleError(ValueError):
    """An example whose answer and target do not belong together."""


@dataclass(frozen=True)
class TrainingBatch:
    """Some examples, ready for model and objective."""

    inputs: Mapping[str, Any]
    """What the model takes, labels included: tensors, and the parts of a blank picture."""
    kinds: tuple[str, ...]
    """Kind of every row."""
    targets: TargetBatch | None
    """One per judged face; None when no example asks for one."""
    theta_index: Int[Tensor, "face"]
    """Which of the model's predictions, in its order, each target belongs to."""
    face_kinds: tuple[str, ...]
    """Kind of the example of every target."""
    token_count: int
    """Answered tokens of the batch: labels that a token before them predicts."""
    row_tokens: tuple[int, ...]
    """The same for every row."""

    @property
    def face_count(self) -> int:
        """Judged faces."""
        return len(self.face_kinds)


def moved(value: Any, device: torch.device | str) -> Any:
    """A batch on another device: tensors, and dataclasses and mappings that hold some."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {name: moved(part, device) for name, part in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        parts = {f.name: moved(getattr(value, f.name), device) for f in fields(value)}
        return replace(value, **parts)
    return value


class Collator:
    """Makes a batch of examples with the processor of the model."""

    def __init__(self, processor: FaceGPTProcessor, *, same_layers: bool = False) -> None:
        """Use this processor.

        Args:
            same_layers: Batches without pictures bring a blank one, so that all processes of a run
                with shared weights call the same layers.
        """
        self.processor = processor
        self._blank = _blank_picture(processor) if same_layers else None

    def __call__(self, examples: Sequence[Example]) -> TrainingBatch:
        """The batch of these examples.

        Raises:
            ExampleError: An answer has a target and no `<FACE>`.
        """
        conversations = [_conversation(example) for example in examples]
        images = [example.image for example in examples if example.image is not None]
        encoded = dict(self.processor.batch(conversations, images, with_labels=True))
        if self._blank is not None and not images:
            encoded["blank_picture"] = self._blank
        is_face = encoded["input_ids"] == self.processor.face_token_id
        # Predictions come row by row: those of earlier rows are before.
        before = torch.cat([torch.zeros(1, dtype=torch.long), is_face.sum(dim=1).cumsum(0)])
        places: list[int] = []
        targets: list[FaceTarget] = []
        kinds: list[str] = []
        for row, example in enumerate(examples):
            if example.target is None:
                continue
            count = example.answer.count(self.processor.face_token)
            last = int(before[row + 1])
            if count == 0 or last - count < int(before[row]):
                raise ExampleError(
                    f"an example of kind {example.kind!r} has a target, but its answer has no "
                    f"{self.processor.face_token}: {example.answer[:80]!r}"
                )
            places += range(last - count, last)
            targets += [example.target] * count
            kinds += [example.kind] * count
        tokens = (encoded["labels"][:, 1:] != -100).sum(dim=1).tolist()
        return TrainingBatch(
            encoded,
            tuple(example.kind for example in examples),
            stack_targets(targets) if targets else None,
            torch.tensor(places, dtype=torch.long),
            tuple(kinds),
            sum(tokens),
            tuple(tokens),
        )

    def share_out(self, examples: Sequence[Example], count: int) -> list[list[Example]]:
        """The examples in so many batches, of which as little as possible is padding."""
        lengths = [self._length(example) for example in examples]
        return [[examples[i] for i in batch] for batch in even_batches(lengths, count)]

    def _length(self, example: Example) -> int:
        """Tokens of an example, those of its picture included."""
        images = [] if example.image is None else [example.image]
        return int(self.processor.batch([_conversation(example)], images)["attention_mask"].sum())


def _blank_picture(processor: FaceGPTProcessor) -> dict[str, Tensor]:
    """What a batch with a picture has and one without has not."""
    words = {"type": "text", "text": "."}
    plain = processor.batch([[{"role": "user", "content": [words]}]], [])
    shown = [{"role": "user", "content": [{"type": "image"}, words]}]
    grey = torch.full((3, CROP_SIZE, CROP_SIZE), 0.5)
    return {k: v for k, v in processor.batch([shown], [grey]).items() if k not in plain}


def _conversation(example: Example) -> list[dict[str, Any]]:
    answer = {"role": "assistant", "content": [{"type": "text", "text": example.answer}]}
    return [*example.messages, answer]


def stack_targets(targets: Sequence[FaceTarget]) -> TargetBatch:
    """Targets side by side; a theta that is unknown is masked where others have one."""
    known = any(target.theta is not None for target in targets)
    return TargetBatch(
        torch.stack([target.photo for target in targets]),
        torch.stack([target.skin for target in targets]),
        torch.stack([target.landmarks68_px for target in targets]).float(),
        torch.tensor([target.is_grey for target in targets]),
        torch.stack([_theta(target) for target in targets]) if known else None,
        torch.stack([_theta_mask(target) for target in targets]) if known else None,
    )


def _theta(target: FaceTarget) -> Float[Tensor, "257"]:
    return torch.zeros(PARAMETER_COUNT) if target.theta is None else target.theta


def _theta_mask(target: FaceTarget) -> Tensor:
    if target.theta is None:
        return torch.zeros(PARAMETER_COUNT, dtype=torch.bool)
    if target.theta_mask is None:
        return torch.ones(PARAMETER_COUNT, dtype=torch.bool)
    return target.theta_mask
