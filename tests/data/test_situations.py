"""Files of situations."""

import json
from pathlib import Path

import pytest

from facegpt.data.situations import Situation, SituationsError, read_situations

GOOD = {
    "situation": "Ice cracks under the sledge.",
    "face": "The eyes spring open.",
    "emotion": "fear",
    "arkit": {"eyeWideLeft": 0.65, "browInnerUp": 1},
}


def write(path: Path, *lines: object) -> Path:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


def test_situations_are_read_in_order(tmp_path: Path) -> None:
    file = write(tmp_path / "s.jsonl", GOOD, "", GOOD | {"situation": " Another one. "})
    first, second = read_situations(file)
    assert first == Situation(
        "Ice cracks under the sledge.",
        "The eyes spring open.",
        "fear",
        {"eyeWideLeft": 0.65, "browInnerUp": 1.0},
    )
    assert second.situation == "Another one."


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not JSON"),
        ([], "line 2: expected an object"),
        (GOOD | {"face": ""}, "line 2: 'face' must be a text"),
        (GOOD | {"emotion": None}, "line 2: 'emotion' must be"),
        (GOOD | {"arkit": [1]}, "line 2: 'arkit' must be"),
        (GOOD | {"arkit": {"jawOpen": 1.2}}, r"jawOpen must be in \[0, 1\], got 1.2"),
        (GOOD | {"arkit": {"jawOpen": True}}, "jawOpen must be"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: object, message: str) -> None:
    with pytest.raises(SituationsError, match=message):
        read_situations(write(tmp_path / "s.jsonl", GOOD, line))


RECIPE = {"situation": "A parcel comes from an old friend.", "emotion": "happiness"}


def test_an_emotion_with_its_strength_is_enough(tmp_path: Path) -> None:
    lines = [RECIPE | {"strength": strength} for strength in (0.0, 0.4, 0.9)]
    none, weak, strong = read_situations(write(tmp_path / "s.jsonl", *lines))
    assert none.face == weak.face == ""
    assert not any(none.arkit.values())
    assert 0 < weak.arkit["mouthSmileLeft"] < strong.arkit["mouthSmileLeft"] <= 1
    [alone] = read_situations(write(tmp_path / "t.jsonl", lines[1]))
    assert alone == weak


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (RECIPE | {"strength": 1.5}, r"'strength' must be in \[0, 1\], got 1.5"),
        (RECIPE | {"strength": True}, "'strength' must be"),
        (RECIPE | {"strength": float("nan")}, "'strength' must be"),
        (RECIPE | {"strength": 0.5, "emotion": "joy"}, "no emotion 'joy'"),
        (RECIPE, "'face' must be a text"),
    ],
)
def test_a_bad_recipe_is_named(tmp_path: Path, line: object, message: str) -> None:
    with pytest.raises(SituationsError, match=f"line 1: {message}"):
        read_situations(write(tmp_path / "s.jsonl", line))


def test_the_situations_of_the_project_can_be_read() -> None:
    file = Path(__file__).parents[2] / "scripts" / "everyday_situations.jsonl"
    situations = read_situations(file)
    assert len({s.situation for s in situations}) == len(situations) > 1000


def test_empty_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(SituationsError, match="no file"):
        read_situations(tmp_path / "none.jsonl")
    with pytest.raises(SituationsError, match="holds no situation"):
        read_situations(write(tmp_path / "s.jsonl", ""))
