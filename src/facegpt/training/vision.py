"""The preset `vision`: the nano tower as a face autoencoder, before there is any language (MoFA).

Photos are seen through L_face alone; a share of every batch is rendered people whose theta is
known, and for these the L1 distance of theta counts too. What the tower learns here is what the
frozen vision encoder gives the language model later. It shares loop, log, guard and checkpoints
with `trainer.py`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from facegpt.data.table import FaceTable, StoredFace
from facegpt.losses import mean_light
from facegpt.model.configuration_vision import FaceVisionConfig
from facegpt.model.vision_tower import FaceVisionAutoencoder, tower_pixels
from facegpt.morphable.parameters import BLOCK_SIZES
from facegpt.training.augmentation import NO_AUGMENTATION, Augmentation
from facegpt.training.config import TrainConfig, TrainConfigError
from facegpt.training.contact_sheet import contact_sheet, write_sheet
from facegpt.training.examples import kept_back_rows, stream_settings
from facegpt.training.objective import FaceObjective, TargetBatch, face_errors
from facegpt.training.photo_batches import Drawn, FacesInTurn, PhotoCollator, balanced_pool
from facegpt.training.terms import TermBook
from facegpt.training.trainer import FaceTrainer

_STAGE_SIZES, _STEM = [48, 96, 192, 384], 48
_BETAS = (0.9, 0.98)
_SMALL_HEAD = 0.2
"""Of the usual size of first weights: the first faces shall be near the mean face."""

_LIGHT_SCALE = 0.3
_CAMERA_SCALE = (0.2, 0.3, 0.1, 0.1, 0.1, 0.1)
"""About the spread of phi and c over photos, so that every output of the head is of size one."""


def theta_units() -> tuple[list[float], list[float]]:
    """Center and scale of theta: the mean face in the mean light, in the spread of each block."""
    center = torch.zeros(sum(BLOCK_SIZES.values()))
    scale = torch.ones_like(center)
    light = sum(BLOCK_SIZES[name] for name in ("shape", "expression", "albedo"))
    camera = light + BLOCK_SIZES["illumination"]
    center[light:camera] = mean_light()
    scale[light:camera] = _LIGHT_SCALE
    scale[camera:] = torch.tensor(_CAMERA_SCALE)
    return center.tolist(), scale.tolist()


def new_autoencoder(seed: int) -> FaceVisionAutoencoder:
    """The untrained tower of nano with its road to theta; the global generator is left alone."""
    center, scale = theta_units()
    config = FaceVisionConfig(
        stage_sizes=_STAGE_SIZES, embedding_size=_STEM, theta_center=center, theta_scale=scale
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = FaceVisionAutoencoder(config)
    with torch.no_grad():
        model.head.weight.mul_(_SMALL_HEAD)
    return model


class VisionTrainer(FaceTrainer):
    """Trains what makes theta of a picture alone: the autoencoder, or the MLP of `regression.py`.

    Log, guard and checkpoints are those of `FaceTrainer`.
    """

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """L_face of one batch, divided by the batches of an update.

        Raises:
            NonFiniteTermError: A term of the loss is not finite.
        """
        batch = cast("TargetBatch", inputs)
        theta = model(as_seen(batch.photo))
        kinds = ("image",) * len(batch)
        face = self.face_losses(theta, batch, kinds).mean() / self.args.gradient_accumulation_steps
        return (face, theta) if return_outputs else face

    def _get_num_items_in_batch(self, batch_samples: list, device: torch.device) -> Tensor:
        return torch.tensor([0, sum(len(batch) for batch in batch_samples)], device=device)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW; norms and biases are not pulled to zero."""
        if self.optimizer is None:
            weights = [w for w in self.bare_model.parameters() if w.requires_grad]
            settings = self.run_config.optimiser
            groups = [
                {"params": [w for w in weights if w.ndim > 1]},
                {"params": [w for w in weights if w.ndim <= 1], "weight_decay": 0.0},
            ]
            self.optimizer = torch.optim.AdamW(
                groups,
                lr=settings.learning_rate,
                betas=_BETAS,
                weight_decay=settings.weight_decay,
            )
        return self.optimizer

    def _save(
        self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None
    ) -> None:
        if self.args.should_save:
            self.bare_model.save_pretrained(output_dir or self.output)

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        saved = type(self.bare_model).from_pretrained(resume_from_checkpoint, local_files_only=True)
        self.bare_model.load_state_dict(saved.state_dict())


def as_seen(photo: Float[Tensor, "face 3 height width"]) -> Tensor:
    """Pictures of the tower's own size as it sees them."""
    return tower_pixels(photo, photo.shape[-1])


