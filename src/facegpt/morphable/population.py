"""How common a measured value is: quantiles of every measurement in a population of faces.

The population that comes with every model is made by sampling, not by counting people:

- shape and albedo: the prior of the model, N(0, 1) of alpha and gamma;
- expression: sparse random mixtures of the ARKit blendshapes where the model has them, else N(0, 1)
  of delta;
- light: soft light from above and in front with a random side, nearly white;
- pose: normal angles of 15 (yaw), 7 (pitch) and 5 degrees (roll) standard deviation.

Percentiles are therefore those of the model's world. A population measured on fitted photos
(`population_of`) may be saved and put in its place, whole or for some measurements.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor

from facegpt.morphable.catalogue import available, known
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.morphable.probe import ProbedFace, probe_of

QUANTILES = 101
"""The 0th to the 100th percentile."""

ASSETS = Path(__file__).parent / "assets"
"""Where measured populations lie."""

_SAMPLES = 4000
_SEED = 68
_YAW_PITCH_ROLL_DEGREES = (7.0, 15.0, 5.0)
_LIGHT_MEAN = (0.0, 0.15, 0.3, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
_LIGHT_DEVIATION = (0.15, 0.15, 0.15, 0.25, 0.08, 0.08, 0.08, 0.08, 0.08)
_TINT_DEVIATION = 0.03
_ACTIVE = {"mouthSmile": 0.5, "jawOpen": 0.4, "eyeBlink": 0.1, "tongueOut": 0.05} | dict.fromkeys(
    ("jawLeft", "jawRight", "mouthLeft", "mouthRight", "mouthFrown", "cheekPuff"), 0.1
)
_ACTIVE_ELSE = 0.25
"""How often a blendshape (or a pair of them) is at work; its weight is then uniform in [0, 1]."""

_EXPRESSION_NOISE = 0.2


@dataclass(frozen=True)
class Population:
    """Quantiles 0, 1 ... 100 of every measurement."""

    source: str
    """Who was measured, in words."""
    quantiles: dict[str, Float[Tensor, "quantile"]]

    def percentiles(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The share of the population below each value, 0-100, linear between quantiles and flat
        beyond the ends.

        Args:
            values: Tensors of one shape, as `measure` gives them.

        Raises:
            ValueError: A measurement is not in this population.
        """
        if not values:
            return {}
        tables = torch.stack([self._of(name) for name in values])
        stacked = torch.stack(list(values.values()))
        ranks = _interpolate(stacked.view(len(stacked), -1), tables).view_as(stacked)
        return dict(zip(values, ranks, strict=True))

    def value_at(self, name: str, percentile: float) -> float:
        """The value with this share of the population below it.

        Raises:
            ValueError: The percentile lies outside 0-100, or the measurement is not in this
                population.
        """
        if not 0 <= percentile <= 100:
            raise ValueError(f"a percentile must be in [0, 100], got {percentile}")
        low = min(int(percentile), QUANTILES - 2)
        table = self._of(name)
        return float(torch.lerp(table[low], table[low + 1], percentile - low))

    def deviation(self, name: str) -> float:
        """The standard deviation, from the table (so the far tails count a little less)."""
        return float(self._of(name).std())

    def with_rows_of(self, other: "Population") -> "Population":
        """This population with every measurement the other one has taken from there."""
        return Population(
            f"{other.source}; the rest: {self.source}", self.quantiles | other.quantiles
        )

    def save(self, path: Path) -> None:
        """Write the table as JSON."""
        rows = {name: [float(f"{v:.6g}") for v in q.tolist()] for name, q in self.quantiles.items()}
        path.write_text(json.dumps({"source": self.source, "quantiles": rows}) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Population":
        """Read what `save` wrote.

        Raises:
            ValueError: The file is no such table.
        """
        try:
            record = json.loads(path.read_text())
            rows = {n: torch.tensor(q, dtype=torch.float64) for n, q in record["quantiles"].items()}
            source = str(record["source"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{path} is not a population table: {error}") from error
        for name, q in rows.items():
            if q.shape != (QUANTILES,) or not q.isfinite().all() or (q.diff() < 0).any():
                raise ValueError(f"{path}: {name} must have {QUANTILES} rising numbers")
        return cls(source, rows)

    def _of(self, name: str) -> Tensor:
        if name not in self.quantiles:
            raise ValueError(f"{name!r} is not in the population of {self.source}")
        return self.quantiles[name]


def _interpolate(value: Tensor, table: Tensor) -> Tensor:
    """Ranks in the table of the same row: the mean from both sides, which differ only at a value
    that many share."""
    table = table.to(value)
    ranks = [_rank(value, table, right=right) for right in (False, True)]
    return (ranks[0] + ranks[1]) / 2


def _rank(value: Tensor, table: Tensor, *, right: bool) -> Tensor:
    above = torch.searchsorted(table, value.detach().contiguous(), right=right)
    above = above.clamp(1, QUANTILES - 1)
    low, high = table.gather(1, above - 1), table.gather(1, above)
    smallest = torch.finfo(table.dtype).tiny
    return above - 1 + ((value - low) / (high - low).clamp(min=smallest)).clamp(0, 1)


def population_of(
    theta: FaceParameters,
    model: MorphableModel,
    source: str,
    names: Iterable[str] | None = None,
) -> Population:
    """The population that these faces are; every measurement of the model unless `names` says
    which.
    """
    face = ProbedFace(theta, probe_of(model).like(theta.shape))
    levels = torch.linspace(0, 1, QUANTILES, dtype=torch.float64)
    rows = {}
    with torch.no_grad():
        for m in known(available(model) if names is None else names):
            rows[m.name] = torch.quantile(m.formula(face).double().cpu(), levels)
    return Population(source, rows)


_PRIORS: dict[str, Population] = {}


def prior_population(model: MorphableModel) -> Population:
    """The sampled population of a model: built at first use, kept by its name and content."""
    key = _fingerprint(model)
    if key not in _PRIORS:
        generator = torch.Generator().manual_seed(_SEED)
        theta = sample_population(model, _SAMPLES, generator=generator)
        _PRIORS[key] = population_of(theta, model, f"the prior of {model.name}")
    return _PRIORS[key]


_DEFAULTS: "WeakKeyDictionary[MorphableModel, Population]" = WeakKeyDictionary()


def default_population(model: MorphableModel) -> Population:
    """The prior population, with the rows of `population_<model>.json` where that file exists;
    found once and kept as long as the model.

    Raises:
        ValueError: The file is there and broken.
    """
    if model not in _DEFAULTS:
        _DEFAULTS[model] = _find_default(model)
    return _DEFAULTS[model]


def _find_default(model: MorphableModel) -> Population:
    measured = ASSETS / f"population_{model.name}.json"
    prior = prior_population(model)
    return prior.with_rows_of(Population.load(measured)) if measured.is_file() else prior


def _fingerprint(model: MorphableModel) -> str:
    probe = probe_of(model)
    digest = hashlib.sha256(model.name.encode())
    tensors = (
        probe.mean_mm,
        probe.identity_mm,
        probe.expression_mm,
        probe.colour_mean,
        probe.colour_basis,
    )
    for tensor in tensors:
        digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def sample_population(
    model: MorphableModel, count: int, *, generator: torch.Generator
) -> FaceParameters:
    """Faces of the documented population, on the CPU in float32."""
    shape = torch.randn(count, len(model.identity_mm), generator=generator)
    albedo = torch.randn(count, len(model.albedo_basis), generator=generator)
    expression = _sample_expressions(model, count, generator)
    grey = torch.randn(count, 9, 1, generator=generator) * torch.tensor(_LIGHT_DEVIATION)[:, None]
    tint = torch.randn(count, 9, 3, generator=generator) * _TINT_DEVIATION
    light = (grey + torch.tensor(_LIGHT_MEAN)[:, None] + tint).flatten(1)
    camera = torch.zeros(count, 6)
    angles = torch.deg2rad(torch.tensor(_YAW_PITCH_ROLL_DEGREES))
    camera[:, :3] = torch.randn(count, 3, generator=generator) * angles
    return FaceParameters(shape, expression, albedo, light, camera)


def _sample_expressions(
    model: MorphableModel, count: int, generator: torch.Generator
) -> Float[Tensor, "count expression"]:
    noise = torch.randn(count, len(model.expression_mm), generator=generator)
    if not model.arkit_names:
        return noise
    weights = torch.zeros(count, len(model.arkit_names))
    drawn: dict[str, Tensor] = {}
    for column, name in enumerate(model.arkit_names):
        pair = _moves_with(name)
        if pair not in drawn:
            active = torch.rand(count, generator=generator) < _ACTIVE.get(pair, _ACTIVE_ELSE)
            drawn[pair] = active * torch.rand(count, generator=generator)
        one_sided = 1 + 0.2 * torch.randn(count, generator=generator)
        weights[:, column] = (drawn[pair] * one_sided).clamp(0, 1)
    # Lips cannot close an opened jaw alone: the shape only makes sense as a share of jawOpen.
    closing = [i for i, name in enumerate(model.arkit_names) if name == "mouthClose"]
    weights[:, closing] = 0.0
    return weights @ _deltas_of_blendshapes(model) + _EXPRESSION_NOISE * noise


def _moves_with(name: str) -> str:
    """The action that a blendshape is a half of: both lids blink, both eyes glance to one side."""
    if name in ("eyeLookInLeft", "eyeLookOutRight"):
        return "glanceRight"
    if name in ("eyeLookInRight", "eyeLookOutLeft"):
        return "glanceLeft"
    if name in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
        return name
    return name.removesuffix("Left").removesuffix("Right")


def _deltas_of_blendshapes(model: MorphableModel) -> Float[Tensor, "blendshape expression"]:
    basis = model.expression_mm.detach().cpu().float().flatten(1)
    shapes = model.arkit_mm.detach().cpu().float().flatten(1)
    gram = (basis @ basis.T).double()
    inverse = torch.linalg.pinv(gram, hermitian=True, rtol=1e-7)
    return ((shapes @ basis.T).double() @ inverse).float()
