"""Methods by the names that commands take: `nano`, `fit`, `vision=FOLDER`, `external:deca=FOLDER`.

One place for exports and benchmarks; what a method must be able to do is in `answering.py`. A new
method is one entry of `PHOTO_METHODS` (it reads photos) or of `TEXT_METHODS` (it reads texts), or
of both. What other programs wrote to disk is no method that can be asked; `MethodName.program` says
whose files they are.
"""

import difflib
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch

from facegpt.baselines.estimated import EstimatedFaces
from facegpt.baselines.external import external_method
from facegpt.baselines.llava_key import LlavaKey
from facegpt.baselines.mean_face import MeanFace
from facegpt.baselines.regression import Regression
from facegpt.data.table import FaceTable
from facegpt.data.theta import TowerTheta
from facegpt.evaluation.answering import (
    Imagination,
    NamedReconstructor,
    OneFaceForAllTexts,
    TextMethod,
    ToldPoints,
)
from facegpt.fitting import AnalysisBySynthesis
from facegpt.model.base_llm import Progress
from facegpt.model.nano import NANO_WEIGHTS
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.morphable.registry import load_morphable_model
from facegpt.perception.detection import DlibDetector
from facegpt.perception.landmarks import LandmarkDetector
from facegpt.pipeline import FaceGPT

_EXTERNAL, _REFINE, _WEIGHTS = "external:", "+refine", "weights"
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,39}")


class MethodError(ValueError):
    """A method has no such name, lacks its folder, or does not read what is to be measured."""


@dataclass(frozen=True)
class MethodName:
    """What somebody asked for."""

    label: str
    """What tables call it."""
    kind: str
    """Key of the registries, or `external:PROGRAM`."""
    folder: Path | None = None

    @property
    def program(self) -> str:
        """Whose files are read; empty for a method that can be asked."""
        return self.kind.removeprefix(_EXTERNAL) if self.kind.startswith(_EXTERNAL) else ""

    @property
    def reads_photos(self) -> bool:
        """Whether it can answer photos."""
        return bool(self.program) or self.kind in PHOTO_METHODS

    @property
    def reads_texts(self) -> bool:
        """Whether it can answer texts."""
        return bool(self.program) or self.kind in TEXT_METHODS

    @property
    def talks(self) -> bool:
        """Whether it can answer in words."""
        return self.kind in TALKING

    @property
    def command_text(self) -> str:
        """How to ask for it, without the way to the folder, which is another one elsewhere."""
        if self.folder is None:
            return self.kind
        if self.program:
            return f"{self.kind}=FOLDER"
        known = self.kind == self.label or self.kind.startswith(_WEIGHTS)
        return f"{self.label}=FOLDER" if known else f"{self.label}={self.kind}:FOLDER"

    def fingerprint(self) -> str:
        """Changes when the files behind the method change; empty where there are none."""
        if self.program and self.folder is not None:
            return listing_digest(self.folder)
        if self.folder is None:
            return folder_digest(NANO_WEIGHTS) if self.kind.startswith("nano") else ""
        return folder_digest(self.folder)


@dataclass(frozen=True, eq=False)
class Workshop:
    """What methods are made with."""

    detector: LandmarkDetector = field(default_factory=DlibDetector)
    """Finds the faces in photos."""
    device: str = "cpu"
    morphable_model: str = "default"
    """Of methods that bring none."""
    progress: Progress | None = None
    _loaded: dict[Path | None, FaceGPT] = field(default_factory=dict, repr=False)

    @cached_property
    def model(self) -> MorphableModel:
        """The morphable model of methods that bring none."""
        return load_morphable_model(self.morphable_model)

    def facegpt(self, folder: Path | None) -> FaceGPT:
        """FaceGPT with the weights of a folder, the shipped ones if None; loaded once."""
        if folder not in self._loaded:
            loaded = FaceGPT.from_pretrained(
                folder or "nano", device=self.device, progress=self.progress
            )
            loaded.detector = self.detector
            self._loaded[folder] = loaded
        return self._loaded[folder]


PhotoMaker = Callable[[MethodName, Workshop], NamedReconstructor]
TextMaker = Callable[[MethodName, Workshop], TextMethod]


