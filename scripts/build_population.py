"""Replace sampled percentiles by those of fitted photos: writes population_<model>.json.

    facegpt fit PHOTOS/ --output FITS --format json
    python scripts/build_population.py FITS --who "the 3,000 training photos of ..."

Reads every face.json below the folders (one face counts once) and keeps quantiles only: no face can
be read back from 101 numbers per measurement. Rerun it after every rebuild of the face model. It
does not know which photos are good: give it a folder of good ones.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro

from facegpt.morphable import population
from facegpt.morphable.default import load_default
from facegpt.morphable.parameters import BLOCK_SIZES, FaceParameters

_FEWEST = 200
"""With fewer faces the outer percentiles are those of single people."""


@dataclass(frozen=True)
class Arguments:
    """Build a population of fitted photos."""

    folders: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders with face.json files, at any depth."""
    who: str
    """Whose faces these are, in words; it travels with the table."""


def read_theta(file: Path) -> FaceParameters:
    """The parameters of one face.json, as a batch of one."""
    blocks = json.loads(file.read_text(encoding="utf-8"))["parameters"]
    return FaceParameters(**{name: torch.tensor([blocks[name]]) for name in BLOCK_SIZES})


def main(arguments: Arguments) -> None:
    """Read, measure, write."""
    files = sorted(f for folder in arguments.folders for f in folder.rglob("face.json"))
    if len(files) < _FEWEST:
        raise SystemExit(f"{len(files)} face.json found, at least {_FEWEST} are needed")
    model = load_default()
    theta = FaceParameters.cat([read_theta(f) for f in files])
    people = population.population_of(theta, model, f"{arguments.who} ({len(files)} faces)")
    target = population.ASSETS / f"population_{model.name}.json"
    people.save(target)
    print(f"{target}: {len(people.quantiles)} measurements of {len(files)} faces")


if __name__ == "__main__":
    main(tyro.cli(Arguments))
