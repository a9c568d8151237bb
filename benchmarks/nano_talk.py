"""What nano says: about photos, about anything else, and when it makes a face.

    python benchmarks/nano_talk.py --images SHARED_DATA [--weights DIR] [--fits CACHE_DIR]
        [--answers base_answers.jsonl] [--every 1] [--json out.json]

Three things are measured. Questions about val photos (wordings that training does not know) are
answered freely, with the line that nano reads from its own face beside the photo (as `chat` does
it), and compared with the fitted face by `facegpt.data.agreement`: faces near a
threshold are not asked about, and an answer that claims nothing counts as wrong. The perplexity of
what the base model itself answers to held-out prompts, before and after training. And whether
`<FACE>` is written exactly when a face is asked for, on `assets/heldout_prompts.jsonl`: 100 prompts
that ask for one and 100 that do not, some with a photo. Nobody who writes training data may see
these prompts. Base answers are made once and kept in the file of `--answers`.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from fit_cache import cached_fits
from photo_samples import Sample, read_samples
from report import Bar, Line, Table, write_json

from facegpt.data.agreement import (
    CLOSED_MM,
    FRONTAL_DEGREES,
    NO_SMILE_MM,
    OPEN_MM,
    SMILE_MM,
    TURNED_DEGREES,
    claims,
    truth,
)
from facegpt.data.face_note import face_notes
from facegpt.data.instructions import record_replay
from facegpt.evaluation.benchmarks.talk import QUESTIONS
from facegpt.evaluation.metrics import wilson_interval
from facegpt.model.base_answers import BaseAnswers, answer_losses
from facegpt.morphable.default import load_default
from facegpt.morphable.parameters import FaceParameters
from facegpt.morphable.semantics import measure
from facegpt.pipeline.network import Conversation, Network, Speaking
from facegpt.pipeline.requests import answer_turn, image_request, user_turn

PROMPTS = Path(__file__).parent / "assets" / "heldout_prompts.jsonl"
_BATCH = 16
_FACE = "<FACE>"
_AGREES, _GATE, _RATIO = Bar(0.85, True), Bar(0.98, True), Bar(1.1)
_MEASURED = ("smile", "yaw", "mouth_open")


@dataclass(frozen=True)
class Options:
    """What to measure."""

    images: Path
    """Folder of the folders color and wild."""
    weights: Path | None = None
    """Weights of nano; the shipped ones when left out."""
    fits: Path = Path("out/fits")
    """Where fitted faces are kept; a photo takes a second."""
    answers: Path = Path("out/base_answers.jsonl")
    """Where the answers of the base model are kept."""
    prompts: Path = PROMPTS
    split: str = "val"
    every: int = 1
    """Only every n-th photo."""
    limit: int = 0
    """Only so many photos of each folder, and of the prompts every so-and-so-many-th; 0 = all."""
    most_tokens: int = 120
    """Of an answer."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    json: Path | None = None


def ask(network: Network, asked: Sequence[Conversation], options: Options) -> list[str]:
    """Free answers; each ends at its first face."""
    speaking = Speaking(options.most_tokens, stop_at_face=True)
    answers = []
    for first in range(0, len(asked), _BATCH):
        answers += network.answer(asked[first : first + _BATCH], speaking)
    return [answer.text for answer in answers]


def semantics_of(theta: FaceParameters) -> list[dict[str, float]]:
    """What the checkers read, face by face."""
    with torch.no_grad():
        values = measure(theta, load_default(), _MEASURED)
    return [{name: float(v[i]) for name, v in values.items()} for i in range(len(theta))]


@dataclass(frozen=True)
class Verdict:
    """One judged answer about a photo."""

    photo: str
    group: str
    topic: str
    question: str
    answer: str
    true: bool | str
    said: bool | str | None
    own: bool | str | None
    """What the face that nano makes of the photo would have it say; None near a threshold."""


