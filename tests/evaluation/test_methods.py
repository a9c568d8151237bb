"""Names of methods: what is understood, what is refused with which advice."""

from pathlib import Path

import pytest

from facegpt.baselines.errors import BaselineWeightsError
from facegpt.evaluation.methods import (
    MethodError,
    MethodName,
    Workshop,
    folder_digest,
    parse_method,
    parse_methods,
    photo_method,
    text_method,
)
from facegpt.model.nano_weights import NanoWeightsError


def test_names_that_stand_alone() -> None:
    for text in ("nano", "nano+refine", "fit", "mean-face"):
        assert parse_method(text) == MethodName(text, text)


def test_names_with_a_folder(tmp_path: Path) -> None:
    assert parse_method(f"vision={tmp_path}") == MethodName("vision", "vision", tmp_path)
    assert parse_method(f"mine={tmp_path}") == MethodName("mine", "weights", tmp_path)
    refined = parse_method(f"mine+refine={tmp_path}")
    assert refined == MethodName("mine+refine", "weights+refine", tmp_path)
    written = parse_method(f"external:deca={tmp_path}")
    assert (written.label, written.program, written.folder) == ("deca", "deca", tmp_path)
    commands = [name.command_text for name in (refined, written)]
    assert commands == ["mine+refine=FOLDER", "external:deca=FOLDER"]


def test_what_a_method_reads(tmp_path: Path) -> None:
    read = {
        text: (parse_method(text).reads_photos, parse_method(text).reads_texts)
        for text in ("nano", "fit", "mean-face", f"external:deca={tmp_path}")
    }
    assert list(read.values()) == [(True, True), (True, False), (True, True), (True, True)]


def test_trained_baselines_come_from_their_folder(tmp_path: Path) -> None:
    regression, key = (parse_method(f"{kind}={tmp_path}") for kind in ("regression", "llava-key"))
    assert (regression.kind, regression.reads_photos, regression.reads_texts) == (
        "regression",
        True,
        False,
    )
    assert (key.kind, key.reads_photos, key.reads_texts) == ("llava-key", True, True)
    with pytest.raises(BaselineWeightsError, match="facegpt train regression"):
        photo_method(regression, Workshop())
    for make in (photo_method, text_method):
        with pytest.raises(NanoWeightsError):
            make(key, Workshop())


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("nanno", "did you mean 'nano'"),
        ("vision", "vision=FOLDER"),
        ("nano=/tmp", "mine=/tmp"),
        ("mine=", "mine=FOLDER"),
        ("mine=/no/such/folder", "/no/such/folder"),
        ("a b=/tmp", "letters"),
        ("../up=/tmp", "letters"),
        ("external:deka=/tmp", "'deca'"),
    ],
)
def test_what_is_refused(text: str, advice: str) -> None:
    with pytest.raises(ValueError, match=advice):
        parse_method(text)


def test_two_methods_of_one_name(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(MethodError, match="two methods are called 'mine'"):
        parse_methods([f"mine={tmp_path}", f"mine={other}"])
    assert len(parse_methods(["nano", "nano"])) == 1


def test_methods_that_cannot_be_asked(tmp_path: Path) -> None:
    with pytest.raises(MethodError, match="fit reads no texts"):
        text_method(MethodName("fit", "fit"), Workshop())
    with pytest.raises(MethodError, match="deca wrote files"):
        photo_method(parse_method(f"external:deca={tmp_path}"), Workshop())


def test_what_other_programs_wrote_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "a.obj").write_text("v 0 0 0")
    name = parse_method(f"external:deca={tmp_path}")
    first = name.fingerprint()
    assert first == name.fingerprint()
    (tmp_path / "a" / "a.obj").write_text("v 0 0 0.5")
    assert first != name.fingerprint()


def test_the_digest_follows_the_files(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("1")
    first = folder_digest(tmp_path)
    assert first == folder_digest(tmp_path)
    (tmp_path / "a.json").write_text("2")
    assert first != folder_digest(tmp_path)
