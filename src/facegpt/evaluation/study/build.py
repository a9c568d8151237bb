"""Making a study out of one folder of pictures per method.

Files of the same name are alternatives of the same question. What is drawn at random (which
questions, in which order, which method where) follows from the seed; the blind names do not, they
cannot be guessed.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facegpt.evaluation.study.errors import MissingAlternativeError, StudyError, StudyMissingError
from facegpt.evaluation.study.files import new_folder, read_object, refuse_existing
from facegpt.evaluation.study.pictures import blind_copy
from facegpt.evaluation.study.plan import (
    IMAGES_FOLDER,
    KEY_FILE,
    MAX_METHODS,
    MAX_QUESTIONS,
    MAX_TEXT_LENGTH,
    STUDY_FILE,
    Key,
    Question,
    Study,
    key_text,
    study_text,
)

_METHOD_ENDINGS = (".png",)
_PHOTO_ENDINGS = (".png", ".jpg", ".jpeg")
_NAMES_IN_MESSAGES = 3

_TASK_WITH_TEXT = "Read the description, then choose the face that fits it best."
_TASK_WITH_PHOTO = "Look at the photo, then choose the face that resembles it most."
_TASK_WITH_BOTH = "Look at the photo and read the description, then choose the face that fits best."
_TASK_ALONE = "Choose the face that convinces you most."


@dataclass(frozen=True)
class BuildSettings:
    """What a study is made of."""

    methods: tuple[Path, ...]
    """One folder of PNGs per method, which is named after its folder."""
    output: Path
    """Folder to make; it must not be there."""
    texts: Path | None = None
    """JSON object: name of a picture without .png -> description or situation."""
    photos: Path | None = None
    """Folder of the photos that the methods were given, under the same names."""
    questions: int = 20
    """The paper's number. If there are more pictures, so many are drawn."""
    seed: int = 0
    title: str = "Which face fits best?"
    task: str | None = None
    """One sentence; without it one that suits the stimuli."""

    def __post_init__(self) -> None:
        if not 2 <= len(self.methods) <= MAX_METHODS:
            raise StudyError(
                f"a study compares between 2 and {MAX_METHODS} methods, got {len(self.methods)} "
                "folders; try: facegpt study build faces/ours faces/theirs -o study"
            )
        if not 1 <= self.questions <= MAX_QUESTIONS:
            raise StudyError(
                f"--questions must be between 1 and {MAX_QUESTIONS}, got {self.questions}"
            )
        if self.seed < 0:
            raise StudyError(f"--seed must be at least 0, got {self.seed}")
        for name, text in (("--title", self.title), ("--task", self.task)):
            if text is not None and not 0 < len(text.strip()) <= MAX_TEXT_LENGTH:
                raise StudyError(f"{name} must have between 1 and {MAX_TEXT_LENGTH:,} characters")


@dataclass(frozen=True)
class _Stimulus:
    text: str
    photo: Path | None


def build_study(settings: BuildSettings) -> Study:
    """Write the folder of a study; it is there in full or not at all.

    Raises:
        StudyError: A folder, picture or text is missing, unreadable or too large, or there are
            fewer pictures than questions.
        StudyExistsError: Something is at the output already.
    """
    refuse_existing(settings.output)
    pictures = _pictures_by_method(settings.methods)
    generator = np.random.default_rng(settings.seed)
    sources = _draw(_shared_names(pictures), settings.questions, generator)
    stimuli = _stimuli(sources, settings)
    orders = balanced_orders(len(sources), len(pictures), generator)
    study, key, origins = _plan(settings, pictures, stimuli, orders)
    # All are decoded before anything is written: a damaged one leaves nothing behind.
    copies = {image: blind_copy(path) for image, path in origins.items()}
    _write(settings.output, study, key, copies)
    return study


def balanced_orders(
    questions: int, methods: int, generator: np.random.Generator
) -> list[tuple[int, ...]]:
    """Which method stands where, per question: in each place each one equally often, give or take
    one.

    Blocks of as many questions as methods are Latin squares: the rotations of one random order, in
    random sequence. A last block that is not complete has each method at most once in each place.
    """
    orders: list[tuple[int, ...]] = []
    while len(orders) < questions:
        order = generator.permutation(methods)
        shifts = generator.permutation(methods)
        orders += [tuple(int(method) for method in np.roll(order, shift)) for shift in shifts]
    return orders[:questions]


def _pictures_by_method(folders: Sequence[Path]) -> dict[str, dict[str, Path]]:
    found: dict[str, dict[str, Path]] = {}
    for folder in folders:
        method = folder.resolve().name
        if method in found:
            raise StudyError(
                f"two folders are called {method!r}; a method is named after its folder, so "
                "rename one of them"
            )
        found[method] = _pictures_in(folder, _METHOD_ENDINGS)
    return found


