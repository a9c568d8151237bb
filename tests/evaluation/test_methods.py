"""Names of methods: what is understood, what is refused with which advice."""

from pathlib import Path

import pytest
import torch

from facegpt.baselines.errors import BaselineWeightsError
from facegpt.data.schema import FaceRow
from facegpt.data.shards import Manifest, write_manifest, write_shard
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
from facegpt.morphable.parameters import PARAMETER_COUNT, FaceParameters


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


def test_a_baseline_with_a_name_of_its_own(tmp_path: Path) -> None:
    names = parse_methods([f"regression={tmp_path}", f"again=regression:{tmp_path}"])
    assert names[1] == MethodName("again", "regression", tmp_path)
    assert [n.command_text for n in names] == ["regression=FOLDER", "again=regression:FOLDER"]
    strange = tmp_path / "nano:7b"
    strange.mkdir()
    assert parse_method(f"mine={strange}") == MethodName("mine", "weights", strange)
    with pytest.raises(MethodError, match=r"no folder /no/such; .* again=regression:FOLDER"):
        parse_method("again=regression:/no/such")


def test_the_average_of_fitted_faces_is_a_floor(tmp_path: Path, tiny_face_model) -> None:
    thetas = [torch.arange(PARAMETER_COUNT) * 0.01, None, torch.full((PARAMETER_COUNT,), 0.5)]
    save_faces(tmp_path, thetas)
    name = parse_method(f"average-fit={tmp_path}")
    workshop = Workshop()
    vars(workshop)["model"] = tiny_face_model
    first, second = text_method(name, workshop).faces_of_texts(["A man.", "A woman."])
    assert isinstance(first, FaceParameters)
    expected = (thetas[0] + thetas[2]) / 2
    torch.testing.assert_close(first.to_vector()[0], expected)
    assert second is first
    assert photo_method(name, workshop).name == "average-fit"
    save_faces(tmp_path, [None])
    with pytest.raises(MethodError, match="have no theta"):
        text_method(name, workshop)


def save_faces(folder: Path, thetas: list[torch.Tensor | None]) -> None:
    """What `facegpt data build` writes, without pictures."""
    rows = [
        FaceRow(str(i), "a.png", b"", b"", b"", torch.zeros(68, 2), False, theta, "fit")
        for i, theta in enumerate(thetas)
    ]
    shard = write_shard(folder, 0, rows, photos=len(rows), problems_end=0)
    write_manifest(folder, Manifest({}, len(rows), (shard,)))


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
