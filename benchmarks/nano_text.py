"""How well nano makes faces from text alone, against the fitted faces of the described photos.

    python benchmarks/nano_text.py DESCRIPTIONS/val.jsonl --images SHARED_DATA [--weights DIR]
        [--fits CACHE_DIR] [--reason | --no-reason] [--train DESCRIPTIONS/train.jsonl]
        [--train-fits CACHE_DIR] [--sheet heads.png] [--json out.json]

Rows have `image`, `description`, `expression`, `yaw` and five `implicit` sentences of which `best`
is the number of the best one. Descriptions are answered at once; before implicit sentences the
model may say in words how such a face looks (`--reason`). The fits of the described photos are kept
in CACHE_DIR (`fit_cache.py`). With `--train-fits` (only fits that are there already are used) there
are two readings more: the smile along the direction that separates happiness in fitted training
faces, and the average fitted face as a floor. Intervals are 95 % by bootstrap over pictures.
Heads beside their texts go to `--sheet`: descriptions, and a second file for the best sentences.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import tyro
from described_faces import fitted_faces, is_colour, read_descriptions
from fit_cache import fit_file, read_fits
from jaxtyping import Float
from report import Bar, Line, Table, write_json
from sheets import write_head_sheet
from text_measures import (
    Distances,
    Faces,
    Witnesses,
    agreement_lines,
    all_distances,
    auc_line,
    chamfer_lines,
    lightness_line,
    mouth_lines,
    yaw_line,
)

from facegpt.evaluation.metrics import auc, separating_direction
from facegpt.morphable.parameters import FaceParameters
from facegpt.pipeline import FaceGPT

_BATCH = 16


@dataclass(frozen=True)
class Options:
    """What to measure."""

    descriptions: tyro.conf.Positional[Path]
    images: Path
    """Folder of the folders color and wild."""
    weights: Path | None = None
    """Weights of nano; the shipped ones when left out."""
    fits: Path = Path("out/fits")
    """Where fitted faces are kept."""
    reason: bool = True
    """Let the model say how a face looks before it makes one for an implicit sentence."""
    train: Path | None = None
    """Descriptions of training photos, for the learnt direction."""
    train_fits: Path | None = None
    """Where their fits are kept."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    limit: int = 0
    """Only the first rows; 0 = all."""
    resamples: int = 10_000
    sheet: Path | None = None
    """Write heads beside their texts."""
    json: Path | None = None


@dataclass(frozen=True)
class Made:
    """Faces made from texts."""

    texts: list[str]
    words: list[str]
    """What the model said before the face; empty if nothing."""
    faces: Faces
    seconds: float
    """Per face."""


@dataclass(frozen=True)
class Learnt:
    """What fitted training faces teach the measurement, never the model."""

    smile: Float[np.ndarray, "expression"]
    """The direction of delta along which happy faces differ from the others."""
    average: FaceParameters
    """The mean of their theta: one face."""
    count: int

    def smile_of(self, faces: Faces) -> Float[np.ndarray, "face"]:
        """How far each face goes along the direction."""
        return faces.theta.expression.double().numpy() @ self.smile


def learn(options: Options) -> Learnt | None:
    """From the fits that are there; None without any."""
    if options.train is None or options.train_fits is None:
        return None
    rows = read_descriptions(options.train)
    rows = [row for row in rows if fit_file(options.train_fits, row["image"]).exists()]
    theta = read_fits([row["image"] for row in rows], options.train_fits).parameters
    happy = np.array([row["expression"] == "happiness" for row in rows])
    direction = separating_direction(theta.expression.double().numpy(), happy)
    mean = FaceParameters.from_vector(theta.to_vector().mean(dim=0, keepdim=True))
    return Learnt(direction, mean, len(rows))


