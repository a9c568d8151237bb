"""The loop: averages, groups of learning rates, and the guard against numbers that are none."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from facegpt.data.mixture import Example
from facegpt.model.adapter import adapter_parameters
from facegpt.training.checkpoints import checkpoints
from facegpt.training.collate import Collator
from facegpt.training.config import (
    ObjectiveWeights,
    OptimiserSettings,
    TrainConfig,
    TrainConfigError,
)
from facegpt.training.objective import FaceObjective
from facegpt.training.parts import Parts, build_parts
from facegpt.training.terms import NonFiniteTermError
from facegpt.training.trainer import FaceTrainer
from facegpt.training.weight_groups import weight_groups
from runs import assert_same_weights, quick, weights


def made(config: TrainConfig, *, shared_out: bool = False) -> tuple[FaceTrainer, Parts]:
    """A trainer of the debug preset and its parts."""
    parts = build_parts(config, config.steps * config.examples_per_step)
    collate = Collator(parts.processor)
    trainer = FaceTrainer(
        config,
        parts.model,
        parts.examples,
        collate,
        parts.objective,
        callbacks=[],
        cpu=True,
        share_out=collate.share_out if shared_out else None,
    )
    return trainer, parts


def test_update_does_not_depend_on_how_examples_are_dealt(tmp_path: Path) -> None:
    """One batch of six, two of three and six of one give the same gradient: L_txt is a mean over
    all tokens, L_face over all faces, though answers differ in length and some have no face. Nor
    does it matter which of them go together."""
    learnt = []
    for size, shared_out in ((6, False), (3, False), (1, False), (3, True), (2, True)):
        folder = tmp_path / f"{size} {shared_out}"
        config = quick(folder, steps=1, batch_size=size, accumulation=6 // size)
        config = replace(config, adapter=replace(config.adapter, dropout=0.0))
        trainer, _ = made(config, shared_out=shared_out)
        trainer.train()
        line = trainer.state.log_history[0]
        learnt.append([line["loss"], line["grad_norm"], line["text"], line["face"]])
    for other in learnt[1:]:
        torch.testing.assert_close(other, learnt[0], rtol=1e-4, atol=1e-5)


def test_loss_is_the_weighted_sum_of_its_terms(tmp_path: Path) -> None:
    chosen = ObjectiveWeights(text=0.5, face=0.2, theta=3.0)
    trainer, _ = made(quick(tmp_path, steps=1, batch_size=6, weights=chosen))
    trainer.train()
    line = trainer.state.log_history[0]
    face = sum(weight * line.get(name, 0.0) for name, weight in chosen.face_terms.items())
    assert line["face"] == pytest.approx(face, rel=1e-5)
    assert line["loss"] == pytest.approx(0.5 * line["text"] + 0.2 * line["face"], rel=1e-5)


def test_what_can_be_said_counts_for_faces_from_words_alone(tmp_path: Path) -> None:
    chosen = ObjectiveWeights(text=0.5, face=0.2, theta=3.0, measured=2.0)
    trainer, _ = made(quick(tmp_path, steps=1, batch_size=6, weights=chosen))
    trainer.train()
    line = trainer.state.log_history[0]
    assert "measured/image" not in line
    assert line["measured/text"] > 0
    for kind, more in (("image", 0.0), ("text", 2.0 * line["measured/text"])):
        plain = sum(w * line.get(f"{name}/{kind}", 0.0) for name, w in chosen.face_terms.items())
        assert line[f"face/{kind}"] == pytest.approx(plain + more, rel=1e-5)


def test_perceptual_term_speaks_seldom_and_loud(tmp_path: Path, monkeypatch) -> None:
    asked: list[bool] = []
    judge = FaceObjective.__call__

    def listen(self, theta, target, *, perceptual=False):
        asked.append(perceptual)
        terms = judge(self, theta, target, perceptual=False)
        return terms | ({"perceptual": torch.ones(len(theta))} if perceptual else {})

    monkeypatch.setattr(FaceObjective, "__call__", listen)
    only_identity = ObjectiveWeights(face=1.0, pixel=0.0, landmark=0.0, regularisation=0.0)
    trainer, _ = made(
        quick(
            tmp_path,
            steps=4,
            batch_size=6,
            perceptual_every=2,
            weights=only_identity,
        )
    )
    trainer.train()
    assert asked == [True, False, True, False]
    lines = [line for line in trainer.state.log_history if "loss" in line]
    assert [line["face"] for line in lines] == [0.5, 0.0, 0.5, 0.0]
    assert [line.get("perceptual") for line in lines] == [1.0, None, 1.0, None]


def test_every_weight_has_one_group_and_its_rate(tmp_path: Path) -> None:
    optimiser = OptimiserSettings(
        learning_rate=1e-3, head_learning_rate=2e-3, token_learning_rate=3e-3, warmup_steps=0
    )
    trainer, parts = made(quick(tmp_path, optimiser=optimiser))
    groups = weight_groups(parts.model)
    learning = {id(p) for p in parts.model.parameters() if p.requires_grad}
    grouped = [id(w) for group in groups.values() for w in group.values()]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == learning
    assert {name.split(".")[0] for name in groups["head"]} == {"head", "projector"}
    rates = [group["lr"] for group in trainer.create_optimizer().param_groups]
    assert rates == [1e-3, 2e-3, 3e-3]


def test_warm_up_then_a_line_to_zero(tmp_path: Path) -> None:
    optimiser = OptimiserSettings(learning_rate=1e-3, warmup_steps=2, schedule="linear")
    trainer, _ = made(quick(tmp_path, steps=6, batch_size=1, optimiser=optimiser))
    trainer.train()
    rates = [line["learning_rate"] for line in trainer.state.log_history if "loss" in line]
    assert rates == pytest.approx([0.0, 5e-4, 1e-3, 7.5e-4, 5e-4, 2.5e-4])


def poisoned(monkeypatch: pytest.MonkeyPatch, term: str, call: int) -> None:
    """From its `call`-th call on the objective gives NaN for the last face of one term."""
    judge, calls = FaceObjective.__call__, []

    def judge_badly(self, theta, target, *, perceptual=False):
        terms = judge(self, theta, target, perceptual=perceptual)
        calls.append(term)
        if len(calls) >= call:
            bad = torch.ones(len(theta))
            bad[-1] = float("nan")
            terms[term] = terms[term] * bad
        return terms

    monkeypatch.setattr(FaceObjective, "__call__", judge_badly)


def test_guard_names_term_kind_and_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of six examples (image, text, image, situation, talk, replay) the last face is a situation's;
    the third update is not taken."""
    trainer, parts = made(quick(tmp_path, steps=4, batch_size=6, save_every=1))
    poisoned(monkeypatch, "landmark", call=3)
    with pytest.raises(NonFiniteTermError) as caught:
        trainer.train()
    assert (caught.value.term, caught.value.kind) == ("landmark", "situation")
    assert caught.value.step == 3
    saved = checkpoints(tmp_path)
    assert saved[-1].name == "checkpoint-2"
    assert str(saved[-1]) in str(caught.value)
    now = {f"head.{k}": v.detach() for k, v in parts.model.face_head.named_parameters()}
    then = {k: v for k, v in weights(saved[-1]).items() if k.startswith("head.")}
    assert_same_weights(now, then)


