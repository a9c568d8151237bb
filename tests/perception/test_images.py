"""Any picture a person may hand over: right pixels, right way up, or a clear error."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from facegpt.perception import images
from facegpt.perception.images import (
    ImageError,
    ImageNotFoundError,
    ImageTooLargeError,
    Photo,
    UnreadableImageError,
    load_image,
)

_TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""EXIF orientation -> the PIL transpose that makes the picture upright."""


def gradient(width: int = 48, height: int = 32) -> Image.Image:
    """Red grows to the right, green downwards."""
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x * 5, y * 7, np.full_like(x, 60)], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def encoded(picture: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()


def mean_difference(photo: Photo, expected: Image.Image) -> float:
    wanted = np.asarray(expected.convert("RGB")).astype(float)
    assert photo.rgb.shape == wanted.shape
    return float(np.abs(photo.rgb - wanted).mean())


def test_every_kind_of_source_gives_the_same_pixels(tmp_path: Path) -> None:
    picture = gradient()
    array = np.asarray(picture)
    file = tmp_path / "photo.png"
    picture.save(file)
    sources = [
        file,
        str(file),
        file.read_bytes(),
        picture,
        array,
        array / 255,
        array.astype(np.uint16) * 257,
        array.astype(np.int64),
        torch.from_numpy(array.copy()).permute(2, 0, 1),
        (torch.from_numpy(array.copy()).permute(2, 0, 1) / 255)[None],
    ]
    for source in sources:
        photo = load_image(source)
        np.testing.assert_array_equal(photo.rgb, array)
        assert photo.original_size == (48, 32)
        assert photo.photo_from_original == 1
        assert not photo.is_grey


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_rotation_is_undone(file_format: str, orientation: int) -> None:
    picture, exif = gradient(), Image.Exif()
    exif[0x0112] = orientation
    upright = picture
    if orientation in _TURNS:
        upright = picture.transpose(Image.Transpose(_TURNS[orientation]))
    photo = load_image(encoded(picture, file_format, exif=exif))
    assert mean_difference(photo, upright) < 6
    assert photo.original_size == upright.size


def test_rotation_of_a_pil_image_is_undone_without_touching_it() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.open(io.BytesIO(encoded(gradient(), "PNG", exif=exif)))
    assert load_image(picture).rgb.shape == (48, 32, 3)
    assert picture.size == (48, 32)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F", "I;16"]
)
def test_every_mode_of_pil(mode: str) -> None:
    if mode == "PA":
        picture = gradient().convert("P").convert("PA")
    elif mode == "I;16":
        deep = np.asarray(gradient().convert("L")).astype(np.uint16) * 257
        picture = Image.fromarray(deep)
    else:
        picture = gradient().convert(mode)
    grey = mode in ("1", "L", "LA", "I", "F", "I;16")
    photo = load_image(picture)
    expected = gradient().convert("1" if mode == "1" else "L" if grey else "RGB")
    assert mean_difference(photo, expected) < (20 if mode.startswith("P") else 2)
    assert photo.is_grey == grey


def test_sixteen_bits_use_their_whole_range(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 300).astype(np.uint16).reshape(10, 30)
    for suffix in ("png", "tif"):
        Image.fromarray(values).save(tmp_path / f"deep.{suffix}")
        photo = load_image(tmp_path / f"deep.{suffix}")
        np.testing.assert_allclose(photo.rgb[..., 0], values / 257, atol=0.51)


def test_transparency_lies_on_grey() -> None:
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0, 0] = (255, 0, 0, 255)
    pixels[0, 1] = (255, 0, 0, 128)
    rgb = load_image(pixels).rgb
    assert rgb[0, 0].tolist() == [255, 0, 0]
    assert rgb[1, 1].tolist() == [128, 128, 128]
    assert np.abs(rgb[0, 1].astype(int) - (192, 64, 64)).max() <= 1


def test_transparency_of_a_palette() -> None:
    picture = gradient().convert("P")
    photo = load_image(encoded(picture, "PNG", transparency=picture.getpixel((0, 0))))
    assert photo.rgb[0, 0].tolist() == [128, 128, 128]


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for file_format in ("GIF", "WEBP", "PNG"):
        options = {"save_all": True, "append_images": frames[1:], "duration": 100}
        rgb = load_image(encoded(frames[0], file_format, **options)).rgb
        assert np.abs(rgb[4, 4].astype(int) - (255, 0, 0)).max() < 6


def test_colour_profiles_are_converted_and_damaged_ones_ignored() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = gradient()
    assert mean_difference(load_image(encoded(picture, "PNG", icc_profile=srgb)), picture) < 1
    assert load_image(encoded(picture, "PNG", icc_profile=profile)).rgb.shape == (32, 48, 3)
    damaged = encoded(picture, "PNG", icc_profile=srgb[:100])
    assert mean_difference(load_image(damaged), picture) == 0


def test_grey_is_recognised_through_jpeg_noise() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    grey = Image.fromarray(noise).convert("RGB")
    assert load_image(encoded(grey, "JPEG", quality=40)).is_grey
    sepia = np.stack([noise * 0.9, noise * 0.75, noise * 0.5], axis=-1).astype(np.uint8)
    assert not load_image(sepia).is_grey