def _refined(name: MethodName, workshop: Workshop) -> NamedReconstructor:
    return workshop.facegpt(name.folder).refining_reader


def _written(name: MethodName, workshop: Workshop) -> TextMethod:
    """The likeliest face, made at once: nothing is said before it."""
    facegpt = workshop.facegpt(name.folder)
    return Imagination(facegpt.model, lambda texts: facegpt.imagine(texts, reason=False))


def _vision(name: MethodName, workshop: Workshop) -> NamedReconstructor:
    assert name.folder is not None
    tower = TowerTheta(name.folder)
    return EstimatedFaces(tower, workshop.model, workshop.detector, ("facegpt-weights",))


def _regression(name: MethodName, workshop: Workshop) -> NamedReconstructor:
    assert name.folder is not None
    return Regression.load(name.folder, detector=workshop.detector)


def _llava_key(name: MethodName, workshop: Workshop) -> LlavaKey:
    assert name.folder is not None
    return LlavaKey.load(name.folder, detector=workshop.detector)


def _average_face(name: MethodName) -> FaceParameters:
    """Mean theta of the faces that `facegpt data build` wrote into a folder."""
    assert name.folder is not None
    rows = [row for row in FaceTable(name.folder).column("theta") if row is not None]
    if not rows:
        raise MethodError(f"the faces in {name.folder} have no theta; build them with one")
    theta = torch.tensor(rows, dtype=torch.float32).mean(dim=0, keepdim=True)
    return FaceParameters.from_vector(theta)


def _average_of_photos(name: MethodName, workshop: Workshop) -> NamedReconstructor:
    return MeanFace(workshop.model, workshop.detector, _average_face(name), name.kind)


PHOTO_METHODS: dict[str, PhotoMaker] = {
    "nano": lambda name, workshop: workshop.facegpt(name.folder).reader,
    "nano+refine": _refined,
    "weights": lambda name, workshop: workshop.facegpt(name.folder).reader,
    "weights+refine": _refined,
    "fit": lambda name, workshop: AnalysisBySynthesis(workshop.model, detector=workshop.detector),
    "vision": _vision,
    "regression": _regression,
    "llava-key": _llava_key,
    "mean-face": lambda name, workshop: MeanFace(workshop.model, workshop.detector),
    "average-fit": _average_of_photos,
}
"""Kind -> how a method for photos is made."""

TEXT_METHODS: dict[str, TextMaker] = {
    "nano": _written,
    "weights": _written,
    "llava-key": lambda name, workshop: ToldPoints(_llava_key(name, workshop)),
    "mean-face": lambda name, workshop: OneFaceForAllTexts(workshop.model),
    "average-fit": lambda name, workshop: OneFaceForAllTexts(workshop.model, _average_face(name)),
}
"""Kind -> how a method for texts is made."""

TALKING = ("nano", "weights")
"""Kinds that answer in words."""

WITHOUT_FOLDER = ("nano", "nano+refine", "fit", "mean-face")
"""Kinds that are named alone; all others want `=FOLDER`."""


def kinds_with_folder() -> set[str]:
    """Kinds that want `=FOLDER`; `weights` and `weights+refine` are FaceGPT."""
    return {*PHOTO_METHODS, *TEXT_METHODS} - {*WITHOUT_FOLDER}


def parse_method(text: str) -> MethodName:
    """A method by its name.

    `NAME=FOLDER` with a name of one's own is FaceGPT with the weights of that folder; with
    `NAME+refine=FOLDER` its predictions are fitted to the photos. `NAME=KIND:FOLDER` gives a
    baseline a name of one's own: `regression-2=regression:FOLDER`.

    Raises:
        MethodError: There is no such method, or its folder is missing.
    """
    name, equals, folder = text.partition("=")
    if name.startswith(_EXTERNAL):
        return _external(name, folder)
    if not equals:
        return MethodName(name, _bare_kind(name))
    if name in WITHOUT_FOLDER:
        raise MethodError(
            f"{text}: {name!r} takes no folder; weights of your own want a name of their own, "
            f"such as mine={folder or 'FOLDER'}"
        )
    if not _LABEL.fullmatch(name):
        raise MethodError(
            f"{text!r}: the name before = must be up to 40 letters, digits, '.', '_', '+' or '-'"
        )
    if name in kinds_with_folder():
        return MethodName(name, name, _existing(text, folder))
    kind, colon, rest = folder.partition(":")
    if colon and kind in kinds_with_folder():
        return MethodName(name, kind, _existing(text, rest))
    kind = f"{_WEIGHTS}{_REFINE}" if name.endswith(_REFINE) else _WEIGHTS
    return MethodName(name, kind, _existing(text, folder))


