"""Faces as HTML: escaped, complete, with the command that makes them again."""

import shlex
from html.parser import HTMLParser
from typing import Any

import pytest

from facegpt.morphable.model import MorphableModel
from facegpt.web.page import cards
from facegpt.web.page.about import about_page
from facegpt.web.page.talk import ShownFace
from tiny_facegpt import tiny_facegpt

EVIL = "<script>alert('\"')</script>"
VOID = {"img", "meta", "link", "br"}


class Checked(HTMLParser):
    """Every element that was opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def tags_of(page: str) -> set[str]:
    parser = Checked()
    parser.feed(page)
    assert not parser.open
    return parser.seen


@pytest.fixture
def record(tiny_face_model: MorphableModel) -> dict[str, Any]:
    [face] = tiny_facegpt(tiny_face_model).imagine("a man")
    return face.to_record()


def shown(record: dict[str, Any], **fields: Any) -> ShownFace:
    given = {"origin": EVIL, "words": EVIL, "overlay": "data:image/jpeg;base64,AAAA"} | fields
    return ShownFace("i" * 22, "Face 1", record=record, **given)


def test_a_card_shows_the_head_and_the_photo_and_nothing_that_runs(record: dict[str, Any]) -> None:
    page = cards.card(shown(record))
    assert "script" not in tags_of(page)
    assert {"facegpt-head", "img", "details", "table", "meter", "button"} <= tags_of(page)
    assert f'src="v1/faces/{"i" * 22}.glb"' in page
    assert "<img" not in cards.card(shown(record, overlay=""))


def test_tables_hold_every_measurement_and_blendshape(record: dict[str, Any]) -> None:
    measured, weights = cards.measurement_table(record), cards.arkit_table(record)
    assert tags_of(measured) == tags_of(cards.difference_table(shown(record), shown(record))) - {
        "caption"
    }
    assert measured.count("<tr>") == len(record["semantics"]) + 1
    for name in record["arkit"]:
        assert f">{name}</th>" in weights


def test_files_and_command(record: dict[str, Any]) -> None:
    page = cards.files(shown(record))
    tags_of(page)
    for ending in ("glb", "zip", "ply", "png", "json"):
        assert f'{"i" * 22}.{ending}" download' in page


def test_the_command_is_one_line_that_a_shell_reads_as_it_was_meant(record: dict[str, Any]) -> None:
    evil = "a man; rm -rf '$HOME' `x`"
    record["source"] = {"kind": "text", "text": evil}
    assert shlex.split(cards.command(shown(record)))[:3] == ["facegpt", "imagine", evil]
    asked = shown(record, questions=("/image photo.png", evil))
    words = shlex.split(cards.command(asked))
    assert words[:4] == ["printf", r"%s\n", "/image photo.png", evil]
    assert words[4:6] == ["|", "facegpt"]


def test_the_command_of_a_changed_face_changes_it_again(record: dict[str, Any]) -> None:
    change = {"semantics": {"nose_width": 1.5}, "arkit": {"jawOpen": 0.25}}
    record["source"] = {"kind": "photo", "changes": [change]}
    record["method"] = "nano+refine"
    lines = cards.command(shown(record)).splitlines()
    assert lines[0] == "facegpt reconstruct --refine photo.png --output faces"
    assert lines[-1] == "facegpt edit face.json nose_width=1.5 jawOpen=0.25 --output faces/edited"


def test_the_about_page_names_what_shaped_the_faces() -> None:
    page = about_page(["default", "smollm2", "dlib-landmarks68", "unheard-of"], 24.0)
    assert "script" not in tags_of(page)
    for row in (">default<", ">Apache-2.0<", ">dlib-landmarks68<", ">unheard-of<", ">unclear<"):
        assert row in page
    assert "24 hours" in page
    assert "no identification" in page
