"""Faces of other programs in the tables: laid onto the truth, or refused with the next step."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.append(str(Path(__file__).parents[2] / "baselines"))

from external_files import write_describe3d

from facegpt.baselines.external import ExternalFace
from facegpt.evaluation.benchmarks.errors import BenchmarkError
from facegpt.evaluation.benchmarks.written_faces import WrittenFaces
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters


def test_the_same_face_has_no_distance(tiny_face_model: MorphableModel, tmp_path: Path) -> None:
    pytest.importorskip("trimesh")
    write_describe3d(tmp_path, "c0000", tiny_face_model)
    rows = tiny_face_model.landmarks68.numpy()
    written = WrittenFaces("describe3d", tmp_path, rows)
    values = written.text_values("c0000", tiny_face_model, FaceParameters.zeros(1))
    # Describe3D has no unit: it is scaled by the eyes, which here are 63 mm apart to a per mille.
    assert values["chamfer_mm"] < 1.0
    assert values["complete_10mm"] == 1.0
    other = FaceParameters.zeros(1)
    other.shape[:, 0] = 3.0
    further = written.text_values("c0000", tiny_face_model, other)
    assert further["chamfer_mm"] > values["chamfer_mm"]


def test_what_is_not_there(tiny_face_model: MorphableModel, tmp_path: Path) -> None:
    written = WrittenFaces("describe3d", tmp_path)
    with pytest.raises(BenchmarkError, match="nobody"):
        written.text_values("nobody", tiny_face_model, FaceParameters.zeros(1))
    write_describe3d(tmp_path, "c0000", tiny_face_model)
    with pytest.raises(BenchmarkError, match="landmark"):
        written.text_values("c0000", tiny_face_model, FaceParameters.zeros(1))


def test_landmarks_in_the_picture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    points = np.random.default_rng(0).uniform(50, 170, (68, 2))

    def face(shift: float | None) -> ExternalFace:
        px = None if shift is None else torch.from_numpy(points + (shift, 0.0)).float()
        mesh = torch.zeros(3, 3), torch.tensor([[0, 1, 2]])
        return ExternalFace("deca", "a", *mesh, "metres", False, torch.zeros(68, 3), px)

    module = "facegpt.evaluation.benchmarks.written_faces.read_external_face"
    written = WrittenFaces("deca", tmp_path)
    monkeypatch.setattr(module, lambda *_, **__: face(2.0))
    values = written.photo_values("a", points)
    eyes = np.linalg.norm(points[45] - points[36])
    assert values["landmark_px"] == pytest.approx(2.0, abs=1e-3)
    assert values["nme"] == pytest.approx(2.0 / eyes, abs=1e-3)
    monkeypatch.setattr(module, lambda *_, **__: face(100.0))
    with pytest.raises(BenchmarkError, match="facegpt evaluate crops"):
        written.photo_values("a", points)
    monkeypatch.setattr(module, lambda *_, **__: face(None))
    with pytest.raises(BenchmarkError, match="no landmarks"):
        written.photo_values("a", points)
