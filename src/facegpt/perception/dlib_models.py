"""Where dlib and its model files come from; one sentence and a command when they are missing."""

import importlib
from pathlib import Path
from typing import Any

from facegpt.assets import AssetMissingError, find_asset


def import_dlib() -> Any:
    """The module dlib, which has no types.

    Raises:
        AssetMissingError: It is not installed, or was built for another machine.
    """
    try:
        return importlib.import_module("dlib")
    except ImportError as error:
        raise AssetMissingError(
            f"faces are found with dlib, which cannot be imported ({error}). Run: pip install "
            "dlib-bin"
        ) from error


def model_file(name: str) -> Path:
    """The file of one of dlib's models, by the name of its asset.

    Raises:
        AssetMissingError: It is not installed.
    """
    return find_asset(name)
