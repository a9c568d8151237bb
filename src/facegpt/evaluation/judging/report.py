"""What is left of a judging: LLaVA's review files, `report.json`, and a table to be read.

| file | what |
| --- | --- |
| `reviews-NAME.jsonl` | one review a line, for `summarize_gpt_review.py`: reference first |
| `reviews-NAME-swapped.jsonl` | the same with the reference second, where it was asked for |
| `report.json` | scores, intervals, bias, the settings, what failed, and the limits |

Knows no server.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from facegpt.evaluation.json_lines import write_json_lines, write_json_object
from facegpt.evaluation.judging.bench_files import CATEGORIES
from facegpt.evaluation.judging.judge import Review, Unjudged
from facegpt.evaluation.judging.relative_score import (
    ALL,
    PositionBias,
    RelativeScore,
    position_bias,
    relative_scores,
)
from facegpt.evaluation.metrics import Interval

FORMAT = "facegpt.judging/1"

LIMITS: tuple[str, ...] = (
    "The judge is a language model, not a measurement: another judge, another version of it or "
    "another rule gives other numbers. Compare only rows of one table; the paper's own numbers are "
    "from GPT-4 and are not comparable with those of another judge.",
    "It does not see the picture, only captions and boxes: what is true but not in them may be "
    "punished, and an invention that fits them may pass.",
    "Judges like long and fluent answers, answers like their own, and one of the two places. "
    "Judging in both orders cancels and shows the last of these, nothing cancels the others.",
    "The intervals are over the choice of pictures. They do not hold the noise of the judge, and "
    "with 30 pictures they are several points wide.",
    "The questions are general ones. Nothing here says how well anybody speaks about faces.",
)
"""What such numbers cannot bear; printed beside every table."""

_TITLES = {"conv": "Conv", "detail": "Detail", "complex": "Complex", ALL: "All"}


@dataclass(frozen=True)
class ModelResult:
    """Everything that is said about one model."""

    name: str
    scores: Mapping[str, RelativeScore]
    """By category, and `ALL`."""
    bias: PositionBias | None
    reviews: tuple[Review, ...]
    unjudged: tuple[Unjudged, ...]


def result_of(
    name: str,
    judged: Sequence[Review | Unjudged],
    *,
    both_orders: bool,
    seed: int = 0,
) -> ModelResult:
    """Count what the judge said about one model.

    Args:
        seed: Of the bootstrap.
    """
    reviews = tuple(r for r in judged if isinstance(r, Review))
    scores = relative_scores(reviews, orders=2 if both_orders else 1, seed=seed)
    bias = position_bias(reviews, seed=seed) if both_orders else None
    unjudged = tuple(r for r in judged if isinstance(r, Unjudged))
    return ModelResult(name, scores, bias, reviews, unjudged)


def write_results(
    folder: Path, results: Sequence[ModelResult], settings: Mapping[str, Any]
) -> Path:
    """Write the reviews of every model and the report; each file is there in full or not at all.

    Args:
        settings: What decided the numbers: judge, rules, files, seed.

    Returns:
        The report.
    """
    for result in results:
        for is_swapped, suffix in ((False, ""), (True, "-swapped")):
            same = [r for r in result.reviews if r.comparison.is_swapped is is_swapped]
            path = folder / f"reviews-{result.name}{suffix}.jsonl"
            if same:
                write_json_lines(path, _review_records(same))
            else:
                # Of an earlier run, in which it was asked for: the report would not match it.
                path.unlink(missing_ok=True)
    record = {
        "format": FORMAT,
        "settings": dict(settings),
        "models": {result.name: _record(result) for result in results},
        "limits": list(LIMITS),
    }
    report = folder / "report.json"
    write_json_object(report, record)
    return report


def table(results: Sequence[ModelResult], judge: str) -> str:
    """The table in Markdown, what stands beside it, and the limits."""
    columns = (*CATEGORIES, ALL)
    lines = [
        f"Relative score in % of the reference answers, judged by {judge} (95 % interval)",
        "",
        "| model | " + " | ".join(_TITLES[c] for c in columns) + " |",
        "| --- |" + " --- |" * len(columns),
    ]
    for result in results:
        cells = [_cell(result.scores[column]) for column in columns]
        lines.append(f"| {result.name} | " + " | ".join(cells) + " |")
    for result in results:
        lines += _remarks(result)
    return "\n".join([*lines, "", "What these numbers cannot bear:", *(f"- {t}" for t in LIMITS)])


def _cell(score: RelativeScore) -> str:
    if score.questions == 0:
        return "-"
    low, high = score.interval.low, score.interval.high
    return f"{score.value:.1f} ({low:.1f} to {high:.1f}, n = {score.questions})"


def _remarks(result: ModelResult) -> list[str]:
    lines = []
    if result.bias is not None:
        bias, interval = result.bias, result.bias.interval
        lines.append(
            f"{result.name}, place of the answer: what comes first gets {bias.points:+.2f} points "
            f"({interval.low:+.2f} to {interval.high:+.2f}); all questions "
            f"{bias.reference_first:.1f} with the reference first, {bias.reference_second:.1f} "
            f"with it second, difference {bias.reference_second - bias.reference_first:+.1f}"
        )
    if result.unjudged:
        lines.append(
            f"{result.name}: {len(result.unjudged)} comparisons were not judged and do not count, "
            f"the first because: {result.unjudged[0].reason}"
        )
    return ["", *lines] if lines else []


def _review_records(reviews: Sequence[Review]) -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "question_id": review.comparison.question.question_id,
            "answer1_id": review.comparison.in_order[0].answer_id,
            "answer2_id": review.comparison.in_order[1].answer_id,
            "category": review.comparison.rule_name,
            "content": review.content,
            "tuple": [review.scores.first, review.scores.second],
        }
        for number, review in enumerate(reviews, start=1)
    ]


def _record(result: ModelResult) -> dict[str, Any]:
    failed = [
        {
            "question_id": u.comparison.question.question_id,
            "is_swapped": u.comparison.is_swapped,
            "reason": u.reason,
        }
        for u in result.unjudged
    ]
    return {
        "scores": {name: _score_record(score) for name, score in result.scores.items()},
        "position_bias": None if result.bias is None else _bias_record(result.bias),
        "unjudged": failed,
    }


def _score_record(score: RelativeScore) -> dict[str, Any]:
    """NaN is no JSON: a column without questions says so by its count alone."""
    if score.questions == 0:
        return {"questions": 0}
    return {**asdict(score), "interval": _interval_record(score.interval)}


def _bias_record(bias: PositionBias) -> dict[str, Any]:
    return {**asdict(bias), "interval": _interval_record(bias.interval)}


def _interval_record(interval: Interval) -> list[float]:
    return [interval.low, interval.high]
