"""Words against faces, counted over texts; what a single text says is tested in tests/data."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facegpt.evaluation.descriptions import (
    TOPICS,
    description_agreement,
    description_shares_by_texts,
)
from facegpt.evaluation.errors import MeasureError
from facegpt.evaluation.metrics import Bootstrap

FEW = Bootstrap(resamples=50)
SMILING = {"smile": 4.0, "yaw": 0.0, "mouth_open": 0.0}
SERIOUS = {"smile": -1.0, "yaw": 20.0, "mouth_open": 6.0}
UNCLEAR = {"smile": 0.6, "yaw": 6.0, "mouth_open": 1.5}
SENTENCES = (
    "She smiles broadly.",
    "He is not smiling.",
    "The head is turned to the right.",
    "He looks straight at the camera, lips closed.",
    "The mouth is open and he does not look happy.",
    "The nose is long.",
    "",
)


@given(data=st.data())
def test_shares_equal_those_of_single_texts(data: st.DataObject) -> None:
    faces = st.sampled_from([SMILING, SERIOUS, UNCLEAR])
    pairs = data.draw(st.lists(st.tuples(st.sampled_from(SENTENCES), faces), min_size=1))
    texts, semantics = zip(*pairs, strict=True)
    found = description_agreement(texts, semantics, FEW)
    expected = description_shares_by_texts(texts, semantics)
    assert list(found) == list(TOPICS)
    for topic, agreement in found.items():
        np.testing.assert_allclose(agreement.right_if_said.value, expected[topic])
        assert agreement.right_if_said.count <= agreement.right.count


def test_silence_counts_only_where_it_should() -> None:
    texts = ["She smiles broadly.", "The nose is long.", "He smiles.", "He smiles."]
    smile = description_agreement(texts, [SMILING, SMILING, SERIOUS, UNCLEAR], FEW)["smile"]
    # The last face is near the threshold; the second text says nothing.
    assert (smile.right.value, smile.right.count) == (pytest.approx(1 / 3), 3)
    assert (smile.right_if_said.value, smile.right_if_said.count) == (0.5, 2)


def test_a_question_tells_what_yes_is_about() -> None:
    asked = ["Is this person smiling?", "Is the mouth open?"]
    found = description_agreement(["Yes.", "No."], [SMILING, SMILING], FEW, questions=asked)
    assert found["smile"].right_if_said.count == 1
    assert found["smile"].right_if_said.value == 1.0
    assert found["mouth_open"].right_if_said.value == 1.0
    expected = description_shares_by_texts(["Yes.", "No."], [SMILING, SMILING], questions=asked)
    assert expected["smile"] == expected["mouth_open"] == 1.0
    assert math.isnan(expected["turned"])


def test_bad_input_is_named() -> None:
    with pytest.raises(MeasureError, match="texts and faces: 2 stand against 1"):
        description_agreement(["a", "b"], [SMILING])
    with pytest.raises(MeasureError, match="questions and texts: 0 stand against 1"):
        description_agreement(["a"], [SMILING], questions=[])
    with pytest.raises(MeasureError, match="face 1 has no finite 'yaw'"):
        description_agreement(["a", "b"], [SMILING, {"smile": 1.0, "mouth_open": 0.0}])
    with pytest.raises(MeasureError, match="face 0 has no finite 'smile'"):
        description_agreement(["a"], [{**SMILING, "smile": math.nan}])
