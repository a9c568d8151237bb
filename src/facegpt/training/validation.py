"""The validator that every run has: L_face and the reported errors on examples kept back.

It says whether training works, not how good a model is: the bars of the project are measured by
other validators, which `train` takes in place of this one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from facegpt.data.mixture import Example
from facegpt.training.collate import Collator, TrainingBatch, moved
from facegpt.training.contact_sheet import contact_sheet, write_sheet
from facegpt.training.objective import FaceObjective, face_errors
from facegpt.training.processes import added_up, own_share
from facegpt.training.terms import TermBook

_ERRORS = ("photometric", "landmark_px", "landmark_inner_px")
"""Fields of `FaceErrors`, in means over all faces whose error is known."""


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
        """L_txt, L_face without the perceptual term, its terms, and the errors of eq. 8 and 9.

        Every process measures its share of the batches, and all of them know the result.
        """
        book = TermBook()
        errors = torch.zeros(2, len(_ERRORS), dtype=torch.float64)
        for batch, counts in own_share(self._batches()):
            output = model(**moved(batch.inputs, _device(model)))
            if not counts:
                continue
            for loss, kind, count in zip(
                output.row_losses.tolist(), batch.kinds, batch.row_tokens, strict=True
            ):
                book.add_sum("text", kind, loss * count, count)
            if batch.targets is None:
                continue
            # Judged on the CPU, wherever the model is: that is where these targets are.
            theta = output.theta.cpu()[batch.theta_index]
            terms = self.objective(theta, batch.targets)
            terms["face"] = self.objective.weighted(terms, supervised=self.supervised)
            for name, values in terms.items():
                book.add(name, values, batch.face_kinds)
            found = face_errors(self.objective, theta, batch.targets)
            values = torch.stack([vars(found)[name] for name in _ERRORS]).double()
            known = values.isfinite()
            errors += torch.stack([torch.where(known, values, 0.0), known], dim=0).sum(dim=2)
        return book.close(added_up) | _means(added_up(errors))

    def draw(self, model: nn.Module, path: Path | None, faces: int) -> None:
        """Write the contact sheet of the first faces; without a path only take part."""
        judged = [example for example in self.examples if example.target is not None][:faces]
        if not judged:
            return
        batch = self.collate(judged)
        assert batch.targets is not None
        theta = model(**moved(batch.inputs, _device(model))).theta.cpu()[batch.theta_index]
        if path is None:
            return
        labels = [f"{example.kind}: {_question(example)}" for example in judged]
        write_sheet(path, contact_sheet(self.objective, theta, batch.targets, labels))

    def _batches(self) -> list[TrainingBatch]:
        return [
            self.collate(self.examples[first : first + self.batch_size])
            for first in range(0, len(self.examples), self.batch_size)
        ]


def predicted(model: nn.Module, batch: TrainingBatch) -> Float[Tensor, "face parameter"]:
    """Theta of every target of a batch."""
    return model(**batch.inputs).theta[batch.theta_index]


def _means(errors: Float[Tensor, "2 error"]) -> dict[str, float]:
    """Of sums and counts."""
    sums, counts = errors.tolist()
    return {
        name: total / count
        for name, total, count in zip(_ERRORS, sums, counts, strict=True)
        if count
    }


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _question(example: Example) -> str:
    parts = example.messages[-1]["content"]
    text = " ".join(part["text"] for part in parts if part["type"] == "text")
    return text if len(text) <= 100 else f"{text[:97]}..."
