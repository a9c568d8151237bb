"""`train(config)`: one training run from its config to its report.

It prints nothing; whoever shows progress gives a `report` function. A run whose output folder has
checkpoints goes on from the newest, exactly as if it had never stopped.
"""

import importlib.util
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import nn
from transformers import PreTrainedModel, TrainerCallback

from facegpt.geometry.export import write_atomically
from facegpt.model.adapter import save_adapter
from facegpt.model.modeling_facegpt import FaceGPTForConditionalGeneration
from facegpt.model.nano_weights import save_nano
from facegpt.model.processing_facegpt import FaceGPTProcessor
from facegpt.training.callbacks import (
    Clock,
    LogFile,
    Report,
    Sheets,
    TimeLimits,
    Validation,
    Validator,
    read_best,
)
from facegpt.training.checkpoints import checkpoints, replaced_folder, step_of, tidy
from facegpt.training.collate import Collator
from facegpt.training.config import TrainConfig, TrainConfigError, differences
from facegpt.training.objective import FaceObjective
from facegpt.training.parts import build_objective, build_parts
from facegpt.training.processes import (
    first_says,
    join_processes,
    one_run,
    process_count,
    process_index,
    training_device,
    wait_for_all,
)
from facegpt.training.regression import build_regression_parts
from facegpt.training.sharding import forget_former_run
from facegpt.training.supplied import resolved
from facegpt.training.trainer import Examples, FaceTrainer, ShareOut
from facegpt.training.validation import HeldOut
from facegpt.training.vision import VisionParts, VisionTrainer, build_vision_parts

CONFIG_FILE, REPORT_FILE, LOG_FILE = "config.json", "report.json", "log.jsonl"


@dataclass(frozen=True)
class TrainReport:
    """What a call of `train` did."""

    output: Path
    first_step: int
    """Steps that were done before."""
    last_step: int
    stopped_by: str
    """`steps`: the run is complete; `minutes`: time was up, the same command goes on."""
    seconds: float
    numbers: Mapping[str, float | int]
    """The last line of the log: every term by name and kind."""
    best: Mapping[str, float | int]
    """Validation of the weights in `best/` and their step; empty without validation."""
    weights: Path
    """The folder of the newest weights, ready to use."""
    processes: int
    """How many learnt together."""


def train(
    config: TrainConfig,
    *,
    validator: Validator | None = None,
    report: Report | None = None,
    clock: Clock = time.monotonic,
) -> TrainReport:
    """Train, or go on training.

    Args:
        config: The run.
        validator: Decides which weights are the best; by default L_face of faces kept back.
        report: Hears the numbers of every log line.
        clock: Seconds, for the limits of `minutes` and `save_minutes`.

    Raises:
        TrainConfigError: The folder holds a run with other settings.
        BaseMissingError: The model to start from is not on this disk.
        NonFiniteTermError: A term of the loss became NaN or infinite.
        LostProcessError: Another process of the run ended.
    """
    started = clock()
    with one_run(partial(_how_to_go_on, config)):
        join_processes(config)
        forget_former_run()
        config = replace(resolved(config), processes=process_count())
        saved = _find_checkpoint(config)
        plan = _PLANS.get(config.recipe, _plan_language)(config)
        trainer, limits = _trainer(config, plan, validator, report, (started, clock))
        trainer.train(resume_from_checkpoint=str(saved) if saved else None)
        return _finished(config, trainer, plan, saved, limits.time_is_up, clock() - started)


def _finished(
    config: TrainConfig,
    trainer: FaceTrainer,
    plan: "_Plan",
    saved: Path | None,
    time_is_up: bool,
    seconds: float,
) -> TrainReport:
    """Write what was learnt and the report."""
    result = TrainReport(
        output=config.output,
        first_step=step_of(saved) if saved else 0,
        last_step=trainer.state.global_step,
        stopped_by="minutes" if time_is_up else "steps",
        seconds=seconds,
        numbers=_last_numbers(trainer.state.log_history),
        best=read_best(config.output),
        weights=config.output / "last",
        processes=trainer.accelerator.num_processes,
    )
    with trainer.whole_weights():
        if trainer.is_world_process_zero():
            _write_result(trainer, plan, result)
    wait_for_all()
    return result


def _how_to_go_on(config: TrainConfig) -> str:
    found = checkpoints(config.output)
    begin = f"goes on from {found[-1]}" if found else "begins anew: there is no checkpoint yet"
    return f"The message of the process that ended first says why. The same command {begin}"


def _write_result(trainer: FaceTrainer, plan: "_Plan", result: TrainReport) -> None:
    with replaced_folder(result.weights) as folder:
        plan.export(trainer.bare_model, folder)
    _write_json(result.output / REPORT_FILE, _record(result))
    tidy(result.output)


@runtime_checkable
class _Watched(Protocol):
    """Faces kept back: measured and drawn."""

    def __call__(self, model: nn.Module) -> Mapping[str, float]: ...

    def draw(self, model: nn.Module, path: Path | None, faces: int) -> None: ...


@dataclass(frozen=True)
class _Plan:
    """What is trained, and by which trainer."""

    trainer: type[FaceTrainer]
    model: PreTrainedModel
    examples: Examples
    collate: Callable[[list[Any]], Any]
    objective: FaceObjective
    held_out: _Watched | None
    export: Callable[[PreTrainedModel, Path], Any]
    share_out: ShareOut | None = None


def _plan_language(config: TrainConfig) -> _Plan:
    parts = build_parts(config, _examples_of_the_run(config))
    collate = Collator(parts.processor, same_layers=config.is_sharded)
    held_out = HeldOut(
        parts.held_out,
        collate,
        parts.objective,
        config.batch_size,
        supervised=config.weights.theta,
    )
    return _Plan(
        FaceTrainer,
        parts.model,
        parts.examples,
        collate,
        parts.objective,
        held_out if parts.held_out else None,
        partial(export, processor=parts.processor),
        collate.share_out,
    )


