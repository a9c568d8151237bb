"""Batches of photos for methods that see pictures alone: which face comes when, how it is changed,
and rendered people beside it.

A batch is a target of L_face that is also what is seen. Knows no network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from facegpt.data.compose import draw_theta
from facegpt.data.mixture import seeded
from facegpt.data.table import FaceTable, StoredFace, StreamedRows
from facegpt.morphable.parameters import BLOCK_SIZES, PARAMETER_COUNT
from facegpt.training.augmentation import NO_AUGMENTATION, Augmentation, augment
from facegpt.training.objective import FaceObjective, TargetBatch

_BALANCED = 2
"""How often a face of a rare group is drawn for each time that others are."""
_RARE = 0.5
"""A group with less than this share of an equal part is rare."""


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
        self._rows.look_ahead(round_, place, self._order)
        return Drawn(index, self.table[self.pool[int(self._order(round_)[place])]])

    @cached_property
    def _rows(self) -> StreamedRows:
        return StreamedRows(self.table, self.pool)

    @cached_property
    def _orders(self) -> dict[int, Int[Tensor, "row"]]:
        return {}

    def _order(self, round_: int) -> Int[Tensor, "row"]:
        """The order of one round; the newest ones are remembered."""
        if round_ not in self._orders:
            while len(self._orders) > 1:
                self._orders.pop(next(iter(self._orders)))
            self._orders[round_] = self._rows.order(seeded(self.seed, "round", round_))
        return self._orders[round_]


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
class PhotoCollator:
    """Photos changed a little, and people who are not there, as one target that is also the
    input."""

    objective: FaceObjective
    how: Augmentation
    seed: int
    composed: int = 0
    """Rendered people beside the photos of every batch."""
    supervised: bool = False
    """Photos bring the theta that was fitted to them (Table 8); they must not be mirrored."""

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
        photos = TargetBatch(
            crops.photo,
            crops.skin,
            crops.landmarks68_px,
            crops.is_grey,
            *(self._theta(drawn) if self.supervised else (None, None)),
        )
        if not self.composed:
            return photos
        people = composed_people(self.objective, photos.photo, self.composed, generator)
        return _together(photos, people)

    def _theta(self, drawn: Sequence[Drawn]) -> tuple[Tensor, Tensor]:
        """Theta of the photos and which of its coefficients count: none where nobody knows them,
        and no camera once a crop was moved."""
        known = [d.face.row.theta for d in drawn]
        theta = torch.stack([torch.zeros(PARAMETER_COUNT) if t is None else t for t in known])
        mask = torch.tensor([t is not None for t in known]).view(-1, 1).repeat(1, PARAMETER_COUNT)
        if self.how != NO_AUGMENTATION:
            mask[:, -BLOCK_SIZES["camera"] :] = False
        return theta, mask


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
    theta, known = photos.theta, photos.theta_mask
    if theta is None or known is None:
        theta = torch.zeros(len(photos), people.theta.shape[1])
        known = theta.bool()
    return TargetBatch(
        torch.cat([photos.photo, people.photo]),
        torch.cat([photos.skin, people.skin]),
        torch.cat([photos.landmarks68_px, people.landmarks68_px]),
        torch.cat([photos.is_grey, people.is_grey]),
        torch.cat([theta, people.theta]),
        torch.cat([known, people.theta_mask]),
    )
