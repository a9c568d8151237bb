"""`facegpt train`: every preset is a command whose flags are the fields of its config."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import tyro

from facegpt.training.config import TrainConfig
from facegpt.training.presets import PRESETS, find_preset

train_app = tyro.extras.SubcommandApp()

_DOCTOR = "doctor"
_SUMMARIES = {
    "debug": "Two steps of a tiny random model: does everything run?",
    "vision": "The vision tower of nano, as a face autoencoder on photos and rendered faces.",
    "nano": "The small FaceGPT that is shipped: SmolLM2 with a trained vision tower (--base).",
    "regression": "A baseline (Table 7): the frozen tower of nano and an MLP, no language model.",
    "llava-key": "A baseline (A.2): nano learns to write 68 landmarks as text.",
    "llava-7b": "The paper: LLaVA-1.5 7B with LoRA.",
}
_GOES_ON = "A run that finds its own checkpoints in OUTPUT goes on from the newest."
_FLAGS = """Args:
    config: The run.
    dry_run: Put everything together without weights, say what is missing, and print the plan.
"""
_SHOWN = ("loss", "text", "face", "landmark", "pixel", "theta")


def _command(preset: str) -> Callable[[TrainConfig], int]:
    def run(
        config: Annotated[TrainConfig, tyro.conf.arg(name="")] = PRESETS[preset],
        dry_run: bool = False,
    ) -> int:
        return _rehearse(preset, config) if dry_run else _train(config)

    run.__doc__ = f"{_SUMMARIES[preset]}\n\n{_GOES_ON}\n\n{_FLAGS}"
    return run


for _preset in PRESETS:
    train_app.command(name=_preset)(_command(_preset))


@train_app.command(name=_DOCTOR)
def doctor(preset: tyro.conf.Positional[str] = "debug", checkpoint: Path | None = None) -> int:
    """Examine a training: token, gradient, memory, collapse to the mean face, border shortcut.

    Args:
        preset: debug, nano or llava-7b.
        checkpoint: Folder of a trained model: checkpoint-N, best or last of a run.
    """
    from facegpt.training.doctor import doctor as examine

    report = examine(_config_of(preset, checkpoint), checkpoint=checkpoint)
    print("\n".join(report.lines))
    return report.exit_code


def _config_of(preset: str, checkpoint: Path | None) -> TrainConfig:
    """The config of the run that a checkpoint belongs to, else that of the preset."""
    record = checkpoint.parent / "config.json" if checkpoint else None
    if record is not None and record.is_file():
        return TrainConfig.from_record(json.loads(record.read_text(encoding="utf-8")))
    config = find_preset(preset)
    if config.recipe == "nano" and checkpoint is not None:
        # A folder of nano weights, such as the shipped one, brings its own tower.
        return replace(config, base=str(checkpoint))
    return config


def check_preset(arguments: Sequence[str]) -> None:
    """Answer a wrong preset with the nearest right one, before tyro lists them all.

    Raises:
        TrainConfigError: `facegpt train WRONG`.
    """
    if len(arguments) < 2 or arguments[0] != "train" or arguments[1].startswith("-"):
        return
    if arguments[1] != _DOCTOR:
        find_preset(arguments[1])


def _train(config: TrainConfig) -> int:
    from facegpt.training.processes import process_index
    from facegpt.training.run import train

    report = train(config, report=_print_numbers)
    if process_index() > 0:
        return 0
    print(
        f"{report.output}: steps {report.first_step} to {report.last_step} in "
        f"{report.seconds:.0f} s, stopped by {report.stopped_by}"
    )
    if report.best:
        print("best: " + _numbers(report.best))
    print(f"weights are in {report.weights}")
    if report.stopped_by == "minutes":
        print("the same command goes on", file=sys.stderr)
    return 0


def _rehearse(preset: str, config: TrainConfig) -> int:
    from facegpt.training.dry_run import rehearse
    from facegpt.training.plan.request import Hardware, Load

    found = rehearse(preset, config, Hardware(), Load())
    print("\n".join(found.lines))
    print("other hardware: facegpt plan --help")
    return found.exit_code


def _print_numbers(step: int, numbers: Mapping[str, float]) -> None:
    shown = {name: numbers[name] for name in _SHOWN if name in numbers}
    if shown:
        print(f"step {step}: {_numbers(shown)}", flush=True)


def _numbers(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())