def photo_verdicts(network: Network, samples: list[Sample], options: Options) -> list[Verdict]:
    """Ask about every photo whatever can be judged."""
    fits = _fits(samples, options)
    made = predicted(network, samples)
    true = [truth(values) for values in semantics_of(fits)]
    own = [truth(values) for values in semantics_of(made)]
    asked = [
        (number, topic, wordings[number % len(wordings)])
        for topic, wordings in QUESTIONS.items()
        for number in range(len(samples))
        if getattr(true[number], topic) is not None
    ]
    notes = notes_of(network, samples, made)
    conversations = [
        Conversation(
            [user_turn(question, image=True, note=notes[number])], [samples[number].face.crop]
        )
        for number, _, question in asked
    ]
    answers = ask(network, conversations, options)
    return [
        Verdict(
            samples[number].name,
            "color" if samples[number].name.startswith("c") else "wild",
            topic,
            question,
            answer,
            getattr(true[number], topic),
            getattr(claims(answer, question=question), topic),
            getattr(own[number], topic),
        )
        for (number, topic, question), answer in zip(asked, answers, strict=True)
    ]


def notes_of(network: Network, samples: Sequence[Sample], made: FaceParameters) -> list[str]:
    """The lines that the model reads beside each photo, from its own prediction, as in the chat."""
    if not network.reads_face_note:
        return [""] * len(samples)
    grey = [sample.face.is_grey for sample in samples]
    return [str(note) for note in face_notes(made, load_default(), is_grey=grey)]


def predicted(network: Network, samples: Sequence[Sample]) -> FaceParameters:
    """Theta of every photo in one-prefill mode."""
    turns = [user_turn(image_request(), image=True), answer_turn()]
    return network.faces_of([Conversation(turns, [s.face.crop]) for s in samples])


def _fits(samples: list[Sample], options: Options) -> FaceParameters:
    faces = {sample.name: sample.face for sample in samples}
    found = cached_fits(list(faces), lambda part: [faces[name] for name in part], options.fits)
    return found.parameters


def photo_table(title: str, verdicts: Sequence[Verdict]) -> Table:
    """Agreement by topic, and where it fails."""
    lines = []
    for topic in QUESTIONS:
        chosen = [v for v in verdicts if v.topic == topic]
        if chosen:
            lines += _topic_lines(topic, chosen)
    return Table(title, lines)


def _topic_lines(topic: str, verdicts: Sequence[Verdict]) -> list[Line]:
    kinds = {v.true for v in verdicts}
    common = max(sum(v.true == kind for v in verdicts) for kind in kinds) / len(verdicts)
    own = [v.own == v.true for v in verdicts if v.own is not None]
    floors = {"commonest answer": common}
    if own:
        floors["by its own theta"] = sum(own) / len(own)
    lines = [_share(f"{topic} agrees", [v.said == v.true for v in verdicts], _AGREES, floors)]
    for kind in sorted(kinds, key=str):
        name = kind or "frontal" if isinstance(kind, str) else "yes" if kind else "no"
        chosen = [v.said == v.true for v in verdicts if v.true == kind]
        lines.append(_share(f"{topic}, where it is {name!r}", chosen))
    return [*lines, _share(f"{topic} left open", [v.said is None for v in verdicts])]


def _share(
    what: str, right: Sequence[bool], bar: Bar | None = None, floors: dict[str, float] | None = None
) -> Line:
    count = len(right)
    interval = wilson_interval(sum(right), count)
    return Line(what, sum(right) / count, count, bar, interval, floors or {})


def perplexity_table(network: Network, prompts: Sequence[str], options: Options) -> Table:
    """What the base model answers, and how much base and nano wonder at it."""
    base = BaseAnswers(dtype=torch.float32)
    record_replay(prompts, base, options.answers, batch_size=24)
    lines = options.answers.read_text(encoding="utf-8").splitlines()
    kept = {row["prompt"]: row["answer"] for row in map(json.loads, lines)}
    pairs = [(prompt, kept[prompt]) for prompt in prompts if kept[prompt]]
    models = ((base.model, base.tokenizer), (network.model.backbone, network.processor.tokenizer))
    before, after = (
        torch.cat([answer_losses(model, words, *pair) for pair in pairs]) for model, words in models
    )
    floor = {"base": float(before.mean().exp())}
    nano = float(after.mean().exp())
    ratio = nano / floor["base"]
    return Table(
        f"perplexity of the base model's answers to {len(pairs)} held-out prompts",
        [
            Line("perplexity, per token", nano, len(before), floors=floor),
            Line("ratio after / before", ratio, len(before), _RATIO, floors={"base": 1.0}),
        ],
    )


