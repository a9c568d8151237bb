"""Every morphable model by name.

A new one is an entry of `LOADERS`. Files that facegpt may not ship are looked for among the assets;
where one is missing, the error says how to get it.
"""

import difflib
from collections.abc import Callable

from facegpt.assets import AssetMissingError, find_asset
from facegpt.morphable.model import MorphableModel


def load_morphable_model(name: str = "default") -> MorphableModel:
    """The model of that name; its tensors may be shared: do not change them.

    Raises:
        ValueError: No model has this name, or its file is damaged.
        AssetMissingError: The user has to bring its file first.
    """
    if name not in LOADERS:
        [nearest] = difflib.get_close_matches(name.lower(), LOADERS, n=1, cutoff=0)
        raise ValueError(
            f"no morphable model {name!r}; did you mean {nearest!r}? Known: {sorted(LOADERS)}"
        )
    return LOADERS[name]()


def _default() -> MorphableModel:
    from facegpt.morphable.default import load_default

    return load_default()


def _default_procedural() -> MorphableModel:
    from facegpt.morphable.default import load_default_procedural

    return load_default_procedural()


def _bfm2017() -> MorphableModel:
    path = find_asset("bfm2017")
    from facegpt.morphable.bfm import load_bfm2017

    return load_bfm2017(path, landmark_donor=_default())


def _bfm2009() -> MorphableModel:
    path = find_asset("bfm2009")
    from facegpt.morphable.bfm import is_front_model, load_bfm2009

    if is_front_model(path):
        return load_bfm2009(path)
    return load_bfm2009(path, find_asset("bfm2009-expression"), find_asset("bfm2009-deep3d"))


def _flame() -> MorphableModel:
    """The newer one where both are there: its licence allows more."""
    try:
        path, licence = find_asset("flame2023"), "flame2023"
    except AssetMissingError:
        path, licence = find_asset("flame2020"), "flame2020"
    try:
        embedding = find_asset("flame-landmarks")
    except AssetMissingError:
        embedding = None
    from facegpt.morphable.flame import load_flame

    return load_flame(path, embedding, albedo_donor=_default(), licence=licence)


def _ict() -> MorphableModel:
    path = find_asset("ict")
    from facegpt.morphable.ict import load_ict

    return load_ict(path, albedo_donor=_default())


LOADERS: dict[str, Callable[[], MorphableModel]] = {
    "default": _default,
    "default-procedural": _default_procedural,
    "bfm2017": _bfm2017,
    "bfm2009": _bfm2009,
    "flame": _flame,
    "ict": _ict,
}
"""Name -> loader."""
