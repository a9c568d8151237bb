"""What a judge says is read as two scores or not at all."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facegpt.evaluation.judging.scores import HIGHEST, LOWEST, ScoreError, Scores, parse_scores

GOOD = [
    ("8 7\nBoth are fine.", (8, 7)),
    ("8.5 7", (8.5, 7)),
    ("  10   1  ", (10, 1)),
    ("8, 7\n", (8, 7)),
    ("8,7", (8, 7)),
    ("8; 7", (8, 7)),
    ("8/10 7/10", (8, 7)),
    ("8/10, 7/10.", (8, 7)),
    ("10/10 10", (10, 10)),
    ("(8, 7)", (8, 7)),
    ("[8.0, 7.0]", (8, 7)),
    ("**8 7**\nBecause.", (8, 7)),
    ("**8** **7**", (8, 7)),
    ("Scores: 8 and 7", (8, 7)),
    ("score: 8 7", (8, 7)),
    ("```\n8 7\n```", (8, 7)),
    ("\r\n\r\n8 7\r\nBecause.", (8, 7)),
    ("8\t7", (8, 7)),
    ("Assistant 1: 8, Assistant 2: 7", (8, 7)),
    ("Assistant 1: 8/10\nAssistant 2: 7/10\nBecause.", (8, 7)),
    ("**Assistant 1**: 8\n\n**Assistant 2**: 7", (8, 7)),
    ("assistant 1 score: 8 | assistant 2 score: 7", (8, 7)),
    ("<think>\nThe first is better.\n</think>\n8 7", (8, 7)),
    ("Let me see.\n8 7\nAgain, that is:\n8 7", (8, 7)),
]
BAD = [
    "",
    " \n\t\n",
    "...",
    "8",
    "8 7 6",
    "8/10",
    "8/7",
    "8\n7",
    "eight seven",
    "11 7",
    "0 5",
    "8 100",
    "-8 7",
    "8 -7",
    "8 7 because the first says more",
    "1e1 5",
    "nan nan",
    "inf 3",
    "8,5 7,5",
    "٨ ٧",
    "Assistant 2: 7, Assistant 1: 8",
    "Assistant 1: 8",
    "I like both.\n8 7\nOn second thought:\n7 8",
    "I'm sorry, I cannot judge this.",
    "1(0) 7",
    "9" * 5000,
    "8 " * 5000,
]


@pytest.mark.parametrize(("text", "scores"), GOOD)
def test_scores_are_found(text: str, scores: tuple[float, float]) -> None:
    assert parse_scores(text) == Scores(*map(float, scores))


@pytest.mark.parametrize("text", BAD)
def test_nothing_is_read_into_nonsense(text: str) -> None:
    with pytest.raises(ScoreError):
        parse_scores(text)


def test_the_error_says_what_was_found() -> None:
    with pytest.raises(ScoreError, match="no two scores: 'Both are good'"):
        parse_scores("Both are good\nReally.")
    with pytest.raises(ScoreError, match="from 1 to 10, got 11 and 7"):
        parse_scores("11 7")
    with pytest.raises(ScoreError, match="empty"):
        parse_scores("\n")


def test_the_first_line_counts_before_all_others() -> None:
    assert parse_scores("8 7\nReasons.\n3 3") == Scores(8.0, 7.0)


def test_labels_carry_the_role_of_the_rule() -> None:
    assert parse_scores("Helper 1: 8\nHelper 2: 7", "Helper") == Scores(8.0, 7.0)
    with pytest.raises(ScoreError):
        parse_scores("Helper 1: 8\nHelper 2: 7")


SCORES = st.integers(4, 40).map(lambda quarters: quarters / 4)


@given(
    first=SCORES,
    second=SCORES,
    between=st.sampled_from([" ", "  ", ", ", ",", "; ", " and ", "\t"]),
    wrapped=st.sampled_from(["{}", "**{}**", "({})", "`{}`", "\n{}", "Scores: {}", "{}."]),
    reasons=st.text(st.characters(exclude_categories=["N", "C"]), max_size=60),
)
def test_whatever_the_decoration_the_scores_stay(
    first: float, second: float, between: str, wrapped: str, reasons: str
) -> None:
    text = wrapped.format(f"{first:g}{between}{second:g}") + "\n" + reasons
    assert parse_scores(text) == Scores(first, second)


@given(st.one_of(st.text(), st.text("0123456789 .,/\n-:", max_size=12)))
def test_any_text_gives_scores_of_the_scale_or_a_score_error(text: str) -> None:
    try:
        scores = parse_scores(text)
    except ScoreError:
        return
    written = {float(number) for number in re.findall(r"[0-9]+(?:\.[0-9]+)?", text)}
    for score in (scores.first, scores.second):
        assert LOWEST <= score <= HIGHEST
        assert score in written
