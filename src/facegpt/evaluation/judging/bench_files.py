"""The files of LLaVA-Bench: questions, what is in the pictures, answers, and the rules of judging.

| file | one line of JSON holds |
| --- | --- |
| questions | `question_id`, `image`, `text`, `category` (conv, detail or complex) |
| contexts | `image`, and `captions` (list) with `instances` (COCO) or `caption` (in the wild) |
| answers | `question_id`, `text`, perhaps `answer_id` and `model_id` |

Rules are one JSON object: category -> `role`, `prompt`. LLaVA joins questions and answers by their
place in the files; here they are joined by `question_id`, so an answer that is missing or moved is
noticed. Knows no server and no scores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facegpt.evaluation.json_lines import (
    JsonFileError,
    JsonLine,
    read_json_lines,
    read_json_object,
)

CATEGORIES = ("conv", "detail", "complex")
"""Conversation, detailed description, complex reasoning: the columns of Table 4."""

WILD_PREFIX = "llava_bench_"
"""Rules for pictures that have a caption but no boxes carry this before their category."""


class JudgingFilesError(ValueError):
    """Files of a benchmark do not fit together; the message says which and where."""


@dataclass(frozen=True)
class Question:
    """One question about a picture."""

    question_id: int | str
    image: str
    text: str
    category: str


@dataclass(frozen=True)
class Context:
    """What a judge learns of a picture, which it does not see."""

    captions: tuple[str, ...]
    boxes: tuple[str, ...] = ()
    """`object: [x1, y1, x2, y2]`, in shares of width and height."""
    is_wild: bool = False
    """Described by a caption, as in LLaVA-Bench (in the wild)."""

    def in_words(self) -> str:
        """Captions, then boxes, one a line."""
        return "\n\n".join("\n".join(part) for part in (self.captions, self.boxes) if part)


@dataclass(frozen=True)
class Answer:
    """What one model said to one question."""

    text: str
    answer_id: int | str


@dataclass(frozen=True)
class Rule:
    """How answers of one category are judged."""

    role: str
    """What the judge calls the two that answered: Assistant."""
    prompt: str


_REQUEST = (
    "Two AI assistants answered the question above, which a user asked about a picture. You cannot "
    "see the picture; the context tells you what is in it{boxes}.\n"
    "Judge how helpful, relevant, accurate and detailed each answer is, and give each an overall "
    "score from 1 to 10; higher is better.\n"
    "First write one line with nothing but the two scores, that of Assistant 1 and that of "
    "Assistant 2, separated by a space. Then, from the next line on, explain your judgement. Do "
    "not let the order of the answers influence you."
)
_BOXES = (
    ": sentences, and objects with their boxes as (x1, y1, x2, y2) from the upper left to the "
    "lower right corner, in shares of width and height"
)

OWN_RULES: Mapping[str, Rule] = {
    prefix + category: Rule("Assistant", _REQUEST.format(boxes=boxes))
    for prefix, boxes in (("", _BOXES), (WILD_PREFIX, ""))
    for category in CATEGORIES
}
"""Rules in our own words, for those without LLaVA's `rule.json`; scores differ from those by it."""


@dataclass(frozen=True)
class Bench:
    """Questions with all that a judge is told about them."""

    questions: tuple[Question, ...]
    contexts: Mapping[str, Context]
    """By image."""
    rules: Mapping[str, Rule] = field(default_factory=lambda: OWN_RULES)

    def rule_name(self, question: Question) -> str:
        """The rule that judges a question, which reviews name as their category."""
        wild = WILD_PREFIX + question.category
        preferred = wild if self.contexts[question.image].is_wild else question.category
        other = question.category if preferred == wild else wild
        return preferred if preferred in self.rules or other not in self.rules else other

    def rule(self, question: Question) -> Rule:
        """How a question is judged."""
        return self.rules[self.rule_name(question)]


