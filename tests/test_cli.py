"""The commands as a person meets them: results, exit codes, one clear sentence."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facegpt.cli import main

skimage_data = pytest.importorskip("skimage.data", reason="the photo lies in scikit-image")


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


@pytest.fixture(scope="module")
def astronaut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "astronaut.png"
    Image.fromarray(skimage_data.astronaut()).save(path)
    return path


@pytest.fixture(scope="module")
def fitted(astronaut: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("faces")
    with pytest.raises(SystemExit) as stop:
        main(["fit", str(astronaut), "-o", str(output), "--steps", "4", "--format", "json", "glb"])
    assert stop.value.code == 0
    return output / "astronaut"


def test_fit_writes_a_record_that_says_what_was_found(fitted: Path) -> None:
    assert {p.name for p in fitted.iterdir()} == {"face.json", "head.glb"}
    record = json.loads((fitted / "face.json").read_text())
    assert record["schema"] == "facegpt.face/1"
    assert record["method"] == "fit"
    assert record["image_size"] == [512, 512]
    sizes = {name: len(values) for name, values in record["parameters"].items()}
    assert sizes == {
        "shape": 80, "expression": 64, "albedo": 80, "illumination": 27, "camera": 6
    }  # fmt: skip
    assert len(record["arkit"]) == 52
    assert record["arkit"]["mouthSmileLeft"] > 0.2
    left, top, right, bottom = record["box_px"]
    assert left < 224 < right
    assert top < 110 < bottom
    assert {"dlib-landmarks68", "default"} <= {entry["name"] for entry in record["licences"]}
    assert record["errors"]["landmark_px"] < 4


def test_finished_photos_are_skipped(
    astronaut: Path, fitted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (fitted / "face.json").stat().st_mtime_ns
    code, out, _ = run(capsys, "fit", astronaut, "-o", fitted.parent, "--format", "json")
    assert code == 0
    assert "already done" in out
    assert (fitted / "face.json").stat().st_mtime_ns == before


def test_render_shows_the_face_again(
    fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "left.png"
    code, out, _ = run(
        capsys, "render", fitted / "face.json", "--yaw", 30, "--light", "left",
        "--expression", "jawOpen=0.5", "--size", 96, "-o", picture,
    )  # fmt: skip
    assert code == 0
    assert str(picture) in out
    with Image.open(picture) as shown:
        assert shown.size == (96, 96)
        assert np.asarray(shown).std() > 20


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--expression", "jawOpen"), "jawOpen=0.5"),
        (("--expression", "jawOpn=0.5"), "jawOpen"),
        (("--expression", "jawOpen=7"), "jawOpen"),
        (("--light", "lefft"), "left"),
        (("--size", 3), "--size"),
        (("--yaw", "nan"), "--yaw"),
    ],
)
def test_render_says_what_is_wrong(
    fitted: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[object, ...],
    complaint: str,
) -> None:
    picture = tmp_path / "never.png"
    code, _, err = run(capsys, "render", fitted / "face.json", "-o", picture, *arguments)
    assert code == 1
    assert complaint in err
    assert not picture.exists()


def test_no_face_is_exit_code_2_and_nothing_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (120, 90), "teal").save(tmp_path / "wall.png")
    code, _, err = run(capsys, "fit", tmp_path / "wall.png", "-o", tmp_path / "out")
    assert code == 2
    assert "no face found" in err
    assert not (tmp_path / "out").exists()


def test_a_broken_file_is_exit_code_1_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    code, _, err = run(capsys, "fit", tmp_path / "broken.jpg", "-o", tmp_path / "out")
    assert code == 1
    assert "broken.jpg" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("fit",), "facegpt fit photo.jpg"),
        (("fit", "nowhere.jpg"), "nowhere.jpg"),
        (("render", "nowhere.json"), "nowhere.json"),
        (("assets", "add", "bfm2071", "file"), "bfm2017"),
    ],
)
def test_mistakes_get_a_sentence(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], complaint: str
) -> None:
    code, _, err = run(capsys, *arguments)
    assert code == 1
    assert complaint in err
    assert "Traceback" not in err


def test_a_wrong_model_is_answered_with_the_nearest_right_one(
    astronaut: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "fit", astronaut, "-o", tmp_path / "out", "--model", "defualt")
    assert code == 1
    assert "did you mean 'default'" in err


def test_doctor_lists_what_is_there_and_what_is_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = run(capsys, "doctor")
    assert code == 0
    for word in ("dlib-landmarks68", "bfm2017", "missing", "facegpt assets add"):
        assert word in out
