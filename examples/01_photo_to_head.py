"""From a photo to a textured, rigged head, and a contact sheet of what was found.

python examples/01_photo_to_head.py out/demo
"""

import sys
from dataclasses import replace
from pathlib import Path

import skimage.data
import torch
from PIL import Image

import facegpt
from facegpt.geometry.lighting import directional_light
from facegpt.perception.alignment import align


def main(output: Path) -> None:
    """Fit Eileen Collins, the astronaut whose photo (NASA, public domain) scikit-image ships."""
    photo = facegpt.load_image(skimage.data.astronaut())
    fitter = facegpt.AnalysisBySynthesis()
    [face, *_] = fitter.reconstruct_photos([photo])[0]
    facegpt.save_reconstruction(face, fitter.model, photo, output)
    crop = align(photo, face.landmarks68_px.numpy()).crop
    save_sheet(fitter.model, face.parameters, crop, output / "contact-sheet.png")

    errors = ", ".join(f"{name} {value:.3f}" for name, value in face.errors.items())
    print(f"One face: {errors}")
    for path in sorted(output.iterdir()):
        print(f"  {path}")


def save_sheet(
    model: facegpt.MorphableModel, theta: facegpt.FaceParameters, crop: torch.Tensor, path: Path
) -> None:
    """Photo, overlay, shape, albedo; new light and three poses below."""
    face = model.restricted_to()
    clay = replace(face, albedo_mean=torch.full_like(face.albedo_mean, 0.7))
    render, no_colour = facegpt.Renderer(face), torch.zeros_like(theta.albedo)
    from_left = directional_light((-1.0, 0.5, 0.7))[None]
    lit = theta.replace(illumination=from_left)

    fitted = render(theta)
    overlay = torch.where(fitted.mask[:, None], 0.25 * crop + 0.75 * fitted.image, crop)
    shape = facegpt.Renderer(clay)(lit.replace(albedo=no_colour)).image
    albedo = render(theta.replace(illumination=torch.zeros_like(theta.illumination))).image
    poses = [
        render(theta.replace(camera=torch.tensor([[0.0, yaw, 0.0, 0.0, 0.0, 0.0]]))).image
        for yaw in (-0.7, 0.0, 0.7)
    ]
    panels = [crop[None], overlay, shape, albedo, render(lit).image, *poses]
    rows = [torch.cat(panels[i : i + 4], dim=3)[0] for i in (0, 4)]
    pixels = (torch.cat(rows, dim=1).clamp(0, 1) * 255).round().byte().permute(1, 2, 0)
    Image.fromarray(pixels.numpy()).save(path)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "out/demo"))
