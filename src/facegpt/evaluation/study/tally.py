"""Counting the answers of a study; the only place where pictures get their methods back.

The preference of a method is the share of questions for which it was chosen (paper, 4.2).
"""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, final

from facegpt.evaluation.metrics import Interval, wilson_interval
from facegpt.evaluation.study.answers import open_answers
from facegpt.evaluation.study.errors import AnswersError, NoAnswersError
from facegpt.evaluation.study.files import to_json, write_text
from facegpt.evaluation.study.plan import (
    ANSWERS_FILE,
    KEY_FILE,
    Key,
    Question,
    Study,
    read_key,
    read_study,
)

Counted = Literal["complete", "all"]
"""Whose answers count: of people who answered every question, or of everybody."""

TALLY_FORMAT = "facegpt.study-tally/1"


@final
@dataclass(frozen=True)
class Preference:
    """How often a method was chosen."""

    method: str
    chosen: int
    answers: int
    share: float
    """0 to 1."""
    interval: Interval
    """Wilson's, 95 %, each answer taken as one independent trial."""


@final
@dataclass(frozen=True)
class QuestionTally:
    """The answers to one question."""

    question: str
    source: str
    """Name that its pictures had in the folders of the methods."""
    text: str
    preferences: tuple[Preference, ...]
    """Of every method, in the order of the key; empty if nobody answered."""


@final
@dataclass(frozen=True)
class Tally:
    """The result of a study."""

    study: str
    title: str
    counted: Counted
    participants_complete: int
    participants_incomplete: int
    """Joined without answering everything."""
    preferences: tuple[Preference, ...]
    """Over all questions, the most preferred method first."""
    questions: tuple[QuestionTally, ...]


def tally_study(
    folder: Path,
    *,
    answers: Path | None = None,
    key: Path | None = None,
    counted: Counted = "complete",
) -> Tally:
    """Count the answers.

    Args:
        answers: The file that the server made; beside the study if None.
        key: The key of the study; beside the study if None.

    Raises:
        StudyError: A file is missing, damaged or of another study.
        NoAnswersError: There is nothing to count.
    """
    study = read_study(folder)
    unblinding = read_key(key or folder / KEY_FILE)
    unblinding.check_fits(study)
    choices = open_answers(answers or folder / ANSWERS_FILE, study.id).by_participant()
    complete = [chosen for chosen in choices.values() if len(chosen) == len(study.questions)]
    used = complete if counted == "complete" else list(choices.values())
    if not any(used):
        raise NoAnswersError(_why_nothing(study, len(choices)))
    return Tally(
        study=study.id,
        title=study.title,
        counted=counted,
        participants_complete=len(complete),
        participants_incomplete=len(choices) - len(complete),
        preferences=_overall(used, unblinding),
        questions=tuple(_question(question, used, unblinding) for question in study.questions),
    )


def tally_markdown(tally: Tally) -> str:
    """For reading and for reports."""
    methods = sorted(p.method for p in tally.preferences)
    lines = [
        f"# {_cell(tally.title)}",
        "",
        f"Participants: {tally.participants_complete} complete, {tally.participants_incomplete} "
        f"incomplete{' (not counted)' if tally.counted == 'complete' else ' (counted, too)'}.",
        "",
        "| method | chosen | answers | preference (%) | 95 % interval |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(_overall_row(preference) for preference in tally.preferences),
        "",
        "Intervals are Wilson's (1927). They take each answer as one independent trial; answers of "
        "the same person or to the same question are more alike than that, so they are rather too "
        "narrow.",
        "",
        f"| question | pictures | {' | '.join(map(_cell, methods))} | text |",
        f"| --- | --- | {' | '.join('---:' for _ in methods)} | --- |",
        *(_question_row(question, methods) for question in tally.questions),
    ]
    return "\n".join(lines) + "\n"


def tally_json(tally: Tally) -> str:
    """Everything, for programs."""
    return to_json({"format": TALLY_FORMAT, **asdict(tally)})


def tally_csv(tally: Tally) -> str:
    """One row per question and method, for statistics; `all` in place of a question is the sum."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(("question", "source", "method", "chosen", "answers", "share", "low", "high"))
    writer.writerows(_csv_row("all", "", preference) for preference in tally.preferences)
    for question in tally.questions:
        writer.writerows(
            _csv_row(question.question, question.source, preference)
            for preference in question.preferences
        )
    return sink.getvalue()


def write_tally(folder: Path, tally: Tally) -> tuple[Path, ...]:
    """Write `tally.md`, `tally.json` and `tally.csv`; older ones are replaced."""
    texts = {
        "tally.md": tally_markdown(tally),
        "tally.json": tally_json(tally),
        "tally.csv": tally_csv(tally),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    return tuple(folder / name for name in texts)


def _why_nothing(study: Study, joined: int) -> str:
    if joined == 0:
        return "nobody has taken part yet; show the study with: facegpt study serve STUDY"
    return (
        f"none of the {joined} who joined has answered all {len(study.questions)} questions; wait, "
        "or count what there is with --counted all"
    )


def _overall(used: Sequence[Mapping[str, str]], key: Key) -> tuple[Preference, ...]:
    preferences = _preferences([image for chosen in used for image in chosen.values()], key)
    return tuple(sorted(preferences, key=lambda preference: -preference.chosen))


def _question(question: Question, used: Sequence[Mapping[str, str]], key: Key) -> QuestionTally:
    images = [chosen[question.id] for chosen in used if question.id in chosen]
    preferences = _preferences(images, key) if images else ()
    return QuestionTally(question.id, key.sources[question.id], question.text, preferences)


def _preferences(images: Sequence[str], key: Key) -> tuple[Preference, ...]:
    try:
        counts = Counter(key.method_of[image] for image in images)
    except KeyError as error:
        raise AnswersError(f"somebody chose {error}, which is no picture of the study") from error
    return tuple(
        Preference(
            method=method,
            chosen=counts[method],
            answers=len(images),
            share=counts[method] / len(images),
            interval=wilson_interval(counts[method], len(images)),
        )
        for method in key.methods
    )


def _overall_row(preference: Preference) -> str:
    low, high = preference.interval.low, preference.interval.high
    return (
        f"| {_cell(preference.method)} | {preference.chosen} | {preference.answers} "
        f"| {100 * preference.share:.1f} | {100 * low:.1f} to {100 * high:.1f} |"
    )


def _question_row(question: QuestionTally, methods: Sequence[str]) -> str:
    chosen = {preference.method: preference.chosen for preference in question.preferences}
    counts = " | ".join(str(chosen.get(method, 0)) for method in methods)
    return f"| {question.question} | {_cell(question.source)} | {counts} | {_cell(question.text)} |"


def _csv_row(question: str, source: str, preference: Preference) -> tuple[str | int | float, ...]:
    interval = preference.interval
    counts = (preference.chosen, preference.answers)
    shares = (round(number, 6) for number in (preference.share, interval.low, interval.high))
    return (question, source, preference.method, *counts, *shares)


def _cell(text: str) -> str:
    """One line that does not end a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