def make(facegpt: FaceGPT, texts: Sequence[str], *, reason: bool) -> Made:
    """One face for each text, with what was said before it."""
    started, made = time.perf_counter(), []
    for first in range(0, len(texts), _BATCH):
        made += facegpt.imagine(list(texts[first : first + _BATCH]), reason=reason)
    seconds = (time.perf_counter() - started) / len(texts)
    theta = FaceParameters.cat([faces[0].theta for faces in made])
    return Made(list(texts), [faces[0].words for faces in made], Faces.of(theta), seconds)


@dataclass(frozen=True)
class Study:
    """Rows of described photos with their fitted faces, and how certain numbers about them are."""

    rows: list[dict[str, Any]]
    fitted: Faces
    learnt: Learnt | None
    resamples: int

    @property
    def happy(self) -> np.ndarray:
        """Which rows are labelled happy."""
        return np.array([row["expression"] == "happiness" for row in self.rows])

    @property
    def centre(self) -> np.ndarray:
        """ARKit weights of the average fitted face."""
        return self.fitted.arkit.mean(axis=0)

    def part(self, numbers: np.ndarray) -> "Study":
        """Some rows."""
        rows = [self.rows[i] for i in numbers]
        return Study(rows, self.fitted[numbers], self.learnt, self.resamples)

    def smile_lines(
        self, made: Faces, owner: np.ndarray, bar: Bar, what: str = "smile AUC"
    ) -> list[Line]:
        """Happiness against the rest, by the measured smile and by the learnt direction.

        Args:
            owner: Row of each face.
        """
        witnesses, happy = Witnesses(owner, self.resamples), self.happy
        ceiling = auc(self.fitted.values["smile"], happy)
        lines = [
            auc_line(
                f"{what}, measured smile",
                witnesses,
                made.values["smile"],
                happy[owner],
                bar,
                ceiling,
            )
        ]
        if self.learnt:
            how = f"{what}, direction learnt from {self.learnt.count} fits"
            scores, best = self.learnt.smile_of(made), self.learnt.smile_of(self.fitted)
            lines.append(auc_line(how, witnesses, scores, happy[owner], None, auc(best, happy)))
        return lines


def explicit_table(
    title: str, study: Study, made: Faces, distances: Distances, numbers: np.ndarray
) -> Table:
    """Everything about faces made from descriptions, one per row.

    Args:
        numbers: Which of all rows the study holds.
    """
    everybody = np.arange(len(study.rows))
    witnesses = Witnesses(everybody, study.resamples)
    said = [row["yaw"] for row in study.rows]
    colour = np.array([is_colour(row["image"]) for row in study.rows])
    lines = [
        *study.smile_lines(made, everybody, Bar(0.95, True)),
        *mouth_lines(witnesses, made, study.fitted, Bar(0.9, True)),
        yaw_line(witnesses, made, study.fitted, said),
    ]
    if colour.any():
        lines.append(lightness_line(witnesses, made, study.fitted, colour))
    lines += chamfer_lines(witnesses, distances, numbers)
    return Table(title, [*lines, *agreement_lines(witnesses, made, study.fitted, study.centre)])


def implicit_table(title: str, study: Study, made: Faces, owner: np.ndarray) -> Table:
    """Everything about faces made from implicit sentences, several per row."""
    witnesses = Witnesses(owner, study.resamples)
    best = _best(study.rows, owner)
    of_best = Witnesses(owner[best], study.resamples)
    fitted, bar = study.fitted[owner], Bar(0.8, True)
    return Table(
        title,
        [
            *study.smile_lines(made, owner, bar),
            *study.smile_lines(made[best], owner[best], bar, "best sentence: smile AUC"),
            *mouth_lines(witnesses, made, fitted, None),
            *agreement_lines(witnesses, made, fitted, study.centre),
            *(
                replace(line, what=f"best sentence: {line.what}")
                for line in agreement_lines(of_best, made[best], fitted[best], study.centre)
            ),
        ],
    )


def _best(rows: list[dict[str, Any]], owner: np.ndarray) -> np.ndarray:
    """Numbers of the best sentence of every row."""
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    return first + np.array([rows[owner[i]]["best"] for i in first])


