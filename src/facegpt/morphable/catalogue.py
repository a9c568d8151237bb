"""Every named measurement in one place, and how to take them.

The measurements themselves are in the three files imported here; this one knows no formula.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import chain

from jaxtyping import Float
from torch import Tensor

from facegpt.morphable import (
    appearance_measurements,
    expression_measurements,
    identity_measurements,
)
from facegpt.morphable.measurement import Measurement
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.morphable.probe import ProbedFace, probe_of

MEASUREMENTS: dict[str, Measurement] = {
    m.name: m
    for m in chain(
        identity_measurements.TABLE, expression_measurements.TABLE, appearance_measurements.TABLE
    )
}
"""Name -> measurement, in the order of docs/semantics.md."""


def known(names: Iterable[str]) -> list[Measurement]:
    """The measurements of these names, in this order.

    Raises:
        ValueError: No measurement has this name; the error gives the nearest one.
    """
    found = []
    for name in names:
        if name not in MEASUREMENTS:
            [nearest] = get_close_matches(name, MEASUREMENTS, n=1, cutoff=0)
            raise ValueError(
                f"no measurement {name!r}; did you mean {nearest!r}? Known: {sorted(MEASUREMENTS)}"
            )
        found.append(MEASUREMENTS[name])
    return found


def available(model: MorphableModel) -> list[str]:
    """Names of the measurements that a model carries: all but those of parts that it lacks."""
    probe = probe_of(model)
    return [name for name, m in MEASUREMENTS.items() if probe.has(m.needs)]


def measure(
    theta: FaceParameters, model: MorphableModel, names: Iterable[str] | None = None
) -> dict[str, Float[Tensor, "batch"]]:
    """Named measurements of a batch of faces, each in its own unit and differentiable in theta.

    Args:
        names: Which ones; all that the model carries when left out.

    Raises:
        ValueError: A name is unknown, the model lacks the part it needs, or theta is not finite.
    """
    _refuse_broken(theta)
    probe = probe_of(model).like(theta.shape)
    face = ProbedFace(theta, probe)
    values = {}
    for m in known(available(model) if names is None else names):
        if not probe.has(m.needs):
            raise ValueError(f"{model.name} has no {m.needs[0]}, so {m.name} cannot be measured")
        values[m.name] = m.formula(face)
    return values


def as_markdown() -> str:
    """The catalogue as the table of docs/semantics.md."""
    lines = [
        "| name | block | unit | low ... high | what it is |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| `{m.name}` | {m.block} | {m.unit} | {m.subject}: {m.low} ... {m.high} "
        f"| {m.description} |"
        for m in MEASUREMENTS.values()
    ]
    return "\n".join(lines) + "\n"


def _refuse_broken(theta: FaceParameters) -> None:
    if bool(theta.to_vector().isfinite().all()):
        return
    for name, block in theta.blocks().items():
        bad = (~block.isfinite()).any(dim=1).nonzero().flatten().tolist()
        if bad:
            raise ValueError(f"the {name} block of theta is not finite for face {bad[0]}")
