"""From a photo to a textured, rigged head, and a contact sheet of what was found.

python examples/01_photo_to_head.py out/demo
"""

import sys
from pathlib import Path

import skimage.data
from PIL import Image

import facegpt
from facegpt.rendering.results import sheet_of


def main(output: Path) -> None:
    """Fit Eileen Collins, the astronaut whose photo (NASA, public domain) scikit-image ships."""
    photo = facegpt.load_image(skimage.data.astronaut())
    fitter = facegpt.AnalysisBySynthesis()
    [faces] = fitter.reconstruct_photos([photo])

    for number, face in enumerate(faces, start=1):
        directory = output / f"astronaut-{number}"
        files = facegpt.save_reconstruction(face, fitter.model, photo, directory)
        sheet = directory / "contact-sheet.png"
        Image.fromarray(sheet_of(face, fitter.model, photo)).save(sheet)

        print(f"Face {number} is in {directory}:")
        for path in [*files, sheet]:
            print(f"  {path.name:18} {path.stat().st_size / 1e6:6.2f} MB")
        print("  " + ", ".join(f"{name} {value:.3f}" for name, value in face.errors.items()))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "out/demo"))
