"""What happens beside the updates."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from transformers import TrainerControl, TrainerState, TrainingArguments

from facegpt.training.callbacks import LogFile, TimeLimits, Validation, read_best, undisturbed
from runs import Clock


@pytest.fixture
def arguments(tmp_path: Path) -> TrainingArguments:
    return TrainingArguments(output_dir=str(tmp_path), report_to="none", use_cpu=True)


def test_undisturbed_puts_every_random_state_back() -> None:
    model = nn.Linear(1, 1).train()

    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002

    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    expected = draw()
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    torch.set_rng_state(states[2])
    with undisturbed(model):
        draw()
        assert not model.training
        assert not torch.is_grad_enabled()
    assert model.training
    assert torch.is_grad_enabled()
    assert draw() == expected


def test_undisturbed_also_after_an_error() -> None:
    model = nn.Linear(1, 1).train()
    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), undisturbed(model):
        print(torch.rand(()) / (1 // 0))
    assert model.training
    assert torch.equal(torch.get_rng_state(), before)


def test_time_is_up_once(arguments: TrainingArguments) -> None:
    clock = Clock(30.0)
    limits = TimeLimits(1.0, None, started=0.0, clock=clock)
    state = TrainerState(global_step=1, max_steps=9)
    control = TrainerControl()
    limits.on_step_end(arguments, state, control)
    assert not control.should_training_stop
    limits.on_step_end(arguments, state, control)
    assert control.should_training_stop
    assert control.should_save
    assert limits.time_is_up


def test_time_that_ends_with_the_last_step_is_no_stop(arguments: TrainingArguments) -> None:
    limits = TimeLimits(1.0, None, started=0.0, clock=Clock(99.0))
    limits.on_step_end(arguments, TrainerState(global_step=9, max_steps=9), TrainerControl())
    assert not limits.time_is_up


def test_saving_by_time_starts_anew_with_every_checkpoint(arguments: TrainingArguments) -> None:
    limits = TimeLimits(None, 1.0, started=0.0, clock=Clock(25.0))
    state = TrainerState(global_step=1, max_steps=99)
    saved = []
    for _ in range(6):
        control = TrainerControl()
        limits.on_step_end(arguments, state, control)
        saved.append(control.should_save)
        if control.should_save:
            limits.on_save(arguments, state, control)
    # Looks at 25, 50, 75 (saved, at 100), 125, 150, 175 seconds (saved).
    assert saved == [False, False, True, False, False, True]


def test_resumed_log_drops_lines_that_come_again(
    tmp_path: Path, arguments: TrainingArguments
) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n')
    heard = []
    log = LogFile(path, lambda step, numbers: heard.append((step, dict(numbers))))
    state = TrainerState(global_step=2, log_history=[{"step": 1}, {"step": 2}])
    log.on_train_begin(arguments, state, TrainerControl())
    state.log_history.append({"loss": 0.5, "step": 3})
    log.on_log(arguments, state, TrainerControl())
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == [{"step": 1}, {"step": 2}, {"loss": 0.5, "step": 3}]
    assert heard == [(2, {"loss": 0.5})]


@pytest.mark.parametrize(("highest", "kept"), [(False, 1), (True, 3)])
def test_best_survives_a_restart_and_ignores_nan(
    tmp_path: Path, arguments: TrainingArguments, highest: bool, kept: int
) -> None:
    values = [float("nan"), 1.0, 2.0, 3.0]

    def validation() -> Validation:
        return Validation(
            lambda model: {"error": values[state.global_step]},
            lambda model, folder: (folder / "weights").write_text(str(state.global_step)),
            lambda numbers: None,
            output=tmp_path,
            every=1,
            metric="error",
            highest=highest,
        )

    model = nn.Linear(1, 1)
    state = TrainerState(global_step=0, max_steps=9)
    for step in range(4):
        state.global_step = step
        # A new one each time, as after a restart.
        validation().on_step_end(arguments, state, TrainerControl(), model=model)
    assert read_best(tmp_path) == {"step": kept, "error": values[kept]}
    assert (tmp_path / "best" / "weights").read_text() == str(kept)
