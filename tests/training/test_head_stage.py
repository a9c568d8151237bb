"""The head alone: what it predicts, that it learns, and that nothing else moves."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from facegpt.model.adapter import adapter_parameters
from facegpt.model.face_head import FaceHead
from facegpt.morphable.parameters import BLOCK_SIZES, FaceParameters
from facegpt.training import head_stage
from facegpt.training.collate import Collator
from facegpt.training.config import ObjectiveWeights
from facegpt.training.face_loss import FaceLoss
from facegpt.training.head_stage import (
    FaceStates,
    HeadStage,
    WhitenedHead,
    keep_untaught,
    read_states,
    refit_head,
    taught_by_words,
)
from facegpt.training.parts import Parts, build_parts
from facegpt.training.said import WordsToTheta
from facegpt.training.terms import NonFiniteTermError
from runs import quick

WEIGHTS = ObjectiveWeights(theta=1.0, measured=1.0)


def parts_and_states(tmp_path: Path, faces: int = 24) -> tuple[Parts, FaceStates]:
    """A random FaceGPT and its states for some examples."""
    parts = build_parts(quick(tmp_path), faces)
    batches = [[parts.examples[i] for i in range(a, a + 6)] for a in range(0, faces, 6)]
    return parts, read_states(parts.model, Collator(parts.processor), batches)


def uneven_states(count: int = 200, width: int = 12) -> torch.Tensor:
    """States that vary a hundred times more in some directions than in others."""
    generator = torch.Generator().manual_seed(0)
    spread = torch.logspace(0, 2, width)
    return torch.randn(count, width, generator=generator) * spread + 5.0


def test_states_are_those_that_the_model_makes_theta_of(tmp_path: Path) -> None:
    parts, states = parts_and_states(tmp_path)
    example = next(e for e in (parts.examples[i] for i in range(24)) if e.target is not None)
    inputs = dict(Collator(parts.processor)([example]).inputs)
    del inputs["labels"]
    theta = parts.model.predict_faces(**inputs).theta
    torch.testing.assert_close(parts.model.theta_of(states.hidden[:1]), theta, rtol=1e-4, atol=1e-5)
    assert len(states) == len(states.targets) == len(states.hidden)
    assert {"image", "text"} <= set(states.kinds)


def test_pictures_of_words_with_a_known_theta_are_not_kept(tmp_path: Path) -> None:
    _, states = parts_and_states(tmp_path)
    for kind, target in zip(states.kinds, states.targets, strict=True):
        assert target.skin.any() == (kind == "image" or target.theta is None)


def test_whitened_head_predicts_what_the_head_predicts() -> None:
    hidden = uneven_states()
    head = FaceHead([12, 16, 8, 5])
    head.reset(torch.Generator().manual_seed(1))
    whitened = WhitenedHead(head, hidden)
    states = whitened.states(hidden)
    torch.testing.assert_close(whitened(states), head(hidden), rtol=1e-4, atol=1e-4)
    before = {name: value.clone() for name, value in head.state_dict().items()}
    whitened.fold()
    for name, value in head.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=1e-4, atol=1e-4)


def test_whitened_states_vary_alike_in_every_direction_that_means_something() -> None:
    hidden = uneven_states()
    head = FaceHead([12, 5])
    variance = torch.linalg.eigvalsh(torch.cov(WhitenedHead(head, hidden).states(hidden).T))
    assert variance.max() == pytest.approx(1.0, rel=0.02)
    assert torch.cov(hidden.T).diagonal().max() > 1000


def error_after_descent(direction: int, *, whitens: bool) -> float:
    """What is left to learn of one direction of the states after thirty steps of plain descent, as
    long as the states allow."""
    hidden = uneven_states()
    wanted = (hidden[:, direction : direction + 1] - 5.0) / hidden[:, direction].std()
    head = FaceHead([12, 1])
    for weight in head.parameters():
        torch.nn.init.zeros_(weight)
    learner = WhitenedHead(head, hidden) if whitens else head
    states = learner.states(hidden) if isinstance(learner, WhitenedHead) else hidden
    longest = float(torch.linalg.eigvalsh(states.T @ states / len(states)).max())
    optimiser = torch.optim.SGD(learner.parameters(), lr=0.5 / longest)
    for _ in range(30):
        loss = (learner(states) - wanted).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return float((learner(states) - wanted).square().mean().detach())


def test_what_varies_little_is_learnt_as_fast_as_what_varies_much() -> None:
    assert error_after_descent(11, whitens=True) < 0.01
    assert error_after_descent(6, whitens=True) < 0.01
    assert error_after_descent(11, whitens=False) < 0.01
    assert error_after_descent(6, whitens=False) > 0.3


def test_faces_from_words_keep_what_is_not_taught(tmp_path: Path) -> None:
    parts, states = parts_and_states(tmp_path)
    with torch.no_grad():
        now = FaceParameters.from_vector(parts.model.theta_of(states.hidden)).blocks()
    kept = keep_untaught(parts.model, states, ("albedo",))
    for row, (kind, old, new) in enumerate(
        zip(states.kinds, states.targets, kept.targets, strict=True)
    ):
        if kind == "image" or old.theta is None:
            assert new is old
            continue
        wanted, given = (FaceParameters.from_vector(t.theta[None]).blocks() for t in (new, old))
        assert torch.equal(wanted["albedo"], given["albedo"])
        for block in ("shape", "expression", "illumination", "camera"):
            assert torch.equal(wanted[block][0], now[block][row])


def test_composed_people_teach_all_but_the_light(tmp_path: Path) -> None:
    parts, states = parts_and_states(tmp_path)
    with torch.no_grad():
        now = parts.model.theta_of(states.hidden)
    row = next(i for i, kind in enumerate(states.kinds) if kind == "text")
    whole = torch.ones(257, dtype=torch.bool)
    composed = replace(states.targets[row], theta=torch.full((257,), 0.5), theta_mask=whole)
    targets = [*states.targets]
    targets[row] = composed
    kept = keep_untaught(parts.model, replace(states, targets=targets), ("albedo",))
    theta = kept.targets[row].theta
    assert theta is not None
    wanted, made = (FaceParameters.from_vector(t[None]).blocks() for t in (theta, now[row]))
    for block, values in wanted.items():
        given = made[block] if block == "illumination" else torch.full_like(values, 0.5)
        torch.testing.assert_close(values, given)


def test_words_teach_composed_people_and_nobody_else(tmp_path: Path) -> None:
    _, states = parts_and_states(tmp_path)
    row = next(i for i, kind in enumerate(states.kinds) if kind == "text")
    assert states.texts[row]
    whole = torch.ones(257, dtype=torch.bool)
    targets = [*states.targets]
    targets[row] = replace(targets[row], theta=torch.full((257,), 0.5), theta_mask=whole)
    words = WordsToTheta(["nose"], 257, 4)
    words.center.fill_(0.25)
    taught = taught_by_words(replace(states, targets=targets), words)
    for number, (old, new) in enumerate(zip(targets, taught.targets, strict=True)):
        if number == row:
            assert new.theta is not None
            assert torch.equal(new.theta, words.center)
            assert new.theta_mask is whole
        else:
            assert new is old


def test_words_that_say_nothing_of_a_block_mean_the_typical_face(tmp_path: Path) -> None:
    parts, states = parts_and_states(tmp_path)
    row = next(i for i, t in enumerate(states.targets) if t.theta is not None)
    told = torch.zeros(257, dtype=torch.bool)
    told[80:144] = True  # the expression
    bare = replace(states.targets[row], theta=torch.full((257,), 7.0), theta_mask=told)
    kinds, targets = (*states.kinds, "situation"), [*states.targets, bare]
    more = FaceStates(
        torch.cat([states.hidden, states.hidden[:1]]), kinds, targets, (*states.texts, "")
    )
    kept = keep_untaught(parts.model, more, ("shape", "albedo")).targets[-1]
    photos = [t.theta for k, t in zip(kinds, targets, strict=True) if k == "image"]
    typical = torch.stack([theta for theta in photos if theta is not None]).mean(dim=0)
    with torch.no_grad():
        now = parts.model.theta_of(states.hidden[:1])[0]
    assert kept.theta is not None
    assert kept.theta_mask is not None
    wanted, made, mean = (
        FaceParameters.from_vector(t[None]).blocks() for t in (kept.theta, now, typical)
    )
    for block in ("shape", "albedo"):
        torch.testing.assert_close(wanted[block], mean[block])
    for block in ("expression", "illumination", "camera"):
        torch.testing.assert_close(wanted[block], made[block])
    is_known = FaceParameters.from_vector(kept.theta_mask[None].float()).blocks()
    shares = {block: float(values.mean()) for block, values in is_known.items()}
    assert shares == {
        "shape": 1.0,
        "expression": 1.0,
        "albedo": 1.0,
        "illumination": 0.0,
        "camera": 0.0,
    }


def test_head_learns_its_faces_and_nothing_else_moves(tmp_path: Path) -> None:
    parts, states = parts_and_states(tmp_path)
    before = {n: w.detach().clone() for n, w in adapter_parameters(parts.model).items()}
    losses: list[float] = []
    stage = HeadStage(1, 60, len(states), learning_rate=0.01, taught=tuple(BLOCK_SIZES))
    refit_head(
        parts.model,
        states,
        FaceLoss(parts.objective, WEIGHTS),
        stage,
        lambda _, loss: losses.append(loss),
    )
    assert losses[-1] < 0.8 * losses[0]
    for name, weight in adapter_parameters(parts.model).items():
        assert torch.equal(weight, before[name]) == (not name.startswith("head")), name
    hidden, targets, kinds = states.batch(range(len(states)))
    with torch.no_grad():
        folded = FaceLoss(parts.objective, WEIGHTS)(parts.model.theta_of(hidden), targets, kinds)
    assert float(folded.mean()) == pytest.approx(losses[-1], rel=0.02)


def test_several_heads_are_averaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts, states = parts_and_states(tmp_path, faces=12)
    before = parts.model.face_head.layers[-1].bias.detach().clone()

    def learn(head: WhitenedHead, *given: Any) -> None:
        number = given[-2]
        with torch.no_grad():
            head.others[-1].add_(float(number**2))

    monkeypatch.setattr(head_stage, "_learn", learn)
    loss = FaceLoss(parts.objective, WEIGHTS)
    refit_head(parts.model, states, loss, HeadStage(heads=3, steps=1))
    torch.testing.assert_close(parts.model.face_head.layers[-1].bias, before + 5 / 3)


def test_every_head_reports_its_steps_and_goes_its_own_way(tmp_path: Path) -> None:
    learnt = {}
    for heads in (1, 2):
        parts, states = parts_and_states(tmp_path, faces=12)
        steps: list[int] = []
        loss, stage = FaceLoss(parts.objective, WEIGHTS), HeadStage(heads, 4, 4)
        refit_head(parts.model, states, loss, stage, lambda step, _, told=steps: told.append(step))
        assert steps == list(range(4 * heads))
        learnt[heads] = parts.model.face_head.state_dict()
    assert any(not torch.allclose(learnt[1][name], learnt[2][name]) for name in learnt[1])


def test_same_seed_same_head(tmp_path: Path) -> None:
    learnt = []
    for _ in range(2):
        parts, states = parts_and_states(tmp_path, faces=12)
        loss = FaceLoss(parts.objective, WEIGHTS)
        refit_head(parts.model, states, loss, HeadStage(heads=2, steps=3, batch_size=4))
        learnt.append(parts.model.face_head.state_dict())
    for name, weight in learnt[0].items():
        assert torch.equal(weight, learnt[1][name])


class Poisoned(FaceLoss):
    """A loss that is no number."""

    def __call__(self, *given: Any, **named: Any) -> torch.Tensor:
        return super().__call__(*given, **named) * float("nan")


def test_a_loss_that_is_no_number_leaves_the_head_as_it_was(tmp_path: Path) -> None:
    parts, states = parts_and_states(tmp_path, faces=12)
    before = {n: w.clone() for n, w in parts.model.face_head.state_dict().items()}
    loss = Poisoned(parts.objective, WEIGHTS)
    with pytest.raises(NonFiniteTermError, match="head is as it was"):
        refit_head(parts.model, states, loss, HeadStage(steps=2))
    for name, value in parts.model.face_head.state_dict().items():
        assert torch.equal(value, before[name])


def test_nothing_to_learn_from_is_said(tmp_path: Path) -> None:
    parts, states = parts_and_states(tmp_path, faces=12)
    nothing = FaceStates(states.hidden[:0], (), (), ())
    with pytest.raises(ValueError, match="no face to learn from"):
        refit_head(parts.model, nothing, FaceLoss(parts.objective, WEIGHTS), HeadStage())


@pytest.mark.parametrize("wrong", [{"heads": 0}, {"steps": 0}, {"batch_size": 0}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        HeadStage(**wrong)
    with pytest.raises(ValueError, match="--taught knows"):
        HeadStage(taught=("skin",))