def test_one_pixel() -> None:
    photo = load_image(np.full((1, 1), 7, np.uint8))
    assert photo.rgb.tolist() == [[[7, 7, 7]]]


def dots(width: int, height: int) -> tuple[Image.Image, np.ndarray]:
    """White blobs on black, and their centres."""
    centres = np.array([(0.2, 0.3), (0.8, 0.25), (0.5, 0.9)]) * (width, height)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    value = sum(np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 300) for cx, cy in centres)
    return Image.fromarray((value * 255).astype(np.uint8)), centres


def blob_centres(grey: np.ndarray, near: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: grey.shape[0], : grey.shape[1]]
    found = []
    for cx, cy in near:
        weight = grey * (np.hypot(x - cx, y - cy) < 20)
        found.append(((weight * x).sum() / weight.sum(), (weight * y).sum() / weight.sum()))
    return np.array(found)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
@pytest.mark.parametrize(("width", "height"), [(601, 443), (443, 601)])
def test_reduction_keeps_every_place(
    monkeypatch: pytest.MonkeyPatch, file_format: str, width: int, height: int
) -> None:
    picture, centres = dots(width, height)
    data = encoded(picture, file_format)
    for working in (width * height // 2, width * height // 7, width * height // 30):
        monkeypatch.setattr(images, "WORKING_PIXELS", working)
        photo = load_image(data)
        assert photo.rgb.shape[0] * photo.rgb.shape[1] <= working
        assert photo.original_size == (width, height)
        found = blob_centres(photo.rgb[..., 0].astype(float), photo.from_original(centres))
        np.testing.assert_allclose(photo.to_original(found), centres, atol=0.3)


def test_original_and_photo_pixels_are_inverse() -> None:
    photo = Photo(np.zeros((4, 4, 3), np.uint8), True, (10, 10), 0.4)
    points = np.array([(-0.5, -0.5), (3.0, 7.25)])
    np.testing.assert_allclose(photo.from_original(photo.to_original(points)), points)
    # Both corners of the picture are the same place.
    np.testing.assert_allclose(photo.to_original(points[:1]), points[:1])


def test_too_many_pixels_are_refused_before_decoding() -> None:
    header = encoded(Image.new("1", (10, 10)), "PNG")
    large = header[:16] + (30_000).to_bytes(4, "big") + (30_000).to_bytes(4, "big") + header[24:]
    # The checksum of the header is wrong now; BMP has none.
    with pytest.raises(ImageError):
        load_image(large)
    bitmap = bytearray(encoded(Image.new("L", (4, 4)), "BMP"))
    bitmap[18:26] = (30_000).to_bytes(4, "little") * 2
    with pytest.raises(ImageTooLargeError, match="900 megapixels; at most 220"):
        load_image(bytes(bitmap))


def test_limit_of_pil_stays_as_it_was() -> None:
    before = Image.MAX_IMAGE_PIXELS
    load_image(encoded(gradient(), "PNG"))
    assert before == Image.MAX_IMAGE_PIXELS


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageNotFoundError, match="no file at"):
        load_image(tmp_path / "missing.jpg")
    with pytest.raises(FileNotFoundError):
        load_image(tmp_path / "missing.jpg")
    with pytest.raises(UnreadableImageError, match="is a folder"):
        load_image(tmp_path)
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(UnreadableImageError, match="is empty"):
        load_image(tmp_path / "empty.jpg")
    with pytest.raises(UnreadableImageError, match="not a picture"):
        load_image(b"%PDF-1.7 and more")
    with pytest.raises(UnreadableImageError, match=r"HEIC photo.*JPEG"):
        load_image(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 20, 20), np.uint8), "channels last"),
        (np.zeros((20, 20, 7), np.uint8), "is no picture"),
        (np.zeros((0, 20, 3), np.uint8), "is no picture"),
        (np.full((4, 4, 3), 255.0), "divide"),
        (np.full((4, 4), np.nan), "no picture"),
        (np.full((4, 4), -3), "no picture"),
        (np.zeros((4, 4), complex), "complex"),
        (torch.zeros(2, 3, 8, 8), "one by one"),
    ],
)
def test_arrays_that_are_no_pictures(array: np.ndarray | torch.Tensor, message: str) -> None:
    with pytest.raises(UnreadableImageError, match=message):
        load_image(array)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"])
def test_cut_off_files(file_format: str) -> None:
    data = encoded(gradient(400, 300), file_format)
    with pytest.raises(UnreadableImageError, match=r"damaged|not a picture"):
        load_image(data[: len(data) // 2])


@given(
    file_format=st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "JPEG2000", "PPM"]),
    places=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=12),
    length=st.floats(0, 1),
)
def test_damaged_files_are_pictures_or_errors(
    file_format: str, places: list[tuple[float, int]], length: float
) -> None:
    data = bytearray(encoded(gradient(), file_format))
    for place, value in places:
        data[int(place * len(data))] = value
    try:
        photo = load_image(bytes(data[: int(length * len(data))]))
    except ImageError:
        return
    assert photo.rgb.dtype == np.uint8


@given(st.binary(max_size=200))
def test_random_bytes_are_errors(data: bytes) -> None:
    with pytest.raises(ImageError):
        load_image(data)
