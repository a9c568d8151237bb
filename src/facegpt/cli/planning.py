"""`facegpt plan`: what a training takes, before it is begun."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import tyro

from facegpt.model.number_types import Quantise
from facegpt.training.plan.request import Hardware, Load
from facegpt.training.presets import find_preset

_FLAT = tyro.conf.arg(name="")


def plan(
    hardware: Annotated[Hardware, _FLAT],
    load: Annotated[Load, _FLAT],
    preset: str = "llava-7b",
    base: Path | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    accumulation: int | None = None,
    rank: int | None = None,
    quantise: Quantise | None = None,
    checkpointing: bool | None = None,
    workers: int | None = None,
) -> int:
    """Memory, time and the largest batch of a training on given hardware, by formula.

    Nothing is loaded, computed or written. The formulas and what they were checked against are in
    docs/scale.md.

    Args:
        hardware: What it shall run on.
        load: How much is trained on.
        preset: llava-7b or nano.
        base: Folder of another LLaVA; its config.json is read.
        steps: Updates; those of the preset without it.
        batch_size: Examples per GPU at once.
        accumulation: Batches per update.
        rank: Of LoRA.
        quantise: Of the frozen linear maps of the decoder.
        checkpointing: Compute activations again on the way back.
        workers: Processes per GPU that make examples.
    """
    from facegpt.training.plan.planner import plan as make
    from facegpt.training.plan.report import plan_lines

    if steps is not None and load.epochs is not None:
        raise ValueError("--steps and --epochs exclude each other: both say how long to train")
    config = find_preset(preset)
    if rank is not None:
        config = replace(config, adapter=replace(config.adapter, rank=rank))
    given = {
        "base": None if base is None else str(base),
        "steps": steps,
        "batch_size": batch_size,
        "accumulation": accumulation,
        "quantise": quantise,
        "activation_checkpointing": checkpointing,
        "workers": workers,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    made = make(replace(config, **changes), hardware, load)
    print("\n".join(plan_lines(made)))
    return 0 if made.fits else 1
