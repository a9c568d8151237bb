"""Pictures for the eye while a model trains: photo, predicted face over it, what it should be.

A falling loss hides a face that is wrong in a way no term measures; a glance does not. Pure
functions, except for the one that writes the file. Knows no model that predicts.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw
from torch import Tensor

from facegpt.geometry.export import write_atomically
from facegpt.morphable.framing import CROP_SIZE
from facegpt.rendering.renderer import Rendering
from facegpt.training.objective import FaceObjective, TargetBatch, bounded

_GAP, _LABEL = 4, 16
_DOT_PX = 1
_DETECTED, _PREDICTED = (40, 220, 90), (255, 60, 60)
_HIDDEN = 0.25
"""How bright the target stays where the photo does not speak."""


def contact_sheet(
    objective: FaceObjective,
    theta: Float[Tensor, "face 257"],
    target: TargetBatch,
    labels: Sequence[str],
) -> UInt8[np.ndarray, "height width 3"]:
    """One row per face: the photo, the predicted face over it, the target of the loss.

    The target is the rendering of theta where all of it is known, else the photo with the mask A
    and the detected points (green). Predicted points are red.

    Args:
        theta: The predictions.
        target: What the loss compares them with.
        labels: A few words below each row.
    """
    with torch.no_grad():
        predicted = objective.renderer(bounded(theta.float()))
        points_px = objective.landmarks_in_crop(predicted)
        shown = _over(predicted, target)
        wanted = _wanted(objective, target)
    detected = target.landmarks68_px
    rows = []
    for i, label in enumerate(labels):
        tiles = [
            _tile(target.photo[i]),
            _dotted(_tile(shown[i]), points_px[i], _PREDICTED),
            _dotted(_tile(wanted[i]), detected[i], _DETECTED),
        ]
        rows.append(_row(tiles, label))
    return np.concatenate(rows)


def write_sheet(path: Path, sheet: UInt8[np.ndarray, "height width 3"]) -> None:
    """Write a PNG; it is there in full or not at all."""
    picture = io.BytesIO()
    Image.fromarray(sheet).save(picture, "PNG")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, picture.getvalue())


def _over(rendering: Rendering, target: TargetBatch) -> Float[Tensor, "face 3 height width"]:
    image = rendering.image.clamp(0, 1)
    grey = target.is_grey.view(-1, 1, 1, 1)
    image = torch.where(grey, image.mean(dim=1, keepdim=True).expand_as(image), image)
    return torch.where(rendering.mask.unsqueeze(1), image, target.photo)


def _wanted(objective: FaceObjective, target: TargetBatch) -> Float[Tensor, "face 3 height width"]:
    spoken = torch.where(target.skin.unsqueeze(1), target.photo, target.photo * _HIDDEN)
    if target.theta is None:
        return spoken
    mask = target.theta_mask
    whole = target.theta.isfinite().all(dim=1)
    if mask is not None:
        whole = whole & mask.all(dim=1)
    drawn = _over(objective.renderer(bounded(target.theta.nan_to_num())), target)
    return torch.where(whole.view(-1, 1, 1, 1), drawn, spoken)


def _tile(image: Float[Tensor, "3 height width"]) -> Image.Image:
    pixels = (image.detach().float().clamp(0, 1) * 255).round().byte()
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().cpu().numpy())


def _dotted(
    tile: Image.Image, points_px: Float[Tensor, "68 2"], colour: tuple[int, int, int]
) -> Image.Image:
    """The tile with points given in pixels of the 224 crop; unknown points are left out."""
    draw = ImageDraw.Draw(tile)
    factor = tile.width / CROP_SIZE
    for x, y in ((points_px + 0.5) * factor - 0.5).tolist():
        if np.isfinite([x, y]).all():
            draw.ellipse((x - _DOT_PX, y - _DOT_PX, x + _DOT_PX, y + _DOT_PX), fill=colour)
    return tile


def _row(tiles: Sequence[Image.Image], label: str) -> UInt8[np.ndarray, "height width 3"]:
    width, height = tiles[0].size
    row = Image.new("RGB", (len(tiles) * (width + _GAP) + _GAP, height + _GAP + _LABEL), "white")
    for column, tile in enumerate(tiles):
        row.paste(tile, (_GAP + column * (width + _GAP), _GAP))
    # The default font of Pillow draws Latin letters only.
    ascii_label = label.encode("ascii", "replace").decode()
    ImageDraw.Draw(row).text((_GAP + 2, height + _GAP + 2), ascii_label, fill=(70, 70, 74))
    return np.asarray(row)
