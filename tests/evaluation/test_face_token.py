"""Scores of `<FACE>` agree with counting by hand and obey their laws."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facegpt.evaluation.errors import MeasureError
from facegpt.evaluation.face_token import (
    TokenScores,
    count_face_tokens,
    face_token_scores,
    face_token_shares_by_answers,
)
from facegpt.evaluation.metrics import Bootstrap

FEW = Bootstrap(resamples=50)
COUNTS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=30)


def values(scores: TokenScores) -> list[float]:
    return [estimate.value for estimate in vars(scores).values()]


@given(counts=COUNTS)
def test_scores_equal_counting_token_by_token(counts: list[tuple[int, int]]) -> None:
    written, wanted = np.array(counts).T
    np.testing.assert_allclose(
        values(face_token_scores(written, wanted, FEW)),
        face_token_shares_by_answers(written, wanted),
    )


@given(counts=COUNTS)
def test_exchanging_the_two_exchanges_precision_and_recall(counts: list[tuple[int, int]]) -> None:
    written, wanted = np.array(counts).T
    there, back = face_token_scores(written, wanted, FEW), face_token_scores(wanted, written, FEW)
    # As texts: NaN is not equal to itself.
    assert str(there.precision) == str(back.recall)
    assert str(there.recall) == str(back.precision)
    assert str(there.f1) == str(back.f1)
    p, r, f = there.precision.value, there.recall.value, there.f1.value
    if p > 0 and r > 0:
        assert f == pytest.approx(2 * p * r / (p + r))


def test_scores_of_a_known_table() -> None:
    # Three faces asked for and two made, one of four others made as well.
    written = np.array([1, 1, 0, 1, 0, 0, 0])
    wanted = np.array([1, 1, 1, 0, 0, 0, 0])
    found = face_token_scores(written, wanted, FEW)
    assert values(found) == pytest.approx([2 / 3, 2 / 3, 2 / 3, 3 / 4])
    assert [e.count for e in vars(found).values()] == [3, 3, 4, 4]
    for estimate in vars(found).values():
        assert estimate.interval.low <= estimate.value <= estimate.interval.high


def test_a_second_token_that_nobody_wanted_is_spare() -> None:
    found = face_token_scores(np.array([2]), np.array([1]), FEW)
    assert values(found)[:3] == pytest.approx([1 / 2, 1.0, 2 / 3])
    assert math.isnan(found.silence.value)


def test_nothing_written_has_no_precision() -> None:
    found = face_token_scores(np.array([0, 0]), np.array([1, 0]), FEW)
    assert math.isnan(found.precision.value)
    assert values(found)[1:] == [0.0, 0.0, 1.0]


def test_tokens_are_counted_in_texts() -> None:
    answers = ["Sure, it is <FACE>.", "No face here.", "<FACE> and <FACE>", ""]
    assert count_face_tokens(answers).tolist() == [1, 0, 2, 0]
    assert count_face_tokens(["[F]"], token="[F]").tolist() == [1]


def test_bad_counts_are_named() -> None:
    with pytest.raises(MeasureError, match="count of tokens is negative"):
        face_token_scores(np.array([-1]), np.array([1]))
    with pytest.raises(MeasureError, match="nothing to measure"):
        face_token_scores(np.zeros(0, int), np.zeros(0, int))
