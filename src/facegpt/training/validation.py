"""The validator that every run has: L_face and the reported errors on examples kept back.

It says whether training works, not how good a model is: the bars of the project are measured by
other validators, which `train` takes in place of this one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from facegpt.data.mixture import Example
from facegpt.training.collate import Collator, TrainingBatch, moved
from facegpt.training.contact_sheet import contact_sheet, write_sheet
from facegpt.training.objective import FaceObjective, face_errors
from facegpt.training.terms import TermBook


@dataclass(frozen=True)
class HeldOut:
    """Examples kept back, with what judges them."""

    examples: Sequence[Example]
    collate: Collator
    objective: FaceObjective
    batch_size: int
    supervised: float = 0.0
    """Weight of the L1 distance of theta in `face`."""

    def __call__(self, model: nn.Module) -> Mapping[str, float]:
        """L_txt, L_face without the perceptual term, its terms, and the errors of eq. 8 and 9."""
        book = TermBook()
        errors: list[Tensor] = []
        for batch in self._batches(model):
            output = model(**batch.inputs)
            for loss, kind, count in zip(
                output.row_losses.tolist(), batch.kinds, batch.row_tokens, strict=True
            ):
                book.add_sum("text", kind, loss * count, count)
            if batch.targets is None:
                continue
            theta = output.theta[batch.theta_index]
            terms = self.objective(theta, batch.targets)
            terms["face"] = self.objective.weighted(terms, supervised=self.supervised)
            for name, values in terms.items():
                book.add(name, values, batch.face_kinds)
            found = face_errors(self.objective, theta, batch.targets)
            errors.append(
                torch.stack([found.photometric, found.landmark_px, found.landmark_inner_px])
            )
        return book.close() | _mean_errors(errors)

    def draw(self, model: nn.Module, path: Path, faces: int) -> None:
        """Write the contact sheet of the first faces."""
        judged = [example for example in self.examples if example.target is not None][:faces]
        if not judged:
            return
        batch = moved(self.collate(judged), _device(model))
        assert batch.targets is not None
        theta = predicted(model, batch)
        labels = [f"{example.kind}: {_question(example)}" for example in judged]
        write_sheet(path, contact_sheet(self.objective, theta, batch.targets, labels))

    def _batches(self, model: nn.Module) -> Iterator[TrainingBatch]:
        for first in range(0, len(self.examples), self.batch_size):
            chosen = self.examples[first : first + self.batch_size]
            yield moved(self.collate(chosen), _device(model))


def predicted(model: nn.Module, batch: TrainingBatch) -> Float[Tensor, "face parameter"]:
    """Theta of every target of a batch."""
    return model(**batch.inputs).theta[batch.theta_index]


def _mean_errors(errors: Sequence[Tensor]) -> dict[str, float]:
    if not errors:
        return {}
    names = ("photometric", "landmark_px", "landmark_inner_px")
    means = torch.cat(list(errors), dim=1).nanmean(dim=1)
    return dict(zip(names, means.tolist(), strict=True))


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _question(example: Example) -> str:
    parts = example.messages[-1]["content"]
    text = " ".join(part["text"] for part in parts if part["type"] == "text")
    return text if len(text) <= 100 else f"{text[:97]}..."
