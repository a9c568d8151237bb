"""What tests know about a folder of photos, and a describer that needs no model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facegpt.data.describe import DescribeFailure, DescribeItem, Description


@dataclass(frozen=True)
class PhotoFolder:
    """Photos a.png, b.png ... with everything that is known about them."""

    images: Path
    landmarks: Path
    index: Path
    names: tuple[str, ...]
    points: np.ndarray
    """(photo, 68, 2) in pixels of each photo."""


class Writes:
    """A describer that says the name of each photo, and nothing about one of them."""

    name = "writes"

    def __init__(self, silent_about: str = "") -> None:
        self.silent_about = silent_about
        self.asked: list[str] = []

    def describe(self, items: Sequence[DescribeItem]) -> list[Description | DescribeFailure]:
        self.asked += [item.face_id for item in items]
        return [self._one(item) for item in items]

    def _one(self, item: DescribeItem) -> Description | DescribeFailure:
        if item.source == self.silent_about:
            return DescribeFailure(item.face_id, "it said nothing")
        return Description(
            descriptions=(f"He is the man of {item.source}.", f"{item.source} shows a man."),
            short=f"a man of {item.source}",
            conversations=(
                ("Who is it?", f"The man of {item.source}."),
                ("Is it a cat?", f"No, {item.source} shows no cat."),
                ("Where is he?", f"In {item.source}."),
            ),
            implicit=(f"This person is waiting in {item.source}.",),
            labels={"expression": "neutral"},
        )
