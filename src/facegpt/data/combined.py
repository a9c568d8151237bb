"""Several describers as one: what each says of a face, put together.

Written descriptions for some photos and measured ones for all is the usual case: a face stays
without words only when nobody has any. Knows no describer by name.
"""

from collections.abc import Sequence

from facegpt.data.describe import DescribeFailure, DescribeItem, Describer, Description
from facegpt.data.schema import DatasetError


class CombinedDescriber:
    """Asks every describer about every face; earlier ones count first."""

    def __init__(self, describers: Sequence[Describer]) -> None:
        """Take these, the most trusted first.

        Raises:
            DatasetError: There is none.
        """
        if not describers:
            raise DatasetError("several describers as one need at least one describer")
        self._describers = tuple(describers)
        self.name = "+".join(describer.name for describer in describers)

    def describe(self, items: Sequence[DescribeItem]) -> list[Description | DescribeFailure]:
        """Everything that is said of each face, or every reason why nothing is."""
        answers = [describer.describe(items) for describer in self._describers]
        return [_together(item, said) for item, *said in zip(items, *answers, strict=True)]


def _together(
    item: DescribeItem, said: Sequence[Description | DescribeFailure]
) -> Description | DescribeFailure:
    words = [answer for answer in said if isinstance(answer, Description)]
    if not words:
        reasons = [answer.reason for answer in said if isinstance(answer, DescribeFailure)]
        return DescribeFailure(item.face_id, "; ".join(dict.fromkeys(reasons)))
    labels: dict[str, str] = {}
    for answer in reversed(words):
        labels |= answer.labels
    return Description(
        descriptions=tuple(text for answer in words for text in answer.descriptions),
        short=next((answer.short for answer in words if answer.short), ""),
        conversations=tuple(pair for answer in words for pair in answer.conversations),
        implicit=tuple(text for answer in words for text in answer.implicit),
        labels=labels,
    )
