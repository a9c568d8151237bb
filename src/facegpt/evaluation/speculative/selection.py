"""Step two: which situations are fit to be reviewed, and which of them the model likes best.

Rules reject what gives the face away, is too short or too long, or was said before. Then, as in
A.1, the model may choose the one that fits the picture best. The order in which it sees them is
drawn anew for each picture, so that its liking for a place does not add up.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from facegpt.data.chat_server import NoAnswerError, user_message
from facegpt.evaluation.asking import Interviewer, Progress, Unanswered
from facegpt.evaluation.json_lines import JsonFileError, JsonLine, sha256_of
from facegpt.evaluation.speculative.prompts import RANK_REMINDER, rank_prompt, read_choice
from facegpt.evaluation.speculative.propose import Proposal
from facegpt.evaluation.speculative.rules import Novelty, SelectionRules, judged
from facegpt.evaluation.speculative.sources import jpeg_of
from facegpt.evaluation.speculative.workspace import (
    DescribedFace,
    Problem,
    StepFile,
    Workspace,
    finished_step,
    read_step,
    write_step,
)
from facegpt.perception.images import ImageError


@dataclass(frozen=True)
class Selected:
    """A face with the situations that passed, and those that did not."""

    face: DescribedFace
    sentences: tuple[str, ...]
    """Fit to be reviewed."""
    rejected: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Each with the objections to it."""
    favourite: str = ""
    """The sentence that the model chose; empty if it was not asked or gave no answer."""

    def to_record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            **self.face.to_record(),
            "sentences": list(self.sentences),
            "rejected": [{"sentence": s, "objections": list(o)} for s, o in self.rejected],
            "favourite": self.favourite,
        }

    @staticmethod
    def from_record(line: JsonLine) -> "Selected":
        """From JSON.

        Raises:
            JsonFileError: A field is missing or of another kind.
        """
        proposal = Proposal.from_record(line)
        try:
            rejected = tuple(
                (r["sentence"], tuple(r["objections"])) for r in line.record["rejected"]
            )
        except (KeyError, TypeError) as error:
            raise JsonFileError(f"{line.where}: 'rejected' is damaged") from error
        favourite = line.optional_text("favourite")
        return Selected(proposal.face, proposal.sentences, rejected, favourite)


@dataclass(frozen=True)
class Ranking:
    """Lets a model choose its favourite among the sentences for each face."""

    interviewer: Interviewer
    images: Path | None = None
    """Folder of the pictures; without it the model goes by the descriptions."""
    seed: int = 0
    """Of the order in which it sees the sentences."""

    def choose(self, selected: Selected) -> str:
        """The favourite among two or more sentences.

        Raises:
            NoAnswerError: The server does not answer, or the picture cannot be read.
            UnreadableAnswerError: No answer was a number of the list.
        """
        dice = random.Random(f"{self.seed}:{selected.face.image}")
        shown = dice.sample(selected.sentences, len(selected.sentences))
        prompt = rank_prompt(selected.face.description, tuple(shown))
        _, choice = self.interviewer.ask(
            [user_message(prompt, self._picture(selected.face.image))],
            lambda text: read_choice(text, len(shown)),
            reminder=RANK_REMINDER,
        )
        return shown[choice]

    def _picture(self, image: str) -> bytes | None:
        if self.images is None:
            return None
        try:
            return jpeg_of(self.images / image)
        except ImageError as error:
            raise NoAnswerError(str(error)) from error

    def record(self) -> dict[str, Any]:
        """What decides the choices; fit to be published."""
        return {
            **self.interviewer.server.settings.record(),
            "seed": self.seed,
            "with_picture": self.images is not None,
            "prompt": rank_prompt("{description}", ("{sentence}",)),
        }


def select(
    work: Workspace,
    rules: SelectionRules,
    ranking: Ranking | None = None,
    progress: Progress | None = None,
) -> StepFile:
    """Write `selection.json` out of `candidates.json`.

    Faces for which no sentence is left, and faces without a favourite although one was asked for,
    are among the problems; the latter stay in the selection.

    Raises:
        SpeculativeError: The step before is missing or damaged.
    """
    candidates = read_step(work.candidates, "propose")
    made_with = {
        "candidates": sha256_of(work.candidates),
        "rules": asdict(rules),
        "ranking": None if ranking is None else ranking.record(),
    }
    done = finished_step(work.selection, made_with)
    if done is not None:
        return done
    novelty = Novelty(rules)
    chosen = [_passed(Proposal.from_record(item), rules, novelty) for item in candidates.items]
    problems = [
        Problem(c.face.image, "no sentence passed the rules") for c in chosen if not c.sentences
    ]
    if ranking is not None:
        chosen, unranked = _ranked(chosen, ranking, progress)
        problems += unranked
    return write_step(work.selection, made_with, [c.to_record() for c in chosen], problems)


def objection_counts(step: StepFile) -> dict[str, int]:
    """How many sentences each kind of objection met."""
    counts: Counter[str] = Counter()
    for item in step.items:
        for _, objections in Selected.from_record(item).rejected:
            counts.update({objection.partition(":")[0] for objection in objections})
    return dict(sorted(counts.items()))


def _passed(proposal: Proposal, rules: SelectionRules, novelty: Novelty) -> Selected:
    verdicts = judged(proposal.sentences, rules, novelty)
    pairs = list(zip(proposal.sentences, verdicts, strict=True))
    return Selected(
        proposal.face,
        tuple(sentence for sentence, objections in pairs if not objections),
        tuple((sentence, tuple(objections)) for sentence, objections in pairs if objections),
    )


def _ranked(
    chosen: Sequence[Selected], ranking: Ranking, progress: Progress | None
) -> tuple[list[Selected], list[Problem]]:
    several = [c for c in chosen if len(c.sentences) > 1]
    found = ranking.interviewer.ask_all(several, ranking.choose, progress)
    # The only sentence is the favourite without being asked about.
    favourites = {c.face.image: c.sentences[0] for c in chosen if len(c.sentences) == 1}
    problems = []
    for one, said in zip(several, found, strict=True):
        if isinstance(said, Unanswered):
            problems.append(Problem(one.face.image, f"no favourite: {said.reason}"))
        else:
            favourites[one.face.image] = said
    ranked = [
        Selected(c.face, c.sentences, c.rejected, favourites.get(c.face.image, "")) for c in chosen
    ]
    return ranked, problems
