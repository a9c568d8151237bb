"""Learn what women and men, young and old look like: writes apparent_<model>.json.

    python scripts/build_apparent.py DATA ... --described train.jsonl --who "the training photos"

DATA are folders that `facegpt data build` wrote, with theta and the label `index.gender`; the JSONL
has written descriptions of some of their photos, which say "an elderly man" or "in her twenties".
Women and men are averaged over the groups of `index.ethnicity`, so that gender is no skin tone. A
year is the direction along which faces change with the age they are called (their covariance with
it), as long as a ridge regression needs to read one year more; grey and coloured photos, women and
men are compared among themselves, and what would change the tone of the skin is taken out.
"""

import json
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro

from facegpt.data.table import FaceTable
from facegpt.morphable.apparent import ASSETS, ApparentPeople
from facegpt.morphable.default import load_default
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import BLOCK_SIZES, FaceParameters
from facegpt.morphable.semantics import measure

_SPOKEN: tuple[tuple[str, float], ...] = (
    *((f"{name}ties", years) for name, years in (("twen", 25), ("thir", 35), ("for", 45))),
    *((f"{name}ties", years) for name, years in (("fif", 55), ("six", 65), ("seven", 75))),
    *((f"(about|around) {n}ty", years) for n, years in (("twen", 20), ("thir", 30), ("for", 40))),
    *((f"(about|around) {n}ty", years) for n, years in (("fif", 50), ("six", 60), ("seven", 70))),
    (r"\belderly\b|\bold (man|woman|gentleman|lady)\b", 70),
    (r"\bolder (man|woman|gentleman|lady)\b", 60),
    (r"\bmiddle-aged\b", 48),
    (r"\b(toddler|child|baby|boy|girl|teen\w*)\b", 0),
    (r"\byoung\b", 24),
)
"""What people are called -> years; 0: a child, who is left out."""

_RIDGE = 0.3
_UNCHANGED = ("skin_lightness", "skin_typology_angle", "skin_redness")
_FEWEST = 100


@dataclass(frozen=True)
class Arguments:
    """Build the table of the default model."""

    data: tyro.conf.Positional[tuple[Path, ...]]
    described: Path
    """JSONL with image, short and description."""
    who: str
    """Whose faces these are, in words; it travels with the table."""


def spoken_age(text: str) -> float | None:
    """Years of somebody who is called so; None if nothing is said, or of a child."""
    return next((years or None for words, years in _SPOKEN if re.search(words, text.lower())), None)


def identity_of(theta: torch.Tensor) -> np.ndarray:
    """Shape and albedo of one theta."""
    face = FaceParameters.from_vector(theta[None])
    return torch.cat([face.shape, face.albedo], dim=1)[0].double().numpy()


def halfway_to_men(faces: dict[tuple[str, str], list[np.ndarray]]) -> np.ndarray:
    """Half the difference of men and women, every group of ethnicity counting alike."""
    groups = sorted({group for group, _ in faces})
    differences = [
        np.mean(faces[group, "male"], axis=0) - np.mean(faces[group, "female"], axis=0)
        for group in groups
        if (group, "male") in faces and (group, "female") in faces
    ]
    return np.mean(differences, axis=0) / 2


def one_year(faces: np.ndarray, ages: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The change of faces with the age they are called, within groups."""
    faces, ages = faces.copy(), ages.astype(float)
    for group in np.unique(groups):
        faces[groups == group] -= faces[groups == group].mean(axis=0)
        ages[groups == group] -= ages[groups == group].mean()
    with_age = faces.T @ ages / len(ages)
    covariance = faces.T @ faces / len(ages) + _RIDGE * np.eye(faces.shape[1])
    return with_age / (np.linalg.solve(covariance, with_age) @ with_age)


def without_tone(albedo: np.ndarray, model: MorphableModel) -> np.ndarray:
    """A change of the albedo that leaves the tone of the mean skin alone."""
    known = torch.zeros(1, BLOCK_SIZES["albedo"], requires_grad=True)
    people = FaceParameters.zeros(1).replace(albedo=known)
    values = measure(people, model, _UNCHANGED)
    slopes = [torch.autograd.grad(values[n].sum(), known, retain_graph=True)[0] for n in _UNCHANGED]
    axes, _ = np.linalg.qr(torch.cat(slopes).double().numpy().T)
    return albedo - axes @ (axes.T @ albedo)


def main(arguments: Arguments) -> None:
    """Read, learn, write."""
    model = load_default()
    said = {}
    for line in arguments.described.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        said[row["image"]] = f"{row['short']} {row['description']}"
    labelled: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
    seen: set[str] = set()  # a photo may stand in several folders
    aged: dict[str, tuple[np.ndarray, float, int]] = {}
    table = FaceTable(arguments.data)
    for index in range(len(table)):
        row = table.row(index)
        if row.theta is None:
            continue
        face, labels = identity_of(row.theta), row.labels
        if "index.gender" in labels and row.source not in seen:
            seen.add(row.source)
            labelled[labels.get("index.ethnicity", ""), labels["index.gender"]].append(face)
        text = said.get(row.source, "")
        age = spoken_age(text)
        if age is not None:
            woman = bool(re.search(r"\b(she|her|woman)\b", text.lower()))
            aged[row.source] = (face, age, 2 * row.is_grey + woman)
    if len(aged) < _FEWEST:
        raise SystemExit(f"{len(aged)} faces are called by an age, at least {_FEWEST} are needed")
    faces, ages, groups = map(np.array, zip(*aged.values(), strict=True))
    man, year = halfway_to_men(labelled), one_year(faces, ages, groups)
    shapes = BLOCK_SIZES["shape"]
    year[shapes:] = without_tone(year[shapes:], model)
    photos = sum(map(len, labelled.values()))
    target = ASSETS / f"apparent_{model.name}.json"
    ApparentPeople(
        source=f"{arguments.who} ({photos} faces by gender, {len(ages)} by age)",
        age=round(float(np.mean(ages)), 1),
        shape_man=_rounded(man[:shapes]),
        albedo_man=_rounded(man[shapes:]),
        shape_year=_rounded(year[:shapes]),
        albedo_year=_rounded(year[shapes:]),
    ).save(target)
    print(
        f"{target.name}: ten years {10 * np.linalg.norm(year):.2f}, half way to men "
        f"{np.linalg.norm(man):.2f} standard deviations"
    )


def _rounded(values: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(value), 5) for value in values)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