def _pictures_in(folder: Path, endings: Sequence[str]) -> dict[str, Path]:
    """Name without ending -> picture."""
    if not folder.is_dir():
        raise StudyMissingError(f"there is no folder {folder}; check the path")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() not in endings:
            continue
        if path.stem in found:
            raise StudyError(f"{found[path.stem]} and {path} have the same name; remove one")
        found[path.stem] = path
    if not found:
        raise StudyMissingError(f"no picture in {folder}; it must hold files such as 01.png")
    return found


def _shared_names(pictures: Mapping[str, Mapping[str, Path]]) -> list[str]:
    """Names that every method has; to leave out what one of them failed at would favour it."""
    every = sorted(set().union(*pictures.values()))
    for method, found in pictures.items():
        missing = [f"{name}.png" for name in every if name not in found]
        if missing:
            raise MissingAlternativeError(
                f"method {method!r} has no {_some(missing)}, which other methods have; add it, "
                "or remove it everywhere"
            )
    return every


def _draw(names: Sequence[str], count: int, generator: np.random.Generator) -> list[str]:
    if len(names) < count:
        raise StudyError(
            f"the folders hold {len(names)} pictures each, too few for {count} questions; make "
            f"more, or say --questions {len(names)}"
        )
    chosen = generator.choice(len(names), size=count, replace=False)
    return [names[int(number)] for number in chosen]


def _stimuli(sources: Sequence[str], settings: BuildSettings) -> dict[str, _Stimulus]:
    """Stimulus by source, in the order of the questions."""
    texts = _read_texts(settings.texts) if settings.texts else {}
    photos = _pictures_in(settings.photos, _PHOTO_ENDINGS) if settings.photos else {}
    for place, known in ((settings.texts, texts), (settings.photos, photos)):
        missing = [source for source in sources if source not in known]
        if place and missing:
            raise MissingAlternativeError(f"{place} has nothing for {_some(missing)}; add it")
    return {source: _Stimulus(texts.get(source, ""), photos.get(source)) for source in sources}


def _read_texts(path: Path) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name, text in read_object(path, 'write one such as {"01": "She won."}').items():
        if not isinstance(text, str) or not 0 < len(text.strip()) <= MAX_TEXT_LENGTH:
            raise StudyError(
                f"the text of {name!r} in {path} must have between 1 and {MAX_TEXT_LENGTH:,} "
                "characters"
            )
        texts[name] = text.strip()
    return texts


def _plan(
    settings: BuildSettings,
    pictures: Mapping[str, Mapping[str, Path]],
    stimuli: Mapping[str, _Stimulus],
    orders: Sequence[tuple[int, ...]],
) -> tuple[Study, Key, dict[str, Path]]:
    """The study, its key, and the file behind each blind name."""
    methods = tuple(pictures)
    questions: list[Question] = []
    origins: dict[str, Path] = {}
    method_of: dict[str, str] = {}
    for (source, stimulus), order in zip(stimuli.items(), orders, strict=True):
        blind = {_blind_name(): methods[place] for place in order}
        method_of |= blind
        origins |= {image: pictures[method][source] for image, method in blind.items()}
        photo = _blind_name() if stimulus.photo else None
        if photo and stimulus.photo:
            origins[photo] = stimulus.photo
        name = f"q{len(questions) + 1}"
        questions.append(Question(name, stimulus.text, photo, tuple(blind)))
    task = settings.task or _task(settings)
    study = Study(secrets.token_hex(8), settings.title.strip(), task.strip(), tuple(questions))
    sources = {q.id: source for q, source in zip(questions, stimuli, strict=True)}
    return study, Key(study.id, settings.seed, methods, sources, method_of), origins


def _blind_name() -> str:
    return f"{secrets.token_hex(16)}.png"


def _task(settings: BuildSettings) -> str:
    if settings.texts and settings.photos:
        return _TASK_WITH_BOTH
    if settings.texts:
        return _TASK_WITH_TEXT
    return _TASK_WITH_PHOTO if settings.photos else _TASK_ALONE


def _write(output: Path, study: Study, key: Key, copies: Mapping[str, bytes]) -> None:
    with new_folder(output) as folder:
        (folder / STUDY_FILE).write_text(study_text(study), encoding="utf-8")
        key_file = folder / KEY_FILE
        key_file.write_text(key_text(key), encoding="utf-8")
        key_file.chmod(0o600)
        images = folder / IMAGES_FOLDER
        images.mkdir()
        # By name, so that not even the order of the files on disk tells the method.
        for image in sorted(copies):
            (images / image).write_bytes(copies[image])


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMES_IN_MESSAGES])
    more = len(names) - _NAMES_IN_MESSAGES
    return f"{shown} and {more} more" if more > 0 else shown
