"""Files of other methods: read as they are written, refused when they are damaged."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from external_files import (
    tiny_mesh,
    turned_theta,
    write_deca,
    write_deep3d,
    write_describe3d,
    write_focus,
    write_mica,
)
from scipy.io import savemat

from facegpt.baselines.external import (
    METHODS,
    ExternalFaceError,
    ExternalFaceMissingError,
    external_names,
    read_external_face,
    read_landmark_vertices,
)
from facegpt.baselines.external.files import (
    MAX_MATLAB_BYTES,
    MAX_MESH_BYTES,
    MAX_NUMBERS_BYTES,
    read_npy,
)
from facegpt.baselines.external.written import NOW_LANDMARKS
from facegpt.geometry.export import TexturedMesh
from facegpt.geometry.ply import write_ply
from facegpt.morphable.model import MorphableModel

pytest.importorskip("trimesh", reason="Deep3D and MICA write with trimesh")

WRITERS: dict[str, Callable[[Path, str, MorphableModel], object]] = {
    "deca": write_deca,
    "deep3d": lambda folder, name, model: write_deep3d(folder, name, model, turned_theta()),
    "focus": write_focus,
    "describe3d": write_describe3d,
    "mica": write_mica,
}
FILES = {
    "deca": ("her/her.obj", "her/her.mat"),
    "deep3d": ("her.obj", "her.mat"),
    "focus": ("her.obj", "her.txt"),
    "describe3d": ("her/result_concrete.obj",),
    "mica": ("her/mesh.ply", "her/kpt68.npy"),
}
EVERY_FILE = [(method, file) for method, files in FILES.items() for file in files]
LIMITS = {
    ".obj": MAX_MESH_BYTES,
    ".ply": MAX_MESH_BYTES,
    ".mat": MAX_MATLAB_BYTES,
    ".txt": MAX_NUMBERS_BYTES,
    ".npy": MAX_NUMBERS_BYTES,
}


@pytest.fixture(autouse=True)
def small_topologies(tiny_face_model: MorphableModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written as text has the size of the tiny face: reading 100,000 lines with checks of
    every type takes long. MICA's binary mesh has its true size."""
    size = {"vertices": len(tiny_face_model.mean_mm), "triangles": len(tiny_face_model.triangles)}
    for method in ("deca", "deep3d", "focus"):
        monkeypatch.setitem(METHODS, method, replace(METHODS[method], **size))


@pytest.fixture(scope="module")
def written(
    tiny_face_model: MorphableModel, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """One face of every method; do not change them."""
    root = tmp_path_factory.mktemp("external")
    for method, write in WRITERS.items():
        write(root / method, "her", tiny_face_model)
    return {method: root / method for method in WRITERS}


@pytest.fixture
def damaged(written: dict[str, Path], tmp_path: Path) -> Callable[[str, str, bytes], Path]:
    """A copy of a folder in which one file has other content; links keep it small."""

    def copy(method: str, file: str, content: bytes) -> Path:
        for path in written[method].rglob("*"):
            if path.is_file():
                link = tmp_path / path.relative_to(written[method])
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path)
        (tmp_path / file).unlink()
        (tmp_path / file).write_bytes(content)
        return tmp_path

    return copy


def read(method: str, folder: Path, model: MorphableModel, name: str = "her"):
    """Describe3D needs to be told where the landmarks are."""
    rows = model.landmarks68.numpy() if method == "describe3d" else None
    return read_external_face(method, folder, name, landmark_vertices=rows)


@pytest.mark.parametrize("method", ["deca", "focus", "mica"])
def test_the_mesh_comes_in_mm(
    method: str, written: dict[str, Path], tiny_face_model: MorphableModel
) -> None:
    face = read(method, written[method], tiny_face_model)
    how = METHODS[method]
    mesh = tiny_mesh(tiny_face_model, (how.vertices or 0, how.triangles or 0))
    np.testing.assert_allclose(face.vertices_mm.numpy(), mesh.vertices, atol=1e-3)
    own = len(tiny_face_model.triangles)
    looks_at = face.triangles.numpy()[:own].copy()
    looks_at.sort(axis=1)
    np.testing.assert_array_equal(looks_at, np.sort(mesh.triangles[:own], axis=1))
    assert (face.method, face.name) == (method, "her")
    assert face.theta(tiny_face_model) is None


