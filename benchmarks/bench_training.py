"""Where the time of a training step of nano goes: data, model, rendering and losses.

    python benchmarks/bench_training.py [--steps 2] [--batch-size 8] [--accumulation 4] [--json OUT]

Trains the shipped weights for some steps of the preset `nano` on faces that are rendered here.
Photos, texts, composed people, situations and talk have the shares of the preset; replay, whose
answers are not shipped, is left out. After one step that is not counted, it adds up:

    data               drawing, changing and collating the examples
    model              language model with tower and head, there and back
    render and losses  L_face there and back: from theta to the loss, from the loss to theta
    update             clipping, AdamW, and what else happens between batches

The way back is split at theta: its gradient is complete when L_face has been gone through, and what
comes after belongs to the model. Bar: data, rendering and losses are at most 15 % of a step. The
same
examples are trained on twice, in the batches that they are drawn in and shared out by length, and
positions that are padding are counted.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from report import Bar, Line, Table, write_json
from torch import Tensor
from transformers import TrainerCallback

from facegpt.data.describe import DescribeItem, Description
from facegpt.data.schema import FaceRow, encode_crop, encode_mask
from facegpt.data.shards import Manifest, write_manifest, write_shard
from facegpt.data.wording import MeasuredDescriber
from facegpt.morphable.framing import CROP_SIZE
from facegpt.morphable.registry import load_morphable_model
from facegpt.rendering.renderer import Renderer
from facegpt.training.collate import Collator
from facegpt.training.config import TrainConfig
from facegpt.training.debug import rendered_faces
from facegpt.training.parts import build_parts
from facegpt.training.presets import NANO
from facegpt.training.trainer import FaceTrainer

SITUATIONS = Path(__file__).parents[1] / "scripts" / "everyday_situations.jsonl"
MOST = 15.0
"""Per cent of a step that may be other than the model."""
DATA, MODEL, FACES, UPDATE = "data", "model", "render and losses", "update"


@dataclass(frozen=True)
class Options:
    """What is measured."""

    steps: int = 2
    """Counted updates."""
    batch_size: int = NANO.batch_size
    accumulation: int = NANO.accumulation
    faces: int = 64
    """Rendered photos."""
    json: Path | None = None
    """Also write the numbers there."""


@dataclass
class Clock:
    """Seconds by what was done, and when the way back reached theta."""

    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys((DATA, MODEL, FACES), 0.0)
    )
    at_theta: float | None = None
    positions: int = 0
    tokens: int = 0
    """Of the positions, those that are no padding."""

    @contextmanager
    def running(self, what: str) -> Iterator[None]:
        """Count the time within."""
        started = time.perf_counter()
        yield
        self.seconds[what] += time.perf_counter() - started


class TimedTrainer(FaceTrainer):
    """The trainer of nano, with a clock."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.clock = Clock()

    def get_batch_samples(self, *given: Any) -> Any:
        """Data of an update."""
        with self.clock.running(DATA):
            batches, counts = super().get_batch_samples(*given)
        for batch in batches:
            self.clock.positions += batch.inputs["input_ids"].numel()
            self.clock.tokens += int(batch.inputs["attention_mask"].sum())
        return batches, counts

    def compute_loss(self, *given: Any, **named: Any) -> Any:
        """The way there: what is not L_face is the model."""
        faces = self.clock.seconds[FACES]
        with self.clock.running(MODEL):
            loss = super().compute_loss(*given, **named)
        self.clock.seconds[MODEL] -= self.clock.seconds[FACES] - faces
        self.clock.at_theta = None
        self._back_since = time.perf_counter()
        return loss

    def face_losses(self, theta: Tensor, *given: Any, **named: Any) -> Any:
        """L_face there, and a mark where its way back ends."""
        theta.register_hook(self._reached_theta)
        with self.clock.running(FACES):
            return super().face_losses(theta, *given, **named)

    def _reached_theta(self, gradient: Tensor) -> None:
        self.clock.at_theta = time.perf_counter()

    def training_step(self, *given: Any, **named: Any) -> Any:
        """There and back, and the way back shared out."""
        loss = super().training_step(*given, **named)
        ended = time.perf_counter()
        split = self.clock.at_theta or self._back_since
        self.clock.seconds[FACES] += split - self._back_since
        self.clock.seconds[MODEL] += ended - split
        return loss


