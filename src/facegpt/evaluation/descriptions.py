"""Do words and a face agree? Smile, turn of the head and open mouth, by `data.agreement`.

Both ways: what a model says of a photo against the face fitted to it, and the face made from a
description against what the description says. The reader knows plain words only, so that true
texts of people will not reach a share of 1 either; measure some of them for comparison. Knows no
model and no pictures.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from facegpt.data.agreement import agrees, claims, truth
from facegpt.evaluation.checks import check_pairs
from facegpt.evaluation.errors import MeasureError
from facegpt.evaluation.metrics import Bootstrap, Estimate, ratio_estimate

TOPICS = ("smile", "turned", "mouth_open")
"""What is judged; the thresholds are those of `data.agreement`."""

_READ = ("smile", "yaw", "mouth_open")


@dataclass(frozen=True)
class TopicAgreement:
    """One topic over all texts; shares of 0-1 with 95 % intervals."""

    right: Estimate
    """Of the faces that can be judged, those whose text says what is so. A text that says nothing
    is wrong here: right for questions about the topic."""
    right_if_said: Estimate
    """Of the same, those whose text says anything: right for free descriptions."""


def description_agreement(
    texts: Sequence[str],
    semantics: Sequence[Mapping[str, float]],
    bootstrap: Bootstrap | None = None,
    *,
    questions: Sequence[str] | None = None,
) -> dict[str, TopicAgreement]:
    """Every topic by name.

    Args:
        semantics: Measurements of the face that belongs to each text: smile and mouth_open in mm,
            yaw in degrees (`facegpt.morphable.semantics.measure`). Faces near a threshold are not
            judged.
        questions: What each text answers, which tells what a bare "yes" is about.

    Raises:
        MeasureError: There is not one face for every text, nor one question if there are any, a
            measurement is missing or not finite, or as `Bootstrap.groups_of`.
    """
    check_pairs("texts and faces", texts, semantics)
    asked: Sequence[str | None] = [None] * len(texts) if questions is None else questions
    check_pairs("questions and texts", asked, texts)
    _check_semantics(semantics)
    said = [claims(text, question=q) for text, q in zip(texts, asked, strict=True)]
    true = [truth(values) for values in semantics]
    found = {}
    for topic in TOPICS:
        pairs = [(getattr(s, topic), getattr(t, topic)) for s, t in zip(said, true, strict=True)]
        judged = np.array([is_so is not None for _, is_so in pairs])
        spoken = judged & np.array([claim is not None for claim, _ in pairs])
        right = spoken & np.array([claim == is_so for claim, is_so in pairs])
        found[topic] = TopicAgreement(
            ratio_estimate(right, judged, bootstrap), ratio_estimate(right, spoken, bootstrap)
        )
    return found


def description_shares_by_texts(
    texts: Sequence[str],
    semantics: Sequence[Mapping[str, float]],
    *,
    questions: Sequence[str] | None = None,
) -> dict[str, float]:
    """`right_if_said` of every topic without intervals, by `agrees` of one text after the other."""
    verdicts: dict[str, list[bool]] = {topic: [] for topic in TOPICS}
    for number, (text, values) in enumerate(zip(texts, semantics, strict=True)):
        question = questions[number] if questions is not None else None
        for topic, is_right in agrees(text, values, question=question).items():
            verdicts[topic].append(is_right)
    return {topic: float(np.mean(v)) if v else float("nan") for topic, v in verdicts.items()}


def _check_semantics(semantics: Sequence[Mapping[str, float]]) -> None:
    for number, values in enumerate(semantics):
        for name in _READ:
            if not math.isfinite(values.get(name, math.nan)):
                raise MeasureError(
                    f"face {number} has no finite {name!r}; measure {', '.join(_READ)} of every "
                    f"face, or leave it out"
                )
