"""What happens beside the updates: time limits, log.jsonl, validation, contact sheets.

Each is a `TrainerCallback`. None of them may change the run: random states are put back after
whatever they call, so a run with pictures and validation equals one without.
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from facegpt.geometry.export import write_atomically
from facegpt.training.checkpoints import replaced_folder
from facegpt.training.processes import first_says, wait_for_all

Clock = Callable[[], float]
"""Seconds since any fixed moment."""

Report = Callable[[int, Mapping[str, float]], None]
"""Called with the step and its numbers, for whoever shows progress."""


@runtime_checkable
class Validator(Protocol):
    """Measures a model on data it does not learn from."""

    def __call__(self, model: nn.Module) -> Mapping[str, float]:
        """Numbers by name; the model is in evaluation mode and no gradient is kept."""
        ...


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients, with every random state put back afterwards."""
    was_training = model.training
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices), torch.no_grad():
        model.eval()
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
            model.train(was_training)


class TimeLimits(TrainerCallback):
    """Stops a run when its time is up, and saves it every so often."""

    def __init__(
        self, minutes: float | None, save_minutes: float | None, started: float, clock: Clock
    ) -> None:
        """Set the alarms.

        Args:
            minutes: How long the run may last, from `started`.
            save_minutes: Longest time between two checkpoints.
            started: What the clock said when the run began.
        """
        self._limit = None if minutes is None else 60 * minutes
        self._save_seconds = None if save_minutes is None else 60 * save_minutes
        self._started = started
        self._saved = 0.0
        self._clock = clock
        self.time_is_up = False

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Look at the clock."""
        if self._limit is None and self._save_seconds is None:
            return
        # The clock of one process decides: all of them have to save and stop at the same step.
        passed = first_says(self._clock() - self._started)
        is_late = self._limit is not None and passed >= self._limit
        if is_late and state.global_step < state.max_steps:
            self.time_is_up = True
            control.should_training_stop = control.should_save = control.should_log = True
        if self._save_seconds is not None and passed - self._saved >= self._save_seconds:
            control.should_save = True

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Start counting anew, whoever asked for the checkpoint."""
        self._saved = first_says(self._clock() - self._started)


class LogFile(TrainerCallback):
    """log.jsonl: one line of numbers per log; a resumed run drops the lines it takes again."""

    def __init__(self, path: Path, report: Report | None = None) -> None:
        """Write to `path`, and tell `report`."""
        self._path = path
        self._report = report

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Rewrite the lines up to the step the run begins at."""
        if state.is_world_process_zero:
            lines = [json.dumps(entry) + "\n" for entry in state.log_history]
            write_atomically(self._path, "".join(lines).encode())

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Add the newest line."""
        if not state.is_world_process_zero:
            return
        entry = state.log_history[-1]
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        if self._report is not None:
            self._report(state.global_step, {k: v for k, v in entry.items() if k != "step"})


class Validation(TrainerCallback):
    """Validates every n steps and at the end, and keeps the best weights in `best/`."""

    def __init__(
        self,
        validator: Validator,
        export: Callable[[nn.Module, Path], None],
        log: Callable[[dict[str, float]], None],
        *,
        output: Path,
        every: int,
        metric: str,
        highest: bool,
        whole_weights: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Prepare the validation.

        Args:
            validator: What is measured.
            export: Writes a usable model into a folder.
            log: Where numbers go.
            every: Steps between validations.
            metric: The number that decides.
            highest: Whether more of it is better.
            whole_weights: While it lasts, the first process can export.
        """
        self._validator, self._export, self._log = validator, export, log
        self._whole_weights = whole_weights
        self._every, self._metric, self._highest = every, metric, highest
        self._folder = output / "best"
        self.best = read_best(output)

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        """Validate when it is time."""
        assert model is not None
        last = state.global_step >= state.max_steps or control.should_training_stop
        if state.global_step % self._every == 0 or last:
            # Writing a line of the log would take back the wish for the next one.
            wanted = control.should_log
            self.validate(model, state)
            control.should_log = wanted

    def validate(self, model: nn.Module, state: TrainerState) -> None:
        """Measure, log, and keep the weights if they are the best so far.

        Raises:
            ValueError: The validator does not give the number that decides.
        """
        with undisturbed(model):
            numbers = {name: float(value) for name, value in self._validator(model).items()}
        if self._metric not in numbers:
            raise ValueError(
                f"--best-metric is {self._metric!r}, but validation gives {sorted(numbers)}"
            )
        self._log({f"validation/{name}": value for name, value in numbers.items()})
        # One process decides, all take part: their weights may have to be put together.
        if first_says(float(self._is_better(numbers[self._metric]))):
            self.best = {"step": state.global_step, **numbers}
            with self._whole_weights():
                if state.is_world_process_zero:
                    self._keep(model)
            wait_for_all()

    def _keep(self, model: nn.Module) -> None:
        with replaced_folder(self._folder) as folder:
            self._export(model, folder)
            (folder / "validation.json").write_text(json.dumps(self.best, indent=1))

    def _is_better(self, value: float) -> bool:
        if not np.isfinite(value) or not self.best:
            return bool(np.isfinite(value))
        former = self.best.get(self._metric)
        if former is None:
            return True
        return value > former if self._highest else value < former


def read_best(output: Path) -> dict[str, float | int]:
    """The numbers of the best weights of a run, and their step; empty when there are none yet."""
    path = output / "best" / "validation.json"
    return json.loads(path.read_text()) if path.is_file() else {}


class Sheets(TrainerCallback):
    """Writes a contact sheet every n steps."""

    def __init__(
        self, draw: Callable[[nn.Module, Path | None], None], folder: Path, every: int
    ) -> None:
        """Prepare the pictures.

        Args:
            draw: Writes the sheet of a model to a file; all processes call it, and those that shall
                not write get no file.
            folder: Where the sheets go, named by step.
            every: Steps between sheets.
        """
        self._draw, self._folder, self._every = draw, folder, every

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        """Draw when it is time."""
        assert model is not None
        if state.global_step % self._every == 0:
            name = f"step-{state.global_step:06d}.png"
            with undisturbed(model):
                self._draw(model, self._folder / name if state.is_world_process_zero else None)
