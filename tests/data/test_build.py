"""Building data sets: what is in a row, what happens to bad photos, and what a kill leaves."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from photo_folder import PhotoFolder, Writes

from facegpt.data import build as build_module
from facegpt.data.build import BuildProgress, BuildSettings, build_dataset
from facegpt.data.schema import DatasetError
from facegpt.data.shards import MANIFEST, PROBLEMS, read_manifest, read_problems
from facegpt.data.table import FaceTable
from facegpt.data.theta import FittedTheta
from facegpt.fitting.synthesis import FitSettings
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.perception.alignment import AlignedFace, align
from facegpt.perception.images import Photo, load_image
from facegpt.perception.landmarks import DetectedFace


class Points:
    """A detector that sees the same faces in every photo."""

    licences = ()

    def __init__(self, faces: Sequence[np.ndarray]) -> None:
        self.faces = faces

    def detect(self, photo: Photo) -> list[DetectedFace]:
        return [DetectedFace(np.zeros(4), 1.0, points.astype(np.float64)) for points in self.faces]


class Counts:
    """A theta estimator that says where the nose is, or refuses noses on the left."""

    name = "counts"

    def __init__(self, refuses: bool = False) -> None:
        self.refuses = refuses

    def estimate(self, faces: Sequence[AlignedFace]) -> FaceParameters:
        if self.refuses and any(float(face.landmarks68_px[30, 0]) < 112 for face in faces):
            raise ValueError("I cannot explain this nose")
        theta = FaceParameters.zeros(len(faces))
        for row, face in enumerate(faces):
            theta.shape[row] = face.landmarks68_px[30, 0]
        return theta


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_rows_hold_what_perception_found(photos: PhotoFolder, tmp_path: Path) -> None:
    settings = BuildSettings(
        photos.images,
        tmp_path / "out",
        index=photos.index,
        split="train",
        landmarks=photos.landmarks,
        shard_photos=3,
    )
    told: list[BuildProgress] = []
    report = build_dataset(settings, describer=Writes(), estimator=Counts(), progress=told.append)
    assert (report.photos, report.faces, report.problems, report.photos_kept) == (4, 4, 0, 0)
    assert [p.photos_done for p in told] == [1, 2, 3, 4]
    table = FaceTable(settings.output)
    assert [table.row(i).source for i in range(4)] == ["a.png", "b.png", "d.png", "e.png"]
    face = table[2]
    aligned = align(load_image(photos.images / "d.png"), photos.points[3])
    assert torch.equal(face.row.landmarks68_px, aligned.landmarks68_px)
    assert torch.equal(face.skin, aligned.skin)
    assert torch.equal(face.validity, aligned.validity)
    assert (face.photo - aligned.crop).abs().mean() < 0.01
    assert face.row.theta is not None
    assert torch.equal(face.row.theta[:80], aligned.landmarks68_px[30, 0].expand(80))
    assert (face.row.theta_method, face.row.describer) == ("counts", "writes")
    assert face.row.labels == {"index.mood": "calm", "expression": "neutral"}
    assert face.row.descriptions[0] == "He is the man of d.png."
    assert face.row.conversations[1] == ("Is it a cat?", "No, d.png shows no cat.")


def test_bad_photos_are_reported_and_passed_over(
    make_photos: Callable[[Path, int], PhotoFolder], tmp_path: Path
) -> None:
    photos = make_photos(tmp_path, 4)
    (photos.images / "b.png").write_bytes(b"no picture at all")
    points = photos.points.copy()
    points[3] = 7.0
    np.savez(photos.landmarks, names=np.array(photos.names), landmarks=points)
    settings = BuildSettings(photos.images, tmp_path / "out", landmarks=photos.landmarks)
    report = build_dataset(settings, describer=Writes(silent_about="c.png"))
    assert (report.faces, report.problems, report.undescribed) == (2, 3, 1)
    problems = {p["source"]: p["problem"] for p in read_problems(settings.output)}
    assert "b.png" in problems["b.png"]
    assert "no face to align" in problems["d.png"]
    assert problems["c.png"] == "no description: it said nothing"
    table = FaceTable(settings.output)
    assert [table.row(i).describer for i in range(2)] == ["writes", ""]
    assert table.with_text("descriptions").tolist() == [0]


def test_a_theta_that_cannot_be_found_spoils_no_other(photos: PhotoFolder, tmp_path: Path) -> None:
    settings = BuildSettings(photos.images, tmp_path / "out", landmarks=photos.landmarks)
    build_dataset(settings, estimator=Counts(refuses=True))
    table = FaceTable(settings.output)
    refused = [float(table.row(i).landmarks68_px[30, 0]) < 112 for i in range(len(table))]
    assert True in refused
    assert False in refused
    assert [table.row(i).theta is None for i in range(len(table))] == refused
    assert len(read_problems(settings.output)) == sum(refused)


@pytest.mark.parametrize(("faces", "expected"), [("largest", [0]), ("every", [0, 1])])
def test_faces_of_a_photo(
    photos: PhotoFolder, tmp_path: Path, faces: str, expected: list[int]
) -> None:
    detector = Points([photos.points[0], photos.points[0] * 0.5 + 20])
    settings = BuildSettings(photos.images, tmp_path / "out", faces=faces, limit=2)  # type: ignore[arg-type]
    build_dataset(settings, detector=detector)
    ids = FaceTable(settings.output).column("face_id")
    assert ids == [f"{name}:{n}" for name in ("a.png", "b.png") for n in expected]


def test_of_known_faces_the_largest_comes_first(photos: PhotoFolder, tmp_path: Path) -> None:
    small, large = photos.points[0] * 0.5 + 20, photos.points[0]
    path = tmp_path / "two.npz"
    np.savez(path, names=np.array(["a.png", "a.png"]), landmarks=np.stack([small, large]))
    settings = BuildSettings(photos.images, tmp_path / "out", landmarks=path, limit=1)
    build_dataset(settings)
    expected = align(load_image(photos.images / "a.png"), large).crop
    assert (FaceTable(settings.output)[0].photo - expected).abs().mean() < 0.01


def test_photos_without_faces_are_problems(photos: PhotoFolder, tmp_path: Path) -> None:
    settings = BuildSettings(photos.images, tmp_path / "out", limit=2)
    report = build_dataset(settings, detector=Points([]))
    assert (report.faces, report.problems) == (0, 2)
    assert len(FaceTable(settings.output)) == 0


class Killed(BaseException):
    """What a signal would do."""


@pytest.mark.parametrize("moment", ["a photo", "the shard", "the manifest"])
def test_a_killed_build_goes_on_and_ends_alike(
    make_photos: Callable[[Path, int], PhotoFolder],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    photos = make_photos(tmp_path, 6)
    (photos.images / "d.png").write_bytes(b"no picture")
    whole, broken = (
        BuildSettings(photos.images, tmp_path / n, landmarks=photos.landmarks, shard_photos=2)
        for n in ("whole", "broken")
    )
    build_dataset(whole, describer=Writes())

    def kill_at_photo(progress: BuildProgress) -> None:
        if moment == "a photo" and progress.photos_done == 4:
            raise Killed

    def killing(function: Callable[..., object]) -> Callable[..., object]:
        calls = 0

        def counted(*args: object, **names: object) -> object:
            nonlocal calls
            calls += 1
            if calls == (2 if moment == "the shard" else 3):
                raise Killed
            return function(*args, **names)

        return counted

    name = {"the shard": "write_shard", "the manifest": "write_manifest"}.get(moment)
    with monkeypatch.context() as patch:
        if name:
            patch.setattr(build_module, name, killing(getattr(build_module, name)))
        with pytest.raises(Killed):
            build_dataset(broken, describer=Writes(), progress=kill_at_photo)
    assert read_manifest(broken.output).photos_done == 2
    with pytest.raises(DatasetError, match="not finished"):
        FaceTable(broken.output)

    describer = Writes()
    report = build_dataset(broken, describer=describer)
    assert report.photos_kept == 2
    assert (report.faces, report.problems) == (5, 1)
    assert describer.asked == ["c.png:0", "e.png:0", "f.png:0"]
    assert contents(broken.output) == contents(whole.output)


def test_a_finished_build_is_left_alone(faces: FaceTable, photos: PhotoFolder) -> None:
    [output] = faces.folders
    before = contents(output)
    settings = BuildSettings(photos.images, output, landmarks=photos.landmarks, shard_photos=4)
    describer = Writes(silent_about="c.png")
    report = build_dataset(settings, describer=describer)
    assert describer.asked == []
    assert (report.photos_kept, report.faces, report.problems) == (6, 6, 1)
    assert contents(output) == before


def test_a_lost_shard_is_made_again(photos: PhotoFolder, tmp_path: Path) -> None:
    settings = BuildSettings(
        photos.images, tmp_path / "out", landmarks=photos.landmarks, shard_photos=2
    )
    build_dataset(settings)
    before = contents(settings.output)
    (settings.output / "faces-00001.parquet").write_bytes(b"half of it")
    with pytest.raises(DatasetError, match="is made again"):
        FaceTable(settings.output)
    assert build_dataset(settings).photos_kept == 2
    assert contents(settings.output) == before


def test_another_build_does_not_go_on_here(photos: PhotoFolder, tmp_path: Path) -> None:
    output = tmp_path / "out"
    build_dataset(BuildSettings(photos.images, output, landmarks=photos.landmarks, limit=1))
    before = contents(output)
    for settings, describer, name in [
        (BuildSettings(photos.images, output, landmarks=photos.landmarks, limit=2), None, "limit"),
        (
            BuildSettings(photos.images, output, landmarks=photos.landmarks, limit=1),
            Writes(),
            "describer was None and is now 'writes'",
        ),
    ]:
        with pytest.raises(DatasetError, match=name):
            build_dataset(settings, describer=describer)
    same = BuildSettings(photos.images, output, landmarks=photos.landmarks, limit=1)
    with pytest.raises(DatasetError, match=r"made_with was \{\} and is now \{'server': 'mine'\}"):
        build_dataset(same, made_with={"server": "mine"})
    assert contents(output) == before


def test_a_folder_of_something_else_is_not_filled(photos: PhotoFolder, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(DatasetError, match="holds no data set"):
        build_dataset(BuildSettings(photos.images, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    "damage", ["{", '{"format": "facegpt.data/9"}', '{"format": "facegpt.data/1", "shards": [1]}']
)
def test_a_damaged_manifest_is_named(tmp_path: Path, damage: str) -> None:
    (tmp_path / MANIFEST).write_text(damage)
    with pytest.raises(DatasetError, match="cannot be read"):
        read_manifest(tmp_path)
    with pytest.raises(FileNotFoundError, match="facegpt data build"):
        read_manifest(tmp_path / "elsewhere")


def test_the_side_table_and_the_manifest_are_json(faces: FaceTable) -> None:
    [folder] = faces.folders
    [line] = (folder / PROBLEMS).read_text().splitlines()
    assert json.loads(line)["face_id"] == "c.png:0"
    record = json.loads((folder / MANIFEST).read_text())
    assert (record["rows"], record["complete"], len(record["shards"])) == (6, True, 2)


def test_fitting_gives_theta(
    photos: PhotoFolder, tmp_path: Path, tiny_face_model: MorphableModel
) -> None:
    settings = BuildSettings(photos.images, tmp_path / "out", landmarks=photos.landmarks, limit=2)
    build_dataset(settings, estimator=FittedTheta(tiny_face_model, FitSettings(steps=0)))
    row = FaceTable(settings.output).row(1)
    assert row.theta_method == "fit"
    assert row.theta is not None
    yaw = row.theta[-5]
    assert abs(float(yaw) - 0.05) < 0.05
