"""A built study is blind, balanced and repeatable, and bad folders leave nothing behind."""

import io
import json
import struct
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from facegpt.evaluation.study import pictures
from facegpt.evaluation.study.build import BuildSettings, balanced_orders, build_study
from facegpt.evaluation.study.errors import (
    DamagedPictureError,
    MissingAlternativeError,
    StudyError,
    StudyExistsError,
    StudyMissingError,
)
from facegpt.evaluation.study.pictures import MAX_SIDE, blind_copy
from facegpt.evaluation.study.plan import Question, Study, read_key, read_study

NAMES = [f"{number:02}" for number in range(1, 25)]


def arrangement(folder: Path) -> list[tuple[str, tuple[str, ...]]]:
    """What the seed decides: the source of each question, and its methods from left to right."""
    key, study = read_key(folder / "key.json"), read_study(folder)
    return [
        (key.sources[q.id], tuple(key.method_of[image] for image in q.alternatives))
        for q in study.questions
    ]


@given(questions=st.integers(1, 40), methods=st.integers(2, 6), seed=st.integers(0, 10_000))
def test_every_method_stands_everywhere_equally_often(
    questions: int, methods: int, seed: int
) -> None:
    orders = balanced_orders(questions, methods, np.random.default_rng(seed))
    assert len(orders) == questions
    assert all(sorted(order) == list(range(methods)) for order in orders)
    for place in range(methods):
        counts = Counter(order[place] for order in orders)
        assert {counts[method] for method in range(methods)} <= {
            questions // methods,
            -(-questions // methods),
        }


def test_over_participants_every_alternative_stands_everywhere_equally_often() -> None:
    images = tuple(f"{number:032x}.png" for number in range(4))
    question = Question("q1", "", None, images)
    places = Counter(
        (place, image)
        for turn in range(1, 9)
        for place, image in enumerate(question.order_for(turn))
    )
    assert set(places.values()) == {2}
    assert len(places) == 16


def test_the_seed_decides_the_plan_and_not_the_names(method_folders, tmp_path: Path) -> None:
    settings = BuildSettings(method_folders(NAMES), tmp_path / "first")
    build_study(settings)
    build_study(replace(settings, output=tmp_path / "again"))
    build_study(replace(settings, output=tmp_path / "other", seed=1))
    first, again, other = (arrangement(tmp_path / name) for name in ("first", "again", "other"))
    assert first == again
    assert first != other
    assert len({source for source, _ in first}) == 20
    blind = [set(read_study(tmp_path / name).images) for name in ("first", "again")]
    assert not blind[0] & blind[1]


def test_the_folder_holds_exactly_the_study(built: tuple[Study, Path]) -> None:
    study, folder = built
    assert {path.name for path in folder.iterdir()} == {"study.json", "key.json", "images"}
    assert {path.name for path in (folder / "images").iterdir()} == set(study.images)
    assert read_study(folder) == study
    assert [question.text[:12] for question in study.questions] == ["She won race"] * 3
    read_key(folder / "key.json").check_fits(study)
    assert (folder / "key.json").stat().st_mode & 0o077 == 0


def test_each_picture_is_of_its_method(built: tuple[Study, Path], tmp_path: Path) -> None:
    study, folder = built
    key = read_key(folder / "key.json")
    for question in study.questions:
        for image in question.alternatives:
            origin = tmp_path / "faces" / key.method_of[image] / f"{key.sources[question.id]}.png"
            with Image.open(folder / "images" / image) as copy, Image.open(origin) as original:
                assert copy.tobytes() == original.tobytes()


def test_participants_learn_no_method_and_no_file_name(
    method_folders, tmp_path: Path, texts: Path
) -> None:
    folders = method_folders(["anger-01", "joy-02"])
    for folder in folders:
        comments = PngImagePlugin.PngInfo()
        comments.add_text("Software", folder.name)
        for path in folder.iterdir():
            with Image.open(path) as picture:
                picture.copy().save(path, pnginfo=comments)
    build_study(BuildSettings(folders, tmp_path / "study", questions=2))
    (tmp_path / "study" / "key.json").unlink()
    shown = b"".join(p.read_bytes() for p in (tmp_path / "study").rglob("*") if p.is_file())
    for word in ("ours", "llava", "describe3d", "anger", "joy", "seed"):
        assert word.encode() not in shown


def test_photos_are_stimuli(method_folders, tmp_path: Path, texts: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("01", "02", "03"):
        Image.new("RGB", (40, 30), (int(name) * 50, 0, 0)).save(photos / f"{name}.jpg")
    settings = BuildSettings(method_folders(), tmp_path / "study", photos=photos, questions=3)
    study = build_study(settings)
    key = read_key(tmp_path / "study" / "key.json")
    for question in study.questions:
        assert question.photo is not None
        with Image.open(tmp_path / "study" / "images" / question.photo) as photo:
            red = photo.getpixel((20, 15))[0]
        assert red == pytest.approx(int(key.sources[question.id]) * 50, abs=3)
    assert study.task.startswith("Look at the photo, then")
    both = build_study(replace(settings, output=tmp_path / "both", texts=texts))
    assert both.task.startswith("Look at the photo and read the description")
    assert all(question.photo and question.text for question in both.questions)
    (photos / "02.jpg").unlink()
    with pytest.raises(MissingAlternativeError, match="nothing for 02; add it"):
        build_study(replace(settings, output=tmp_path / "second"))


def test_unequal_folders_are_refused(method_folders, tmp_path: Path) -> None:
    folders = method_folders(NAMES)
    for name in ("03", "05", "07", "11"):
        (folders[1] / f"{name}.png").unlink()
    message = "'llava-key' has no 03.png, 05.png, 07.png and 1 more, which other methods have"
    with pytest.raises(MissingAlternativeError, match=message):
        build_study(BuildSettings(folders, tmp_path / "study"))
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize("damage", ["cut", "empty", "words"])
def test_a_damaged_picture_leaves_nothing_behind(
    damage: str, method_folders, tmp_path: Path
) -> None:
    folders = method_folders()
    victim = folders[2] / "02.png"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(victim)
    data = {"cut": victim.read_bytes()[:900], "empty": b"", "words": b"no picture at all"}[damage]
    victim.write_bytes(data)
    before = set(tmp_path.iterdir())
    with pytest.raises(DamagedPictureError, match=r"02\.png is not a picture that can be read"):
        build_study(BuildSettings(folders, tmp_path / "study", questions=3))
    assert set(tmp_path.iterdir()) == before


def test_a_failing_write_leaves_nothing_behind(
    method_folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = method_folders()
    before = set(tmp_path.iterdir())

    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        build_study(BuildSettings(folders, tmp_path / "study", questions=3))
    assert set(tmp_path.iterdir()) == before


def test_nothing_is_written_over(built: tuple[Study, Path], tmp_path: Path) -> None:
    folders = tuple((tmp_path / "faces").iterdir())
    with pytest.raises(StudyExistsError, match="already there"):
        build_study(BuildSettings(folders, built[1], questions=3))
    assert read_study(built[1]) == built[0]


def test_folders_must_suit(method_folders, tmp_path: Path) -> None:
    folders = method_folders()
    output = tmp_path / "study"
    twin = tmp_path / "elsewhere" / folders[0].name
    twin.mkdir(parents=True)
    with pytest.raises(StudyError, match=r"3 pictures each, too few for 20 .* --questions 3"):
        build_study(BuildSettings(folders, output))
    with pytest.raises(StudyError, match="two folders are called 'describe3d'"):
        build_study(BuildSettings((folders[0], twin), output))
    with pytest.raises(StudyMissingError, match="no picture in"):
        build_study(BuildSettings((folders[1], twin), output))
    with pytest.raises(StudyMissingError, match="there is no folder"):
        build_study(BuildSettings((folders[0], tmp_path / "nowhere"), output))
    Image.new("RGB", (5, 5)).save(folders[0] / "01.PNG")
    with pytest.raises(StudyError, match="have the same name; remove one"):
        build_study(BuildSettings(folders, output))
    assert not output.exists()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"methods": (Path("one"),)}, "between 2 and 6 methods, got 1"),
        ({"methods": tuple(Path(str(n)) for n in range(7))}, "between 2 and 6 methods, got 7"),
        ({"questions": 0}, "--questions must be between 1 and 100, got 0"),
        ({"seed": -1}, "--seed must be at least 0"),
        ({"title": " "}, "--title must have between 1 and"),
        ({"task": "x" * 2001}, "--task must have between 1 and"),
    ],
)
def test_settings_name_their_flag(changes: dict, complaint: str, tmp_path: Path) -> None:
    good = BuildSettings((Path("a"), Path("b")), tmp_path)
    with pytest.raises(StudyError, match=complaint):
        replace(good, **changes)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('{"01": "She won."}', "nothing for 0"),
        ('{"01": 7, "02": "x", "03": "x"}', "text of '01'"),
        ('{"01": "", "02": "x", "03": "x"}', "text of '01'"),
        ("[1]", "no JSON object but a list"),
        ("{", "is no JSON"),
        (None, 'write one such as {"01"'),
    ],
)
def test_texts_must_suit(
    content: str | None, complaint: str, method_folders, tmp_path: Path
) -> None:
    texts = tmp_path / "words.json"
    if content is not None:
        texts.write_text(content)
    settings = BuildSettings(method_folders(), tmp_path / "study", texts=texts, questions=3)
    with pytest.raises(StudyError, match=complaint):
        build_study(settings)
    assert not (tmp_path / "study").exists()


