"""From reviews to Table 4: the relative score of each kind of question, and the judge's bias.

Pure numbers; where the reviews come from does not matter here.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from facegpt.evaluation.judging.bench_files import CATEGORIES
from facegpt.evaluation.judging.judge import Review
from facegpt.evaluation.metrics import Bootstrap, Interval, mean_estimate, ratio_estimates

ALL = "all"
"""Name of the column of all questions."""


@dataclass(frozen=True)
class RelativeScore:
    """How a model does beside the reference answers."""

    value: float
    """100 * sum of the model's scores / sum of the reference's; 100 is as good as the reference.
    NaN without any question."""
    interval: Interval
    """95 %, over the choice of pictures; it knows nothing of the judge's own noise."""
    questions: int
    answer_mean: float
    """Mean score of the model, 1 to 10; 0 without any question."""
    reference_mean: float


@dataclass(frozen=True)
class PositionBias:
    """What the place of an answer is worth to the judge, from pairs judged in both orders."""

    points: float
    """Mean score of whatever comes first minus that of whatever comes second; 0 is fair."""
    interval: Interval
    reference_first: float
    """Relative score of all questions with the reference first, as LLaVA has it."""
    reference_second: float
    pairs: int


@dataclass(frozen=True)
class _Scored:
    """One question: mean scores over the orders it was judged in."""

    category: str
    image: str
    reference: float
    answer: float


def relative_scores(
    reviews: Sequence[Review], *, orders: int = 1, seed: int = 0
) -> dict[str, RelativeScore]:
    """Relative scores by category, and of all questions under `ALL`.

    Questions about the same picture are drawn together in the bootstrap, and the same pictures for
    every column and every model that answered the same questions.

    Args:
        orders: In how many orders each question should have been judged; a question that lacks one
            is left out, or the place of its answer would count.
        seed: Of the bootstrap.
    """
    scored = _scored(reviews, orders)
    columns = (*CATEGORIES, ALL)
    belongs = np.array([[name in (s.category, ALL) for name in columns] for s in scored])
    belongs = belongs.reshape(len(scored), len(columns))
    reference = belongs * np.array([s.reference for s in scored])[:, None]
    answer = belongs * np.array([s.answer for s in scored])[:, None]
    drawn_by = Bootstrap(seed, _numbered([s.image for s in scored]))
    estimates = ratio_estimates(100 * answer, reference, drawn_by)
    return {
        name: RelativeScore(
            estimate.value,
            estimate.interval,
            estimate.count,
            float(answer[:, column].sum() / max(estimate.count, 1)),
            float(reference[:, column].sum() / max(estimate.count, 1)),
        )
        for column, (name, estimate) in enumerate(zip(columns, estimates, strict=True))
    }


def position_bias(reviews: Sequence[Review], *, seed: int = 0) -> PositionBias | None:
    """How much the judge favours a place; None where nothing was judged in both orders."""
    pairs = [pair for pair in _by_question(reviews) if len(pair) == 2]
    if not pairs:
        return None
    gains = np.array([np.mean([r.scores.first - r.scores.second for r in pair]) for pair in pairs])
    groups = _numbered([pair[0].comparison.question.image for pair in pairs])
    gain = mean_estimate(gains, Bootstrap(seed, groups))
    first, second = (
        _in_percent([r for pair in pairs for r in pair if r.comparison.is_swapped is is_swapped])
        for is_swapped in (False, True)
    )
    return PositionBias(gain.value, gain.interval, first, second, len(pairs))


def _in_percent(reviews: Sequence[Review]) -> float:
    """Relative score; reference scores are 1 or more, so there is always something to divide by."""
    return 100 * sum(r.answer_score for r in reviews) / sum(r.reference_score for r in reviews)


def _scored(reviews: Sequence[Review], orders: int) -> list[_Scored]:
    return [
        _Scored(
            same[0].comparison.question.category,
            same[0].comparison.question.image,
            float(np.mean([r.reference_score for r in same])),
            float(np.mean([r.answer_score for r in same])),
        )
        for same in _by_question(reviews)
        if len(same) == orders
    ]


def _by_question(reviews: Sequence[Review]) -> list[list[Review]]:
    found: dict[int | str, list[Review]] = defaultdict(list)
    for review in reviews:
        found[review.comparison.question.question_id].append(review)
    return list(found.values())


def _numbered(names: Sequence[str]) -> Int[np.ndarray, "item"]:
    return np.unique(np.array(names), return_inverse=True)[1]
