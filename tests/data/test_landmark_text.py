"""68 points as text: the round trip, and whatever else a model may write."""

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facegpt.data.landmark_text import (
    CELLS,
    FEWEST_POINTS,
    PARTS,
    LandmarkTextError,
    read_landmarks,
    write_landmarks,
)

HALF_CELL_PX = 224 / CELLS / 2


def points(seed: int = 0) -> torch.Tensor:
    return torch.rand(68, 2, generator=torch.Generator().manual_seed(seed)) * 224 - 0.5


TEXT = write_landmarks(points())


def without(text: str, *entries: int) -> str:
    """The text without some of its points, counted from 0."""
    words, number = [], -1
    for word in text.split(" "):
        number += word[:4].isdigit()
        if not (word[:4].isdigit() and number in entries):
            words.append(word)
        elif word.endswith(";"):
            words[-1] += ";"
    return " ".join(words)


def missing(text: str) -> list[int]:
    """The numbers of the points that are not there."""
    return read_landmarks(text).landmarks68_px.isnan().any(dim=1).nonzero().flatten().tolist()


def test_the_parts_are_the_ibug_points() -> None:
    assert sum(PARTS.values()) == 68
    corner = torch.full((68, 2), -0.5)
    corner[36, 0], corner[67, 1] = 223.4, 112.0
    written = write_landmarks(corner)
    assert "; right eye 9900 0000 0000 0000 0000 0000; " in written
    assert written.startswith("jaw 0000 0000 ")
    assert written.endswith(" 0050")


@given(seed=st.integers(0, 999))
def test_round_trip(seed: int) -> None:
    wanted = points(seed)
    read = read_landmarks(write_landmarks(wanted))
    assert (read.count, read.malformed, read.surplus, read.problem) == (68, 0, 0, "")
    assert (read.landmarks68_px - wanted).abs().max() <= HALF_CELL_PX + 1e-4
    # What was read is written alike.
    assert write_landmarks(read.landmarks68_px) == write_landmarks(wanted)


def test_points_outside_the_crop_are_written_at_its_edge() -> None:
    far = torch.full((68, 2), 112.0)
    far[0], far[1] = torch.tensor([-30.0, 500.0]), torch.tensor([223.9, -0.6])
    assert write_landmarks(far).startswith("jaw 0099 9900 5050")


def test_what_is_not_finite_is_not_written() -> None:
    hole = points()
    hole[3, 1] = torch.nan
    with pytest.raises(LandmarkTextError, match=r"\[3\]"):
        write_landmarks(hole)


def test_a_missing_point_shifts_nothing_beyond_its_part() -> None:
    read = read_landmarks(without(TEXT, 3))
    assert read.landmarks68_px.isnan().any(dim=1).nonzero().flatten().tolist() == [16]
    torch.testing.assert_close(
        read.landmarks68_px[17:], read_landmarks(TEXT).landmarks68_px[17:], rtol=0, atol=0
    )


@pytest.mark.parametrize(
    ("broken", "gone", "malformed", "surplus"),
    [
        (TEXT[:-2], [67], 1, 0),  # half a number at the end
        (TEXT[: TEXT.index("outer")], list(range(48, 68)), 0, 0),
        (TEXT.replace("right brow ", "right brow 123 "), [17], 1, 1),
        (TEXT.replace("right brow ", "right brow -12345 "), [17], 1, 1),
        (TEXT.replace("bridge ", "bridge 4.5 "), [27], 1, 1),
        (f"{TEXT} 1234 5678", [], 0, 2),
        (f"{TEXT}; jaw 1111 2222", [], 0, 2),
        (f"0101 {TEXT}", [], 0, 1),
        (f"Sure, here they are: {TEXT}. I hope it helps!", [], 0, 0),
        (TEXT.replace("; ", ", and then the\n").upper(), [], 0, 0),
        ("", list(range(68)), 0, 0),
        ("The jaw is strong, the left eye is closed. <FACE>", list(range(68)), 0, 0),
    ],
)
def test_whatever_a_model_writes(
    broken: str, gone: list[int], malformed: int, surplus: int
) -> None:
    read = read_landmarks(broken)
    assert missing(broken) == gone
    assert (read.malformed, read.surplus) == (malformed, surplus)
    assert read.count == 68 - len(gone)


def test_a_part_that_was_named_before_its_points_is_not_lost() -> None:
    assert missing(f"Jaw and nostrils first. {TEXT}") == []


@given(seed=st.integers(0, 999))
def test_noise_never_breaks_the_reader(seed: int) -> None:
    dice = random.Random(seed)
    words = [*TEXT.split(" "), "９９９９", "12e4", "nan", "\x00", "left", "lip", ";;"]
    read = read_landmarks(" ".join(dice.choices(words, k=dice.randrange(120))))
    assert 0 <= read.count <= 68
    known = read.landmarks68_px[read.landmarks68_px.isfinite().all(dim=1)]
    assert bool(((known >= 0) & (known < 224)).all())


def test_too_few_points_are_a_failure() -> None:
    enough = without(TEXT, *range(FEWEST_POINTS, 68))
    assert read_landmarks(enough).problem == ""
    short = read_landmarks(without(TEXT, *range(FEWEST_POINTS - 1, 68)))
    assert short.problem == "33 of 68 points could be read, 34 are needed"


def test_points_in_one_place_are_a_failure() -> None:
    heap = torch.full((68, 2), 112.0)
    assert "within 0 x 0 px" in read_landmarks(write_landmarks(heap)).problem
