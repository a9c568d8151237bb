"""From measurements to facts, on faces whose theta was made for it."""

import pytest
import torch

from facegpt.data.facts import Facts, Scale, facts_of, labels_of, read_faces
from facegpt.losses import mean_light
from facegpt.morphable.blendshapes import expression_from_arkit
from facegpt.morphable.default import load_default
from facegpt.morphable.parameters import FaceParameters


def facts(
    arkit: dict[str, float] | None = None, *, is_grey: bool = False, **camera_degrees: float
) -> Facts:
    """Facts of the mean face with an expression and a pose (pitch, yaw, roll)."""
    theta = FaceParameters.zeros(1).replace(illumination=mean_light()[None])
    if arkit:
        theta = theta.replace(expression=expression_from_arkit(load_default(), arkit))
    angles = torch.tensor([[camera_degrees.get(n, 0.0) for n in ("pitch", "yaw", "roll")]])
    theta = theta.replace(camera=torch.cat([torch.deg2rad(angles), torch.zeros(1, 3)], dim=1))
    return facts_of(read_faces(theta, load_default(), is_grey=[is_grey])[0])


def both(action: str, weight: float) -> dict[str, float]:
    return {f"{action}Left": weight, f"{action}Right": weight}


def test_words_of_a_scale_change_at_its_edges() -> None:
    scale = Scale((1.0, 2.0), ("low", "middle", "high"))
    assert [scale(v) for v in (0.0, 0.99, 1.0, 1.5, 2.0, 9.0)] == [
        "low",
        "low",
        "middle",
        "middle",
        "high",
        "high",
    ]


def test_a_smile_grows_with_its_blendshape() -> None:
    order = ["none", "trace", "slight", "clear", "broad"]
    seen = [order.index(facts(both("mouthSmile", w)).smile) for w in (0.0, 0.12, 0.25, 0.45, 0.7)]
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0, 4)
    assert facts(both("mouthSmile", 0.6)).emotion == "happiness"


def test_a_dropping_jaw_opens_the_mouth_and_is_no_smile() -> None:
    seen = facts({"jawOpen": 0.5})
    assert (seen.mouth, seen.smile) == ("wide", "none")
    assert facts({}).mouth == "closed"


def test_the_corners_of_the_mouth_and_the_brows() -> None:
    sad = facts(both("mouthFrown", 0.8) | {"browInnerUp": 0.8})
    assert (sad.mouth_shape, sad.brows, sad.emotion) == ("frown", "inner raised", "sadness")
    assert facts(both("browDown", 0.8)).brows == "drawn down"
    raised = facts(both("browOuterUp", 0.9) | {"browInnerUp": 0.6})
    assert raised.brows == "raised"


def test_lids() -> None:
    assert facts(both("eyeBlink", 0.95)).eyes == "closed"
    assert facts(both("eyeWide", 0.9)).eyes == "wide"
    assert facts({"eyeBlinkLeft": 1.0}).eyes == "wink"


@pytest.mark.parametrize(
    ("degrees", "side", "strength"),
    [
        (-30.0, "left", "strong"),
        (-10.0, "left", "slight"),
        (2.0, "", "none"),
        (15.0, "right", "clear"),
    ],
)
def test_a_turned_head_is_named_by_the_side_of_the_picture(
    degrees: float, side: str, strength: str
) -> None:
    seen = facts(yaw=degrees)
    assert (seen.turned, seen.turn) == (side, strength)
    assert labels_of(seen)["yaw"] == (side or "frontal")


def test_nod_and_tilt() -> None:
    assert facts(pitch=12.0).nod == "down"
    assert facts(pitch=-12.0).nod == "up"
    # A positive roll leans the head to the left of the picture.
    assert facts(roll=8.0).tilted == "left"
    assert facts(roll=-8.0).tilted == "right"


def test_a_grey_photo_has_no_hues() -> None:
    assert facts(is_grey=True).undertone == ""
    assert facts(is_grey=True).warmth == ""


def test_light_comes_from_where_it_shines() -> None:
    light = mean_light().view(9, 3).clone()
    light[3] += 0.4  # The third harmonic grows to the right of the picture.
    theta = FaceParameters.zeros(1).replace(illumination=light.view(1, 27))
    seen = facts_of(read_faces(theta, load_default())[0])
    assert seen.light_side == "right"
    assert labels_of(seen)["light"] == "right"