@dataclass(frozen=True)
class GateVerdict:
    """Whether a face was made for one prompt."""

    prompt: str
    kind: str
    wants_face: bool
    made_face: bool
    answer: str


def gate_verdicts(
    network: Network, prompts: Sequence[dict[str, Any]], samples: Sequence[Sample], options: Options
) -> list[GateVerdict]:
    """Every held-out prompt, those about a photo with one of the photos."""
    shown = samples[: len(prompts)]
    notes = notes_of(network, shown, predicted(network, shown))
    conversations = [
        Conversation(
            [
                user_turn(
                    row["prompt"],
                    image=row["photo"],
                    note=notes[number % len(samples)] if row["photo"] else "",
                )
            ],
            [samples[number % len(samples)].face.crop] if row["photo"] else [],
        )
        for number, row in enumerate(prompts)
    ]
    answers = ask(network, conversations, options)
    return [
        GateVerdict(row["prompt"], row["kind"], row["wants_face"], _FACE in answer, answer)
        for row, answer in zip(prompts, answers, strict=True)
    ]


def gate_table(verdicts: Sequence[GateVerdict]) -> Table:
    """Both ways, and by the kind of the prompt."""
    lines = []
    for wanted, what in ((True, "made, of those asked for"), (False, "not made where none is")):
        chosen = [v for v in verdicts if v.wants_face == wanted]
        right = [v.made_face == wanted for v in chosen]
        lines.append(_share(f"face {what}", right, _GATE))
        for kind in sorted({v.kind for v in chosen}):
            of_kind = [v.made_face == wanted for v in chosen if v.kind == kind]
            lines.append(_share(f"... {kind}", of_kind))
    return Table("<FACE> exactly when a face is asked for", lines)


def _thinned(rows: list[Any], most: int) -> list[Any]:
    return rows[:: math.ceil(len(rows) / most)] if most else rows


def main() -> None:
    """Measure and print."""
    options = tyro.cli(Options, description=__doc__)
    text = options.prompts.read_text(encoding="utf-8")
    prompts = _thinned([json.loads(line) for line in text.splitlines()], options.limit)
    samples = [
        sample
        for name in ("color", "wild")
        for sample in read_samples(
            options.images / name, options.split, every=options.every, limit=options.limit
        )
    ]
    network = Network.load(options.weights, dtype=getattr(torch, options.dtype))
    verdicts = photo_verdicts(network, samples, options)
    dead = (
        f"not judged: smile {NO_SMILE_MM:g}-{SMILE_MM:g} mm, mouth {CLOSED_MM:g}-{OPEN_MM:g} mm, "
        f"turn {FRONTAL_DEGREES:g}-{TURNED_DEGREES:g} degrees"
    )
    found = [photo_table(f"questions about photos ({dead}): all", verdicts)]
    for group in ("color", "wild"):
        chosen = [v for v in verdicts if v.group == group]
        found.append(photo_table(f"questions about photos: {group}", chosen))
    words = [row["prompt"] for row in prompts if not row["wants_face"] and not row["photo"]]
    found.append(perplexity_table(network, words, options))
    gate = gate_verdicts(network, prompts, samples, options)
    found.append(gate_table(gate))
    print(*found, sep="\n")
    wrong = [v for v in gate if v.made_face != v.wants_face]
    print("\nprompts that went wrong:", *(f"- {v.prompt} -> {v.answer}" for v in wrong), sep="\n")
    if options.json:
        more = {"photos": [vars(v) for v in verdicts], "prompts": [vars(v) for v in gate]}
        write_json(options.json, options, found, more)


if __name__ == "__main__":
    main()
