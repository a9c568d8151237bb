"""FaceGPT: talk about 3D human faces and make them.

The names below are the public ones. Each is imported at first use, so that `import facegpt` costs
nothing and the command line can answer `--help` without loading torch.
"""

import importlib
from typing import TYPE_CHECKING

from facegpt.startup import garbage_left_alone

if TYPE_CHECKING:
    from facegpt.fitting import AnalysisBySynthesis as AnalysisBySynthesis
    from facegpt.morphable.model import MorphableModel as MorphableModel
    from facegpt.morphable.parameters import FaceParameters as FaceParameters
    from facegpt.morphable.registry import load_morphable_model as load_morphable_model
    from facegpt.morphable.semantics import measure as measure
    from facegpt.perception.images import load_image as load_image
    from facegpt.pipeline import ChatAnswer as ChatAnswer
    from facegpt.pipeline import FaceGPT as FaceGPT
    from facegpt.pipeline import ImaginedFace as ImaginedFace
    from facegpt.reconstruction import FaceReconstruction as FaceReconstruction
    from facegpt.rendering.renderer import Renderer as Renderer
    from facegpt.rendering.renderer import Rendering as Rendering
    from facegpt.rendering.results import save_reconstruction as save_reconstruction

__version__ = "0.1.0"

_HOME = {
    "AnalysisBySynthesis": "facegpt.fitting",
    "ChatAnswer": "facegpt.pipeline",
    "FaceGPT": "facegpt.pipeline",
    "FaceParameters": "facegpt.morphable.parameters",
    "FaceReconstruction": "facegpt.reconstruction",
    "ImaginedFace": "facegpt.pipeline",
    "MorphableModel": "facegpt.morphable.model",
    "Renderer": "facegpt.rendering.renderer",
    "Rendering": "facegpt.rendering.renderer",
    "load_image": "facegpt.perception.images",
    "load_morphable_model": "facegpt.morphable.registry",
    "measure": "facegpt.morphable.semantics",
    "save_reconstruction": "facegpt.rendering.results",
}

__all__ = [*_HOME, "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'facegpt' has no attribute {name!r}; it has {sorted(_HOME)}")
    with garbage_left_alone():
        return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
