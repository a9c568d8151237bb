"""Instruction files: records found in any layout, bad ones passed over, memory bounded."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from facegpt.data import instructions as module
from facegpt.data.instructions import read_llava_json, read_replay, record_replay
from facegpt.data.schema import DatasetError


def record(number: int, *turns: str, image: str | None = None) -> dict[str, Any]:
    speakers = ("human", "gpt") * len(turns)
    talk = [{"from": s, "value": v} for s, v in zip(speakers, turns, strict=False)]
    whole: dict[str, Any] = {"id": str(number), "conversations": talk}
    return whole if image is None else {**whole, "image": image}


RECORDS = [
    record(0, 'Say "[{,}]" – né?', "Oui: né, 顔 😀."),
    record(1, "<image>\nWhat is it?", "A cat.", "Sure?", "Yes.", image="cats/1.jpg"),
    record(2, "No picture of it", "Lost.", image="cats/lost.jpg"),
    record(3, "Only a question"),
    record(4, "Make a face", "Sure, it is <FACE>."),
    record(5, "Tell", "x" * 7000),
    record(6, "First", "1", "Then", "y" * 7000),
    record(7, "Outside", "?", image="../secret.jpg"),
    record(8, "Last", "words"),
]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with one picture that RECORDS name, and one beside it that they may not reach."""
    (tmp_path / "images/cats").mkdir(parents=True)
    (tmp_path / "images/cats/1.jpg").write_bytes(b"not opened here")
    (tmp_path / "secret.jpg").write_bytes(b"not for them")
    return tmp_path / "images"


LAYOUTS = {
    "array": json.dumps(RECORDS, ensure_ascii=False),
    "indented": json.dumps(RECORDS, ensure_ascii=True, indent=2),
    "lines": "\n".join(json.dumps(r, ensure_ascii=False) for r in RECORDS) + "\n",
    "mark": "\ufeff" + json.dumps(RECORDS),
}


@pytest.mark.parametrize("chunk", [7, 1 << 22])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_llava_records_are_found_in_any_layout(
    tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch, layout: str, chunk: int
) -> None:
    monkeypatch.setattr(module, "_CHUNK_BYTES", chunk)
    path = tmp_path / "mix.json"
    path.write_text(LAYOUTS[layout], encoding="utf-8")
    found = read_llava_json(path, images)
    assert found.skipped == 5
    assert [instruction.turns[0][0] for instruction in found] == [
        'Say "[{,}]" – né?',
        "What is it?",
        "First",
        "Last",
    ]
    assert found[0].turns == (('Say "[{,}]" – né?', "Oui: né, 顔 😀."),)
    assert found[1].turns[1] == ("Sure?", "Yes.")
    assert found[1].image == images / "cats/1.jpg"
    assert found[2].turns == (("First", "1"),)
    assert found[3].image is None


def test_without_pictures_only_text_is_left(tmp_path: Path) -> None:
    path = tmp_path / "mix.json"
    path.write_text(LAYOUTS["array"], encoding="utf-8")
    assert [i.turns[0][0] for i in read_llava_json(path)] == ['Say "[{,}]" – né?', "First", "Last"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[{"id": 1}, {"conv', "no JSON from byte 12 of 18"),
        ("hello", "no JSON from byte 0"),
        ("[1, 2]", "no JSON from byte 1"),
        ("[]", "no usable instruction"),
        ('{"conversations": [5]}', "1 records were passed over"),
        ('{"conversations": ' + "[" * 100_000, "no JSON"),
    ],
)
def test_what_is_no_instruction_file_is_explained(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "mix.json"
    path.write_text(text)
    with pytest.raises(DatasetError, match=sentence):
        read_llava_json(path)
    with pytest.raises(DatasetError, match="cannot be read"):
        read_llava_json(tmp_path / "gone.json")


def test_a_file_without_end_is_not_swallowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK_BYTES", 100)
    monkeypatch.setattr(module, "_MOST_RECORD_BYTES", 1000)
    path = tmp_path / "mix.json"
    path.write_text('{"a": "' + "x" * 100_000)
    with pytest.raises(DatasetError, match="no object ends within"):
        read_llava_json(path)


def test_a_file_that_changes_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "mix.json"
    path.write_text(LAYOUTS["array"], encoding="utf-8")
    found = read_llava_json(path)
    path.write_text("[]")
    with pytest.raises(DatasetError, match="has changed"):
        found[1]


class Base:
    """A base model that fails after some answers."""

    def __init__(self, fails_at: int = 1000) -> None:
        self.fails_at = fails_at
        self.asked: list[str] = []

    def __call__(self, prompts: Sequence[str]) -> list[str]:
        self.asked += prompts
        if len(self.asked) > self.fails_at:
            raise KeyboardInterrupt
        return [f"{prompt}, né?" for prompt in prompts]


def test_replay_is_recorded_once_per_prompt(tmp_path: Path) -> None:
    path = tmp_path / "replay/base.jsonl"
    prompts = [f"question {n}" for n in range(7)] + ["question 0"]
    with pytest.raises(KeyboardInterrupt):
        record_replay(prompts, Base(fails_at=4), path, batch_size=2)
    with path.open("ab") as file:
        file.write(b'{"prompt": "question 4", "ans')
    base, told = Base(), []
    assert record_replay(prompts, base, path, batch_size=2, progress=told.append) == 7
    assert base.asked == ["question 4", "question 5", "question 6"]
    assert told == [6, 7]
    assert [i.turns for i in read_replay(path)] == [
        ((f"question {n}", f"question {n}, né?"),) for n in range(7)
    ]


def test_replay_does_not_write_into_another_file(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine\n")
    with pytest.raises(DatasetError, match="is no replay file"):
        record_replay(["a"], Base(), path)
    assert path.read_text() == "mine\n"
