"""A look into a data set: what is in it, some faces in words, and a sheet of their pictures.

Pictures show what training sees: the crop, its 68 points, the outline of the skin mask, and what
lies outside the photo in red. Works on unfinished builds, too. Prints nothing.
"""

import io
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageDraw
from scipy import ndimage

from facegpt.data.schema import DatasetError, FaceRow
from facegpt.data.shards import Manifest, read_manifest, read_problems
from facegpt.data.table import FaceTable, StoredFace
from facegpt.geometry.export import write_atomically
from facegpt.morphable.framing import CROP_SIZE

_ZOOM = 2
_COLUMNS = 4
_CAPTION_PX = 30
_POINT, _OUTLINE, _OUTSIDE = (60, 220, 255), (255, 230, 60), (200, 30, 30)
_PAPER, _INK = (250, 250, 250), (20, 20, 20)
_WIDTH = 96
_PROBLEMS_SHOWN = 5


@dataclass(frozen=True)
class Inspection:
    """What a look into a data set found."""

    text: str
    """Counts, problems and the chosen faces in words."""
    sheet: Path | None
    """The picture, if one was asked for."""


def inspect_dataset(
    folder: Path, *, samples: int = 8, seed: int = 0, sheet: Path | None = None
) -> Inspection:
    """Describe a data set, and draw some of its faces.

    Args:
        folder: What `facegpt data build` wrote, finished or not.
        samples: Faces to show, chosen at random.
        sheet: PNG to write; none if None.

    Raises:
        DatasetError: There is no data set in the folder, or it cannot be read.
    """
    if samples < 0:
        raise DatasetError(f"--samples must be zero or more, got {samples}")
    manifest = read_manifest(folder)
    table = FaceTable(folder, partial=True)
    generator = torch.Generator().manual_seed(seed)
    chosen = sorted(torch.randperm(len(table), generator=generator)[:samples].tolist())
    faces = [table[index] for index in chosen]
    parts = [_summary(folder, manifest, table), *(_in_words(face.row) for face in faces)]
    drawn = None
    if sheet is not None and faces:
        buffer = io.BytesIO()
        Image.fromarray(contact_sheet(faces)).save(buffer, "PNG")
        write_atomically(sheet, buffer.getvalue())
        drawn = sheet
    return Inspection("\n\n".join(parts), drawn)


def contact_sheet(faces: Sequence[StoredFace]) -> UInt8[np.ndarray, "height width 3"]:
    """Crops with points and mask side by side, their names and short words below.

    Raises:
        DatasetError: There is no face to show.
    """
    if not faces:
        raise DatasetError("there is no face to show")
    side = CROP_SIZE * _ZOOM
    columns = min(_COLUMNS, len(faces))
    rows = -(-len(faces) // columns)
    sheet = Image.new("RGB", (columns * side, rows * (side + _CAPTION_PX)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, face in enumerate(faces):
        row, column = divmod(number, columns)
        corner = (column * side, row * (side + _CAPTION_PX))
        sheet.paste(_drawn(face), corner)
        below = (corner[0] + 4, corner[1] + side + 2)
        caption = f"{face.row.face_id}\n{face.row.short or '(no words)'}"
        # Pillow's own font knows no other alphabets.
        readable = "\n".join(textwrap.shorten(line, 74) for line in caption.split("\n"))
        draw.multiline_text(below, readable.encode("latin-1", "replace").decode("latin-1"), _INK)
    return np.asarray(sheet)


def _drawn(face: StoredFace) -> Image.Image:
    pixels = face.crop.permute(1, 2, 0).numpy().copy()
    pixels[~face.validity.numpy()] = _OUTSIDE
    side = CROP_SIZE * _ZOOM
    picture = Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)
    skin = np.kron(face.skin.numpy(), np.ones((_ZOOM, _ZOOM), bool))
    outline = skin & np.logical_not(ndimage.binary_erosion(skin))
    picture.paste(_OUTLINE, mask=Image.fromarray(outline))
    draw = ImageDraw.Draw(picture)
    for x, y in ((face.row.landmarks68_px + 0.5) * _ZOOM - 0.5).tolist():
        draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=_POINT)
    return picture


def _summary(folder: Path, manifest: Manifest, table: FaceTable) -> str:
    problems = read_problems(folder)
    state = "finished" if manifest.is_complete else "NOT FINISHED"
    texts = {name: len(table.with_text(name)) for name in ("descriptions", "conversations")}
    describers = Counter(name or "nobody" for name in table.column("describer"))
    methods = Counter(name or "none" for name in table.column("theta_method"))
    lines = [
        f"{folder}: {len(table)} faces of {manifest.photos_done} photos (of {manifest.photos}; "
        f"{state}), {len(manifest.shards)} shards",
        f"with descriptions {texts['descriptions']}, with conversations {texts['conversations']}, "
        f"grey {sum(table.column('is_grey'))}",
        f"described by: {_counted(describers)}; theta from: {_counted(methods)}",
        f"problems: {len(problems)}",
    ]
    shown = problems[:_PROBLEMS_SHOWN]
    lines += [f"  {p.get('face_id', p['source'])}: {p['problem']}" for p in shown]
    return "\n".join(lines)


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common())


def _in_words(row: FaceRow) -> str:
    lines = [f"{row.face_id}  {'grey' if row.is_grey else 'colour'}  {row.theta_method}".rstrip()]
    if row.labels:
        lines.append("  " + ", ".join(f"{name}={value}" for name, value in row.labels.items()))
    if row.short:
        lines += _wrapped(f"short: {row.short}")
    for text in row.descriptions:
        lines += _wrapped(text)
    for question, answer in row.conversations:
        lines += _wrapped(f"- {question} {answer}")
    for text in row.implicit:
        lines += _wrapped(f"* {text}")
    return "\n".join(lines)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="    ")
