"""Which example comes when, and that nothing else decides what is in it."""

import pickle
from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from photo_folder import PhotoFolder

from facegpt.data.instructions import Instruction
from facegpt.data.mixture import (
    BLOCK,
    Example,
    Mixture,
    MixtureSettings,
    Schedule,
    exact_shares,
    face_mixture,
    seeded,
)
from facegpt.data.schema import DatasetError
from facegpt.data.situations import Situation
from facegpt.data.table import FaceTable
from facegpt.morphable.model import MorphableModel

SITUATIONS = [
    Situation(f"Day {n}.", f"A face of {n}.", "joy", {"jawOpen": 0.1 * n}) for n in range(4)
]
ALL = MixtureSettings(image=3.0, text=2.0, situation=1.0, talk=2.0, replay=1.0, seed=5)


def mixture_of(
    faces: FaceTable, model: MorphableModel, settings: MixtureSettings = ALL, **more: object
) -> Mixture:
    files = [[Instruction((("Hello", "Hi"),))], [Instruction((("One", "1"), ("Two", "2")))]]
    return face_mixture(
        settings, faces=faces, model=model, situations=SITUATIONS, instructions=files, **more
    )


def same(a: Example, b: Example) -> bool:
    pictures = [
        (a.image, b.image),
        *(() if a.target is None or b.target is None else [(a.target.photo, b.target.photo)]),
    ]
    return (
        (a.kind, a.messages, a.answer) == (b.kind, b.messages, b.answer)
        and (a.target is None) == (b.target is None)
        and all((x is None) == (y is None) for x, y in pictures)
        and all(torch.equal(x, y) for x, y in pictures if x is not None and y is not None)
    )


@given(st.lists(st.floats(1e-4, 1e3), min_size=1, max_size=6))
def test_shares_fill_a_block_and_are_near_the_weights(weights: list[float]) -> None:
    shares = exact_shares(weights)
    assert sum(shares) == BLOCK
    assert min(shares) >= 1
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share - BLOCK * weight / sum(weights)) <= len(weights)


def test_every_block_has_the_exact_shares() -> None:
    schedule = Schedule({"a": 3.0, "b": 1.0, "c": 0.0}, {"a": 7, "b": 1300, "c": 0}, seed=1)
    for block in (0, 5):
        kinds = Counter(schedule(block * BLOCK + i)[0] for i in range(BLOCK))
        assert kinds == {"a": 750, "b": 250}


def test_every_row_comes_once_before_one_comes_again() -> None:
    schedule = Schedule({"a": 1.0, "b": 2.0}, {"a": 500, "b": 3}, seed=1)
    rows = [row for kind, row in map(schedule, range(3 * BLOCK)) if kind == "a"]
    first, second = rows[:500], rows[500:999]
    assert sorted(first) == list(range(500))
    assert len(set(second)) == len(second)
    assert first[:499] != second
    others = [row for kind, row in map(schedule, range(BLOCK)) if kind == "b"][:300]
    assert all(sorted(others[i : i + 3]) == [0, 1, 2] for i in range(0, 300, 3))


