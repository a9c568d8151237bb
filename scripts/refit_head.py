"""The last stage of the shipped nano: the face head learns alone, on states that stay the same.

    python scripts/refit_head.py runs/nano/last runs/nano/refitted --data COLOR WILD \\
        --situations scripts/everyday_situations.jsonl

Reads the states of `--faces` examples once (a forward pass each), then learns for `--stage.steps`
steps (`training/head_stage.py`). The folder it writes is like the one it reads.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import tyro

from facegpt.data.mixture import Example
from facegpt.model.nano_weights import save_nano
from facegpt.morphable.framing import CROP_SIZE
from facegpt.training.checkpoints import replaced_folder
from facegpt.training.collate import Collator
from facegpt.training.config import MixtureShares, ObjectiveWeights, TrainConfig
from facegpt.training.examples import draw_examples
from facegpt.training.face_loss import FaceLoss
from facegpt.training.head_stage import HeadStage, read_states, refit_head
from facegpt.training.parts import build_objective, load_model
from facegpt.training.presets import NANO

_AT_ONCE = 16


@dataclass(frozen=True)
class Options:
    """What to learn from."""

    run: tyro.conf.Positional[Path]
    """A folder of nano weights, such as `last` of a run."""
    output: tyro.conf.Positional[Path]
    data: tuple[Path, ...]
    """Folders that `facegpt data build` wrote: photos, and words for them."""
    photos: tuple[Path, ...] = ()
    """Folders whose photos alone are shown: grey ones, whose words would say nothing of skin."""
    situations: tuple[Path, ...] = ()
    faces: int = 3600
    """Examples of `data` whose states are read."""
    more_faces: int = 400
    """The same of `photos`."""
    mixture: MixtureShares = field(
        default_factory=lambda: MixtureShares(
            image=0.9,
            text=1.9,
            composed=0.9,
            situation=0.5,
            talk=0.0,
            replay=0.0,
            reason=0.0,
            short=0.65,
            turns_before=0,
        )
    )
    weights: ObjectiveWeights = field(
        default_factory=lambda: ObjectiveWeights(theta=0.5, from_text=0.05, measured=3.0)
    )
    stage: HeadStage = field(default_factory=HeadStage)
    seed: int = 1


def main(options: Options) -> None:
    """Read, learn, write."""
    config = replace(
        NANO,
        base=str(options.run),
        data=options.data,
        situations=options.situations,
        mixture=options.mixture,
        weights=options.weights,
        batch_size=_AT_ONCE,
        seed=options.seed,
    )
    portions = [(config, options.faces)]
    if options.photos:
        shown = MixtureShares(image=1.0, text=0.0, talk=0.0, replay=0.0, turns_before=0)
        portions.append((replace(config, data=options.photos, mixture=shown), options.more_faces))
    objective = build_objective(config, CROP_SIZE)
    model, processor = load_model(config)
    started = time.monotonic()
    states = read_states(model, Collator(processor), _batches(portions))
    print(f"{len(states)} states in {time.monotonic() - started:.0f} s", flush=True)
    refit_head(model, states, FaceLoss(objective, config.weights), options.stage, _say)
    with replaced_folder(options.output) as folder:
        save_nano(model, processor, folder)


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
