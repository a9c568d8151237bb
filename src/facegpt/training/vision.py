"""The preset `vision`: the nano tower as a face autoencoder, before there is any language (MoFA).

Photos are seen through L_face alone; a share of every batch is rendered people whose theta is
known, and for these the L1 distance of theta counts too. What the tower learns here is what the
frozen vision encoder gives the language model later. It shares loop, log, guard and checkpoints
with `trainer.py`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from facegpt.data.compose import draw_theta
from facegpt.data.mixture import seeded
from facegpt.data.table import FaceTable, StoredFace
from facegpt.losses import mean_light
from facegpt.model.configuration_vision import FaceVisionConfig
from facegpt.model.vision_tower import PIXEL_MEAN, PIXEL_STD, FaceVisionAutoencoder
from facegpt.morphable.parameters import BLOCK_SIZES
from facegpt.training.augmentation import NO_AUGMENTATION, Augmentation, augment
from facegpt.training.config import TrainConfig, TrainConfigError
from facegpt.training.contact_sheet import contact_sheet, write_sheet
from facegpt.training.objective import FaceObjective, TargetBatch, face_errors
from facegpt.training.terms import TermBook
from facegpt.training.trainer import FaceTrainer

_STAGE_SIZES, _STEM = [48, 96, 192, 384], 48
_BETAS = (0.9, 0.98)
_SMALL_HEAD = 0.2
"""Of the usual size of first weights: the first faces shall be near the mean face."""

_LIGHT_SCALE = 0.3
_CAMERA_SCALE = (0.2, 0.3, 0.1, 0.1, 0.1, 0.1)
"""About the spread of phi and c over photos, so that every output of the head is of size one."""

_BALANCED = 2
"""How often a face of a rare group is drawn for each time that others are."""
_RARE = 0.5
"""A group with less than this share of an equal part is rare."""


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


@dataclass(frozen=True)
class Drawn:
    """One entry of the run: which face is seen at which place."""

    place: int
    face: StoredFace


@dataclass(frozen=True)
class FacesInTurn:
    """Every face once in each round, those of rare groups twice; the place decides which."""

    table: FaceTable
    pool: Sequence[int]
    length: int
    seed: int

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Drawn:
        """Entry `index`, which depends on nothing but the seed and the index."""
        if not 0 <= index < self.length:
            raise IndexError(index)
        round_, place = divmod(index, len(self.pool))
        order = _order(len(self.pool), self.seed, round_)
        return Drawn(index, self.table[self.pool[order[place]]])


_ORDERS: dict[tuple[int, int, int], list[int]] = {}


def _order(count: int, seed: int, round_: int) -> list[int]:
    """The order of one round; the newest ones are remembered."""
    key = (count, seed, round_)
    if key not in _ORDERS:
        while len(_ORDERS) > 1:
            _ORDERS.pop(next(iter(_ORDERS)))
        _ORDERS[key] = torch.randperm(count, generator=seeded(seed, "round", round_)).tolist()
    return _ORDERS[key]


def balanced_pool(labels: Sequence[Mapping[str, str]], rows: Sequence[int], by: str) -> list[int]:
    """The rows, and once more those whose group is rare: photos of few groups outnumber others."""
    groups: dict[str, list[int]] = {}
    for row in rows:
        if labels[row].get(by):
            groups.setdefault(labels[row][by], []).append(row)
    if not groups:
        return list(rows)
    equal = sum(map(len, groups.values())) / len(groups)
    rare = [row for group in groups.values() if len(group) < _RARE * equal for row in group]
    return list(rows) + rare * (_BALANCED - 1)


@dataclass(frozen=True)
class VisionCollator:
    """Photos changed a little, and people who are not there, as one target that is also the
    input."""

    objective: FaceObjective
    how: Augmentation
    seed: int
    composed: int = 0
    """Rendered people beside the photos of every batch."""

    def __call__(self, drawn: Sequence[Drawn]) -> TargetBatch:
        """The batch; the place of its first face decides everything that is drawn."""
        generator = seeded(self.seed, "batch", drawn[0].place)
        size = self.objective.renderer.size
        crops = augment(
            torch.stack([d.face.crop for d in drawn]),
            torch.stack([d.face.skin for d in drawn]),
            torch.stack([d.face.row.landmarks68_px for d in drawn]).float(),
            torch.tensor([d.face.row.is_grey for d in drawn]),
            size=size,
            how=self.how,
            generator=generator,
        )
        photos = TargetBatch(crops.photo, crops.skin, crops.landmarks68_px, crops.is_grey)
        if not self.composed:
            return photos
        people = composed_people(self.objective, photos.photo, self.composed, generator)
        return _together(photos, people)


def composed_people(
    objective: FaceObjective,
    backgrounds: Float[Tensor, "photo 3 height width"],
    count: int,
    generator: torch.Generator,
) -> TargetBatch:
    """Rendered people of known theta before what is behind other people's faces, mirrored so that
    no hairline fits by chance."""
    theta, _, _ = draw_theta(count, objective.renderer.model, generator=generator)
    with torch.no_grad():
        rendering = objective.renderer(theta)
    behind = backgrounds[torch.randint(len(backgrounds), (count,), generator=generator)].flip(-1)
    image = torch.where(rendering.mask.unsqueeze(1), rendering.image.clamp(0, 1), behind)
    return TargetBatch(
        image,
        rendering.mask,
        objective.landmarks_in_crop(rendering),
        torch.zeros(count, dtype=torch.bool),
        theta.to_vector(),
        torch.ones(count, len(theta.to_vector()[0]), dtype=torch.bool),
    )


def _together(photos: TargetBatch, people: TargetBatch) -> TargetBatch:
    assert people.theta is not None
    assert people.theta_mask is not None
    unknown = torch.zeros(len(photos), people.theta.shape[1])
    return TargetBatch(
        torch.cat([photos.photo, people.photo]),
        torch.cat([photos.skin, people.skin]),
        torch.cat([photos.landmarks68_px, people.landmarks68_px]),
        torch.cat([photos.is_grey, people.is_grey]),
        torch.cat([unknown, people.theta]),
        torch.cat([unknown.bool(), people.theta_mask]),
    )


def normalised(photo: Float[Tensor, "face 3 height width"]) -> Tensor:
    """Pictures as the tower sees them."""
    return ((photo - PIXEL_MEAN) / PIXEL_STD).contiguous(memory_format=torch.channels_last)


class VisionTrainer(FaceTrainer):
    """Trains the autoencoder; log, guard and checkpoints are those of `FaceTrainer`."""

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
        theta = model(normalised(batch.photo))
        kinds = ("image",) * len(batch)
        face = self.face_losses(theta, batch, kinds).mean() / self.args.gradient_accumulation_steps
        return (face, theta) if return_outputs else face

    def _get_num_items_in_batch(self, batch_samples: list, device: torch.device) -> Tensor:
        return torch.tensor([0, sum(len(batch) for batch in batch_samples)], device=device)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW; norms and biases are not pulled to zero."""
        if self.optimizer is None:
            weights = list(self.autoencoder.parameters())
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

    @property
    def autoencoder(self) -> FaceVisionAutoencoder:
        """The model without what distributes it."""
        return cast("FaceVisionAutoencoder", self.accelerator.unwrap_model(self.model))

    def _save(
        self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None
    ) -> None:
        if self.args.should_save:
            self.autoencoder.save_pretrained(output_dir or self.output)

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        saved = FaceVisionAutoencoder.from_pretrained(resume_from_checkpoint, local_files_only=True)
        self.autoencoder.load_state_dict(saved.state_dict())


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

    def draw(self, model: nn.Module, path: Path, faces: int) -> None:
        """Write the contact sheet of the first faces."""
        few = VisionHeldOut(self.faces[:faces], self.objective, faces)
        for theta, target in few._predictions(model):
            labels = [face.row.face_id for face in few.faces]
            write_sheet(path, contact_sheet(self.objective, theta, target, labels))

    def _predictions(self, model: nn.Module) -> "list[tuple[Tensor, TargetBatch]]":
        collate = VisionCollator(self.objective, NO_AUGMENTATION, seed=0)
        pairs = []
        for first in range(0, len(self.faces), self.batch_size):
            faces = self.faces[first : first + self.batch_size]
            target = collate([Drawn(first + i, face) for i, face in enumerate(faces)])
            with torch.no_grad():
                pairs.append((model(normalised(target.photo)).float(), target))
        return pairs