def test_guard_looks_at_text(tmp_path: Path) -> None:
    trainer, parts = made(quick(tmp_path, steps=1, batch_size=6))
    with torch.no_grad():
        parts.model.get_decoder().norm.weight[0] = float("nan")
    with pytest.raises(NonFiniteTermError, match="'text'"):
        trainer.train()
    assert not checkpoints(tmp_path)


def test_guard_looks_at_theta_before_it_is_rendered(tmp_path: Path) -> None:
    trainer, parts = made(quick(tmp_path, steps=1, batch_size=6))
    with torch.no_grad():
        parts.model.face_head.layers[0].bias[0] = float("inf")
    with pytest.raises(NonFiniteTermError, match="'theta'"):
        trainer.train()


def test_guard_looks_at_the_gradient(tmp_path: Path) -> None:
    trainer, parts = made(quick(tmp_path, steps=1, batch_size=6))
    weight = parts.model.face_head.layers[0].weight
    before = weight.detach().clone()
    weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(NonFiniteTermError, match=r"gradient of face_head\.layers\.0\.weight"):
        trainer.train()
    assert torch.equal(weight, before)
    assert not checkpoints(tmp_path)


def debug_words(parts: Parts) -> Example:
    """The first example that asks for no face."""
    return next(e for e in map(parts.examples.__getitem__, range(6)) if e.target is None)


def test_words_alone_leave_the_head_alone(tmp_path: Path) -> None:
    """An update without a single face trains; the head gets a gradient, and it is zero."""
    trainer, parts = made(quick(tmp_path, steps=1, batch_size=6))
    trainer.train_dataset = [debug_words(parts)]
    before = {n: w.clone() for n, w in parts.model.face_head.named_parameters()}
    trainer.train()
    line = trainer.state.log_history[0]
    assert line["loss"] == pytest.approx(line["text"])
    assert "face" not in line
    for name, weight in parts.model.face_head.named_parameters():
        assert torch.equal(weight, before[name])


def test_what_is_frozen_stays_as_it_was(tmp_path: Path) -> None:
    trainer, parts = made(quick(tmp_path, steps=2, freeze_below=1))
    before = {k: v.detach().clone() for k, v in adapter_parameters(parts.model).items()}
    trainer.train()
    moved = {k for k, v in adapter_parameters(parts.model).items() if not torch.equal(v, before[k])}
    assert moved
    assert all("layers.1." in name or name.startswith("head.") for name in moved)
    assert any(name.startswith("head.") for name in moved)
    assert any("layers.1." in name for name in moved)


def test_something_must_learn(tmp_path: Path) -> None:
    with pytest.raises(TrainConfigError, match="--freeze-below 9 freezes all 2 layers"):
        made(quick(tmp_path, freeze_below=9))
