"""What a run draws from the data that its config names."""

from dataclasses import fields, replace

import pytest
import torch

from facegpt.data.examples import ComposedToFace, ImageToFace, TextToFace
from facegpt.data.mixture import Example, FaceTarget, Mixture, MixtureSettings
from facegpt.data.table import FaceTable
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import PARAMETER_COUNT
from facegpt.training import examples as module
from facegpt.training.config import MixtureShares, TrainConfigError
from facegpt.training.examples import Reshuffled, WithoutTheta, changed, draw_examples
from facegpt.training.presets import PRESETS


def face(theta: bool = True) -> FaceTarget:
    generator = torch.Generator().manual_seed(0)
    return FaceTarget(
        photo=torch.rand(3, 224, 224, generator=generator),
        skin=torch.ones(224, 224, dtype=torch.bool),
        landmarks68_px=torch.rand(68, 2, generator=generator) * 100 + 60,
        is_grey=False,
        theta=torch.ones(PARAMETER_COUNT) if theta else None,
    )


def example(number: int, target: FaceTarget | None = None) -> Example:
    return Example("replay", [], str(number), None, target)


def test_every_round_is_whole_and_differs() -> None:
    drawn = Reshuffled([example(n) for n in range(6)], 18, seed=0)
    numbers = [int(drawn[i].answer) for i in range(18)]
    rounds = [numbers[i : i + 6] for i in (0, 6, 12)]
    assert all(sorted(each) == list(range(6)) for each in rounds)
    assert rounds[0] != rounds[1]
    # At random access, in any order.
    assert [int(drawn[i].answer) for i in reversed(range(18))] == numbers[::-1]
    with pytest.raises(IndexError):
        drawn[18]


def test_mixture_settings_are_all_in_the_config() -> None:
    """A field that data/ gains and the config does not would silently keep its default."""
    shares = {f.name for f in fields(MixtureShares)}
    of_the_run = {"length", "seed", "run"}
    assert shares == {f.name for f in fields(MixtureSettings)} - of_the_run


def test_changed_faces_stay_aligned_and_never_mirror() -> None:
    target = face()
    seen = [changed(target, torch.Generator().manual_seed(seed)) for seed in range(20)]
    left_eye_is_left = [
        bool((t.landmarks68_px[:, 0] - target.landmarks68_px[:, 0]).abs().mean() < 40) for t in seen
    ]
    assert all(left_eye_is_left)
    for t in seen:
        assert t.theta_mask is not None
        assert t.theta_mask[:-6].all()
        assert not t.theta_mask[-6:].any()
    again = changed(target, torch.Generator().manual_seed(3))
    assert torch.equal(again.photo, seen[3].photo)
    assert changed(face(theta=False), torch.Generator().manual_seed(0)).theta_mask is None


def test_fitted_theta_can_be_left_out() -> None:
    class One:
        def __len__(self) -> int:
            return 3

        def example(self, row: int, generator: torch.Generator) -> Example:
            return example(row, face() if row else None)

    plain = WithoutTheta(One())
    assert len(plain) == 3
    judged = plain.example(1, torch.Generator()).target
    assert judged is not None
    assert judged.theta is None
    assert plain.example(0, torch.Generator()).target is None


@pytest.mark.parametrize(
    ("shares", "flag"),
    [
        (MixtureShares(0.0, 0.0, 1.0, 1.0, 0.0, 0.0), "--situations"),
        (MixtureShares(0.0, 0.0, 1.0, 0.0, 0.0, 1.0), "--instructions"),
        (MixtureShares(0.0, 0.0, 1.0, 0.0, 1.0, 0.0), "--data"),
    ],
)
def test_kinds_without_data_name_the_flag(shares: MixtureShares, flag: str) -> None:
    config = replace(PRESETS["nano"], mixture=shares)
    with pytest.raises(TrainConfigError, match=flag):
        draw_examples(config, 10)


def test_composed_people_need_no_data() -> None:
    config = replace(PRESETS["nano"], mixture=MixtureShares(0.0, 0.0, 1.0, 0.0, 0.0, 0.0))
    drawn = draw_examples(config, 2)
    assert len(drawn.training) == 2
    assert drawn.training.schedule.kinds == ("composed", "short composed")
    assert drawn.held_out == []


def test_theta_of_photos_counts_only_when_supervised(
    monkeypatch: pytest.MonkeyPatch, tiny_face_model: MorphableModel
) -> None:
    table = object.__new__(FaceTable)  # Nothing is read from it.
    sources = {
        "image": ImageToFace(table, [0]),
        "text": TextToFace(table, [0]),
        "short text": TextToFace(table, [0], short=1.0),
        "composed": ComposedToFace(tiny_face_model),
    }
    monkeypatch.setattr(module, "face_mixture", lambda settings, **_: Mixture(settings, sources))
    shares = MixtureShares(0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
    for supervised, expected in ((True, set()), (False, {"image", "text", "short text"})):
        config = replace(PRESETS["nano"], mixture=shares, supervise_photos=supervised)
        drawn = draw_examples(config, 4).training.sources
        assert {k for k, source in drawn.items() if isinstance(source, WithoutTheta)} == expected