def read_bench(questions: Path, contexts: Path, rules: Path | None = None) -> Bench:
    """A benchmark whose parts fit together.

    Args:
        rules: LLaVA's `rule.json`; `OWN_RULES` without it.

    Raises:
        JsonFileError: A file cannot be read, or a line is not what it should be.
        JudgingFilesError: A picture has no context, a category no rule, or an id comes twice.
    """
    bench = Bench(
        _read_questions(questions),
        _read_contexts(contexts),
        OWN_RULES if rules is None else _read_rules(rules),
    )
    for question in bench.questions:
        if question.image not in bench.contexts:
            raise JudgingFilesError(
                f"{contexts} says nothing about {question.image}, the picture of question "
                f"{question.question_id}"
            )
        if bench.rule_name(question) not in bench.rules:
            raise JudgingFilesError(
                f"{rules} has no rule for the category {question.category!r}; it has "
                f"{sorted(bench.rules)}"
            )
    return bench


def read_answers(path: Path, questions: Sequence[Question]) -> dict[int | str, Answer]:
    """The answers of one model, one for every question; others are passed over.

    Raises:
        JsonFileError: The file cannot be read, or a line is no answer.
        JudgingFilesError: A question has no answer, or two.
    """
    answers: dict[int | str, Answer] = {}
    for line in read_json_lines(path):
        known_as = _id_of(line, "question_id")
        if known_as in answers:
            raise JudgingFilesError(f"{line.where}: question {known_as} is answered before")
        has_own = "answer_id" in line.record
        # An empty answer is an answer, and the judge shall see it.
        answers[known_as] = Answer(
            line.optional_text("text"), _id_of(line, "answer_id") if has_own else known_as
        )
    missing = [q.question_id for q in questions if q.question_id not in answers]
    if missing:
        raise JudgingFilesError(
            f"{path} has no answer to {len(missing)} of {len(questions)} questions, the first is "
            f"{missing[0]}"
        )
    return answers


def _read_questions(path: Path) -> tuple[Question, ...]:
    questions: dict[int | str, Question] = {}
    for line in read_json_lines(path):
        known_as = _id_of(line, "question_id")
        if known_as in questions:
            raise JudgingFilesError(f"{line.where}: question {known_as} comes twice")
        category = line.text("category")
        if category not in CATEGORIES:
            raise JudgingFilesError(
                f"{line.where}: the category must be one of {CATEGORIES}, got {category!r}"
            )
        questions[known_as] = Question(known_as, line.text("image"), line.text("text"), category)
    return tuple(questions.values())


def _read_contexts(path: Path) -> dict[str, Context]:
    contexts: dict[str, Context] = {}
    for line in read_json_lines(path):
        image = line.text("image")
        if image in contexts:
            raise JudgingFilesError(f"{line.where}: {image} comes twice")
        contexts[image] = _context(line)
    return contexts


def _context(line: JsonLine) -> Context:
    is_wild = "captions" not in line.record
    captions = line.record.get("caption" if is_wild else "captions")
    texts = [captions] if isinstance(captions, str) else captions
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
        raise JsonFileError(
            f"{line.where}: it needs 'captions', a list of texts, or 'caption', a text"
        )
    return Context(tuple(texts), tuple(_boxes(line)), is_wild)


def _boxes(line: JsonLine) -> list[str]:
    instances = line.record.get("instances", [])
    try:
        return [f"{instance['category']}: {list(instance['bbox'])}" for instance in instances]
    except (TypeError, KeyError) as error:
        raise JsonFileError(
            f"{line.where}: 'instances' must be a list of objects with 'category' and 'bbox'"
        ) from error


def _read_rules(path: Path) -> dict[str, Rule]:
    rules = {}
    for name, value in read_json_object(path).record.items():
        if not isinstance(value, dict):
            raise JsonFileError(f"{path}: the rule {name!r} must be an object")
        rule = JsonLine(value, f"{path}, rule {name!r}")
        rules[name] = Rule(rule.text("role"), rule.text("prompt"))
    return rules


def _id_of(line: JsonLine, name: str) -> int | str:
    value: Any = line.record.get(name)
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise JsonFileError(f"{line.where}: {name!r} must be a number or a text, got {value!r:.60}")
    return value
