"""What faces of women and men, young and old, have in common: directions in shape and albedo.

Learnt from labels of gender and from the ages that describers called people by, so they say how
people look, not what they are; they make faces that fit words and never judge the face of a photo.
`scripts/build_apparent.py` writes the table of a model. Knows no words.
"""

import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from facegpt.morphable.model import MorphableModel

ASSETS = Path(__file__).parent / "assets"


class ApparentTableError(ValueError):
    """The table of a model is damaged or was made for another one."""


@dataclass(frozen=True)
class ApparentPeople:
    """Directions of theta, in standard deviations of the coefficients."""

    source: str
    """Whose faces they were learnt from."""
    age: float
    """Apparent years of the face that a year is counted from."""
    shape_man: tuple[float, ...]
    """From the middle between women and men to men; the opposite leads to women."""
    albedo_man: tuple[float, ...]
    shape_year: tuple[float, ...]
    """One year older. Straight: meant for adults."""
    albedo_year: tuple[float, ...]
    """The same for colours; the tone of the skin stays."""

    def offsets(
        self, men: Float[Tensor, "face"], ages: Float[Tensor, "face"]
    ) -> tuple[Float[Tensor, "face shape"], Float[Tensor, "face albedo"]]:
        """What is added to the coefficients of people.

        Args:
            men: 1 for a man, -1 for a woman, 0 for neither.
            ages: Apparent ages in years.
        """
        years = ages - self.age
        parts = zip(
            (self.shape_man, self.albedo_man), (self.shape_year, self.albedo_year), strict=True
        )
        shape, albedo = (
            men[:, None] * torch.tensor(man) + years[:, None] * torch.tensor(year)
            for man, year in parts
        )
        return shape, albedo

    def save(self, path: Path) -> None:
        """Write the table as JSON."""
        path.write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "ApparentPeople":
        """Read what `save` wrote.

        Raises:
            ApparentTableError: The file is damaged.
        """
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            vectors = {k: tuple(map(float, v)) for k, v in record.items() if "_" in k}
            return cls(source=str(record["source"]), age=float(record["age"]), **vectors)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ApparentTableError(f"{path} is no table of apparent people: {error}") from error


def apparent_people(model: MorphableModel) -> ApparentPeople | None:
    """The table of a model; None where there is none.

    Raises:
        ApparentTableError: The file is damaged, or its directions have other sizes than the model.
    """
    path = ASSETS / f"apparent_{model.name}.json"
    if not path.is_file():
        return None
    people = _kept(path)
    sizes = (len(people.shape_man), len(people.albedo_man))
    if sizes != (len(model.identity_mm), len(model.albedo_basis)):
        raise ApparentTableError(
            f"{path} has directions of {sizes[0]} shapes and {sizes[1]} colours, the model "
            f"{model.name} has {len(model.identity_mm)} and {len(model.albedo_basis)}"
        )
    return people


_kept = cache(ApparentPeople.load)