def test_landmarks_as_each_method_writes_them(
    written: dict[str, Path], tiny_face_model: MorphableModel
) -> None:
    points = tiny_face_model.mean_mm[tiny_face_model.landmarks68].numpy()
    for method in ("deca", "mica"):
        face = read(method, written[method], tiny_face_model)
        assert face.known_landmarks.all()
        np.testing.assert_allclose(face.landmarks68_mm.numpy(), points, atol=1e-3)
    face = read("focus", written["focus"], tiny_face_model)
    assert face.known_landmarks.nonzero().flatten().tolist() == sorted(NOW_LANDMARKS)
    seven = face.landmarks68_mm[list(NOW_LANDMARKS)].numpy()
    assert np.abs(seven - points[list(NOW_LANDMARKS)]).max() < 1.0


def test_which_methods_keep_the_expression(
    written: dict[str, Path], tiny_face_model: MorphableModel
) -> None:
    neutral = {m for m in METHODS if read(m, written[m], tiny_face_model).is_neutral}
    assert neutral == {"focus", "describe3d", "mica"}


def test_deca_in_the_picture(written: dict[str, Path], tiny_face_model: MorphableModel) -> None:
    on_gpu = read("deca", written["deca"], tiny_face_model).landmarks68_px
    points = tiny_face_model.mean_mm[tiny_face_model.landmarks68].numpy()
    assert on_gpu is not None
    np.testing.assert_allclose(on_gpu.numpy(), points[:, :2] * (1, -1) + 112, atol=1e-3)


def test_deca_on_a_cpu_writes_pixels(
    written: dict[str, Path], tiny_face_model: MorphableModel, tmp_path: Path
) -> None:
    write_deca(tmp_path, "her", tiny_face_model, on_cpu=True)
    faces = [read("deca", folder, tiny_face_model) for folder in (written["deca"], tmp_path)]
    torch.testing.assert_close(faces[0].landmarks68_px, faces[1].landmarks68_px)


def test_deep3d_finds_its_landmark_vertices_in_the_picture(
    tiny_face_model: MorphableModel, tmp_path: Path
) -> None:
    mesh, landmarks = write_deep3d(tmp_path, "her", tiny_face_model, turned_theta())
    face = read("deep3d", tmp_path, tiny_face_model)
    np.testing.assert_allclose(face.vertices_mm.numpy(), mesh.vertices * 100, atol=1e-3)
    np.testing.assert_allclose(face.landmarks68_mm.numpy(), mesh.points * 100, atol=1e-3)
    assert face.landmarks68_px is not None
    np.testing.assert_allclose(face.landmarks68_px.numpy(), landmarks, atol=1e-3)


def test_deep3d_coefficients_are_theta(
    written: dict[str, Path], tiny_face_model: MorphableModel
) -> None:
    theta = read("deep3d", written["deep3d"], tiny_face_model).theta(tiny_face_model)
    assert theta is not None
    torch.testing.assert_close(theta.to_vector(), turned_theta().to_vector(), atol=2e-5, rtol=1e-4)


def test_describe3d_gets_its_size_from_the_eyes(
    written: dict[str, Path], tiny_face_model: MorphableModel
) -> None:
    face = read("describe3d", written["describe3d"], tiny_face_model)
    eyes = face.landmarks68_mm[[36, 39]].mean(0) - face.landmarks68_mm[[42, 45]].mean(0)
    assert eyes.norm().item() == pytest.approx(63.0, abs=1e-3)
    assert face.unit == "eye centres 63 mm apart"
    with pytest.raises(ExternalFaceError, match="has no unit and no landmarks"):
        read_external_face("describe3d", written["describe3d"], "her")


def test_the_outside_is_outside_however_a_method_turns_its_triangles(
    written: dict[str, Path], tiny_face_model: MorphableModel
) -> None:
    own = len(tiny_face_model.triangles)
    for method in ("deca", "focus"):
        triangles = read(method, written[method], tiny_face_model).triangles[:own]
        corners = tiny_face_model.mean_mm[triangles]
        cross = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        assert cross[:, 2].sum() > 0


