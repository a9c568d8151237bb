"""`facegpt train doctor`: is a training healthy where its loss cannot say?

Token and gradient are examined on the model of the preset. Memory is examined on a tiny model that
learns eight rendered faces by heart, in ten seconds; with the preset `debug` it is also the patient
of the other two. Collapse and border need a trained model: give a checkpoint.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from facegpt.data.mixture import Example, seeded
from facegpt.model.adapter import load_adapter
from facegpt.training.collate import Collator, moved
from facegpt.training.config import (
    AdapterSettings,
    ObjectiveWeights,
    OptimiserSettings,
    TrainConfig,
)
from facegpt.training.debug import picture_examples, rendered_faces
from facegpt.training.doctor_checks import (
    Check,
    check_border,
    check_collapse,
    check_gradient,
    check_memory,
    check_token,
    cut_borders,
    points_of,
    predict,
    without_border,
)
from facegpt.training.examples import Reshuffled, draw_examples
from facegpt.training.objective import FaceObjective
from facegpt.training.parts import DEBUG_RENDER_PX, Loaded, build_objective, load_model
from facegpt.training.precision import in_bfloat16
from facegpt.training.presets import PRESETS
from facegpt.training.trainer import FaceTrainer

MEMORISED = 8
_PHOTOS = 32
_BATCH = 8
_CUT_COPIES, _DEEPEST_CUT = 7, 0.22
_MEMORY = replace(
    PRESETS["debug"],
    steps=250,
    batch_size=_BATCH,
    head_hidden_sizes=(128,),
    weights=ObjectiveWeights(theta=1.0),
    adapter=AdapterSettings(rank=8, alpha=16.0, dropout=0.0),
    optimiser=OptimiserSettings(learning_rate=5e-3, warmup_steps=5, schedule="cosine"),
    save_every=0,
)
"""A run that learns eight faces; more weight on theta, or shape and albedo take hours."""


@dataclass(frozen=True)
class DoctorReport:
    """What was found."""

    checks: tuple[Check, ...]

    @property
    def exit_code(self) -> int:
        """1 when a check failed."""
        return int(any(check.status == "FAIL" for check in self.checks))

    @property
    def lines(self) -> list[str]:
        """One line per check."""
        return [check.line for check in self.checks]


@dataclass(frozen=True)
class _Patient:
    """A trained model, and photos whose faces it should find."""

    model: Loaded
    objective: FaceObjective
    examples: Sequence[Example]
    knows_theta: bool


def doctor(config: TrainConfig, *, checkpoint: Path | None = None) -> DoctorReport:
    """Examine a preset, and a trained model if there is one.

    Args:
        config: The preset, or the config of the run of `checkpoint`.
        checkpoint: A folder with an adapter: of a run `checkpoint-N`, `best` or `last`.

    Raises:
        BaseMissingError: The model to start from is not on this disk.
        AdapterMissingError: The checkpoint is none.
        AdapterMismatchError: The checkpoint is of another model.
    """
    loaded = load_model(config)
    model, processor = loaded
    objective = build_objective(replace(config, perceptual_every=0), DEBUG_RENDER_PX)
    faces = rendered_faces(objective.renderer, MEMORISED, generator=_generator())
    examples = picture_examples(faces)
    checks = [check_token(processor, model)]
    with _precision(config, loaded):
        checks.append(check_gradient(model, objective, Collator(processor), examples[:2]))
    memory = _Memory()
    checks.append(check_memory(memory.learn))
    if checkpoint is not None:
        load_adapter(model, checkpoint)
        # Without supervision theta may differ where pictures cannot tell.
        patient = _Patient(loaded, objective, _photos(config, objective), knows_theta=False)
    elif config.recipe == "debug":
        patient = memory.patient()
    else:
        return DoctorReport((*checks, _skipped("collapse"), _skipped("border")))
    with _precision(config, patient.model):
        return DoctorReport((*checks, *_examine(patient)))


def _precision(config: TrainConfig, loaded: Loaded) -> torch.autocast:
    """As in training: what is frozen may be bfloat16, what learns is float32."""
    device = next(loaded[0].parameters()).device.type
    return torch.autocast(device, torch.bfloat16, enabled=in_bfloat16(config))


def _skipped(name: str) -> Check:
    return Check(name, "SKIP", "needs trained weights: give --checkpoint FOLDER")


def _examine(patient: _Patient) -> list[Check]:
    collate = Collator(patient.model[1])
    whole = _predicted(patient, patient.examples, collate)
    cut = _predicted(patient, cut_borders(patient.examples), collate)
    targets = [example.target for example in patient.examples if example.target is not None]
    true_px = torch.stack([target.landmarks68_px for target in targets])
    whole_px, cut_px = (points_of(patient.objective, theta) for theta in (whole, cut))
    known = None
    if patient.knows_theta:
        known = torch.stack([target.theta for target in targets if target.theta is not None])
    predicted = None if known is None else whole
    return [check_collapse(whole_px, true_px, predicted, known), check_border(whole_px, cut_px)]


def _predicted(
    patient: _Patient, examples: Sequence[Example], collate: Collator
) -> Float[Tensor, "face parameter"]:
    model, _ = patient.model
    return torch.cat(
        [
            predict(model, collate, examples[first : first + _BATCH])
            for first in range(0, len(examples), _BATCH)
        ]
    )


def _photos(config: TrainConfig, objective: FaceObjective) -> list[Example]:
    """Photos kept back in the run; rendered faces where it names no data."""
    photos: list[Example] = []
    if config.data or config.validation_data:
        drawn = draw_examples(config, length=1)
        photos = [example for example in drawn.held_out if example.kind == "image"]
    if len(photos) < MEMORISED:
        photos = picture_examples(
            rendered_faces(objective.renderer, _PHOTOS, generator=_generator())
        )
    return photos[:_PHOTOS]


class _Memory:
    """The tiny model that learns eight faces by heart, whole and with cut borders."""

    def __init__(self) -> None:
        self._loaded = load_model(_MEMORY)
        self._objective = build_objective(_MEMORY, DEBUG_RENDER_PX)
        self._faces = rendered_faces(self._objective.renderer, MEMORISED, generator=_generator())
        self._examples = picture_examples(self._faces)

    def learn(self) -> tuple[float, float]:
        """Train; the landmark error in pixels and L_txt afterwards, on the same faces."""
        model, processor = self._loaded
        collate = Collator(processor)
        pool = [*self._examples, *_cut(self._examples)]
        with tempfile.TemporaryDirectory() as folder:
            config = replace(_MEMORY, output=Path(folder))
            FaceTrainer(
                config,
                model,
                Reshuffled(pool, config.steps * config.batch_size, config.seed),
                collate,
                self._objective,
                callbacks=[],
                cpu=not torch.cuda.is_available(),
            ).train()
        model.eval()
        theta = predict(model, collate, self._examples)
        errors = points_of(self._objective, theta) - self._faces.landmarks68_px
        batch = moved(collate(self._examples), next(model.parameters()).device)
        with torch.no_grad():
            text = model(**batch.inputs).loss
        return float(errors.norm(dim=-1).mean()), float(text)

    def patient(self) -> _Patient:
        """The model after `learn`."""
        return _Patient(self._loaded, self._objective, self._examples, knows_theta=True)


def _cut(examples: Sequence[Example]) -> list[Example]:
    """The examples several times over, with photos that end at different places."""
    generator = seeded("borders", 0)
    copies: list[Example] = []
    for example in [*examples] * _CUT_COPIES:
        shares = torch.rand(4, generator=generator) * _DEEPEST_CUT
        assert example.image is not None
        copies.append(replace(example, image=without_border(example.image, shares)))
    return copies


def _generator() -> torch.Generator:
    return seeded("doctor", 0)
