"""The way back from measurements to theta: the smallest change of a face that reaches wanted
values.

"Smallest" is by the Mahalanobis norm of each block's prior, so a wider jaw takes along what usually
goes with a wide jaw; name what shall stay in `hold`. An edit moves only the blocks that its
measurements describe.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from facegpt.morphable.catalogue import MEASUREMENTS, known, measure
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import BLOCK_SIZES, FaceParameters
from facegpt.morphable.population import Population, default_population

_STEPS = 30
_TOLERANCE = 1e-3
"""How near a target is reached, in standard deviations of the population."""
_DAMPING = 1e-8
_GREY_SHARE = 0.98
"""Correlation of the three colours of light, so that moving a lamp does not paint it."""


@dataclass(frozen=True)
class Shift:
    """A target relative to what the face has now, in standard deviations of the population."""

    deviations: float


def edit(
    theta: FaceParameters,
    model: MorphableModel,
    targets: Mapping[str, float | Shift],
    *,
    hold: Iterable[str] = (),
    population: Population | None = None,
) -> FaceParameters:
    """The faces nearest to `theta` that measure what is asked.

    Gauss-Newton on min |x - x0|^2 subject to m(x) = target; exact in one step for a linear
    measurement.

    Args:
        targets: Name -> value in the unit of the measurement, or a `Shift` from the present value.
        hold: Names of measurements that keep their present value.
        population: Whose standard deviations `Shift` and the tolerance mean; the prior of the
            model when left out.

    Raises:
        ValueError: A name is unknown or stands in both `targets` and `hold`, or the targets
            cannot be reached together.
    """
    held = list(hold)
    if both := sorted(set(targets) & set(held)):
        raise ValueError(f"{both[0]} is both a target and held")
    names = [m.name for m in known([*targets, *held])]
    if not names:
        return theta
    people = population or default_population(model)
    unit = theta.shape.new_tensor([max(people.deviation(n), 1e-6) for n in names]).double()
    start = theta.detach().to(torch.float64)
    with torch.no_grad():
        wanted = _stack(start, model, names)
    for column, target in enumerate(targets.values()):
        if isinstance(target, Shift):
            wanted[:, column] += target.deviations * unit[column]
        else:
            wanted[:, column] = target
    vector = _solve(start.to_vector(), model, names, wanted / unit, unit)
    moved = FaceParameters.from_vector(vector.to(theta.shape))
    touched = {MEASUREMENTS[n].block for n in names}
    return theta.replace(**{name: getattr(moved, name) for name in touched})


def _solve(
    start: Float[Tensor, "batch parameter"],
    model: MorphableModel,
    names: list[str],
    wanted: Float[Tensor, "batch target"],
    unit: Float[Tensor, "target"],
) -> Float[Tensor, "batch parameter"]:
    free = _free_parameters(names).to(start)
    spread = _prior_covariance().to(start)
    x = start
    for _ in range(_STEPS):
        value, jacobian = _linearise(x, model, names, unit)
        if float((value - wanted).abs().max()) < _TOLERANCE / 10:
            return x
        jacobian = jacobian * free
        step = jacobian @ spread
        square = step @ jacobian.mT
        damping = _DAMPING * torch.eye(len(names)).to(square)
        # The change is counted from the start, not from x: so the end is the nearest face.
        rest = wanted - value + (jacobian @ (x - start)[..., None])[..., 0]
        solution = torch.linalg.solve(square + damping, rest)
        x = start + _bounded(x - start, (step.mT @ solution[..., None])[..., 0])
    value, _ = _linearise(x, model, names, unit)
    missed = (value - wanted).abs().amax(dim=0)
    if float(missed.max()) > _TOLERANCE:
        worst = names[int(missed.argmax())]
        raise ValueError(
            f"{worst} cannot be brought to its target beside {sorted(set(names) - {worst})}: "
            f"{float(missed.max()):.2f} standard deviations are missing; ask for less"
        )
    return x


def _bounded(
    before: Float[Tensor, "batch parameter"], after: Float[Tensor, "batch parameter"]
) -> Float[Tensor, "batch parameter"]:
    """Steps of at most 5 standard deviations, or a curved measurement throws the face far away."""
    step = after - before
    return before + step * (5.0 / step.norm(dim=1, keepdim=True).clamp(min=5.0))


def _linearise(
    x: Float[Tensor, "batch parameter"],
    model: MorphableModel,
    names: list[str],
    unit: Float[Tensor, "target"],
) -> tuple[Float[Tensor, "batch target"], Float[Tensor, "batch target parameter"]]:
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        values = _stack(FaceParameters.from_vector(leaf), model, names) / unit
        rows = [torch.autograd.grad(v.sum(), leaf, retain_graph=True)[0] for v in values.unbind(1)]
    return values.detach(), torch.stack(rows, dim=1)


def _stack(
    theta: FaceParameters, model: MorphableModel, names: list[str]
) -> Float[Tensor, "batch target"]:
    values = measure(theta, model, names)
    return torch.stack([values[name] for name in names], dim=1)


def _free_parameters(names: list[str]) -> Float[Tensor, "target parameter"]:
    """One where a measurement may move theta: in its own block."""
    return torch.stack(
        [
            torch.cat(
                [
                    torch.full((n,), float(b == MEASUREMENTS[name].block))
                    for b, n in BLOCK_SIZES.items()
                ]
            )
            for name in names
        ]
    )


def _prior_covariance() -> Float[Tensor, "parameter parameter"]:
    """The identity, but for light, whose three colours move together."""
    colours = torch.full((3, 3), _GREY_SHARE) + (1 - _GREY_SHARE) * torch.eye(3)
    blocks = [
        torch.kron(torch.eye(9), colours) if name == "illumination" else torch.eye(size)
        for name, size in BLOCK_SIZES.items()
    ]
    return torch.block_diag(*blocks)