def _plan_vision(config: TrainConfig) -> _Plan:
    return _plan_pictures(build_vision_parts(config, _examples_of_the_run(config), build_objective))


def _plan_regression(config: TrainConfig) -> _Plan:
    parts = build_regression_parts(config, _examples_of_the_run(config), build_objective)
    return _plan_pictures(parts)


def _plan_pictures(parts: VisionParts) -> _Plan:
    return _Plan(
        VisionTrainer,
        parts.model,
        parts.examples,
        parts.collate,
        parts.objective,
        parts.held_out,
        lambda model, folder: model.save_pretrained(folder),
    )


_PLANS: dict[str, Callable[[TrainConfig], _Plan]] = {
    "vision": _plan_vision,
    "regression": _plan_regression,
}
"""Recipe -> its plan; the others train a language model."""


def export(model: PreTrainedModel, folder: Path, processor: FaceGPTProcessor) -> None:
    """Write weights that can be used: of nano everything, of others the adapter and the
    processor."""
    assert isinstance(model, FaceGPTForConditionalGeneration)
    if getattr(model.config.vlm_config, "base_weights_sha256", None):
        save_nano(model, processor, folder)
    else:
        save_adapter(model, folder)
        processor.save_pretrained(folder)


def _trainer(
    config: TrainConfig,
    plan: _Plan,
    validator: Validator | None,
    report: Report | None,
    time_: tuple[float, Clock],
) -> tuple[FaceTrainer, TimeLimits]:
    limits = TimeLimits(config.minutes, config.save_minutes, *time_)
    callbacks: list[TrainerCallback] = [limits, LogFile(config.output / LOG_FILE, report)]
    callbacks += _tensorboard(config)
    trainer = plan.trainer(
        config,
        plan.model,
        plan.examples,
        plan.collate,
        plan.objective,
        callbacks=callbacks,
        cpu=training_device().type == "cpu",
        share_out=plan.share_out,
    )
    if config.sheet_every and plan.held_out is not None:
        draw = partial(_in_its_precision, trainer, plan.held_out.draw, faces=config.sheet_faces)
        trainer.add_callback(Sheets(draw, config.output / "sheets", config.sheet_every))
    chosen = validator or plan.held_out
    if config.validate_every and chosen is not None:
        trainer.add_callback(
            Validation(
                partial(_in_its_precision, trainer, chosen),
                lambda model, folder: plan.export(trainer.bare_model, folder),
                trainer.log,
                output=config.output,
                every=config.validate_every,
                metric=config.best_metric,
                highest=config.best_is_highest,
                whole_weights=trainer.whole_weights,
            )
        )
    return trainer, limits


def _in_its_precision(
    trainer: FaceTrainer, function: Callable[..., Any], *given: Any, **named: Any
) -> Any:
    """Call with the autocast of training, whichever method of the model is then used: what is
    frozen may be bfloat16, what learns is float32."""
    with trainer.accelerator.autocast():
        return function(*given, **named)


def _tensorboard(config: TrainConfig) -> list[TrainerCallback]:
    if not config.tensorboard or importlib.util.find_spec("tensorboard") is None:
        return []
    from torch.utils.tensorboard import SummaryWriter
    from transformers.integrations.integration_utils import TensorBoardCallback

    return [TensorBoardCallback(SummaryWriter(str(config.output / "tensorboard")))]


def _examples_of_the_run(config: TrainConfig) -> int:
    return config.steps * config.examples_per_step * process_count()


def _find_checkpoint(config: TrainConfig) -> Path | None:
    """The newest checkpoint of this very run, once the folder is in order."""
    config.output.mkdir(parents=True, exist_ok=True)
    is_main = process_index() == 0
    if is_main:
        tidy(config.output)
    wait_for_all()
    found = checkpoints(config.output)
    _check_shared(config, found)
    record = config.output / CONFIG_FILE
    if found and record.is_file():
        former = TrainConfig.from_record(json.loads(record.read_text()))
        if former.processes is None:  # of a version that did not record it
            former = replace(former, processes=config.processes)
        changed = differences(former, config)
        if changed:
            raise TrainConfigError(
                f"{config.output} holds a run with other settings: {'; '.join(changed)}. Go on "
                f"with the same settings, or train into a new folder: --output DIR"
            )
    if found and step_of(found[-1]) > config.steps:
        raise TrainConfigError(
            f"{config.output} has done {step_of(found[-1])} steps already, more than --steps "
            f"{config.steps}; ask for more steps, or train into a new folder: --output DIR"
        )
    wait_for_all()
    if is_main:
        _write_json(record, config.to_record())
    return found[-1] if found else None


def _check_shared(config: TrainConfig, found: list[Path]) -> None:
    """Refuse an output folder that every machine has for itself."""
    newest = step_of(found[-1]) if found else 0
    of_the_first = int(first_says(float(newest)))
    if newest != of_the_first:
        raise TrainConfigError(
            f"process {process_index()} finds step {newest} in {config.output}, the first process "
            f"step {of_the_first}: all machines must see the same folder. Give --output on storage "
            f"that they share"
        )


def _last_numbers(history: list[dict[str, Any]]) -> dict[str, Any]:
    lines = [line for line in history if "loss" in line]
    return dict(lines[-1]) if lines else {}


def _record(report: TrainReport) -> dict[str, Any]:
    return {**vars(report), "output": str(report.output), "weights": str(report.weights)}


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    write_atomically(path, (json.dumps(value, indent=1) + "\n").encode())
