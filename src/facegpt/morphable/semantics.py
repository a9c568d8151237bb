"""Named measurements of any theta under any morphable model: "jaw_width", "smile", "light_side",
"yaw" ...

Text, evaluation and editing stand on these numbers. Every value is a differentiable function of
theta, taken on landmark vertices and a few anchors found from them (`probe.py`); the catalogue with
units and words is `MEASUREMENTS`, its table docs/semantics.md. This module is the door: measure,
compare with a population (`population.py`), edit (`editing.py`).

Not known here: hair, age, wrinkles, anything that theta does not hold.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from facegpt.morphable.catalogue import MEASUREMENTS, as_markdown, available, measure
from facegpt.morphable.editing import Shift, edit
from facegpt.morphable.measurement import Measurement
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.morphable.population import (
    Population,
    default_population,
    population_of,
    prior_population,
)

__all__ = [
    "MEASUREMENTS",
    "Measurement",
    "Population",
    "Shift",
    "as_markdown",
    "available",
    "default_population",
    "describe_record",
    "edit",
    "measure",
    "percentiles",
    "population_of",
    "prior_population",
]


def percentiles(
    theta: FaceParameters,
    model: MorphableModel,
    names: Iterable[str] | None = None,
    *,
    population: Population | None = None,
) -> dict[str, Float[Tensor, "batch"]]:
    """Where each face stands in a population, 0-100 per measurement; flat beyond the ends of the
    population.

    Args:
        names: Which measurements; all that the model carries when left out.
        population: Compared with whom; the prior of the model when left out.

    Raises:
        ValueError: As `measure`.
    """
    people = population or default_population(model)
    return people.percentiles(measure(theta, model, names))


def describe_record(
    theta: FaceParameters, model: MorphableModel, *, population: Population | None = None
) -> dict[str, dict[str, float | str]]:
    """The "semantics" entry of face.json: name -> value, unit, percentile of ONE face.

    Raises:
        ValueError: The batch does not hold exactly one face, or as `measure`.
    """
    if len(theta) != 1:
        raise ValueError(f"a record describes one face, got a batch of {len(theta)}")
    [record] = describe_records(theta, model, population=population)
    return record


def describe_records(
    theta: FaceParameters, model: MorphableModel, *, population: Population | None = None
) -> list[dict[str, dict[str, float | str]]]:
    """The "semantics" entries of several faces, measured at once.

    Raises:
        ValueError: As `measure`.
    """
    if not len(theta):
        return []
    people = population or default_population(model)
    with torch.no_grad():
        values = measure(theta, model)
        ranks = {name: column.tolist() for name, column in people.percentiles(values).items()}
        columns = {name: column.tolist() for name, column in values.items()}
    return [
        {
            name: {
                "value": round(column[i], 4),
                "unit": MEASUREMENTS[name].unit,
                "percentile": round(ranks[name][i], 1),
            }
            for name, column in columns.items()
        }
        for i in range(len(theta))
    ]