def tables(study: Study, explicit: Made, implicit: Made, owner: np.ndarray) -> list[Table]:
    """Over all rows, over the colour photos and over the grey ones."""
    colour = np.array([is_colour(row["image"]) for row in study.rows])
    constants = {"mean face": FaceParameters.zeros(1)}
    if study.learnt:
        constants["average fit"] = study.learnt.average
    distances = all_distances(explicit.faces.theta, study.fitted.theta, constants)
    found = []
    for name, mask in (("all", np.full(len(colour), True)), ("color", colour), ("wild", ~colour)):
        numbers = np.flatnonzero(mask)
        if len(numbers) < 2:
            continue
        part, inside = study.part(numbers), np.flatnonzero(mask[owner])
        place = np.searchsorted(numbers, owner[inside])
        title, made = f"descriptions: {name}", explicit.faces[numbers]
        found.append(explicit_table(title, part, made, distances, numbers))
        title, made = f"implicit sentences: {name}", implicit.faces[inside]
        found.append(implicit_table(title, part, made, place))
    return [*found, expression_table(study, explicit, implicit, owner)]


def expression_table(study: Study, explicit: Made, implicit: Made, owner: np.ndarray) -> Table:
    """Agreement of the expression by the label of the photo."""
    lines = []
    for label in sorted({row["expression"] for row in study.rows}):
        mask = np.array([row["expression"] == label for row in study.rows])
        for what, made, rows in (
            ("descriptions", explicit, np.arange(len(mask))),
            ("implicit", implicit, owner),
        ):
            chosen = np.flatnonzero(mask[rows])
            groups = Witnesses(rows[chosen], study.resamples)
            fitted = study.fitted[rows[chosen]]
            found = agreement_lines(groups, made.faces[chosen], fitted, study.centre)
            lines += [replace(x, what=f"{label}, {what}: {x.what}") for x in found[:2]]
    return Table("agreement of the expression with the fitted face, by label", lines)


def main() -> None:
    """Measure and print."""
    options = tyro.cli(Options, description=__doc__)
    rows = read_descriptions(options.descriptions, options.limit)
    names = [row["image"] for row in rows]
    fitted = Faces.of(fitted_faces(options.images, names, options.fits).parameters)
    study = Study(rows, fitted, learn(options), options.resamples)
    facegpt = FaceGPT.from_pretrained(
        options.weights or "nano", dtype=getattr(torch, options.dtype)
    )
    explicit = make(facegpt, [row["description"] for row in rows], reason=False)
    owner = np.repeat(np.arange(len(rows)), [len(row["implicit"]) for row in rows])
    sentences = [sentence for row in rows for sentence in row["implicit"]]
    implicit = make(facegpt, sentences, reason=options.reason)
    found = tables(study, explicit, implicit, owner)
    timing = [
        Line("seconds per face, descriptions", explicit.seconds, len(rows)),
        Line("seconds per face, implicit sentences", implicit.seconds, len(sentences)),
    ]
    found.append(Table("time on this machine, in batches of 16, with the record", timing))
    print(*found, sep="\n")
    if options.sheet:
        write_head_sheet(options.sheet, explicit.texts, explicit.faces.theta)
        best = _best(rows, owner)
        shown = [f"{sentences[i]} [{implicit.words[i]}]" for i in best]
        path = options.sheet.with_stem(f"{options.sheet.stem}_implicit")
        write_head_sheet(path, shown, implicit.faces[best].theta)
    if options.json:
        write_json(options.json, options, found, [_record(explicit), _record(implicit)])


def _record(made: Made) -> list[dict[str, Any]]:
    return [
        {"text": text, "words": words}
        | {name: round(float(values[i]), 4) for name, values in made.faces.values.items()}
        for i, (text, words) in enumerate(zip(made.texts, made.words, strict=True))
    ]


if __name__ == "__main__":
    main()
