"""Agreement of weights, action by action: twins, closed forms, laws."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facegpt.evaluation.errors import MeasureError, UnknownActionError
from facegpt.evaluation.expressions import (
    Zone,
    action_agreement,
    action_shares_by_faces,
    expression_cosines,
    expression_cosines_by_faces,
    weight_matrix,
)
from facegpt.evaluation.metrics import Bootstrap

SEEDS = st.integers(0, 10_000)
NAMES = ("jawOpen", "mouthSmileLeft", "mouthSmileRight")
FEW = Bootstrap(resamples=50)


def weights(seed: int, count: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    return draw.choice([0.0, 0.03, 0.1, 0.125, 0.2, 0.6], size=(count, 3))


@given(seed=SEEDS, count=st.integers(1, 20), centred=st.booleans())
def test_measures_equal_their_twins(seed: int, count: int, centred: bool) -> None:
    predicted, wanted = weights(seed, count), weights(seed + 1, count)
    centre = weights(seed + 2, 1)[0] if centred else None
    np.testing.assert_allclose(
        expression_cosines(predicted, wanted, centre=centre),
        expression_cosines_by_faces(predicted, wanted, centre=centre),
    )
    found = action_agreement(predicted, wanted, NAMES, FEW, centre=centre)
    shares = [[a.shown.value, a.still.value, a.sign.value] for a in found.values()]
    expected = action_shares_by_faces(predicted, wanted, centre=centre)
    np.testing.assert_allclose(shares, expected)
    assert list(found) == list(NAMES)


def test_an_action_is_judged_where_it_is_clear() -> None:
    wanted = np.array([[0.9], [0.2], [0.1], [0.05], [0.0]])
    predicted = np.array([[0.5], [0.1], [0.0], [0.3], [0.0]])
    smile = action_agreement(predicted, wanted, ["smile"], FEW)["smile"]
    # Wanted of the first two and shown by one, not wanted of the last two and kept by one.
    assert (smile.shown.value, smile.shown.count) == (0.5, 2)
    assert (smile.still.value, smile.still.count) == (0.5, 2)
    # Pairs of wanted and not: 0.5 beats 0.3 and 0, 0.1 beats 0.
    assert smile.auc == 3 / 4
    # Off the still face by more than 0.05: the first three, of which one does not move.
    assert (smile.sign.value, smile.sign.count) == (pytest.approx(2 / 3), 3)


def test_the_sign_is_seen_from_the_centre() -> None:
    wanted = np.array([[0.6], [0.1], [0.41]])
    predicted = np.array([[0.45], [0.3], [0.0]])
    found = action_agreement(predicted, wanted, ["smile"], FEW, centre=np.array([0.4]))
    assert (found["smile"].sign.value, found["smile"].sign.count) == (1.0, 2)
    constant = np.full((3, 1), 0.4)
    found = action_agreement(constant, wanted, ["smile"], FEW, centre=np.array([0.4]))
    assert found["smile"].sign.value == 0.0


@given(seed=SEEDS)
def test_what_is_wanted_agrees_in_full(seed: int) -> None:
    wanted = weights(seed, 12)
    for action in action_agreement(wanted, wanted, NAMES, FEW).values():
        for estimate in (action.shown, action.still, action.sign):
            assert estimate.count == 0 or estimate.value == 1.0
        assert math.isnan(action.auc) or action.auc == 1.0
    moving = wanted.any(axis=1)
    np.testing.assert_allclose(expression_cosines(wanted, wanted), moving.astype(float))


@given(seed=SEEDS, factor=st.floats(0.1, 10))
def test_the_cosine_forgets_the_strength(seed: int, factor: float) -> None:
    predicted, wanted = weights(seed, 8), weights(seed + 1, 8)
    np.testing.assert_allclose(
        expression_cosines(factor * predicted, wanted), expression_cosines(predicted, wanted)
    )


def test_a_face_without_expression_agrees_with_nobody() -> None:
    wanted = np.array([[0.5, 0.0, 0.0]])
    assert expression_cosines(np.zeros((1, 3)), wanted).tolist() == [0.0]
    assert expression_cosines(wanted, wanted, centre=wanted[0]).tolist() == [0.0]


def test_weights_by_name_become_columns() -> None:
    faces = [{"mouthSmileRight": 0.5}, {}, {"jawOpen": 1.0, "mouthSmileLeft": 0.25}]
    expected = [[0.0, 0.0, 0.5], [0.0, 0.0, 0.0], [1.0, 0.25, 0.0]]
    assert weight_matrix(faces, NAMES).tolist() == expected
    with pytest.raises(UnknownActionError, match=r"face 1 .* 'jawOpn'.* did you mean 'jawOpen'"):
        weight_matrix([{}, {"jawOpn": 0.5}], NAMES)


def test_bad_input_is_named() -> None:
    good = weights(0, 4)
    with pytest.raises(MeasureError, match="2 names stand against 3 columns"):
        action_agreement(good, good, NAMES[:2], FEW)
    with pytest.raises(MeasureError, match="wanted weights: item 0 is not finite"):
        expression_cosines(good, good * np.nan)
    with pytest.raises(MeasureError, match="quiet < active"):
        Zone(quiet=0.3, active=0.2)
