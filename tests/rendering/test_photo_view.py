"""Views of photos: the frame of the aligned crop at the resolution of the photo, soft masks."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from face_records import made_up_face, made_up_theta
from facegpt.morphable.model import MorphableModel
from facegpt.perception.alignment import align
from facegpt.perception.images import Photo
from facegpt.reconstruction import FaceReconstruction
from facegpt.rendering.photo_view import image_scaling, photo_from_crop, photo_view
from facegpt.rendering.renderer import Renderer


def portrait_photo(model: MorphableModel, zoom: float) -> tuple[Photo, FaceReconstruction]:
    """A rendered face as a photo of 224 * zoom pixels, and its record."""
    theta = made_up_theta()
    size = round(224 * zoom)
    rendering = Renderer(model, size)(theta)
    image = torch.where(rendering.mask[:, None], rendering.image.clamp(0, 1), 0.2)
    rgb = (image[0] * 255).byte().permute(1, 2, 0).numpy()
    photo = Photo(rgb, False, (size, size), 1.0)
    points = Renderer(model, size).landmarks_px(theta)[0]
    aligned = align(photo, points.numpy())
    face = replace(
        made_up_face(theta),
        landmarks68_px=points,
        crop_from_image=aligned.crop_from_image,
        image_size=(size, size),
    )
    return photo, face


@pytest.mark.parametrize(("zoom", "scale"), [(0.6, 1), (1.7, 2), (6.0, 4)])
def test_a_view_is_as_fine_as_the_photo(
    tiny_face_model: MorphableModel, zoom: float, scale: int
) -> None:
    photo, face = portrait_photo(tiny_face_model, zoom)
    view = photo_view(photo, face)
    assert view.scale == scale
    assert view.image.shape == (3, 224 * scale, 224 * scale)
    # The nose lies where the crop has it, and shows what the photo shows there.
    at = face.crop_from_image @ torch.cat([face.landmarks68_px[30].double(), torch.ones(1)])
    column, row = view.from_crop_px(at[:2]).round().long().tolist()
    x, y = face.landmarks68_px[30].round().long().tolist()
    seen = view.image[:, row, column] * 255
    np.testing.assert_allclose(seen, photo.rgb[y, x], atol=12)


def test_masks_are_soft_and_apart(tiny_face_model: MorphableModel) -> None:
    photo, face = portrait_photo(tiny_face_model, 1.7)
    view = photo_view(photo, face)
    for mask in (view.skin, view.eyes):
        assert mask.min() >= 0
        assert mask.max() <= 1
        assert ((mask > 0.05) & (mask < 0.95)).any()
    assert view.eyes.mean() < 0.05
    assert not view.skin[:20].any()
    eye = (face.landmarks68_px[36:42].double() @ face.crop_from_image[:2, :2].T).mean(dim=0)
    column, row = view.from_crop_px(eye + face.crop_from_image[:2, 2]).round().long().tolist()
    assert view.skin[row, column] < 0.2


def test_reduced_photos_give_the_same_frame(tiny_face_model: MorphableModel) -> None:
    photo, face = portrait_photo(tiny_face_model, 2.0)
    small = Photo(photo.rgb[::2, ::2].copy(), False, photo.original_size, 0.5)
    corner = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    full = photo_from_crop(photo, face) @ corner
    half = photo_from_crop(small, face) @ corner
    torch.testing.assert_close(half[:2], (full[:2] + 0.5) / 2 - 0.5)
    # Every second pixel lies a quarter of a pixel off the centre of the reduced one.
    views = [photo_view(photo, face), photo_view(small, face)]
    assert views[0].scale > views[1].scale
    crops = [torch.nn.functional.interpolate(v.image[None], (224, 224), mode="area") for v in views]
    assert (crops[0] - crops[1]).abs().mean() < 0.02


def test_scaling_keeps_the_corners_of_the_picture() -> None:
    corner = torch.tensor([-0.5, -0.5, 1.0], dtype=torch.float64)
    torch.testing.assert_close(image_scaling(3.0) @ corner, corner)
    torch.testing.assert_close(
        image_scaling(3.0) @ image_scaling(1 / 3), torch.eye(3, dtype=torch.float64)
    )
