"""What a study asks, what its key says, and both as JSON.

Knows neither methods' folders (`build`) nor participants (`answers`).
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from facegpt.evaluation.study.errors import StudyError
from facegpt.evaluation.study.files import read_object, to_json

STUDY_FILE = "study.json"
KEY_FILE = "key.json"
ANSWERS_FILE = "answers.sqlite3"
IMAGES_FOLDER = "images"

MAX_METHODS = 6
"""More faces side by side are not compared but searched."""
MAX_QUESTIONS = 100
MAX_TEXT_LENGTH = 2_000

_STUDY_FORMAT = "facegpt.study/1"
_KEY_FORMAT = "facegpt.study-key/1"
_STUDY_ID = re.compile(r"[0-9a-f]{16}")
_QUESTION_ID = re.compile(r"q[0-9]{1,3}")
_IMAGE_NAME = re.compile(r"[0-9a-f]{32}\.png")


@final
@dataclass(frozen=True)
class Question:
    """One stimulus and what the methods made of it."""

    id: str
    text: str
    """The description or situation; may be empty."""
    photo: str | None
    """Blind name of the picture that all methods were given."""
    alternatives: tuple[str, ...]
    """Blind names, one per method, from left to right."""

    def __post_init__(self) -> None:
        if not _QUESTION_ID.fullmatch(self.id):
            raise StudyError(f"{self.id!r} is no name of a question")
        for image in self.images:
            if not _IMAGE_NAME.fullmatch(image):
                raise StudyError(f"{image!r} is no blind name of a picture")
        if not 2 <= len(self.alternatives) <= MAX_METHODS:
            raise StudyError(
                f"question {self.id} has {len(self.alternatives)} alternatives; between 2 and "
                f"{MAX_METHODS} can be compared"
            )

    @property
    def images(self) -> tuple[str, ...]:
        """Blind names of all its pictures."""
        return self.alternatives if self.photo is None else (*self.alternatives, self.photo)

    def order_for(self, turn: int) -> tuple[str, ...]:
        """The alternatives as one participant sees them.

        They are rotated, so that over participants each one stands in each place equally often;
        within a participant the balance of the plan stays.

        Args:
            turn: Which participant it is, counted from any number.
        """
        shift = turn % len(self.alternatives)
        return self.alternatives[shift:] + self.alternatives[:shift]


@final
@dataclass(frozen=True)
class Study:
    """Everything that participants may know."""

    id: str
    """Ties answers and key to their study."""
    title: str
    task: str
    """What to do, in a sentence."""
    questions: tuple[Question, ...]

    def __post_init__(self) -> None:
        if not _STUDY_ID.fullmatch(self.id):
            raise StudyError(f"{self.id!r} is no name of a study")
        if not 1 <= len(self.questions) <= MAX_QUESTIONS:
            raise StudyError(
                f"a study has between 1 and {MAX_QUESTIONS} questions, not {len(self.questions)}"
            )
        names = [q.id for q in self.questions] + list(self.images)
        if len(set(names)) < len(names):
            raise StudyError("a question or a picture is named twice")

    @property
    def images(self) -> tuple[str, ...]:
        """Blind names of all pictures."""
        return tuple(image for question in self.questions for image in question.images)

    def question(self, name: str) -> Question | None:
        """The question of this id, if there is one."""
        return next((q for q in self.questions if q.id == name), None)


@final
@dataclass(frozen=True)
class Key:
    """What unblinds a study."""

    study: str
    """Its id."""
    seed: int
    methods: tuple[str, ...]
    sources: Mapping[str, str]
    """Question -> the name that its pictures had in the folders, without ending."""
    method_of: Mapping[str, str]
    """Blind name of an alternative -> its method."""

    def check_fits(self, study: Study) -> None:
        """Nothing else can be unblinded with it.

        Raises:
            StudyError: It is the key of another study, or damaged.
        """
        alternatives = {image for q in study.questions for image in q.alternatives}
        if (
            self.study != study.id
            or set(self.method_of) != alternatives
            or not set(self.method_of.values()) <= set(self.methods)
            or set(self.sources) != {q.id for q in study.questions}
        ):
            raise StudyError("the key belongs to another study; give the one made with this study")


def study_text(study: Study) -> str:
    """`study.json`."""
    return to_json({"format": _STUDY_FORMAT, **asdict(study)})


def key_text(key: Key) -> str:
    """`key.json`."""
    return to_json({"format": _KEY_FORMAT, **asdict(key)})


def read_study(folder: Path) -> Study:
    """The study in a folder.

    Raises:
        StudyMissingError: The folder holds none.
        StudyError: Its file is damaged or of another version.
    """
    path = folder / STUDY_FILE
    record = read_object(path, "make a study with: facegpt study build METHOD METHOD -o FOLDER")
    with _parsing(path, record, _STUDY_FORMAT):
        questions = tuple(_question(q) for q in record["questions"])
        return Study(_word(record["id"]), _word(record["title"]), _word(record["task"]), questions)


def read_key(path: Path) -> Key:
    """The key in a file.

    Raises:
        StudyMissingError: There is no such file.
        StudyError: It is damaged or of another version.
    """
    record = read_object(path, "it was written beside study.json; give its place with --key")
    with _parsing(path, record, _KEY_FORMAT):
        return Key(
            study=_word(record["study"]),
            seed=int(record["seed"]),
            methods=tuple(_word(name) for name in record["methods"]),
            sources={q: _word(source) for q, source in record["sources"].items()},
            method_of={image: _word(name) for image, name in record["method_of"].items()},
        )


@contextmanager
def _parsing(path: Path, record: Mapping[str, Any], expected_format: str) -> Iterator[None]:
    """Everything that can be wrong with a record becomes one sentence with its path."""
    if record.get("format") != expected_format:
        raise StudyError(
            f"the format of {path} is {record.get('format')!r}; this version reads "
            f"{expected_format!r}"
        )
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StudyError(f"{path} is damaged: {error}; get a fresh copy") from error


def _question(record: Mapping[str, Any]) -> Question:
    photo = record["photo"]
    return Question(
        id=_word(record["id"]),
        text=_word(record["text"]),
        photo=None if photo is None else _word(photo),
        alternatives=tuple(_word(image) for image in record["alternatives"]),
    )


def _word(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, got {value!r:.40}")
    return value