def test_seeds_and_places_matter_and_nothing_else() -> None:
    def drawn(seed: int) -> list[tuple[str, int]]:
        schedule = Schedule({"a": 1.0, "b": 1.0}, {"a": 40, "b": 50}, seed)
        return [schedule(i) for i in range(200)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    schedule = Schedule({"a": 1.0, "b": 1.0}, {"a": 40, "b": 50}, 1)
    backwards = [schedule(i) for i in reversed(range(200))]
    assert backwards[::-1] == drawn(1)
    copy = pickle.loads(pickle.dumps(schedule))  # noqa: S301 - our own bytes
    assert [copy(i) for i in range(200)] == drawn(1)
    assert seeded(1, "a").initial_seed() != seeded(1, "b").initial_seed()


def test_an_example_depends_on_its_number_alone(
    faces: FaceTable, tiny_face_model: MorphableModel
) -> None:
    mixture = mixture_of(faces, tiny_face_model)
    forward = [mixture[i] for i in range(60)]
    resumed = mixture_of(FaceTable(faces.folders, cached_faces=1), tiny_face_model)
    for index in (59, 3, 58, 3, 30):
        assert same(resumed[index], forward[index])
    copy = pickle.loads(pickle.dumps(resumed))  # noqa: S301 - our own bytes
    assert all(same(copy[i], forward[i]) for i in range(20))
    other = mixture_of(faces, tiny_face_model, replace(ALL, seed=6))
    assert not all(same(other[i], forward[i]) for i in range(60))


def test_rows_held_back_are_never_seen(
    faces: FaceTable, tiny_face_model: MorphableModel, photos: PhotoFolder
) -> None:
    mixture = mixture_of(faces, tiny_face_model, rows=[0, 2, 3])
    said = str([mixture[i].messages + [mixture[i].answer] for i in range(300)])
    assert photos.names[0] in said
    assert photos.names[3] in said
    # c.png (row 2) has no words, the others are held back.
    assert not any(name in said for name in ("b.png", "c.png", "e.png", "f.png"))


@pytest.mark.parametrize("kind", ["image", "text", "composed", "situation", "talk", "replay"])
def test_a_kind_without_data_is_explained(kind: str) -> None:
    none = dict.fromkeys(("image", "text", "talk"), 0.0)
    settings = MixtureSettings(**{**none, kind: 0.5})
    with pytest.raises(DatasetError, match=f"--mixture.{kind} 0"):
        face_mixture(settings)


def test_faces_without_words_cannot_talk(faces: FaceTable) -> None:
    settings = MixtureSettings(text=0.0, talk=1.0)
    with pytest.raises(DatasetError, match="makes conversations"):
        face_mixture(settings, faces=faces, rows=[2])


@pytest.mark.parametrize(
    "changes",
    [
        {"image": -1.0},
        {"image": 0.0, "text": 0.0, "talk": 0.0},
        {"reason": 1.5},
        {"short": 0.7, "implicit": 0.7},
        {"turns_before": -1},
        {"talk_turns": 0},
        {"note": 2.0},
        {"unmeasured": -0.5},
        {"length": 0},
        {"talk": float("nan")},
    ],
)
def test_settings_that_cannot_be(changes: dict[str, float]) -> None:
    with pytest.raises(DatasetError, match="--mixture"):
        MixtureSettings(**changes)  # type: ignore[arg-type]


def test_the_mixture_ends(faces: FaceTable, tiny_face_model: MorphableModel) -> None:
    mixture = mixture_of(faces, tiny_face_model, replace(ALL, length=10))
    assert len(mixture) == 10
    for index in (10, -1):
        with pytest.raises(IndexError, match="a mixture of 10"):
            mixture[index]


def test_short_and_long_texts_are_runs_of_their_own(
    faces: FaceTable, tiny_face_model: MorphableModel
) -> None:
    settings = MixtureSettings(0.0, 1.0, 1.0, 0.0, 0.0, 0.0, short=0.25, run=4)
    mixture = mixture_of(faces, tiny_face_model, settings)
    kinds = [mixture.schedule(index)[0] for index in range(4 * BLOCK)]
    assert all(len(set(kinds[i : i + 4])) == 1 for i in range(0, len(kinds), 4))
    shares = {kind: kinds.count(kind) / len(kinds) for kind in set(kinds)}
    assert shares == pytest.approx(
        {"text": 0.375, "short text": 0.125, "composed": 0.375, "short composed": 0.125}, abs=1e-3
    )
    lengths = {
        kind: [
            len(mixture[index].messages[-1]["content"][-1]["text"])
            for index in range(400)
            if mixture.schedule(index)[0] == kind
        ]
        for kind in ("composed", "short composed")
    }
    assert max(lengths["short composed"]) < sum(lengths["composed"]) / len(lengths["composed"])


def test_a_note_needs_a_morphable_model(faces: FaceTable) -> None:
    with pytest.raises(DatasetError, match=r"--mixture\.note"):
        face_mixture(MixtureSettings(note=0.5), faces=faces)
