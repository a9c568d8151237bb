"""Changed crops: picture, mask and points move together, and what is outside stays outside."""

from dataclasses import replace

import pytest
import torch

from facegpt.training.augmentation import NO_AUGMENTATION, Augmentation, augment

SIZE = 112
GREY = 128 / 255


def crops(count: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """White squares around each of the points on a dark ground."""
    photo = torch.full((count, 3, 224, 224), 30, dtype=torch.uint8)
    skin = torch.zeros(count, 224, 224, dtype=torch.bool)
    skin[:, 60:170, 60:170] = True
    generator = torch.Generator().manual_seed(1)
    points = torch.randint(50, 170, (count, 68, 2), generator=generator).float()
    for i in range(count):
        for x, y in points[i].long().tolist():
            photo[i, :, y - 2 : y + 3, x - 2 : x + 3] = 250
    return photo, skin, points, torch.zeros(count, dtype=torch.bool)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_nothing_changes_when_nothing_is_asked_for() -> None:
    photo, skin, points, grey = crops()
    same = augment(photo, skin, points, grey, size=224, how=NO_AUGMENTATION, generator=generator())
    torch.testing.assert_close(same.photo, photo.float() / 255)
    assert torch.equal(same.skin, skin)
    assert torch.equal(same.landmarks68_px, points)
    assert torch.equal(same.is_grey, grey)


@pytest.mark.parametrize("mirror", [0.0, 1.0])
def test_points_stay_on_what_they_mark(mirror: float) -> None:
    photo, skin, points, grey = crops(4)
    how = replace(NO_AUGMENTATION, turn_degrees=8.0, log_scale=0.1, shift_px=6.0, mirror=mirror)
    moved = augment(photo, skin, points, grey, size=224, how=how, generator=generator())
    assert not torch.equal(moved.landmarks68_px, points)
    for image, marks in zip(moved.photo, moved.landmarks68_px, strict=True):
        x, y = marks.round().long().T
        inside = (x >= 0) & (x < 224) & (y >= 0) & (y < 224)
        assert inside.float().mean() > 0.9
        assert image[0, y[inside], x[inside]].min() > 0.6


def test_a_mirror_exchanges_left_and_right_points() -> None:
    photo, skin, points, grey = crops()
    how = replace(NO_AUGMENTATION, mirror=1.0)
    moved = augment(photo, skin, points, grey, size=224, how=how, generator=generator())
    # Outer corner of the right eye becomes that of the left; the tip of the chin stays itself.
    for here, there in ((36, 45), (0, 16), (8, 8), (48, 54), (60, 64), (31, 35), (21, 22)):
        expected = points[:, there].clone()
        expected[:, 0] = 223 - expected[:, 0]
        torch.testing.assert_close(moved.landmarks68_px[:, here], expected, atol=1e-3, rtol=0)


def test_what_lies_outside_has_the_grey_of_alignment_and_does_not_speak() -> None:
    photo, skin, points, grey = crops(64)
    how = replace(NO_AUGMENTATION, border=1.0)
    cut = augment(photo, skin, points, grey, size=SIZE, how=how, generator=generator())
    ground = torch.isclose(cut.photo, torch.tensor(30 / 255), atol=0.01).all(1)
    outside = torch.isclose(cut.photo, torch.tensor(GREY), atol=1e-3).all(1)
    assert (ground | outside).float().mean() > 0.6
    assert outside.float().mean() > 0.1
    assert not (cut.skin & outside).any()
    bright = replace(how, brightness=0.2, contrast=0.2, noise=0.05)
    recoloured = augment(photo, skin, points, grey, size=SIZE, how=bright, generator=generator())
    assert torch.equal(recoloured.photo.movedim(1, -1)[outside], cut.photo.movedim(1, -1)[outside])


def test_colour_may_be_lost_and_is_then_said_to_be() -> None:
    photo, skin, points, grey = crops(8)
    photo[:, 0] //= 2
    how = replace(NO_AUGMENTATION, grey=0.5)
    seen = augment(photo, skin, points, grey, size=SIZE, how=how, generator=generator())
    assert 0 < int(seen.is_grey.sum()) < 8
    spread = (seen.photo.amax(1) - seen.photo.amin(1)).flatten(1).amax(1)
    assert (spread[seen.is_grey] < 1e-6).all()
    assert (spread[~seen.is_grey] > 0.1).all()


def test_the_generator_decides_everything() -> None:
    batch = crops()
    first, again, other = (
        augment(*batch, size=SIZE, how=Augmentation(), generator=generator(seed))
        for seed in (3, 3, 4)
    )
    assert torch.equal(first.photo, again.photo)
    assert not torch.equal(first.photo, other.photo)
    assert first.photo.min() >= 0
    assert first.photo.max() <= 1
