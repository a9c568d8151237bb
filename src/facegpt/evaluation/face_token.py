"""Is `<FACE>` written when a face is asked for, and only then? Precision, recall and F1.

The token is what makes a face, so a missing one is a missing face and a spare one a face that
nobody wanted. An answer may hold several; each is counted. The slow twin is named `..._by_answers`.
Knows texts and counts, no model. The paper asks for this (section 3.2: a model must not "always
output 3DMM parameters") and gives no measure of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from facegpt.data.conversations import FACE_TOKEN
from facegpt.evaluation.checks import check_pairs
from facegpt.evaluation.errors import MeasureError
from facegpt.evaluation.metrics import Bootstrap, Estimate, ratio_estimate


@dataclass(frozen=True)
class TokenScores:
    """Shares of 0-1 with 95 % intervals over answers; NaN where nothing counts."""

    precision: Estimate
    """Of the tokens that were written, those that were wanted."""
    recall: Estimate
    """Of the tokens that were wanted, those that were written."""
    f1: Estimate
    """Harmonic mean of the two: 2 matched / (written + wanted)."""
    silence: Estimate
    """Of the answers that should have no token, those that have none. Precision depends on how many
    of the prompts ask for a face, this does not."""


def count_face_tokens(
    answers: Sequence[str], *, token: str = FACE_TOKEN
) -> Int[np.ndarray, "answer"]:
    """How many tokens each answer holds."""
    return np.array([answer.count(token) for answer in answers], dtype=np.int64)


def face_token_scores(
    written: Int[np.ndarray, "answer"],
    wanted: Int[np.ndarray, "answer"],
    bootstrap: Bootstrap | None = None,
) -> TokenScores:
    """Scores over answers; tokens match within an answer only, whatever their place in it.

    Args:
        written: How many tokens each answer holds.
        wanted: How many it should hold, mostly 0 or 1.

    Raises:
        MeasureError: There are no answers or not as many of both, a count is negative, or as
            `Bootstrap.groups_of`.
    """
    check_pairs("written and wanted <FACE> tokens", written, wanted)
    if min(written.min(), wanted.min()) < 0:
        raise MeasureError("<FACE>: a count of tokens is negative; give zero or more per answer")
    matched, idle = np.minimum(written, wanted), wanted == 0
    return TokenScores(
        ratio_estimate(matched, written, bootstrap),
        ratio_estimate(matched, wanted, bootstrap),
        ratio_estimate(2 * matched, written + wanted, bootstrap),
        ratio_estimate(idle & (written == 0), idle, bootstrap),
    )


def face_token_shares_by_answers(
    written: Int[np.ndarray, "answer"], wanted: Int[np.ndarray, "answer"]
) -> Float[np.ndarray, "4"]:
    """Precision, recall, F1 and silence without intervals, by one token after the other."""
    true, spare, missing, kept, broken = 0, 0, 0, 0, 0
    for have, want in zip(written.tolist(), wanted.tolist(), strict=True):
        for place in range(max(have, want)):
            true += place < have and place < want
            spare += want <= place
            missing += have <= place
        kept += have == want == 0
        broken += want == 0 < have
    parts = [(true, spare), (true, missing), (2 * true, spare + missing), (kept, broken)]
    return np.array([good / (good + bad) if good + bad else np.nan for good, bad in parts])
