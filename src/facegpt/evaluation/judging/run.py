"""From files to results: every model of a table judged against the same reference answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from facegpt.evaluation.asking import Interviewer, Progress
from facegpt.evaluation.json_lines import sha256_of
from facegpt.evaluation.judging.bench_files import (
    Answer,
    Bench,
    JudgingFilesError,
    read_answers,
    read_bench,
)
from facegpt.evaluation.judging.judge import comparisons, judge
from facegpt.evaluation.judging.report import ModelResult, result_of


@dataclass(frozen=True)
class JudgingFiles:
    """What a table is made from."""

    questions: Path
    context: Path
    reference: Path
    """Answers that the others are compared with."""
    answers: tuple[Path, ...]
    """One file per model, named after it."""
    rules: Path | None = None
    """LLaVA's `rule.json`; our own rules without it."""

    def __post_init__(self) -> None:
        names = [path.stem for path in self.answers]
        if not names:
            raise JudgingFilesError("--answers needs the answers of at least one model")
        if len(set(names)) < len(names):
            raise JudgingFilesError(
                f"two files of --answers have the same name; rename one of {names}"
            )

    def checksums(self) -> dict[str, Any]:
        """Of every file, for the report."""
        return {
            "questions": sha256_of(self.questions),
            "context": sha256_of(self.context),
            "reference": sha256_of(self.reference),
            "rules": "our own" if self.rules is None else sha256_of(self.rules),
            "answers": {path.stem: sha256_of(path) for path in self.answers},
        }


@dataclass(frozen=True)
class JudgingInput:
    """The same, read."""

    bench: Bench
    reference: Mapping[int | str, Answer]
    answers: Mapping[str, Mapping[int | str, Answer]]
    """By the name of the model."""


def read_input(files: JudgingFiles) -> JudgingInput:
    """Read everything, so that nothing is asked before all of it fits together.

    Raises:
        JsonFileError: A file cannot be read.
        JudgingFilesError: The files do not fit together.
    """
    bench = read_bench(files.questions, files.context, files.rules)
    return JudgingInput(
        bench,
        read_answers(files.reference, bench.questions),
        {path.stem: read_answers(path, bench.questions) for path in files.answers},
    )


def judge_models(
    interviewer: Interviewer,
    given: JudgingInput,
    *,
    both_orders: bool,
    seed: int,
    progress: Progress | None = None,
) -> list[ModelResult]:
    """The result of every model, in the order of the files.

    Args:
        seed: Of the bootstrap.
    """
    asked = {
        name: comparisons(given.bench, given.reference, answers, both_orders=both_orders)
        for name, answers in given.answers.items()
    }
    every = [comparison for same in asked.values() for comparison in same]
    judged = iter(judge(interviewer, given.bench, every, progress))
    return [
        result_of(name, list(islice(judged, len(same))), both_orders=both_orders, seed=seed)
        for name, same in asked.items()
    ]
