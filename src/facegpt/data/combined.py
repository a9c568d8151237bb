"""Several describers as one: what each says of a face, put together.

Written descriptions for some photos and measured ones for all is the usual case: a face stays
without words only when nobody has any. Knows no describer by name.
"""

from collections.abc import Sequence

from facegpt.data.describe import (
    AsksServer,
    DescribeFailure,
    DescribeItem,
    Describer,
    Description,
)
from facegpt.data.schema import DatasetError
from facegpt.data.tokens import NO_TOKENS


class CombinedDescriber:
    """Asks every describer about every face; earlier ones count first."""

    def __init__(self, describers: Sequence[Describer]) -> None:
        """Take these, the most trusted first.

        Raises:
            DatasetError: There is none.
        """
        if not describers:
            raise DatasetError("several describers as one need at least one describer")
        self.parts = tuple(describers)
        """Who is asked, the most trusted first."""
        self.name = "+".join(describer.name for describer in describers)

    def describe(self, items: Sequence[DescribeItem]) -> list[Description | DescribeFailure]:
        """Everything that is said of each face, or every reason why nothing is."""
        answers = [describer.describe(items) for describer in self.parts]
        return [_together(item, said) for item, *said in zip(items, *answers, strict=True)]


def _together(
    item: DescribeItem, said: Sequence[Description | DescribeFailure]
) -> Description | DescribeFailure:
    tokens = sum((answer.tokens for answer in said), NO_TOKENS)
    words = [answer for answer in said if isinstance(answer, Description)]
    if not words:
        reasons = [answer.reason for answer in said if isinstance(answer, DescribeFailure)]
        return DescribeFailure(item.face_id, "; ".join(dict.fromkeys(reasons)), tokens)
    labels: dict[str, str] = {}
    for answer in reversed(words):
        labels |= answer.labels
    return Description(
        descriptions=tuple(text for answer in words for text in answer.descriptions),
        short=next((answer.short for answer in words if answer.short), ""),
        conversations=tuple(pair for answer in words for pair in answer.conversations),
        implicit=tuple(text for answer in words for text in answer.implicit),
        labels=labels,
        tokens=tokens,
    )


def requests_in_flight(describer: Describer | None) -> int:
    """Requests at the same time that a describer, or a part of it, sends to servers; 0 when it
    answers by itself."""
    parts = describer.parts if isinstance(describer, CombinedDescriber) else (describer,)
    return max(
        (part.requests_in_flight for part in parts if isinstance(part, AsksServer)), default=0
    )
