"""All three roads on one sheet: photo, description and situation to a head.

python examples/04_all_roads.py out/demo
"""

import sys
from pathlib import Path

import numpy as np
import skimage.data
import torch
from PIL import Image

import facegpt
from facegpt.rendering.pictures import tiled

MARGIN_PX = torch.tensor([-60, -90, 60, 60])
ROADS = {
    "description": "an elderly man with a long thin face, grinning",
    "situation": "This person has just found a spider in their shoe.",
}


def main(output: Path) -> None:
    """One head per road, saved beside a contact sheet."""
    model = facegpt.FaceGPT.from_pretrained("nano")
    photo = facegpt.load_image(skimage.data.astronaut())
    [face] = model.reconstruct(photo.rgb, refine=True)
    facegpt.save_reconstruction(face, model.model, photo, output / "photo")
    left, top, right, bottom = (max(0, int(edge)) for edge in face.box_px + MARGIN_PX)
    sheet = {
        "a photo": photo.rgb[top:bottom, left:right],
        "... its head": picture(output / "photo" / "overlay.png")[top:bottom, left:right],
    }
    for road, text in ROADS.items():
        [imagined] = model.imagine(text)
        imagined.save(output / road)
        sheet[text] = picture(output / road / "portrait.png")
    Image.fromarray(tiled(sheet, columns=4)).save(output / "roads.png")
    print(f"All roads are in {output / 'roads.png'}; the heads lie beside it:")
    for folder in ("photo", *ROADS):
        print(f"  {output / folder / 'head.glb'}")


def picture(path: Path) -> np.ndarray:
    """The pixels of a file."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "out/demo"))
