"""Step one: a model writes situations in which a face would look as it does.

It is shown the picture and the description, or the description alone. What it writes is not judged
here.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facegpt.data.chat_server import ChatSettings, NoAnswerError, user_message
from facegpt.evaluation.asking import Interviewer, Progress, Unanswered
from facegpt.evaluation.json_lines import JsonFileError, JsonLine
from facegpt.evaluation.speculative.prompts import (
    PROPOSE_REMINDER,
    propose_prompt,
    read_sentences,
)
from facegpt.evaluation.speculative.sources import Sources, jpeg_of
from facegpt.evaluation.speculative.workspace import (
    DescribedFace,
    Problem,
    StepFile,
    Workspace,
    finished_step,
    write_step,
)
from facegpt.perception.images import ImageError


@dataclass(frozen=True)
class ProposeSettings:
    """What the model is asked for."""

    count: int = 5
    """Situations per picture."""
    with_picture: bool = True
    """Send the picture; language models without eyes take the description alone."""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"--count must be 1 or more, got {self.count}")


@dataclass(frozen=True)
class Proposal:
    """A face, and the situations that were written for it."""

    face: DescribedFace
    sentences: tuple[str, ...]

    def to_record(self) -> dict[str, Any]:
        """As JSON."""
        return {**self.face.to_record(), "sentences": list(self.sentences)}

    @staticmethod
    def from_record(line: JsonLine) -> "Proposal":
        """From JSON.

        Raises:
            JsonFileError: A field is missing or no list of texts.
        """
        sentences = line.record.get("sentences")
        if not isinstance(sentences, list) or not all(isinstance(s, str) for s in sentences):
            raise JsonFileError(f"{line.where}: 'sentences' must be a list of texts")
        return Proposal(DescribedFace.from_record(line), tuple(sentences))


def propose(
    work: Workspace,
    sources: Sources,
    interviewer: Interviewer,
    settings: ProposeSettings,
    progress: Progress | None = None,
) -> StepFile:
    """Write `candidates.json`; what was answered before is not asked again.

    Pictures that cannot be read, or that the model says nothing usable about, are among the
    problems of the step; repeating it asks for them again.
    """
    made_with = _made_with(sources, interviewer.server.settings, settings)
    done = finished_step(work.candidates, made_with)
    if done is not None:
        return done

    def ask(face: DescribedFace) -> Proposal:
        prompt = propose_prompt(face.description, settings.count)
        picture = _picture(sources.images / face.image) if settings.with_picture else None
        _, sentences = interviewer.ask(
            [user_message(prompt, picture)], read_sentences, reminder=PROPOSE_REMINDER
        )
        return Proposal(face, sentences[: settings.count])

    found = interviewer.ask_all(sources.faces, ask, progress)
    problems = [
        Problem(face.image, said.reason)
        for face, said in zip(sources.faces, found, strict=True)
        if isinstance(said, Unanswered)
    ]
    proposals = [said.to_record() for said in found if isinstance(said, Proposal)]
    return write_step(work.candidates, made_with, proposals, [*sources.problems, *problems])


def _picture(path: Path) -> bytes:
    try:
        return jpeg_of(path)
    except ImageError as error:
        raise NoAnswerError(str(error)) from error


def _made_with(
    sources: Sources, chat: ChatSettings, settings: ProposeSettings
) -> Mapping[str, Any]:
    faces = [face.to_record() for face in sources.faces]
    return {
        **chat.record(),
        "count": settings.count,
        "with_picture": settings.with_picture,
        "prompt": propose_prompt("{description}", settings.count),
        "faces": hashlib.sha256(json.dumps(faces, sort_keys=True).encode()).hexdigest(),
    }
