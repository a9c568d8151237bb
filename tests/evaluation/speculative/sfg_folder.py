"""What tests know about a small benchmark to be built: pictures, a model that writes, a fit."""

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from face_records import made_up_face
from facegpt.evaluation.speculative.propose import Proposal
from facegpt.evaluation.speculative.review import ReviewRow
from facegpt.evaluation.speculative.rules import SelectionRules
from facegpt.evaluation.speculative.selection import select
from facegpt.evaluation.speculative.sources import read_sources
from facegpt.evaluation.speculative.workspace import Workspace, write_step
from facegpt.morphable.model import MorphableModel
from facegpt.perception.images import Photo
from facegpt.reconstruction import FaceReconstruction
from fake_chat_server import completion, question_of

PLACES = {"a.png": "harbour", "b.png": "airport", "c.png": "library"}
"""Every picture has a place of its own, which is in all that is written about it."""


GOOD = {
    "harbour": (
        "This person has just heard the harbour clock strike midnight.",
        "This person is about to lose a chess tournament to an old sailor.",
        "This person keeps searching every bin for lost tickets.",
    ),
    "airport": (
        "This person watches the last plane to Lisbon take off.",
        "This person explains chess openings to a bored cousin.",
        "This person has misplaced the boarding pass of a whole family.",
    ),
    "library": (
        "This person finds a telegram between two dusty pages.",
        "This person mends a wooden chess board before closing time.",
        "This person whispers an excuse for three months of overdue fees.",
    ),
}


def good_sentences(place: str) -> list[str]:
    """Situations that pass every rule, none like another; the second is about chess."""
    return list(GOOD[place])


def bad_sentences(place: str) -> list[str]:
    """Situations that fail, each by a rule of its own: face, expression, emotion, length."""
    return [
        f"This person opens the mouth while leaving the {place}.",
        f"This person is grinning at friends in front of the {place}.",
        f"This person is happy about a new job at the {place}.",
        f"This person waits ({place}).",
    ]


def picture(path: Path, grey: int, side: int = 40) -> Path:
    """A plain picture; its grey tells the fit below how many faces are in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((side, side + 8, 3), grey, np.uint8)).save(path)
    return path


@dataclass(frozen=True)
class SfgFolder:
    images: Path
    descriptions: Path
    work: Workspace


def make_folder(folder: Path) -> SfgFolder:
    """Three pictures with descriptions, and a working folder that is not there yet."""
    images, records = folder / "images", []
    for number, (name, place) in enumerate(PLACES.items()):
        picture(images / name, 100 + number)
        records.append(
            {
                "image": name,
                "description": f"He stands at the {place}. His mouth is a <line> & shut.",
                "short": f"a man at the {place}",
                "qa": [{"q": "?", "a": "!"}],
                "expression": "neutral",
                "intensity": 1,
                "implicit": ["This person must not be taken over."],
            }
        )
    path = folder / "descriptions.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return SfgFolder(images, path, Workspace(folder / "work"))


def select_without_model(sfg: SfgFolder, extra: str = "") -> None:
    """A selection that no server was asked for.

    Args:
        extra: One more sentence for the first picture; for the others it is a repetition.
    """
    faces = read_sources(sfg.images, sfg.descriptions).faces
    proposals = [
        Proposal(face, tuple(good_sentences(place) + ([extra] if extra else []))).to_record()
        for face, place in zip(faces, PLACES.values(), strict=True)
    ]
    write_step(sfg.work.candidates, {}, proposals)
    select(sfg.work, SelectionRules())


def fill(path: Path, rows: list[ReviewRow], decision: str = "keep") -> Path:
    """The table with one decision everywhere."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("id", "decision"))
        table.writerows((row.row_id, decision) for row in rows)
    return path


def place_of(body: dict[str, Any]) -> str:
    """The place that a request is about."""
    found = re.findall(r"He stands at the (\w+)", question_of(body))
    return found[0]


def writes(body: dict[str, Any], _: int) -> tuple[int, str]:
    """A model that writes three good and one bad situation, and likes the one about chess."""
    text = question_of(body)
    if text.startswith("The face of one person"):
        [number] = re.findall(r"^(\d+)\. .*chess", text, re.MULTILINE)
        return 200, completion(number)
    place = place_of(body)
    sentences = [*good_sentences(place), bad_sentences(place)[1]]
    listed = "\n".join(f"{number}. {text}" for number, text in enumerate(sentences, start=1))
    return 200, completion("Answers:\n1. He seems calm.\n\nDescriptions:\n" + listed)


@dataclass
class FakeFit:
    """Stands for the fit: one face per picture, two in grey 102, none in black."""

    model: MorphableModel
    breaks_after: int = 1_000
    """Photos after which the machine stops."""
    fitted: list[int] = field(default_factory=list)
    """Grey of every photo that was fitted."""
    name: str = "fit"

    def reconstruct_photos(self, photos: Sequence[Photo]) -> list[list[FaceReconstruction]]:
        greys = [int(photo.rgb[0, 0, 0]) for photo in photos]
        if len(self.fitted) + len(greys) > self.breaks_after:
            raise KeyboardInterrupt
        self.fitted += greys
        return [
            [made_up_face(seed=g + k) for k in range(0 if g == 0 else 2 if g == 102 else 1)]
            for g in greys
        ]
