"""A language model compares each answer of a model with the reference answer.

The request has the layout of LLaVA's review scripts: context, question, both answers, the rule. The
reference comes first; with both orders every pair is judged again the other way round, because
judges favour a place (Wang et al. 2023, "Large language models are not fair evaluators").
Temperature is 0, LLaVA's is 0.2. Knows no files but the answers that are kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from facegpt.data.chat_server import Message, system_message, user_message
from facegpt.evaluation.asking import Interviewer, Progress, Unanswered
from facegpt.evaluation.judging.bench_files import Answer, Bench, Question, Rule
from facegpt.evaluation.judging.scores import Scores, parse_scores

SYSTEM = "You are a helpful and precise assistant for checking the quality of the answer."
"""What LLaVA's scripts tell the judge to be; other words would give other scores."""

REMINDER = (
    "The scores could not be read. Answer again: the first line holds nothing but two numbers from "
    "1 to 10, the score of {role} 1 and the score of {role} 2, separated by a space."
)


@dataclass(frozen=True)
class Comparison:
    """One question to the judge: which answers, in which order."""

    question: Question
    rule_name: str
    reference: Answer
    answer: Answer
    is_swapped: bool = False
    """The reference comes second."""

    @property
    def in_order(self) -> tuple[Answer, Answer]:
        """The answers as the judge sees them."""
        if self.is_swapped:
            return self.answer, self.reference
        return self.reference, self.answer


@dataclass(frozen=True)
class Review:
    """What the judge said about one comparison."""

    comparison: Comparison
    content: str
    """In full, with its reasons."""
    scores: Scores

    @property
    def reference_score(self) -> float:
        """Of the reference answer, 1 to 10."""
        return self.scores.second if self.comparison.is_swapped else self.scores.first

    @property
    def answer_score(self) -> float:
        """Of the model's answer, 1 to 10."""
        return self.scores.first if self.comparison.is_swapped else self.scores.second


@dataclass(frozen=True)
class Unjudged:
    """A comparison without scores, and why."""

    comparison: Comparison
    reason: str


def comparisons(
    bench: Bench,
    reference: Mapping[int | str, Answer],
    answers: Mapping[int | str, Answer],
    *,
    both_orders: bool = False,
) -> list[Comparison]:
    """Everything that the judge is to be asked about one model, question by question."""
    return [
        Comparison(
            question,
            bench.rule_name(question),
            reference[question.question_id],
            answers[question.question_id],
            is_swapped,
        )
        for question in bench.questions
        for is_swapped in ((False, True) if both_orders else (False,))
    ]


def judge(
    interviewer: Interviewer,
    bench: Bench,
    asked: Sequence[Comparison],
    progress: Progress | None = None,
) -> list[Review | Unjudged]:
    """What the judge says about every comparison, in their order; one that fails does not stop the
    others."""

    def review(comparison: Comparison) -> Review:
        role = bench.rule(comparison.question).role
        content, scores = interviewer.ask(
            judge_messages(bench, comparison),
            lambda text: parse_scores(text, role),
            reminder=REMINDER.format(role=role),
        )
        return Review(comparison, content, scores)

    found = interviewer.ask_all(asked, review, progress)
    return [
        Unjudged(comparison, said.reason) if isinstance(said, Unanswered) else said
        for comparison, said in zip(asked, found, strict=True)
    ]


def judge_messages(bench: Bench, comparison: Comparison) -> list[Message]:
    """The request for one comparison."""
    rule = bench.rule(comparison.question)
    parts = {
        "Context": bench.contexts[comparison.question.image].in_words(),
        "Question": comparison.question.text,
    }
    sections = [f"[{title}]\n{text}" for title, text in parts.items()]
    sections += [_one_answer(rule, number, a) for number, a in enumerate(comparison.in_order, 1)]
    sections.append(f"[System]\n{rule.prompt}")
    return [system_message(SYSTEM), user_message("\n\n".join(sections) + "\n\n")]


def _one_answer(rule: Rule, number: int, answer: Answer) -> str:
    return f"[{rule.role} {number}]\n{answer.text}\n\n[End of {rule.role} {number}]"