def test_given_landmark_vertices_replace_what_was_written(
    written: dict[str, Path], tiny_face_model: MorphableModel
) -> None:
    rows = tiny_face_model.landmarks68.numpy()
    face = read_external_face("focus", written["focus"], "her", landmark_vertices=rows)
    assert face.known_landmarks.all()
    torch.testing.assert_close(face.landmarks68_mm, face.vertices_mm[tiny_face_model.landmarks68])
    with pytest.raises(ExternalFaceError, match="name vertices from"):
        read_external_face("mica", written["mica"], "her", landmark_vertices=rows + 10_000)
    with pytest.raises(ExternalFaceError, match="apart"):
        read_external_face(
            "describe3d", written["describe3d"], "her", landmark_vertices=rows[::-1].copy()
        )


def test_what_a_folder_holds(tiny_face_model: MorphableModel, tmp_path: Path) -> None:
    write_describe3d(tmp_path, "Stark", tiny_face_model)
    write_describe3d(tmp_path, "Stark", tiny_face_model, prompt="Tony Stark.")
    assert external_names("describe3d", tmp_path) == ["Stark", "Stark/Tony Stark."]
    face = read("describe3d", tmp_path, tiny_face_model, "Stark/Tony Stark.")
    assert face.name == "Stark/Tony Stark."


def test_names_of_every_method(written: dict[str, Path]) -> None:
    for method, folder in written.items():
        assert external_names(method, folder) == ["her"]


def test_an_unknown_method_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="did you mean 'deep3d'"):
        external_names("Deep3DFaceRecon", tmp_path)


@pytest.mark.parametrize(("method", "file"), EVERY_FILE)
def test_a_missing_file_is_named(
    method: str,
    file: str,
    damaged: Callable[[str, str, bytes], Path],
    tiny_face_model: MorphableModel,
) -> None:
    folder = damaged(method, file, b"")
    (folder / file).unlink()
    with pytest.raises(ExternalFaceMissingError, match=f"no file .*{Path(file).name}; run "):
        read(method, folder, tiny_face_model)


def test_a_folder_without_results(tmp_path: Path) -> None:
    for method in METHODS:
        with pytest.raises(ExternalFaceMissingError, match=f"no mesh of {method} in"):
            external_names(method, tmp_path / "nowhere")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
@pytest.mark.parametrize(("method", "file"), EVERY_FILE)
def test_a_file_that_is_cut_short_is_refused(
    method: str,
    file: str,
    share: float,
    written: dict[str, Path],
    damaged: Callable[[str, str, bytes], Path],
    tiny_face_model: MorphableModel,
) -> None:
    content = (written[method] / file).read_bytes()
    folder = damaged(method, file, content[: int(share * len(content))])
    with pytest.raises(ExternalFaceError, match="her"):
        read(method, folder, tiny_face_model)


@pytest.mark.parametrize(("method", "file"), EVERY_FILE)
def test_noise_is_refused(
    method: str,
    file: str,
    damaged: Callable[[str, str, bytes], Path],
    tiny_face_model: MorphableModel,
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, 5000, dtype=np.uint8).tobytes()
    with pytest.raises(ExternalFaceError, match="her"):
        read(method, damaged(method, file, noise), tiny_face_model)


@pytest.mark.parametrize(("method", "file"), EVERY_FILE)
def test_a_huge_file_is_not_read(
    method: str,
    file: str,
    damaged: Callable[[str, str, bytes], Path],
    tiny_face_model: MorphableModel,
) -> None:
    folder = damaged(method, file, b"")
    limit = LIMITS[Path(file).suffix]
    with (folder / file).open("r+b") as sparse:
        sparse.truncate(limit + 1)
    with pytest.raises(ExternalFaceError, match=f"at most {limit} are read"):
        read(method, folder, tiny_face_model)


def test_another_unit_is_noticed(tiny_face_model: MorphableModel, tmp_path: Path) -> None:
    write_deca(tmp_path, "her", tiny_face_model, unit=1.0)
    with pytest.raises(ExternalFaceError, match=r"eye centres would be .* mm apart"):
        read("deca", tmp_path, tiny_face_model)


