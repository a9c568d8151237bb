"""Describe3D (Wu et al. 2023): what its `main.py` writes.

Per description `<name>/result_concrete.obj`, and with an abstract prompt also
`<name>/<prompt>/result_prompt.obj`: the head of FaceScape in that data set's unit, which is not
metric. It writes no landmarks: their vertex numbers have to be given.
"""

from pathlib import Path

from facegpt.baselines.external.files import read_mesh
from facegpt.baselines.external.written import WrittenFace, no_landmarks

_ADVICE = "run Describe3D's main.py"
_CONCRETE, _PROMPT = "result_concrete.obj", "result_prompt.obj"


def read_describe3d(folder: Path, name: str) -> WrittenFace:
    """One face.

    Args:
        folder: Describe3D's --result_dir.
        name: Its --name, for the face of the description; `<name>/<prompt>` for that of the prompt.

    Raises:
        ExternalFaceMissingError: The file is not there.
        ExternalFaceError: It is damaged.
    """
    prompt = folder / name / _PROMPT
    path = prompt if prompt.is_file() else folder / name / _CONCRETE
    mesh = read_mesh(path, _ADVICE)
    return WrittenFace(
        path=path,
        vertices=mesh.vertices_mm,
        triangles=mesh.triangles,
        mm_per_unit=None,
        unit="unknown",
        is_neutral=True,
        landmarks68=no_landmarks(),
    )


def describe3d_names(folder: Path) -> list[str]:
    """The descriptions, and the prompts as `<name>/<prompt>`."""
    found = [*folder.glob(f"*/{_CONCRETE}"), *folder.glob(f"*/*/{_PROMPT}")]
    return sorted(path.parent.relative_to(folder).as_posix() for path in found)