@dataclass(frozen=True)
class VisionHeldOut:
    """The validator: terms and reported errors on faces that are not learnt from."""

    faces: Sequence[StoredFace]
    objective: FaceObjective
    batch_size: int

    def __call__(self, model: nn.Module) -> Mapping[str, float]:
        """L_face without the perceptual term, its terms, and the errors of eq. 8 and 9."""
        book = TermBook()
        found: list[Tensor] = []
        for theta, target in self._predictions(model):
            terms = self.objective(theta, target)
            terms["face"] = self.objective.weighted(terms)
            for name, values in terms.items():
                book.add(name, values, ("image",) * len(target))
            errors = face_errors(self.objective, theta, target)
            found.append(
                torch.stack([errors.photometric, errors.landmark_px, errors.landmark_inner_px])
            )
        means = torch.cat(found, dim=1).mean(dim=1).tolist()
        names = ("photometric", "landmark_px", "landmark_inner_px")
        return book.close() | dict(zip(names, means, strict=True))

    def draw(self, model: nn.Module, path: Path | None, faces: int) -> None:
        """Write the contact sheet of the first faces; without a path only take part."""
        few = VisionHeldOut(self.faces[:faces], self.objective, faces)
        for theta, target in few._predictions(model):
            labels = [face.row.face_id for face in few.faces]
            if path is not None:
                write_sheet(path, contact_sheet(self.objective, theta, target, labels))

    def _predictions(self, model: nn.Module) -> "list[tuple[Tensor, TargetBatch]]":
        collate = PhotoCollator(self.objective, NO_AUGMENTATION, seed=0)
        pairs = []
        for first in range(0, len(self.faces), self.batch_size):
            faces = self.faces[first : first + self.batch_size]
            target = collate([Drawn(first + i, face) for i, face in enumerate(faces)])
            with torch.no_grad():
                # Judged on the CPU, wherever the model is: that is where these pictures are.
                seen = as_seen(target.photo).to(next(model.parameters()).device)
                pairs.append((model(seen).float().cpu(), target))
        return pairs


@dataclass(frozen=True)
class VisionParts:
    """Everything that a run on pictures alone is made of."""

    model: PreTrainedModel
    """Makes theta of a picture."""
    examples: FacesInTurn
    collate: PhotoCollator
    objective: FaceObjective
    held_out: VisionHeldOut | None


def build_vision_parts(
    config: TrainConfig, length: int, objective_of: Callable[[TrainConfig, int], FaceObjective]
) -> VisionParts:
    """The parts of a run that draws `length` faces.

    Args:
        objective_of: Makes the judge for pictures of some size.

    Raises:
        TrainConfigError: The config names no data.
        DatasetError: The data cannot be used.
    """
    check_photos(config)
    model = (
        FaceVisionAutoencoder.from_pretrained(config.base, local_files_only=True)
        if config.base
        else new_autoencoder(config.seed)
    )
    return parts_for(model, objective_of(config, model.config.image_size), config, length)


def check_photos(config: TrainConfig) -> None:
    """Refuse a run without photos, before anything is loaded.

    Raises:
        TrainConfigError: The config names no data.
    """
    if not config.data:
        raise TrainConfigError(
            f"the preset {config.recipe} learns from photos: give --data FOLDER, made by "
            "facegpt data build"
        )


def parts_for(
    model: PreTrainedModel, objective: FaceObjective, config: TrainConfig, length: int
) -> VisionParts:
    """The parts of a run that draws `length` faces, for a model that makes theta of a picture.

    Args:
        objective: Judges pictures of the size that the model sees.

    Raises:
        DatasetError: The data cannot be used.
    """
    model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    table = FaceTable(config.data, cached_faces=0, stream=stream_settings(config))
    table.check_memory(1)
    rows, kept_back = _split(config, table)
    pool = _balanced(table, rows, config.balance) if config.balance else rows
    how = Augmentation() if config.augment else NO_AUGMENTATION
    if config.supervise_photos:
        how = replace(how, mirror=0.0)
    composed = round(config.batch_size * config.mixture.composed)
    collate = PhotoCollator(objective, how, config.seed, composed, config.supervise_photos)
    faces = _validation_faces(config, table, kept_back)
    return VisionParts(
        model,
        FacesInTurn(table, pool, length, config.seed),
        collate,
        objective,
        VisionHeldOut(faces, objective, config.batch_size) if faces else None,
    )


def _balanced(table: FaceTable, rows: Sequence[int], by: str) -> list[int]:
    if table.streams:
        raise TrainConfigError(
            f"--balance {by} reads the label of every face beforehand, and the data lies "
            "elsewhere; copy it to a folder, or say --balance ''"
        )
    return balanced_pool([dict(json.loads(t)) for t in table.column("labels")], rows, by)


def _split(config: TrainConfig, table: FaceTable) -> tuple[list[int], list[int]]:
    if config.validation_data or not config.held_out:
        return list(range(len(table))), []
    kept_back = kept_back_rows(config, table)
    return sorted(set(range(len(table))) - set(kept_back)), kept_back


def _validation_faces(
    config: TrainConfig, table: FaceTable, kept_back: Sequence[int]
) -> list[StoredFace]:
    if not config.validation_data:
        return [table[row] for row in kept_back]
    other = FaceTable(config.validation_data, cached_faces=0, stream=stream_settings(config))
    return [other[row] for row in range(min(config.held_out, len(other)))]
