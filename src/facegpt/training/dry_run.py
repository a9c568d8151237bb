"""A training rehearsed: everything is put together, nothing is allocated, written or downloaded."""

from dataclasses import dataclass

from facegpt.training.config import TrainConfig, TrainConfigError
from facegpt.training.examples import draw_examples
from facegpt.training.meta_build import build_on_meta, pass_through
from facegpt.training.plan.planner import Plan, plan
from facegpt.training.plan.report import plan_lines
from facegpt.training.plan.request import Hardware, Load
from facegpt.training.plan.shapes import PlanError
from facegpt.training.readiness import needs_of, report


@dataclass(frozen=True)
class Rehearsal:
    """What a dry run found."""

    lines: list[str]
    exit_code: int
    """1 when something is missing or does not fit."""


def rehearse(preset: str, config: TrainConfig, hardware: Hardware, load: Load) -> Rehearsal:
    """Put a run together on the meta device and say what it takes and what is missing."""
    planned, why_not = _planned(config, hardware, load)
    needs, code = report(preset, needs_of(config, planned))
    built, fits = _built(config, planned)
    examples, drawn = _drawn(config)
    lines = [*needs, "", *built, *examples, ""]
    lines += plan_lines(planned) if planned else [f"No plan: {why_not}"]
    lines += ["", "Dry run: no weight was allocated, nothing was written or downloaded."]
    return Rehearsal(lines, 0 if code == 0 and fits and drawn else 1)


def _planned(config: TrainConfig, hardware: Hardware, load: Load) -> tuple[Plan | None, str]:
    try:
        return plan(config, hardware, load), ""
    except PlanError as error:
        return None, str(error)


def _built(config: TrainConfig, planned: Plan | None) -> tuple[list[str], bool]:
    """The model on the meta device, and a batch sent through it."""
    if config.recipe in ("vision", "regression"):
        return [f"Model: {config.recipe} has no language model; it is built when it starts"], True
    try:
        model = build_on_meta(config)
        total = sum(weight.numel() for weight in model.parameters())
        learns = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
        lines = [f"Built on the meta device: {total:,} weights, of which {learns:,} learn"]
        if planned is None:
            return lines, True
        passed = pass_through(model, planned.batch, checkpointing=config.activation_checkpointing)
    except (TrainConfigError, ValueError) as error:
        return [f"The model cannot be put together: {error}"], False
    shapes = ", ".join(f"{name} {list(shape)}" for name, shape in passed.shapes.items())
    share = planned.flops.total / passed.flops - 1
    lines += [
        f"A batch passed through it: {shapes}",
        f"FLOPs counted on the way: {passed.flops / 1e12:,.2f} TFLOP; the formula of the plan says "
        f"{share:+.2%}",
    ]
    return lines, True


def _drawn(config: TrainConfig) -> tuple[list[str], bool]:
    """The mixture, if the config names data for it; what is missing is among the needs."""
    if config.recipe == "debug" or not (config.data or config.instructions or config.situations):
        return [], True
    try:
        drawn = draw_examples(config, config.steps * config.examples_per_step)
    except (ValueError, OSError) as error:
        return [f"Examples cannot be drawn: {error}"], False
    kinds = ", ".join(f"{k} {len(s):,}" for k, s in drawn.training.sources.items())
    return [f"Examples: {kinds}; {len(drawn.held_out)} kept back"], True
