"""Every method whose files are read, by name.

A new one is an entry of `METHODS`: a function that reads one face, one that lists what there is.
"""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from facegpt.baselines.external import deca, deep3d, focus, mica
from facegpt.baselines.external.deca import deca_names, read_deca
from facegpt.baselines.external.deep3d import deep3d_names, read_deep3d
from facegpt.baselines.external.describe3d import describe3d_names, read_describe3d
from facegpt.baselines.external.errors import ExternalFaceError, ExternalFaceMissingError
from facegpt.baselines.external.focus import focus_names, read_focus
from facegpt.baselines.external.mica import mica_names, read_mica
from facegpt.baselines.external.written import ExternalFace, WrittenFace, face_in_mm


@dataclass(frozen=True)
class ExternalMethod:
    """How the files of a method are read."""

    read: Callable[[Path, str], WrittenFace]
    """From folder and name."""
    names: Callable[[Path], list[str]]
    """What a folder holds."""
    licence: str
    """What keeps facegpt from shipping it, as its publishers state it."""
    vertices: int | None = None
    """Of its only topology; another number means another or a damaged file. None: not known."""
    triangles: int | None = None


METHODS: dict[str, ExternalMethod] = {
    "deca": ExternalMethod(
        read_deca,
        deca_names,
        "DECA and FLAME: licences of the Max Planck Society, non-commercial research",
        deca.VERTICES,
        deca.TRIANGLES,
    ),
    "deep3d": ExternalMethod(
        read_deep3d,
        deep3d_names,
        "code MIT; the Basel Face Model 2009 in it: research only",
        deep3d.VERTICES,
        deep3d.TRIANGLES,
    ),
    "focus": ExternalMethod(
        read_focus,
        focus_names,
        "code MIT with conditions on its use; the Basel Face Model 2017 in it: research only",
        focus.VERTICES,
        focus.TRIANGLES,
    ),
    "describe3d": ExternalMethod(
        read_describe3d,
        describe3d_names,
        "no licence is stated for the code; the data behind it: FaceScape, research only",
    ),
    "mica": ExternalMethod(
        read_mica,
        mica_names,
        "MICA and FLAME: licences of the Max Planck Society, non-commercial research",
        mica.VERTICES,
        mica.TRIANGLES,
    ),
}
"""Name -> method."""


def external_method(name: str) -> ExternalMethod:
    """The method of that name.

    Raises:
        ValueError: There is none.
    """
    if name not in METHODS:
        [nearest] = difflib.get_close_matches(name.lower(), METHODS, n=1, cutoff=0)
        raise ValueError(
            f"no method {name!r} whose files are read; did you mean {nearest!r}? Known: "
            f"{sorted(METHODS)}"
        )
    return METHODS[name]


def external_names(method: str, folder: Path) -> list[str]:
    """What a method has written into a folder, in order.

    Raises:
        ValueError: There is no such method.
        ExternalFaceMissingError: There is no such folder, or nothing of the method in it.
    """
    names = external_method(method).names(folder)
    if not names:
        raise ExternalFaceMissingError(
            f"no mesh of {method} in {folder}; docs/external_methods.md says which folder is meant"
        )
    return names


def read_external_face(
    method: str,
    folder: Path,
    name: str,
    *,
    landmark_vertices: Int[np.ndarray, "68"] | None = None,
) -> ExternalFace:
    """One face that a method wrote, in mm.

    Args:
        folder: Where the method wrote; which of its folders is said by the module of the method.
        name: As `external_names` gives it.
        landmark_vertices: Vertices of the method's topology that are the iBUG points (see
            `read_landmark_vertices`). Describe3D needs them; elsewhere they take the place of what
            the method wrote.

    Raises:
        ValueError: There is no such method.
        ExternalFaceMissingError: A file is not there; says how to make it.
        ExternalFaceError: A file is damaged, too large, or cannot be a face.
    """
    how = external_method(method)
    written = how.read(folder, name)
    _check_topology(method, how, written)
    return face_in_mm(method, name, written, landmark_vertices)


def _check_topology(method: str, how: ExternalMethod, written: WrittenFace) -> None:
    got = len(written.vertices), len(written.triangles)
    wanted = how.vertices or got[0], how.triangles or got[1]
    if got != wanted:
        raise ExternalFaceError(
            f"{written.path} has {got[0]} vertices and {got[1]} triangles, a mesh of {method} has "
            f"{wanted[0]} and {wanted[1]}; it may be cut short, or another file"
        )
