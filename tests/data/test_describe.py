"""The `file` describer."""

import json
from pathlib import Path

import pytest
import torch

from facegpt.data.describe import (
    DescribeFailure,
    DescribeItem,
    Describer,
    Description,
    DescriptionsError,
    FileDescriber,
)

FULL = {
    "image": "a.jpg",
    "description": "She has a long face. She smiles.",
    "short": "a woman with a long face",
    "qa": [{"q": "Is she smiling?", "a": "Yes."}],
    "implicit": ["This person has won."],
    "expression": "happiness",
    "intensity": 2,
    "yaw": "left",
    "best": 1,
}


def write(path: Path, *lines: object) -> Path:
    texts = [
        line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines
    ]
    path.write_text("\n".join(texts), encoding="utf-8")
    return path


def item(source: str) -> DescribeItem:
    return DescribeItem(f"{source}:0", source, torch.zeros(3, 4, 4), None)


def test_a_description_is_found_by_the_name_of_the_picture(tmp_path: Path) -> None:
    describer = FileDescriber([write(tmp_path / "d.jsonl", FULL)])
    assert isinstance(describer, Describer)
    found, missing = describer.describe([item("folder/a.jpg"), item("b.jpg")])
    assert found == Description(
        descriptions=("She has a long face. She smiles.",),
        short="a woman with a long face",
        conversations=(("Is she smiling?", "Yes."),),
        implicit=("This person has won.",),
        labels={"expression": "happiness", "intensity": "2", "yaw": "left"},
    )
    assert missing == DescribeFailure("b.jpg:0", "no description of b.jpg in the files")
    assert describer.damaged == ()


def test_damaged_lines_are_reported_and_left_out(tmp_path: Path) -> None:
    file = write(
        tmp_path / "d.jsonl",
        "not json",
        FULL,
        {"image": "b.jpg"},
        {"image": "", "description": "x"},
        {"image": "c.jpg", "description": "x", "qa": [{"q": "?"}]},
        {"image": "d.jpg", "description": "x", "short": 3},
        {"image": "e.jpg", "description": "x", "implicit": "one"},
        "[]",
    )
    describer = FileDescriber([file])
    assert len(describer) == 1
    assert [int(d.split("line ")[1].split(":")[0]) for d in describer.damaged] == [
        1,
        3,
        4,
        5,
        6,
        7,
        8,
    ]


def test_lines_about_one_picture_add_up(tmp_path: Path) -> None:
    first = write(tmp_path / "1.jsonl", FULL)
    second = write(
        tmp_path / "2.jsonl", {"image": "x\\a.jpg", "description": ["Another.", "A third."]}
    )
    [said] = FileDescriber([first, second]).describe([item("a.jpg")])
    assert isinstance(said, Description)
    assert said.descriptions == ("She has a long face. She smiles.", "Another.", "A third.")
    assert said.short == "a woman with a long face"


def test_unusual_line_ends_inside_a_text_are_no_line_ends(tmp_path: Path) -> None:
    record = {"image": "a.jpg", "description": "One\u2028two."}
    [said] = FileDescriber([write(tmp_path / "d.jsonl", record)]).describe([item("a.jpg")])
    assert isinstance(said, Description)
    assert said.descriptions == ("One two.",)


def test_files_of_no_use_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DescriptionsError, match="no file of descriptions at"):
        FileDescriber([tmp_path / "none.jsonl"])
    with pytest.raises(DescriptionsError, match="line 1"):
        FileDescriber([write(tmp_path / "d.jsonl", "{")])
    with pytest.raises(DescriptionsError, match="there are no lines"):
        FileDescriber([write(tmp_path / "e.jsonl", "")])