def parse_methods(texts: Sequence[str]) -> list[MethodName]:
    """Several methods, all with names of their own.

    Raises:
        MethodError: As `parse_method`, or two are called the same.
    """
    names = [parse_method(text) for text in dict.fromkeys(texts)]
    labels = [name.label for name in names]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise MethodError(f"two methods are called {twice[0]!r}; give one NAME=FOLDER another name")
    return names


def photo_method(name: MethodName, workshop: Workshop) -> NamedReconstructor:
    """Make a method for photos.

    Raises:
        MethodError: It reads none.
        ValueError, OSError: What it needs is missing or damaged.
    """
    if name.kind not in PHOTO_METHODS:
        raise MethodError(_cannot(name, "photos", PHOTO_METHODS))
    return PHOTO_METHODS[name.kind](name, workshop)


def text_method(name: MethodName, workshop: Workshop) -> TextMethod:
    """Make a method for texts.

    Raises:
        MethodError: It reads none.
        ValueError, OSError: What it needs is missing or damaged.
    """
    if name.kind not in TEXT_METHODS:
        raise MethodError(_cannot(name, "texts", TEXT_METHODS))
    return TEXT_METHODS[name.kind](name, workshop)


def talker(name: MethodName, workshop: Workshop) -> Callable[[], FaceGPT]:
    """A method that answers in words, loaded when it is called.

    Raises:
        MethodError: It does not talk.
    """
    if not name.talks:
        raise MethodError(f"{name.label} does not talk; these do: {', '.join(TALKING)}")
    return lambda: workshop.facegpt(name.folder)


def folder_digest(folder: Path) -> str:
    """SHA-256 of the names and contents of the files of a folder, not below it."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def listing_digest(folder: Path) -> str:
    """SHA-256 of names, sizes and times of all files of a folder and below it: meshes of other
    programs are too many to be read."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        state = path.stat()
        line = f"{path.relative_to(folder).as_posix()} {state.st_size} {state.st_mtime_ns}\n"
        digest.update(line.encode())
    return digest.hexdigest()


def _external(name: str, folder: str) -> MethodName:
    program = name.removeprefix(_EXTERNAL)
    external_method(program)
    return MethodName(program, name, _existing(f"{name}={folder}", folder))


def _existing(text: str, folder: str) -> Path:
    path = Path(folder)
    if not folder or not path.is_dir():
        raise MethodError(
            f"method {text!r}: there is no folder {folder or '(none was given)'}; name it as "
            f"{text.removesuffix(folder)}FOLDER"
        )
    return path


def _bare_kind(name: str) -> str:
    if name in WITHOUT_FOLDER:
        return name
    known = sorted({*PHOTO_METHODS, *TEXT_METHODS})
    if name in known:
        raise MethodError(f"method {name!r} needs a folder; name it as {name}=FOLDER")
    [nearest] = difflib.get_close_matches(name, known, n=1, cutoff=0)
    raise MethodError(
        f"no method {name!r}; did you mean {nearest!r}? Known: {', '.join(WITHOUT_FOLDER)}, "
        f"{', '.join(f'{k}=FOLDER' for k in known if k not in WITHOUT_FOLDER)}, NAME=FOLDER for "
        "weights of your own, and external:PROGRAM=FOLDER"
    )


def _cannot(name: MethodName, what: str, able: Iterable[str]) -> str:
    if name.program:
        return f"{name.label} wrote files and cannot be asked; only benchmarks read them"
    return f"{name.label} reads no {what}; these do: {', '.join(sorted(able))}"
