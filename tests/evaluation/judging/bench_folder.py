"""What tests know about the files of a small benchmark, and a judge that is upright."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fake_chat_server import completion, question_of

QUESTIONS = [
    {"question_id": 0, "image": "a.jpg", "text": "How many?", "category": "conv"},
    {"question_id": 1, "image": "a.jpg", "text": "Describe it.", "category": "detail"},
    {"question_id": 2, "image": "b.jpg", "text": "Why is that?", "category": "complex"},
    {"question_id": 3, "image": "b.jpg", "text": "What colour?", "category": "conv"},
]
CONTEXTS = [
    {
        "id": "a",
        "image": "a.jpg",
        "captions": ["Two cats.", "Cats on a wall."],
        "instances": [{"category": "cat", "bbox": [0.1, 0.2, 0.5, 0.6]}],
    },
    {"id": "b", "image": "b.jpg", "captions": ["A red bus."], "instances": []},
]
RULES = {name: {"role": "Assistant", "prompt": f"Rate: {name}."} for name in ("conv", "detail")}
RULES["complex"] = {"role": "Helper", "prompt": "Rate: complex."}
# (reference, model) by question: what an upright judge says.
MERITS = {0: (8, 4), 1: (10, 9), 2: (5, 6), 3: (8, 8)}


def lines(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@dataclass(frozen=True)
class BenchFiles:
    questions: Path
    context: Path
    rules: Path
    reference: Path
    answers: Path


def upright(body: dict[str, Any], _: int) -> tuple[int, str]:
    """What the answers are worth, in the order of the request."""
    first, second = re.findall(r"worth (\d+)", question_of(body))
    return 200, completion(f"{first} {second}\nThe first says more.")
