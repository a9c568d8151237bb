"""The aligned crops as files, for programs that are run elsewhere (`written_faces` reads them)."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from facegpt.evaluation.benchmarks.photo_data import PhotoItem
from facegpt.evaluation.benchmarks.photo_measures import aligned
from facegpt.geometry.export import write_atomically
from facegpt.morphable.framing import five_points
from facegpt.perception.images import ImageError


def write_crops(output: Path, items: Sequence[PhotoItem]) -> tuple[int, list[str]]:
    """Write `<name>.png` and `detections/<name>.txt`, five points in pixels (eyes, nose, mouth).

    Returns:
        How many, and what is wrong with the others.
    """
    count, problems = 0, []
    for item in items:
        try:
            face = aligned(item)
        except ImageError as error:
            problems.append(str(error))
            continue
        pixels = (face.crop * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
        sink, points = io.BytesIO(), io.StringIO()
        Image.fromarray(pixels).save(sink, format="PNG")
        np.savetxt(points, five_points(face.landmarks68_px.double()).numpy(), fmt="%.3f")
        write_atomically(output / "detections" / f"{item.name}.txt", points.getvalue().encode())
        write_atomically(output / f"{item.name}.png", sink.getvalue())
        count += 1
    return count, problems
