"""The two scores in what a judge says, or one sentence why there are none.

A judge is asked for one line of two numbers from 1 to 10, then its reasons. What is read here is
that line, decorated or labelled as models do it. In doubt nothing is read: a judge that is asked
again costs a request, a number that is made up costs the table.
"""

import re
from dataclasses import dataclass

from facegpt.evaluation.asking import UnreadableAnswerError

LOWEST, HIGHEST = 1.0, 10.0

_NUMBER = r"([0-9]{1,3}(?:\.[0-9]{1,3})?)(?: ?/ ?10)?"
_BETWEEN = r"(?: ?[,;|&] ?| and | )"
_PAIR = re.compile(rf"(?:scores? ?: ?)?{_NUMBER}{_BETWEEN}{_NUMBER} ?\.?", re.IGNORECASE)
# Brackets, quotes and the marks of Markdown; white space is folded afterwards.
_DECORATION = str.maketrans(dict.fromkeys("*_`#>()[]{}\"'\t\u00a0", " "))
_LONGEST_LINE = 200


class ScoreError(UnreadableAnswerError):
    """A judge's answer holds no two scores; the message says what was found instead."""


@dataclass(frozen=True)
class Scores:
    """Of the answers in the order in which the judge saw them, each from 1 to 10."""

    first: float
    second: float


def parse_scores(text: str, role: str = "Assistant") -> Scores:
    """Read the scores of both answers.

    They stand on the first line that says anything ("8 7", "8/10, 7/10", "**8 7**", "Scores: 8 and
    7"), or there and on the next with labels ("Assistant 1: 8", "Assistant 2: 7"). Judges that
    think aloud first are read if exactly one other line is such a pair, however often it comes.

    Args:
        role: What the rule calls the two, for the labels.

    Raises:
        ScoreError: There are no two numbers, more than two, or one is not in 1 to 10.
    """
    lines = [_plain(line) for line in text.split("\n")]
    lines = [line for line in lines if any(sign.isalnum() for sign in line)]
    if not lines:
        raise ScoreError("the answer is empty")
    found = _pair(lines[0]) or _labelled_pair(lines[:2], role) or _only_pair(lines[1:])
    if found is None:
        raise ScoreError(f"the first line holds no two scores: {lines[0][:60]!r}")
    for score in found:
        if not LOWEST <= score <= HIGHEST:
            raise ScoreError(f"scores go from 1 to 10, got {found[0]:g} and {found[1]:g}")
    return Scores(*found)


def _plain(line: str) -> str:
    return " ".join(line.translate(_DECORATION).split())


def _pair(line: str) -> tuple[float, float] | None:
    match = _PAIR.fullmatch(line) if len(line) <= _LONGEST_LINE else None
    return (float(match[1]), float(match[2])) if match else None


def _labelled_pair(lines: list[str], role: str) -> tuple[float, float] | None:
    parts = [rf"{re.escape(role)} ?{number}(?: score)? ?[:=-] ?{_NUMBER}" for number in (1, 2)]
    both = re.compile(rf"{parts[0]} ?[,;.|]? ?{parts[1]} ?\.?", re.IGNORECASE)
    # On one line first: the reasons may follow on the next.
    for line in (lines[0], " ".join(lines)):
        match = both.fullmatch(line) if len(line) <= 2 * _LONGEST_LINE else None
        if match:
            return float(match[1]), float(match[2])
    return None


def _only_pair(lines: list[str]) -> tuple[float, float] | None:
    pairs = {pair for line in lines if (pair := _pair(line)) is not None}
    return pairs.pop() if len(pairs) == 1 else None
