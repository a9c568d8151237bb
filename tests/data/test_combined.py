"""Several describers as one: words put together, silence only when all are silent."""

from dataclasses import dataclass

import pytest
import torch

from facegpt.data.combined import CombinedDescriber
from facegpt.data.describe import DescribeFailure, DescribeItem, Describer, Description
from facegpt.data.schema import DatasetError


@dataclass
class Says:
    """One word about the photos it knows."""

    name: str
    knows: str
    short: str = ""

    def describe(self, items) -> list[Description | DescribeFailure]:
        return [
            Description((self.name,), self.short, ((self.name, "yes"),), (), {"by": self.name})
            if item.source in self.knows
            else DescribeFailure(item.face_id, f"{self.name} has nothing")
            for item in items
        ]


def test_words_are_put_together() -> None:
    crop = torch.zeros(3, 224, 224)
    items = [DescribeItem(name, name, crop, None) for name in "abc"]
    both = CombinedDescriber([Says("first", "a"), Says("second", "ab", "a man")])
    assert isinstance(both, Describer)
    assert both.name == "first+second"
    a, b, c = both.describe(items)
    assert a == Description(
        ("first", "second"), "a man", (("first", "yes"), ("second", "yes")), (), {"by": "first"}
    )
    assert isinstance(b, Description)
    assert b.descriptions == ("second",)
    assert c == DescribeFailure("c", "first has nothing; second has nothing")
    assert both.describe([]) == []


def test_nobody_says_nothing() -> None:
    with pytest.raises(DatasetError, match="at least one"):
        CombinedDescriber([])