def test_landmarks_of_another_face_are_noticed(
    damaged: Callable[[str, str, bytes], Path], tiny_face_model: MorphableModel
) -> None:
    folder = damaged("mica", "her/kpt68.npy", b"")
    points = tiny_mesh(tiny_face_model).points
    np.save(folder / "her/kpt68.npy", points[None] + (0.0, 0.0, 60.0))
    with pytest.raises(ExternalFaceError, match=r"lies .* mm from the mesh"):
        read("mica", folder, tiny_face_model)


def test_deep3d_files_of_different_faces_are_noticed(
    written: dict[str, Path], tiny_face_model: MorphableModel, tmp_path: Path
) -> None:
    theta = turned_theta()
    write_deep3d(tmp_path, "her", tiny_face_model, theta.replace(camera=2 * theta.camera))
    (tmp_path / "her.mat").write_bytes((written["deep3d"] / "her.mat").read_bytes())
    with pytest.raises(ExternalFaceError, match="belong to different faces"):
        read("deep3d", tmp_path, tiny_face_model)


def test_a_matlab_variable_of_another_kind_is_refused(
    damaged: Callable[[str, str, bytes], Path], tiny_face_model: MorphableModel
) -> None:
    folder = damaged("deep3d", "her.mat", b"")
    for lm68 in ("a text", np.zeros((1, 5, 2)), np.zeros((1, 2, 68)), np.full((1, 68, 2), np.nan)):
        savemat(folder / "her.mat", {"lm68": lm68})
        with pytest.raises(ExternalFaceError, match="lm68"):
            read("deep3d", folder, tiny_face_model)
    savemat(folder / "her.mat", {"id": np.zeros((1, 80))})
    with pytest.raises(ExternalFaceError, match="has no 'lm68'"):
        read("deep3d", folder, tiny_face_model)


def test_pickles_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "kpt68.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ExternalFaceError, match="holds object instead of numbers"):
        read_npy(path, "")


@pytest.mark.parametrize("shape", [(10**15, 3), (-1, -68, 3), (68, 4), ()])
def test_an_npy_header_that_lies_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "kpt68.npy"
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.write(bytes(68 * 3 * 4))
    with pytest.raises(ExternalFaceError, match="promises"):
        read_npy(path, "")


def test_npy_in_either_order_and_endianness(tmp_path: Path) -> None:
    table = np.arange(204, dtype=">f8").reshape(68, 3)
    for stored in (table, np.asfortranarray(table), table.astype("<i4")):
        np.save(tmp_path / "table.npy", stored)
        np.testing.assert_array_equal(read_npy(tmp_path / "table.npy", ""), table)


def test_landmark_vertices_from_text_and_npy(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).permutation(5000)[:68]
    np.save(tmp_path / "rows.npy", rows)
    (tmp_path / "rows.txt").write_text(", ".join(str(row) for row in rows[:30]) + ",\n")
    with (tmp_path / "rows.txt").open("a") as file:
        file.write("\n".join(str(row) for row in rows[30:]))
    for name in ("rows.npy", "rows.txt"):
        np.testing.assert_array_equal(read_landmark_vertices(tmp_path / name), rows)


@pytest.mark.parametrize(
    "text", ["", "1 2 3", " ".join(["7"] * 68), "0.5 " + " ".join(map(str, range(67))), "1e300 a"]
)
def test_wrong_lists_of_landmark_vertices_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_text(text)
    with pytest.raises(ExternalFaceError, match=r"rows\.txt"):
        read_landmark_vertices(tmp_path / "rows.txt")


def test_a_mesh_of_another_topology_is_refused(
    tiny_face_model: MorphableModel, damaged: Callable[[str, str, bytes], Path]
) -> None:
    folder = damaged("mica", "her/mesh.ply", b"")
    model = tiny_face_model
    write_ply(folder / "her/mesh.ply", TexturedMesh(model.mean_mm, model.triangles))
    with pytest.raises(ExternalFaceError, match="a mesh of mica has 5023 and 9976"):
        read("mica", folder, tiny_face_model)
