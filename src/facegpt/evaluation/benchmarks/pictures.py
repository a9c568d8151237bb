"""Figures 3, 4 and 7: what every method makes of the same sentences and photos, in pages of PNG.

A page holds six rows and is at most some 2,000 pixels wide. Heads of texts are shown in the pose
that was predicted, in one light; faces of photos are laid over the photo, and their shape is shown
beside. Pictures of people go to the folder of the results and nowhere else.
"""

import io
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from facegpt.evaluation.benchmarks.photo_data import PhotoItem, TextItem
from facegpt.evaluation.benchmarks.photo_measures import aligned
from facegpt.evaluation.benchmarks.prediction import theta_of
from facegpt.evaluation.benchmarks.store import ItemStore
from facegpt.geometry.export import write_atomically
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.perception.alignment import AlignedFace
from facegpt.perception.images import ImageError
from facegpt.rendering.pictures import CLAY, lit, overlay, portrait, render_head

ROWS = 6
"""Of a page."""

_SIDE, _GAP, _HEAD, _TEXT = 200, 6, 24, 330
_INK, _FAINT = (40, 40, 44), (120, 120, 126)
_TYPES = ((16, 36, 9), (13, 46, 11), (11, 56, 14))
"""Size of the letters, how many fit into a line, and how many lines: large ones for sentences,
small ones for descriptions."""

Picture = UInt8[np.ndarray, "_height _width 3"]


def write_photo_pages(
    place: Path,
    items: Sequence[PhotoItem],
    stores: Mapping[str, ItemStore],
    model: MorphableModel,
) -> list[Path]:
    """Figure 4: the photo, and for every method the face over it and its shape.

    Args:
        place: `place-1.png` and so on are written.
        stores: Label of a method -> its theta of photos.
        model: The whole head.
    """
    region = model.restricted_to()
    headings = ["photo"]
    for label in stores:
        headings += [label, f"{label}: shape"]
    rows = []
    for item in items:
        try:
            face = aligned(item)
        except ImageError:
            continue
        cells: list[Picture | None] = [_pixels(face.crop)]
        for store in stores.values():
            cells += _over_photo(face, theta_of(store.get(item.key)), region)
        rows.append((item.name, cells))
    return _write_pages(place, [_photo_page(headings, part) for part in _parts(rows)])


def write_text_pages(
    place: Path,
    items: Sequence[TextItem],
    truth: ItemStore,
    stores: Mapping[str, ItemStore],
    model: MorphableModel,
) -> list[Path]:
    """Figures 3 and 7: the sentence, the head fitted to its photo, and what every method makes.

    Args:
        place: `place-1.png` and so on are written.
        truth: Theta of the photos.
        stores: Label of a method -> its theta of texts.
        model: The whole head.
    """
    rows = []
    for item in items:
        theta = [truth.get(item.photo.key), *(store.get(item.key) for store in stores.values())]
        rows.append((item.text, [_head(theta_of(record), model) for record in theta]))
    headings = ["fitted to the photo", *stores]
    return _write_pages(place, [_text_page(headings, part) for part in _parts(rows)])


def _parts(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (rows[first : first + ROWS] for first in range(0, len(rows), ROWS))


def _over_photo(
    face: AlignedFace, theta: FaceParameters | None, region: MorphableModel
) -> list[Picture | None]:
    if theta is None:
        return [None, None]
    photo = _pixels(face.crop)
    over = overlay(photo, region, theta, torch.eye(3), is_grey=face.is_grey)
    shape = render_head(region, lit(theta, "front"), texture=CLAY, size=_SIDE)
    return [over, shape]


def _head(theta: FaceParameters | None, model: MorphableModel) -> Picture | None:
    if theta is None:
        return None
    pitch, yaw, roll = theta.camera[0, :3].tolist()
    shown = portrait(model, lit(theta, "front"), yaw=yaw, pitch=pitch, roll=roll)
    return render_head(model, shown, size=_SIDE)


def _photo_page(
    headings: Sequence[str], rows: Sequence[tuple[str, Sequence[Picture | None]]]
) -> Image.Image:
    page = _sheet(len(headings), len(rows), 0)
    _write_headings(page, headings, 0)
    for number, (name, cells) in enumerate(rows):
        _paste(page, cells, number, 0)
        top = _HEAD + number * (_SIDE + _GAP)
        ImageDraw.Draw(page).text((_GAP + 4, top + 4), name, fill="white", stroke_width=1,
                                  stroke_fill="black", font=ImageFont.load_default(11))  # fmt: skip
    return page


def _text_page(
    headings: Sequence[str], rows: Sequence[tuple[str, Sequence[Picture | None]]]
) -> Image.Image:
    page = _sheet(len(headings), len(rows), _TEXT)
    _write_headings(page, headings, _TEXT)
    for number, (text, cells) in enumerate(rows):
        _write_text(page, text, _HEAD + number * (_SIDE + _GAP))
        _paste(page, cells, number, _TEXT)
    return page


def _write_text(page: Image.Image, text: str, top: int) -> None:
    fitting = [kind for kind in _TYPES if len(textwrap.wrap(text, kind[1])) <= kind[2]]
    size, letters, most = fitting[0] if fitting else _TYPES[-1]
    lines = textwrap.wrap(text, letters, max_lines=most, placeholder=" ...")
    ImageDraw.Draw(page).multiline_text(
        (_GAP + 4, top + 2),
        "\n".join(lines),
        fill=_INK,
        font=ImageFont.load_default(size),
        spacing=3,
    )


def _sheet(columns: int, rows: int, left: int) -> Image.Image:
    width = left + columns * (_SIDE + _GAP) + _GAP
    return Image.new("RGB", (width, _HEAD + rows * (_SIDE + _GAP)), "white")


def _write_headings(page: Image.Image, headings: Sequence[str], left: int) -> None:
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    for column, heading in enumerate(headings):
        place = (left + _GAP + column * (_SIDE + _GAP) + 2, 4)
        draw.text(place, heading[:28], fill=_FAINT, font=font)


def _paste(page: Image.Image, cells: Sequence[Picture | None], row: int, left: int) -> None:
    for column, cell in enumerate(cells):
        corner = (left + _GAP + column * (_SIDE + _GAP), _HEAD + row * (_SIDE + _GAP))
        if cell is None:
            draw = ImageDraw.Draw(page)
            draw.text((corner[0] + 8, corner[1] + _SIDE // 2), "no face", fill=_FAINT)
            continue
        picture = Image.fromarray(cell)
        if picture.size != (_SIDE, _SIDE):
            picture = picture.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
        page.paste(picture, corner)


def _write_pages(place: Path, pages: Sequence[Image.Image]) -> list[Path]:
    """Write them, and remove further pages of an earlier, longer figure."""
    paths = [place.with_name(f"{place.name}-{number + 1}.png") for number in range(len(pages))]
    for path, page in zip(paths, pages, strict=True):
        sink = io.BytesIO()
        page.save(sink, format="PNG")
        write_atomically(path, sink.getvalue())
    number = len(pages) + 1
    while (old := place.with_name(f"{place.name}-{number}.png")).is_file():
        old.unlink()
        number += 1
    return paths


def _pixels(crop: Float[Tensor, "3 height width"]) -> Picture:
    return (crop * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