def test_copies_are_bounded_upright_and_opaque(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tall = tmp_path / "tall.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (2000, 1000)).save(tall, exif=exif)
    with Image.open(io.BytesIO(blind_copy(tall))) as copy:
        assert copy.size == (MAX_SIDE // 2, MAX_SIDE)
        assert not copy.getexif()
    glass = tmp_path / "glass.png"
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(glass)
    with Image.open(io.BytesIO(blind_copy(glass))) as copy:
        assert (copy.mode, copy.getpixel((0, 0))) == ("RGB", (128, 128, 128))
    deep = tmp_path / "deep.png"
    Image.fromarray(np.full((4, 4), 60_000, np.uint16)).save(deep)
    with pytest.raises(DamagedPictureError, match="more than 8 bits"):
        blind_copy(deep)
    monkeypatch.setattr(pictures, "MAX_PIXELS", 15)
    with pytest.raises(DamagedPictureError, match="4 x 4 pixels; at most 15"):
        blind_copy(glass)


def test_a_header_that_lies_is_not_decoded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("RGB", (4, 4)).save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 9000, 9000)
    path.write_bytes(data)
    with pytest.raises(DamagedPictureError):
        blind_copy(path)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda r: r.update(format="facegpt.study/9"), "this version reads"),
        (lambda r: r.pop("title"), "is damaged: 'title'"),
        (lambda r: r.update(id="../x"), "no name of a study"),
        (lambda r: r.update(questions=[]), "between 1 and 100 questions, not 0"),
        (lambda r: r["questions"].append(r["questions"][0]), "named twice"),
        (lambda r: r["questions"][0].update(text=None), "expected a text, got None"),
        (lambda r: r["questions"][0].update(photo="../../etc/passwd"), "no blind name"),
        (lambda r: r["questions"][0].update(alternatives=["key.json"]), "no blind name"),
        (lambda r: r["questions"][0].update(id="<b>"), "no name of a question"),
        (lambda r: r["questions"][0]["alternatives"].clear(), "has 0 alternatives"),
    ],
)
def test_a_tampered_study_is_refused(change, complaint: str, built: tuple[Study, Path]) -> None:
    path = built[1] / "study.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
    with pytest.raises(StudyError, match=complaint):
        read_study(built[1])
