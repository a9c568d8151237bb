"""The identity network against dlib itself; chips, gradients, damaged files."""

from pathlib import Path

import dlib
import numpy as np
import pytest
import skimage.data
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from facegpt.assets import ASSETS, find_asset
from facegpt.perception.alignment import AlignedFace, align
from facegpt.perception.detection import DlibDetector
from facegpt.perception.dlib_format import NetworkFileError, read_face_network
from facegpt.perception.identity import DlibIdentity, IdentityEncoder, cut_chips
from facegpt.perception.images import load_image

NETWORK = find_asset("dlib-resnet")


def chips() -> np.ndarray:
    """(4, 150, 150, 3): noise, clouds, one colour, a real head."""
    noise = np.random.default_rng(0).integers(0, 256, (150, 150, 3), np.uint8)
    clouds = ndimage.gaussian_filter(noise.astype(float), (8, 8, 0)) * 8 - 900
    head = Image.fromarray(skimage.data.astronaut()[60:210, 150:300])
    return np.stack(
        [noise, np.clip(clouds, 0, 255).astype(np.uint8), np.full_like(noise, 90), np.array(head)]
    )


@pytest.fixture(scope="module")
def astronaut() -> AlignedFace:
    photo = load_image(skimage.data.astronaut())
    return align(photo, DlibDetector().detect(photo)[0].landmarks68_px)


def test_descriptors_are_those_of_dlib() -> None:
    theirs = dlib.face_recognition_model_v1(str(NETWORK))
    ours = DlibIdentity().describe_chips(torch.from_numpy(chips()).permute(0, 3, 1, 2) / 255)
    for chip, found in zip(chips(), ours, strict=True):
        expected = np.array(theirs.compute_face_descriptor(chip))
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_chips_are_nearly_those_of_dlib(astronaut: AlignedFace) -> None:
    """dlib's chip of the same crop differs by its filter; the person stays the person."""
    crop = (astronaut.crop * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    points = dlib.points()
    for point in astronaut.landmarks68_px.tolist():
        points.append(dlib.point(*(round(v) for v in point)))
    shape = dlib.full_object_detection(dlib.rectangle(40, 60, 184, 204), points)
    theirs = dlib.face_recognition_model_v1(str(NETWORK)).compute_face_descriptor(crop, shape)
    [ours] = DlibIdentity().encode(astronaut.crop[None], astronaut.landmarks68_px[None])
    assert np.linalg.norm(ours.numpy() - np.array(theirs)) < 0.15
    expected = dlib.get_face_chip(crop, shape, 150, 0.25)
    chip = cut_chips(astronaut.crop[None], astronaut.landmarks68_px[None])[0]
    difference = np.abs(chip.permute(1, 2, 0).numpy() * 255 - expected)[20:-20, 20:-20]
    assert difference.mean() < 6


def test_chips_follow_the_face(astronaut: AlignedFace) -> None:
    """Shifting picture and points together changes nothing."""
    shifted = torch.roll(astronaut.crop, (5, -7), dims=(1, 2))
    moved = astronaut.landmarks68_px + torch.tensor([-7.0, 5.0])
    both = cut_chips(
        torch.stack([astronaut.crop, shifted]), torch.stack([astronaut.landmarks68_px, moved])
    )
    assert (both[0] - both[1])[:, 10:-10, 10:-10].abs().max() < 1e-3


def test_gradients_reach_the_picture_only(astronaut: AlignedFace) -> None:
    encoder = DlibIdentity()
    images = astronaut.crop[None].clone().requires_grad_()
    points = astronaut.landmarks68_px[None].clone().requires_grad_()
    encoder.encode(images, points).square().sum().backward()
    assert images.grad is not None
    assert images.grad.abs().max() > 0
    assert torch.isfinite(images.grad).all()
    assert points.grad is None
    assert not any(p.requires_grad for p in encoder._network.parameters())


def test_gradient_is_a_derivative(astronaut: AlignedFace) -> None:
    encoder, generator = DlibIdentity(), torch.Generator().manual_seed(0)
    images = astronaut.crop[None].clone().requires_grad_()
    points = astronaut.landmarks68_px[None]
    target = torch.randn(128, generator=generator) / 10
    (encoder.encode(images, points) @ target).sum().backward()
    assert images.grad is not None
    direction = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(3, 224, 224)), 6)
    step = torch.from_numpy(direction / np.abs(direction).max()).float()[None]
    with torch.no_grad():
        ahead, behind = (encoder.encode(images + s * 3e-3 * step, points) @ target for s in (1, -1))
    numeric = float((ahead - behind) / 6e-3)
    assert float((images.grad * step).sum()) == pytest.approx(numeric, rel=0.05, abs=1e-3)


def test_empty_batch() -> None:
    assert DlibIdentity().encode(torch.zeros(0, 3, 224, 224), torch.zeros(0, 68, 2)).shape == (
        0,
        128,
    )


def test_unusable_points_are_named() -> None:
    points = torch.rand(3, 68, 2) * 200
    points[1] = 50.0
    points[2, 30] = torch.nan
    with pytest.raises(ValueError, match=r"faces \[1, 2\]"):
        DlibIdentity().encode(torch.zeros(3, 3, 224, 224), points)


def test_network_is_read_once() -> None:
    assert DlibIdentity()._network is DlibIdentity()._network


def test_protocol_and_ledger() -> None:
    encoder = DlibIdentity()
    assert isinstance(encoder, IdentityEncoder)
    assert set(encoder.licences) <= set(ASSETS)


@pytest.mark.parametrize("size", [0, 1, 100, 5000, 200_000])
def test_cut_off_network_files(tmp_path: Path, size: int) -> None:
    file = tmp_path / "network.dat"
    file.write_bytes(NETWORK.read_bytes()[:size])
    with pytest.raises(NetworkFileError, match="network"):
        read_face_network(file)


@given(places=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1))
def test_damaged_network_files(
    tmp_path_factory: pytest.TempPathFactory, places: list[tuple[int, int]]
) -> None:
    data = bytearray(NETWORK.read_bytes()[:40_000])
    for place, value in places:
        data[place] = value
    file = tmp_path_factory.mktemp("damaged") / "network.dat"
    file.write_bytes(data)
    with pytest.raises(NetworkFileError):
        read_face_network(file)
