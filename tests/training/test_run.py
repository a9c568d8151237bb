"""`train`: the preset `debug` from start to report, interrupted and gone on."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from facegpt.model.adapter import load_adapter
from facegpt.model.processing_facegpt import FaceGPTProcessor
from facegpt.training.config import MixtureShares, OptimiserSettings, TrainConfigError
from facegpt.training.debug import tiny_backbone
from facegpt.training.parts import BaseMissingError, load_model
from facegpt.training.presets import PRESETS
from facegpt.training.run import train
from facegpt.training.trainer import FaceTrainer
from runs import Clock, assert_same_weights, quick, weights


def lines(output: Path) -> list[dict[str, float]]:
    """log.jsonl without times."""
    logged = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    return [line for line in logged if "train_runtime" not in line]


def test_debug_trains_and_goes_on(tmp_path: Path) -> None:
    config = replace(PRESETS["debug"], output=tmp_path)
    heard: list[int] = []
    first = train(config, report=lambda step, numbers: heard.append(step))
    assert (first.first_step, first.last_step, first.stopped_by) == (0, 2, "steps")
    assert heard == [1, 2, 2, 2]  # two lines, validation, summary
    second = train(replace(config, steps=4))
    assert (second.first_step, second.last_step) == (2, 4)

    trained = [line for line in lines(tmp_path) if "loss" in line]
    assert [line["step"] for line in trained] == [1, 2, 3, 4]
    assert {"text", "face", "pixel", "landmark", "regularisation", "theta"} <= second.numbers.keys()
    by_kind = {name for line in trained for name in line if "/" in name}
    assert {"text/talk", "text/replay", "landmark/image", "landmark/text"} <= by_kind
    assert "face/talk" not in by_kind
    for name in ("config.json", "report.json", "sheets/step-000004.png"):
        assert (tmp_path / name).is_file()
    assert json.loads((tmp_path / "report.json").read_text())["last_step"] == 4
    assert second.best["step"] in (2, 4)
    assert [p.name for p in sorted(tmp_path.glob("checkpoint-*"))] == [
        "checkpoint-2",
        "checkpoint-4",
    ]
    assert not (tmp_path / ".unfinished").exists()


def test_last_weights_are_usable(tmp_path: Path) -> None:
    config = quick(tmp_path, steps=2)  # the first step of the warm-up has the rate 0
    report = train(config)
    model, _ = load_model(config)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    load_adapter(model, report.weights)
    changed = [n for n, w in model.named_parameters() if not torch.equal(before[n], w)]
    assert any(".lora_B." in name for name in changed)
    assert_same_weights(weights(report.weights), weights(tmp_path / "checkpoint-2"))


@pytest.mark.parametrize("schedule", ["linear", "constant"])
def test_resume_is_exact(tmp_path: Path, schedule) -> None:
    """4 steps = 2 + resume + 2, bit for bit: weights, data order, dropout, learning rates."""
    optimiser = OptimiserSettings(learning_rate=1e-3, warmup_steps=1, schedule=schedule)
    whole = quick(tmp_path / "whole", steps=4, accumulation=2, optimiser=optimiser)
    train(whole)
    parts = replace(whole, output=tmp_path / "parts")
    # Time is up after two of the four steps, so the learning rate falls as in the whole run.
    halted = train(replace(parts, minutes=1.0), clock=Clock(40.0))
    assert (halted.last_step, halted.stopped_by) == (2, "minutes")
    resumed = train(parts)
    assert (resumed.first_step, resumed.last_step, resumed.stopped_by) == (2, 4, "steps")
    last = [tmp_path / name / "checkpoint-4" for name in ("whole", "parts")]
    assert_same_weights(weights(last[0]), weights(last[1]))
    assert lines(whole.output) == lines(parts.output)
    states = [torch.load(path / "rng_state.pth", weights_only=False)["cpu"] for path in last]
    assert torch.equal(states[0], states[1])


def test_dropout_makes_the_random_state_matter(tmp_path: Path) -> None:
    """Without this the test above would hold for a resume that forgets the random state."""
    config = quick(tmp_path / "dropout", steps=2)
    without = replace(
        config, output=tmp_path / "none", adapter=replace(config.adapter, dropout=0.0)
    )
    train(config)
    train(without)
    one, other = (weights(c.output / "checkpoint-2") for c in (config, without))
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_watching_does_not_change_the_run(tmp_path: Path) -> None:
    """Validation, pictures and TensorBoard leave no trace in the weights."""

    class Rolling:
        def __call__(self, model: nn.Module) -> Mapping[str, float]:
            assert not model.training
            return {"face": float(torch.rand(()))}

    train(quick(tmp_path / "blind", steps=3))
    watched = quick(
        tmp_path / "watched", steps=3, validate_every=1, sheet_every=1, sheet_faces=1, held_out=2
    )
    train(watched, validator=Rolling())
    # The number of faces kept back does not change those that are learnt from either.
    one, other = (weights(tmp_path / name / "checkpoint-3") for name in ("blind", "watched"))
    assert_same_weights(one, other)


def test_best_is_kept(tmp_path: Path) -> None:
    given = iter([3.0, 1.0, 2.0])
    seen: list[dict[str, torch.Tensor]] = []

    class Scripted:
        def __call__(self, model: nn.Module) -> Mapping[str, float]:
            seen.append({n: p.clone() for n, p in model.named_parameters() if p.requires_grad})
            return {"error": next(given)}

    config = quick(tmp_path, steps=3, validate_every=1, best_metric="error")
    report = train(config, validator=Scripted())
    assert report.best == {"step": 2, "error": 1.0}
    head = "face_head.layers.0.weight"
    assert torch.equal(weights(tmp_path / "best")["head.layers.0.weight"], seen[1][head])
    assert not torch.equal(seen[1][head], seen[2][head])


def test_unknown_best_metric_is_named(tmp_path: Path) -> None:
    config = quick(tmp_path, steps=1, validate_every=1, best_metric="auc")
    with pytest.raises(ValueError, match=r"--best-metric is 'auc'.*photometric"):
        train(config)


def test_saves_every_so_many_minutes(tmp_path: Path) -> None:
    config = quick(tmp_path, steps=3, save_minutes=0.5, keep=9)
    train(config, clock=Clock(31.0))
    names = sorted(path.name for path in tmp_path.glob("checkpoint-*"))
    assert names == ["checkpoint-1", "checkpoint-2", "checkpoint-3"]


def test_tensorboard_hears_every_term(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    train(quick(tmp_path, steps=1, batch_size=6, tensorboard=True))
    [events] = (tmp_path / "tensorboard").glob("events.*")
    written = events.read_bytes()
    assert b"train/landmark/image" in written
    assert b"train/text/replay" in written


def test_old_checkpoints_go_and_a_resumed_run_saves_as_told(tmp_path: Path) -> None:
    train(quick(tmp_path, steps=2, save_every=1, keep=1))
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-2"]
    train(quick(tmp_path, steps=5, save_every=2, log_every=2, keep=9))
    names = sorted(path.name for path in tmp_path.glob("checkpoint-*"))
    assert names == ["checkpoint-2", "checkpoint-4", "checkpoint-5"]
    logged = [line["step"] for line in lines(tmp_path) if "loss" in line]
    assert logged == [1, 2, 4]


def test_other_settings_are_refused(tmp_path: Path) -> None:
    train(quick(tmp_path, steps=1))
    with pytest.raises(TrainConfigError, match=r"seed was 0 and is now 3.*--output DIR"):
        train(quick(tmp_path, steps=2, seed=3))
    assert json.loads((tmp_path / "config.json").read_text())["seed"] == 0


def test_fewer_steps_than_done_are_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-5").mkdir()
    with pytest.raises(TrainConfigError, match="has done 5 steps already, more than --steps 4"):
        train(quick(tmp_path, steps=4))


def test_kill_while_saving_leaves_the_last_good_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies when the optimiser is half written; the next call goes on from before."""
    config = quick(tmp_path, steps=4, save_every=2)
    write = FaceTrainer._save_optimizer_and_scheduler

    def die_at_four(self: FaceTrainer, folder: str) -> None:
        write(self, folder)
        if self.state.global_step == 4:
            (Path(folder) / "optimizer.pt").write_bytes(b"half")
            raise KeyboardInterrupt

    monkeypatch.setattr(FaceTrainer, "_save_optimizer_and_scheduler", die_at_four)
    with pytest.raises(KeyboardInterrupt):
        train(config)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-2"]
    resumed = train(config)
    assert (resumed.first_step, resumed.last_step) == (2, 4)
    whole = train(quick(tmp_path / "whole", steps=4, save_every=2))
    assert_same_weights(weights(resumed.weights), weights(whole.weights))


