"""The public names are a promise: changing one is a decision, made in public_names.json."""

import importlib
import json
from pathlib import Path

import pytest

import facegpt

PINNED: dict[str, str] = json.loads((Path(__file__).parent / "public_names.json").read_text())


def test_the_public_names_are_the_pinned_ones() -> None:
    assert sorted(facegpt.__all__) == sorted([*PINNED, "__version__"])
    assert dir(facegpt) == sorted(facegpt.__all__)


@pytest.mark.parametrize("name", PINNED)
def test_every_name_is_what_its_home_defines(name: str) -> None:
    assert getattr(facegpt, name) is getattr(importlib.import_module(PINNED[name]), name)


@pytest.mark.parametrize("name", PINNED)
def test_every_name_says_what_it_is(name: str) -> None:
    assert getattr(facegpt, name).__doc__


def test_the_manual_lists_every_name(project: Path) -> None:
    manual = (project / "docs" / "api.md").read_text()
    missing = [name for name in PINNED if f"::: {PINNED[name]}.{name}" not in manual]
    assert not missing


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(AttributeError, match=r"'MorphableModle'.*MorphableModel"):
        facegpt.MorphableModle  # noqa: B018  # pyright: ignore
