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


def test_empty_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(SituationsError, match="no file"):
        read_situations(tmp_path / "none.jsonl")
    with pytest.raises(SituationsError, match="holds no situation"):
        read_situations(write(tmp_path / "s.jsonl", ""))