class Counted(TrainerCallback):
    """Starts the clock after the first step, which compiles and fills caches, and stops it."""

    def __init__(self) -> None:
        self.trainer: TimedTrainer | None = None
        self.started = self.seconds = 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """After each update."""
        assert self.trainer is not None
        if state.global_step == 1:
            self.trainer.clock = Clock()
            self.started = time.perf_counter()
        self.seconds = time.perf_counter() - self.started


def rendered_data(folder: Path, count: int) -> Path:
    """A data set of rendered faces with theta and the words that are measured on it."""
    model = load_morphable_model("default")
    generator = torch.Generator().manual_seed(0)
    faces = rendered_faces(Renderer(model.restricted_to(), CROP_SIZE), count, generator=generator)
    names = [f"{number}.png" for number in range(count)]
    items = [
        DescribeItem(f"{name}:0", name, faces.photo[i].float() / 255.0, faces.theta[i])
        for i, name in enumerate(names)
    ]
    words = MeasuredDescriber(model).describe(items)
    rows = []
    for i, said in enumerate(words):
        assert isinstance(said, Description), said
        rows.append(
            FaceRow(
                face_id=f"{names[i]}:0",
                source=names[i],
                crop=encode_crop(faces.photo[i]),
                skin=encode_mask(faces.skin[i]),
                validity=encode_mask(torch.ones(CROP_SIZE, CROP_SIZE, dtype=torch.bool)),
                landmarks68_px=faces.landmarks68_px[i],
                is_grey=False,
                theta=faces.theta[i].to_vector()[0],
                descriptions=said.descriptions,
                short=said.short,
                conversations=said.conversations,
            )
        )
    shard = write_shard(folder, 0, rows, photos=count, problems_end=0)
    write_manifest(folder, replace(Manifest({}, count), shards=(shard,)))
    return folder


def profile(config: TrainConfig, *, by_length: bool) -> tuple[dict[str, float], float]:
    """Seconds of an update by what was done, and the share of padding, over all counted updates."""
    parts = build_parts(config, config.steps * config.examples_per_step)
    counted, collate = Counted(), Collator(parts.processor)
    trainer = TimedTrainer(
        config,
        parts.model,
        parts.examples,
        collate,
        parts.objective,
        callbacks=[counted],
        cpu=True,
        share_out=collate.share_out if by_length else None,
    )
    counted.trainer = trainer
    trainer.train()
    seconds = dict(trainer.clock.seconds)
    seconds[UPDATE] = counted.seconds - sum(seconds.values())
    padding = 1 - trainer.clock.tokens / trainer.clock.positions
    return {what: value / (config.steps - 1) for what, value in seconds.items()}, padding


def table_of(options: Options, folder: Path, *, by_length: bool) -> Table:
    """Where the time goes."""
    config = replace(
        NANO,
        base="nano",
        data=(folder / "faces",),
        situations=(SITUATIONS,),
        mixture=replace(NANO.mixture, replay=0.0),
        output=folder / f"run-{by_length}",
        steps=options.steps + 1,
        batch_size=options.batch_size,
        accumulation=options.accumulation,
        held_out=0,
        validate_every=0,
        sheet_every=0,
        save_every=0,
        save_minutes=None,
        tensorboard=False,
    )
    seconds, padding = profile(config, by_length=by_length)
    total, count = sum(seconds.values()), options.steps
    share = 100 * (seconds[DATA] + seconds[FACES]) / total
    lines = [
        Line(f"{what}: s a step ({100 * value / total:.1f} %)", value, count)
        for what, value in seconds.items()
    ]
    lines += [
        Line("a step: s", total, count),
        Line("padding: % of the positions", 100 * padding, count, digits=1),
        Line("data, rendering, losses: % of a step", share, count, Bar(MOST), digits=1),
    ]
    batches = "shared out by length" if by_length else "as drawn"
    examples = options.batch_size * options.accumulation
    return Table(f"A training step of nano, {examples} examples, batches {batches}", lines)


def main(options: Options) -> int:
    """Measure, print, and fail when the bar is missed."""
    with tempfile.TemporaryDirectory() as name:
        rendered_data(Path(name) / "faces", options.faces)
        tables = [table_of(options, Path(name), by_length=by_length) for by_length in (False, True)]
    for table in tables:
        print(table)
    if options.json:
        write_json(options.json, options, tables)
    return int(tables[-1].lines[-1].measured > MOST)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
