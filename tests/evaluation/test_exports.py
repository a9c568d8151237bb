"""Exports for NoW and REALY: read as their own code reads them, and they can be stopped."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facegpt.baselines.mean_face import MeanFace
from facegpt.cli import exports as command
from facegpt.evaluation.answering import NamedReconstructor
from facegpt.evaluation.exports import (
    ExportError,
    ExportOutcome,
    export_now,
    export_realy,
    now_tasks,
    realy_tasks,
    write_realy_template,
)
from facegpt.evaluation.exports.meshes import outer_model
from facegpt.geometry.registration import Similarity
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from tiny_facegpt import Knows, face_photo, nobody

LINES = (
    "FaMoS_180424_03335_TA/multiview_neutral/IMG_0041.jpg",
    "FaMoS_180424_03335_TA/multiview_expressions/IMG_0042.jpg",
    "FaMoS_180425_03336_TA/selfie/IMG_0041.jpg",
)
SEVEN = [36, 39, 42, 45, 33, 48, 54]
EXTRA = 17
"""Keypoints of REALY behind the 68."""


@pytest.fixture(scope="module")
def answer() -> FaceParameters:
    """What the method of these tests says of everybody."""
    theta = FaceParameters.zeros(1)
    theta.shape[:, :5] = 1.0
    theta.expression[:, :5] = 2.0
    theta.camera[:, 1] = 0.3
    return theta


@pytest.fixture
def method(tiny_face_model: MorphableModel, answer: FaceParameters) -> MeanFace:
    _, points = face_photo(tiny_face_model)
    return MeanFace(tiny_face_model, Knows(points), answer, "told")


@pytest.fixture
def now_data(tiny_face_model: MorphableModel, tmp_path: Path) -> tuple[Path, Path]:
    """The list and the folder of the images; in the last one there is nobody."""
    images = tmp_path / "iphone_pictures"
    for line in LINES:
        (images / line).parent.mkdir(parents=True, exist_ok=True)
        photo = nobody() if "selfie" in line else face_photo(tiny_face_model)[0]
        Image.fromarray(photo).save(images / line)
    (tmp_path / "imagepathsvalidation.txt").write_text("\n".join([*LINES, "", ""]))
    return tmp_path / "imagepathsvalidation.txt", images


def statuses(outcomes: Sequence[ExportOutcome]) -> list[str]:
    return [outcome.status for outcome in outcomes]


def export(
    method: NamedReconstructor,
    data: tuple[Path, Path],
    output: Path,
    *,
    expression: bool = False,
    fill_in: FaceParameters | None = None,
) -> list[str]:
    tasks = now_tasks(*data, output)
    outcomes = export_now(method, tasks, output, expression=expression, fill_in=fill_in)
    return statuses(list(outcomes))


def read_as_realy(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """What `utils/io_obj.py` makes of the lines of triangles; an empty place would stop it."""
    vertices, triangles, others = [], [], []
    for line in path.read_text().splitlines():
        words = line.split()
        if words[0] == "v":
            vertices.append([float(word) for word in words[1:4]])
            assert len(words) == 4, "NoW's reader takes no colours"
        elif words[0] == "f":
            corners = [word.split("/") for word in words[1:]]
            triangles.append([int(corner[0]) for corner in corners])
            others += [int(part) for corner in corners for part in corner[1:]]
    return np.array(vertices, np.float32), np.array(triangles) - 1


def test_now_finds_mesh_and_landmarks_by_its_own_rule(
    method: MeanFace, now_data: tuple[Path, Path], tmp_path: Path, answer: FaceParameters
) -> None:
    output = tmp_path / "predictions"
    assert export(method, now_data, output) == ["written", "written", "no face"]
    outer = outer_model(method.model)
    neutral = outer.vertices_mm(answer.shape, torch.zeros(1, 64))[0].numpy()
    for line in now_data[0].read_text().splitlines()[:2]:
        subject, experiments, filename = line.split("/")[-3:]
        vertices, triangles = read_as_realy(
            output / subject / experiments / (filename[:-4] + ".obj")
        )
        landmarks = np.load(output / subject / experiments / (filename[:-4] + ".npy"))
        np.testing.assert_allclose(vertices, neutral, atol=1e-4)
        np.testing.assert_array_equal(triangles, outer.triangles.numpy())
        assert landmarks.shape == (7, 3)
        np.testing.assert_allclose(landmarks, neutral[outer.landmarks68[SEVEN]], atol=1e-4)
        # compute_mask of NoW: outer eye corners first and fourth, inner ones between, then the nose
        assert landmarks[0, 0] < landmarks[1, 0] < landmarks[2, 0] < landmarks[3, 0]
        assert landmarks[4, 1] < landmarks[:4, 1].min()


def test_the_expression_is_kept_if_asked(
    method: MeanFace, now_data: tuple[Path, Path], tmp_path: Path, answer: FaceParameters
) -> None:
    export(method, now_data, tmp_path / "out", expression=True)
    outer = outer_model(method.model)
    expected = outer.vertices_mm(answer.shape, answer.expression)[0].numpy()
    vertices, _ = read_as_realy((tmp_path / "out" / LINES[0]).with_suffix(".obj"))
    np.testing.assert_allclose(vertices, expected, atol=1e-4)
    neutral = outer.vertices_mm(answer.shape, torch.zeros(1, 64))[0].numpy()
    assert np.abs(vertices - neutral).max() > 0.1


def test_an_export_goes_on_where_it_was_stopped(
    method: MeanFace, now_data: tuple[Path, Path], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    detector = method.detector
    assert isinstance(detector, Knows)
    export(method, now_data, output)
    mesh = (output / LINES[1]).with_suffix(".obj")
    whole = mesh.read_bytes()
    mesh.unlink()
    asked = detector.asked
    assert export(method, now_data, output) == ["there already", "written", "no face"]
    assert detector.asked == asked + 2
    assert mesh.read_bytes() == whole
    left = {path.name for path in output.rglob("*") if path.is_file()}
    assert not [name for name in left if name.startswith(".")]


def test_a_write_that_fails_leaves_nothing_behind(
    method: MeanFace,
    now_data: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space"):
        export(method, now_data, tmp_path / "out")
    monkeypatch.undo()
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []
    assert export(method, now_data, tmp_path / "out")[0] == "written"


def test_a_folder_with_another_export_is_refused(
    method: MeanFace, now_data: tuple[Path, Path], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    export(method, now_data, output)
    with pytest.raises(ExportError, match="with expression False, not expression True"):
        export(method, now_data, output, expression=True)
    tasks = now_tasks(*now_data, output)
    with pytest.raises(ExportError, match="weights '', not weights '/another/run'"):
        export_now(method, tasks, output, expression=False, weights="/another/run")
    with pytest.raises(ExportError, match="benchmark 'NoW'"):
        export_realy(method, [], output, expression=False)
    for damage in ("{", "[]"):
        (output / "facegpt-export.json").write_text(damage)
        with pytest.raises(ExportError, match="facegpt-export"):
            export(method, now_data, output)


def test_missing_faces_can_be_filled_in(
    method: MeanFace, now_data: tuple[Path, Path], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    assert export(method, now_data, output, fill_in=FaceParameters.zeros(1))[2] == "filled in"
    vertices, _ = read_as_realy((output / LINES[2]).with_suffix(".obj"))
    np.testing.assert_allclose(vertices, outer_model(method.model).mean_mm.numpy(), atol=1e-4)


def test_an_unreadable_image_stops_no_other(
    method: MeanFace, now_data: tuple[Path, Path], tmp_path: Path
) -> None:
    (now_data[1] / LINES[0]).write_bytes(b"no picture")
    (now_data[1] / LINES[2]).unlink()
    tasks = now_tasks(*now_data, tmp_path / "out")
    outcomes = list(export_now(method, tasks, tmp_path / "out", expression=False))
    assert statuses(outcomes) == ["unreadable", "written", "unreadable"]
    assert "IMG_0041" in outcomes[0].problem


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("IMG_0041.jpg", "is no subject/challenge/file"),
        ("a/../IMG_0041.jpg", "is no subject/challenge/file"),
        ("a/b/.jpg", "is no subject/challenge/file"),
        ("a/b/IMG_0041.jpeg", "suffix of three letters"),
        ("", "names no image"),
    ],
)
def test_lists_that_are_not_those_of_now(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"\n{line}\n")
    with pytest.raises(ExportError, match=message):
        now_tasks(tmp_path / "list.txt", tmp_path, tmp_path / "out")


def test_the_mouth_is_not_exported(tiny_face_model: MorphableModel) -> None:
    outer = outer_model(tiny_face_model)
    assert not outer.part_mask(("mouth",)).any()
    assert outer.part_mask(("eye_left",)).any()
    assert outer.triangles.min() == 0


def test_realy_meshes_are_named_as_their_images(
    method: MeanFace, tmp_path: Path, answer: FaceParameters
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for name in ("1.png", "12_3.png", "100.png"):
        Image.fromarray(face_photo(method.model)[0]).save(images / name)
    output = tmp_path / "meshes"
    tasks = realy_tasks(images, output)
    outcomes = list(export_realy(method, tasks, output, expression=True))
    assert statuses(outcomes) == ["written"] * 3
    meshes = sorted(path.name for path in output.glob("*.obj"))
    assert meshes == ["1.obj", "100.obj", "12_3.obj"]
    # main.py sorts by this number and takes the person from the first part
    assert sorted(int(name.replace("_", "").replace(".obj", "")) for name in meshes) == [
        1,
        100,
        123,
    ]
    vertices, triangles = read_as_realy(output / "12_3.obj")
    outer = outer_model(method.model)
    expected = outer.vertices_mm(answer.shape, answer.expression)[0].numpy()
    np.testing.assert_allclose(vertices, expected, atol=1e-4)
    assert triangles.min() == 0


@pytest.mark.parametrize("names", [("her.png",), ("101.png",), ("0.png",), ("7.png", "7.jpg"), ()])
def test_images_that_are_not_those_of_realy(names: tuple[str, ...], tmp_path: Path) -> None:
    for name in names:
        Image.fromarray(nobody()).save(tmp_path / name)
    with pytest.raises(ExportError):
        realy_tasks(tmp_path, tmp_path / "meshes")


@pytest.fixture
def realy_data(tiny_face_model: MorphableModel, tmp_path: Path) -> tuple[Path, np.ndarray]:
    """An example as `data/HIFI3D.obj` and `.txt` are: quads, texture and normals, its own unit and
    frame. With it, where its 85 keypoints are on our mean face."""
    model, generator = tiny_face_model, np.random.default_rng(2)
    mean = model.mean_mm.double().numpy()
    triangles = model.triangles.numpy()
    face = np.flatnonzero(model.part_mask(("face",)).numpy()[triangles].all(axis=1))
    rows = generator.choice(face, EXTRA)
    weights = generator.dirichlet(np.ones(3), EXTRA)
    first = [np.argwhere(triangles == vertex)[0] for vertex in model.landmarks68.numpy()]
    rows = np.concatenate([[row for row, _ in first], rows])
    weights = np.concatenate([np.eye(3)[[corner for _, corner in first]], weights])
    places = np.einsum("pk,pkx->px", weights, mean[triangles[rows]])
    turn = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
    moved = Similarity(0.1, turn, np.array([1.0, 2.0, 3.0])).apply(mean)
    lines = [f"v {x:.9f} {y:.9f} {z:.9f}" for x, y, z in moved]
    lines += [f"vt {k / 4} 0.5" for k in range(4)] + ["vn 0 0 1"] * 4
    a, b, c = triangles[0] + 1
    lines.append(f"f {a}/1/1 {b}/2/2 {c}/3/3 {c}/4/4")
    lines += [f"f {a}/1/1 {b}/2/2 {c}/3/3" for a, b, c in triangles + 1]
    data = tmp_path / "REALY" / "data"
    data.mkdir(parents=True)
    (data / "HIFI3D.obj").write_text("\n".join(lines))
    # The quad counts as two triangles in front of the others.
    table = [
        [int(row) + 2, float(u), float(v)] for row, (u, v, _) in zip(rows, weights, strict=True)
    ]
    (data / "HIFI3D.txt").write_text(json.dumps(table))
    return data, places


def test_the_template_of_realy_has_85_keypoints_where_the_example_has_them(
    tiny_face_model: MorphableModel, realy_data: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    data, places = realy_data
    mesh, keypoints = write_realy_template(tiny_face_model, data, tmp_path / "data")
    assert (mesh.name, keypoints.name) == ("facegpt.obj", "facegpt.txt")
    vertices, triangles = read_as_realy(mesh)
    # get_barycentric_coordinates of REALY's utils/util.py
    table = np.array(json.loads(keypoints.read_text()))
    corners = vertices[triangles[np.array(table[:, 0], dtype=np.int32)]]
    weight = np.stack([table[:, 1], table[:, 2], 1.0 - table[:, 1] - table[:, 2]]).T
    found = np.sum(corners * weight.reshape(-1, 3, 1), axis=1)
    assert found.shape[0] == 85
    np.testing.assert_allclose(found, places, atol=0.02)


def test_examples_of_realy_that_are_damaged(
    tiny_face_model: MorphableModel, realy_data: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    data, _ = realy_data
    good = json.loads((data / "HIFI3D.txt").read_text())
    far = [*good[:80], [0, 500.0, 0.0], *good[81:]]
    for table in ("{", "[]", good[:68], [[10**9, 0, 0], *good[1:]], [["a", 0, 0], *good[1:]], far):
        text = table if isinstance(table, str) else json.dumps(table)
        (data / "HIFI3D.txt").write_text(text)
        with pytest.raises(ExportError):
            write_realy_template(tiny_face_model, data, tmp_path / "data")
    (data / "HIFI3D.obj").unlink()
    with pytest.raises(FileNotFoundError, match="czh-98/REALY"):
        write_realy_template(tiny_face_model, data, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_the_command_for_now(
    method: MeanFace,
    now_data: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command, "_method", lambda *_: method)
    given = ["now", str(now_data[1]), "--image-list", str(now_data[0])]
    given += ["--output", str(tmp_path / "out")]
    assert command.exports_app.cli(args=given) == 2
    assert "1 no face, 2 written" in capsys.readouterr().out
    assert command.exports_app.cli(args=[*given, "--fill-in"]) == 0
    assert "1 filled in, 2 there already" in capsys.readouterr().out


def test_the_command_for_realy(
    method: MeanFace,
    realy_data: tuple[Path, np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(command, "_method", lambda *_: method)
    images = tmp_path / "images"
    images.mkdir()
    Image.fromarray(face_photo(method.model)[0]).save(images / "4.png")
    given = ["realy", str(images), "-o", str(tmp_path / "out")]
    given += ["--realy-data", str(realy_data[0])]
    assert command.exports_app.cli(args=given) == 0
    written = {
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*")
    }
    assert {"meshes/4.obj", "data/facegpt.obj", "data/facegpt.txt"} <= written
    assert not (tmp_path / "out" / "meshes" / "facegpt.obj").exists()
