"""Reading answers: smile, turned, mouth open, with negations and with other things in between."""

import pytest

from facegpt.data.agreement import agrees, claims, truth

SEMANTICS = {"smile": 3.0, "yaw": -14.0, "mouth_open": 5.0}


@pytest.mark.parametrize(
    ("answer", "smile"),
    [
        ("She smiles broadly.", True),
        ("A wide grin shows the teeth.", True),
        ("He is not smiling.", False),
        ("There isn't any smile.", False),
        ("The face is unsmiling.", False),
        ("The lips are closed without smiling, and the brows are low.", False),
        ("No, there is no smile, though the eyes are bright.", False),
        ("It is far from a smile.", False),
        ("There is only a hint of a smile.", None),
        ("She barely smiles.", None),
        ("A very sad look.", False),
        ("He looks happy.", True),
        ("He does not look happy.", False),
        ("The nose is long.", None),
        ("", None),
    ],
)
def test_smiles(answer: str, smile: bool | None) -> None:
    assert claims(answer).smile is smile


@pytest.mark.parametrize(
    ("answer", "smile"), [("Yes, slightly.", True), ("No.", False), ("Blue.", None)]
)
def test_a_bare_answer_is_about_what_was_asked(answer: str, smile: bool | None) -> None:
    assert claims(answer, question="Is the person smiling?").smile is smile
    assert claims("Yes.", question="Are the eyes open?").smile is None


@pytest.mark.parametrize(
    ("answer", "side"),
    [
        ("The head is turned slightly to the left.", "left"),
        ("He faces the right of the picture.", "right"),
        ("Her head is rotated a little leftward.", "left"),
        ("Three-quarter view, turned to the right.", "right"),
        ("He looks straight at the camera, level.", ""),
        ("The head is frontal.", ""),
        ("It is turned neither left nor right.", ""),
        ("The head is turned to the left, to the right, or straight ahead.", None),
        ("It is not turned to the left or right.", ""),
        ("The head is not turned.", ""),
        ("Almost frontal, a touch to the left.", "left"),
        ("The person looks right at the viewer.", ""),
        ("Soft light comes from the right and the left cheek is darker.", None),
        ("The light is frontal. The left eye is closed.", None),
        ("Lips pushed forward.", None),
        ("His eyes look to the left.", None),
    ],
)
def test_turning(answer: str, side: str | None) -> None:
    assert claims(answer).turned == side


def test_a_short_answer_about_the_head() -> None:
    asked = "Which way is the head turned?"
    assert claims("Slightly to the right of the picture.", question=asked).turned == "right"
    assert claims("To the left.", question="Where does the light come from?").turned is None


@pytest.mark.parametrize(
    ("answer", "is_open"),
    [
        ("The mouth is wide open.", True),
        ("With closed lips she waits.", False),
        ("Her lips are slightly parted.", True),
        ("The mouth isn't open.", False),
        ("The lips are not closed.", True),
        ("The eyes are wide open and the mouth is shut.", False),
        ("The eyes are closed; the mouth gapes.", True),
        ("A closed-lip smile.", False),
        ("Eyes open.", None),
        ("He is laughing.", True),
        ("The nose is long.", None),
    ],
)
def test_mouths(answer: str, is_open: bool | None) -> None:
    assert claims(answer).mouth_open is is_open


@pytest.mark.parametrize(
    ("answer", "is_open"),
    [("It is closed.", False), ("Wide open.", True), ("Yes.", True), ("No, not at all.", False)],
)
def test_a_bare_answer_about_the_mouth(answer: str, is_open: bool) -> None:
    assert claims(answer, question="Is the mouth open?").mouth_open is is_open


def test_truth_is_silent_near_the_thresholds() -> None:
    assert truth(SEMANTICS) == claims(
        "She smiles, her mouth is open, her head is turned to the left."
    )
    unsure = truth({"smile": 0.6, "yaw": 6.5, "mouth_open": 1.5})
    assert (unsure.smile, unsure.turned, unsure.mouth_open) == (None, None, None)
    assert truth({"smile": 0.0, "yaw": 1.0, "mouth_open": 0.0}).turned == ""


def test_only_what_is_claimed_is_judged() -> None:
    assert agrees("She smiles.", SEMANTICS) == {"smile": True}
    wrong = agrees("He does not smile. The mouth is shut. He turns to the right.", SEMANTICS)
    assert wrong == {"smile": False, "mouth_open": False, "turned": False}
    assert agrees("A fine day.", SEMANTICS) == {}
    assert agrees("She smiles.", SEMANTICS | {"smile": 0.6}) == {}
