"""Faces that other methods wrote to disk: DECA, Deep3DFaceRecon, FOCUS, Describe3D and MICA.

Their code and weights may not be shipped with facegpt (`docs/external_methods.md` says why and how
to run them), so their results come as files. `registry` is the door; one module per method knows
its files, `written` what all have in common, `files` the formats.
"""

from facegpt.baselines.external.errors import ExternalFaceError, ExternalFaceMissingError
from facegpt.baselines.external.files import read_landmark_vertices
from facegpt.baselines.external.registry import (
    METHODS,
    ExternalMethod,
    external_method,
    external_names,
    read_external_face,
)
from facegpt.baselines.external.written import ExternalFace

__all__ = [
    "METHODS",
    "ExternalFace",
    "ExternalFaceError",
    "ExternalFaceMissingError",
    "ExternalMethod",
    "external_method",
    "external_names",
    "read_external_face",
    "read_landmark_vertices",
]