@pytest.fixture
def unconverted(monkeypatch: pytest.MonkeyPatch) -> None:
    """accelerate makes a new output from a dict of the old one's float32 tensors, which the type
    check of its dataclass refuses. Those of FaceGPT are float32 already."""
    monkeypatch.setattr("accelerate.accelerator.convert_outputs_to_fp32", lambda forward: forward)


@pytest.mark.usefixtures("unconverted")
def test_bfloat16_learns_in_float32(tmp_path: Path) -> None:
    report = train(quick(tmp_path, steps=2, batch_size=6, precision="bfloat16"))
    assert {weight.dtype for weight in weights(report.weights).values()} == {torch.float32}
    assert all(torch.isfinite(weight).all() for weight in weights(report.weights).values())
    exact = train(quick(tmp_path / "exact", steps=2, batch_size=6)).numbers
    assert report.numbers["loss"] != exact["loss"]
    assert report.numbers["loss"] == pytest.approx(exact["loss"], rel=0.05)


@pytest.mark.usefixtures("unconverted")
def test_any_model_on_this_disk_can_be_the_base(tmp_path: Path) -> None:
    """The recipe of `llava-7b`, on a tiny LLaVA in a folder and two replayed answers; a validator
    may use any method of the model, though its weights differ in dtype."""
    backbone, processor = tiny_backbone(0)
    base = tmp_path / "base"
    backbone.save_pretrained(base)
    processor.save_pretrained(base)
    replay = tmp_path / "replay.jsonl"
    replay.write_text('{"prompt": "One?", "answer": "1."}\n{"prompt": "Two?", "answer": "2."}\n')
    config = quick(
        tmp_path / "run",
        recipe="pretrained",
        base=str(base),
        precision="bfloat16",
        validate_every=2,
        instructions=(replay,),
        mixture=MixtureShares(0.0, 0.0, 0.0, 0.0, 0.0, 1.0),
    )
    images = [torch.full((3, 32, 32), 0.5)]
    asked = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "<FACE>"}]}]
    inputs = FaceGPTProcessor(processor).batch([asked], images)

    class ByPrefill:
        def __call__(self, model: nn.Module) -> Mapping[str, float]:
            faces = model.predict_faces(**inputs).theta
            assert faces.dtype == torch.float32
            return {"face": float(faces.abs().sum())}

    report = train(config, validator=ByPrefill())
    assert report.best["step"] == 2
    assert report.numbers["text"] == report.numbers["text/replay"] > 0
    model, _ = load_model(config)
    frozen = {weight.dtype for weight in model.parameters() if not weight.requires_grad}
    assert frozen == {torch.bfloat16}
    load_adapter(model, report.weights)


@pytest.mark.parametrize("name", ["llava-7b", "nano"])
def test_missing_base_says_what_to_do(name: str, tmp_path: Path) -> None:
    config = replace(PRESETS[name], output=tmp_path, base=str(tmp_path / "nothing"))
    with pytest.raises(BaseMissingError, match=r"facegpt train vision|hf download"):
        load_model(config)


def test_missing_data_is_found_before_the_model_is_loaded(tmp_path: Path) -> None:
    config = replace(PRESETS["llava-7b"], output=tmp_path)
    with pytest.raises(TrainConfigError, match="--data"):
        train(config)
