"""The last stage of the shipped nano: the face head learns alone, on states that stay the same.

    python scripts/refit_head.py runs/nano/last runs/nano/refitted --data talk \\
        --situations scripts/everyday_situations.jsonl

Reads the states of the examples of `head_portions.json` once (a forward pass each), studies what
words say of composed people (`training/said.py`), then learns for `--stage.steps` steps
(`training/head_stage.py`). The folder it writes is like the one it reads.
"""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tyro

from facegpt.data.mixture import Example
from facegpt.model.nano_weights import save_nano
from facegpt.morphable.framing import CROP_SIZE
from facegpt.morphable.registry import load_morphable_model
from facegpt.training.checkpoints import replaced_folder
from facegpt.training.collate import Collator
from facegpt.training.config import MixtureShares, ObjectiveWeights, TrainConfig
from facegpt.training.examples import draw_examples
from facegpt.training.face_loss import FaceLoss
from facegpt.training.head_stage import HeadStage, read_states, refit_head, taught_by_words
from facegpt.training.parts import build_objective, load_model
from facegpt.training.presets import NANO
from facegpt.training.said import WordStudy, composed_requests, study_words

_AT_ONCE = 16
_PORTIONS = Path(__file__).with_name("head_portions.json")


@dataclass(frozen=True)
class Portion:
    """Some of the examples."""

    data: tuple[Path, ...]
    """Folders that `facegpt data build` wrote; one that stands twice is drawn twice as often."""
    faces: int
    mixture: dict[str, float]
    """Shares as `--mixture` of `facegpt train` has them; what is not named is zero."""


@dataclass(frozen=True)
class Options:
    """What to learn from."""

    run: tyro.conf.Positional[Path]
    """A folder of nano weights, such as `last` of a run."""
    output: tyro.conf.Positional[Path]
    data: Path
    """Folder of the folders that the portions name."""
    situations: tuple[Path, ...] = ()
    portions: Path = _PORTIONS
    """A list of portions: data, faces, mixture."""
    weights: ObjectiveWeights = field(
        default_factory=lambda: ObjectiveWeights(theta=0.5, from_text=0.05, measured=3.0)
    )
    stage: HeadStage = field(default_factory=HeadStage)
    study: WordStudy = field(default_factory=WordStudy)
    seed: int = 1


def main(options: Options) -> None:
    """Read, learn, write."""
    portions = [_config_of(portion, options) for portion in read_portions(options)]
    config = portions[0][0]
    objective = build_objective(config, CROP_SIZE)
    model, processor = load_model(config)
    started = time.monotonic()
    states = read_states(model, Collator(processor), _batches(portions))
    print(f"{len(states)} states in {time.monotonic() - started:.0f} s", flush=True)
    if options.study.people:
        morphable = load_morphable_model(config.morphable_model)
        said = composed_requests(morphable, options.study.people, options.seed)
        states = taught_by_words(states, study_words(*said, options.study, options.seed))
        print(f"words studied, {time.monotonic() - started:.0f} s", flush=True)
    refit_head(model, states, FaceLoss(objective, config.weights), options.stage, _say)
    with replaced_folder(options.output) as folder:
        save_nano(model, processor, folder)


def read_portions(options: Options) -> list[Portion]:
    """The portions of the file, with whole paths."""
    rows = json.loads(options.portions.read_text(encoding="utf-8"))
    return [
        Portion(tuple(options.data / name for name in row["data"]), row["faces"], row["mixture"])
        for row in rows
    ]


def _config_of(portion: Portion, options: Options) -> tuple[TrainConfig, int]:
    nothing: dict[str, Any] = dict.fromkeys(
        ("image", "text", "composed", "situation", "talk", "replay", "reason", "short"), 0.0
    )
    config = replace(
        NANO,
        base=str(options.run),
        data=portion.data,
        situations=options.situations if portion.mixture.get("situation") else (),
        mixture=MixtureShares(**(nothing | portion.mixture), turns_before=0),
        weights=options.weights,
        batch_size=_AT_ONCE,
        seed=options.seed,
    )
    return config, portion.faces


def _batches(portions: Sequence[tuple[TrainConfig, int]]) -> Iterator[list[Example]]:
    for config, count in portions:
        examples = draw_examples(config, count).training
        for first in range(0, count, _AT_ONCE):
            yield [examples[i] for i in range(first, min(first + _AT_ONCE, count))]


def _say(step: int, loss: float) -> None:
    if step % 50 == 0:
        print(f"step {step}: loss {loss:.4g}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options))
