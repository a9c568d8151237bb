"""Pictures that benchmarks are looked at with: faces over their photos, heads beside sentences."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from photo_samples import Sample
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from facegpt.morphable.default import load_default
from facegpt.morphable.parameters import FaceParameters
from facegpt.rendering.pictures import overlay, portrait, render_head

PHOTOS_SHOWN, HEADS_SHOWN = 24, 16
_PAIRS_IN_A_ROW, _HEADS_IN_A_ROW = 4, 2
_SIDE, _LABEL, _TEXT_WIDTH = 224, 20, 420


def spread_evenly(count: int, most: int) -> list[int]:
    """Numbers of up to `most` of so many items, from the first to the last."""
    if count == 0:
        return []
    return np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()


def write_overlay_sheet(path: Path, samples: Sequence[Sample], theta: FaceParameters) -> None:
    """Photos, each beside itself with the predicted face over it, its name below."""
    model = load_default().restricted_to()
    chosen = spread_evenly(len(samples), PHOTOS_SHOWN)
    width, height = 2 * _SIDE + 8, _SIDE + _LABEL
    rows = -(-len(chosen) // _PAIRS_IN_A_ROW)
    sheet = Image.new("RGB", (_PAIRS_IN_A_ROW * width, rows * height), "white")
    draw = ImageDraw.Draw(sheet)
    for place, number in enumerate(chosen):
        face = samples[number].face
        photo = _pixels(face.crop)
        shown = overlay(photo, model, theta[number], torch.eye(3), is_grey=face.is_grey)
        left, top = place % _PAIRS_IN_A_ROW * width, place // _PAIRS_IN_A_ROW * height
        sheet.paste(Image.fromarray(np.concatenate([photo, shown], axis=1)), (left, top))
        label = f"{samples[number].name} {samples[number].group}"
        draw.text((left + 4, top + _SIDE + 3), label, fill="black")
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def write_head_sheet(path: Path, texts: Sequence[str], theta: FaceParameters) -> None:
    """Heads in the pose that was predicted, each beside the text that it was made from."""
    model = load_default()
    chosen = spread_evenly(len(texts), HEADS_SHOWN)
    width, height = _SIDE + _TEXT_WIDTH, _SIDE + 6
    rows = -(-len(chosen) // _HEADS_IN_A_ROW)
    sheet = Image.new("RGB", (_HEADS_IN_A_ROW * width, rows * height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for place, number in enumerate(chosen):
        face = theta[number]
        pitch, yaw, roll = face.camera[0, :3].tolist()
        posed = portrait(model, face, yaw=yaw, pitch=pitch, roll=roll)
        left, top = place % _HEADS_IN_A_ROW * width, place // _HEADS_IN_A_ROW * height
        sheet.paste(Image.fromarray(render_head(model, posed, size=_SIDE)), (left, top))
        lines = "\n".join(textwrap.wrap(texts[number], 62)[:15])
        draw.text((left + _SIDE + 8, top + 4), lines, fill="black", font=font)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def _pixels(crop: Float[Tensor, "3 height width"]) -> UInt8[np.ndarray, "height width 3"]:
    return (crop * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