@dataclass(frozen=True)
class VisionParts:
    """Everything that a run of the tower is made of."""

    model: FaceVisionAutoencoder
    examples: FacesInTurn
    collate: VisionCollator
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
    if not config.data:
        raise TrainConfigError(
            "the preset vision learns from photos: give --data FOLDER, made by facegpt data build"
        )
    model = (
        FaceVisionAutoencoder.from_pretrained(config.base, local_files_only=True)
        if config.base
        else new_autoencoder(config.seed)
    )
    model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    objective = objective_of(config, model.config.image_size)
    table = FaceTable(config.data, cached_faces=0)
    rows, kept_back = _split(config, len(table))
    labels = [dict(json.loads(text)) for text in table.column("labels")]
    pool = balanced_pool(labels, rows, config.balance) if config.balance else rows
    how = Augmentation() if config.augment else NO_AUGMENTATION
    composed = round(config.batch_size * config.mixture.composed)
    collate = VisionCollator(objective, how, config.seed, composed)
    faces = _validation_faces(config, table, kept_back)
    return VisionParts(
        model,
        FacesInTurn(table, pool, length, config.seed),
        collate,
        objective,
        VisionHeldOut(faces, objective, config.batch_size) if faces else None,
    )


def _split(config: TrainConfig, count: int) -> tuple[list[int], list[int]]:
    if config.validation_data or not config.held_out:
        return list(range(count)), []
    if config.held_out >= count:
        raise TrainConfigError(
            f"--held-out {config.held_out} leaves nothing of {count} faces to learn from; lower it"
        )
    order = torch.randperm(count, generator=seeded(config.seed, "held out")).tolist()
    return sorted(order[config.held_out :]), sorted(order[: config.held_out])


def _validation_faces(
    config: TrainConfig, table: FaceTable, kept_back: Sequence[int]
) -> list[StoredFace]:
    if not config.validation_data:
        return [table[row] for row in kept_back]
    other = FaceTable(config.validation_data, cached_faces=0)
    return [other[row] for row in range(min(config.held_out, len(other)))]
