"""Write spread.safetensors beside weights of nano: how faces that fit one text differ.

    python scripts/build_spread.py DATA [DATA ...] [--weights DIR] [--rank 64] [--pairs FILE]

DATA are data sets of `facegpt data build` with theta and descriptions that were NOT trained on
(held out, or residuals are too small). Every description is given to the model, and the factor of
the covariance of (fitted - predicted) is kept. `--pairs` also keeps both thetas of every text, or
reads them instead of asking the model when DATA is left out. `save_nano` replaces the whole folder
of weights: run this after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from safetensors.torch import load_file, save_file
from torch import Tensor

from facegpt.data.table import FaceTable
from facegpt.model.nano import NANO_WEIGHTS
from facegpt.morphable.parameters import FaceParameters
from facegpt.pipeline import FaceGPT, Spread, residual_factor
from facegpt.pipeline.network import Conversation
from facegpt.pipeline.requests import (
    LONGEST_TEXT,
    answer_turn,
    checked_text,
    text_request,
    user_turn,
)


@dataclass(frozen=True)
class Options:
    """What to measure the spread on."""

    data: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Data sets with theta and descriptions, held out from training."""
    weights: Path = NANO_WEIGHTS
    """Folder of the weights."""
    every: int = 1
    """Only every n-th description: a long one takes half a second on two slow cores."""
    rank: int = 64
    """Directions to keep."""
    pairs: Path | None = None
    """safetensors with `predicted` and `fitted` (text, 257): written, or read without DATA."""


def described_faces(data: Sequence[Path]) -> tuple[list[str], Tensor]:
    """The first description of every face whose theta is known, and these thetas."""
    texts, fitted = [], []
    for folder in data:
        table = FaceTable(folder)
        for number in table.with_text("descriptions").tolist():
            row = table[number].row
            if row.theta is not None and len(row.descriptions[0]) <= LONGEST_TEXT:
                texts.append(row.descriptions[0])
                fitted.append(row.theta)
    return texts, torch.stack(fitted) if fitted else torch.zeros(0, 257)


def predicted_faces(facegpt: FaceGPT, texts: Sequence[str]) -> Tensor:
    """What the model makes of texts, by the forced answer."""
    asked = [
        Conversation(
            [user_turn(facegpt.network.plain(text_request(checked_text(text)))), answer_turn()]
        )
        for text in texts
    ]
    return facegpt.network.faces_of(asked).to_vector()


def main(options: Options) -> None:
    """Measure, write, and say how large it is."""
    if options.data:
        texts, fitted = described_faces(options.data)
        texts, fitted = texts[:: options.every], fitted[:: options.every]
        predicted = predicted_faces(FaceGPT.from_pretrained(options.weights), texts)
        if options.pairs:
            save_file({"predicted": predicted, "fitted": fitted}, options.pairs)
    elif options.pairs:
        stored = load_file(options.pairs)
        predicted, fitted = stored["predicted"], stored["fitted"]
    else:
        raise SystemExit("give data sets, or --pairs FILE with predicted and fitted theta")
    spread = Spread(residual_factor(predicted, fitted, options.rank))
    file = spread.save(options.weights)
    variances = FaceParameters.from_vector(spread.factor.square().sum(dim=0, keepdim=True))
    for name in ("shape", "expression", "albedo"):
        print(f"{name:<11} sd {variances.blocks()[name].mean().sqrt():.2f}")
    print(f"{len(fitted)} faces, {len(spread.factor)} directions, in {file}")


if __name__ == "__main__":
    main(tyro.cli(Options))
