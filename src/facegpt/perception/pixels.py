"""Pixels of every kind as 8-bit sRGB: arrays, tensors, and the modes of PIL.

Sixteen bits are taken at their full range, floats as [0, 1]; what is transparent is laid on a
neutral grey, so that no invented edge of black or white touches a face.
"""

import io

import numpy as np
import torch
from PIL import Image, ImageCms
from torch import Tensor

from facegpt.perception.image_errors import UnreadableImageError

BACKGROUND = 128
"""Grey below transparent pixels, and outside the photo in a crop."""

_CHANNELS = (1, 2, 3, 4)
_TOLERANCE = 0.01


def picture_from_array(array: np.ndarray | Tensor) -> Image.Image:
    """An array (height, width[, channel]) or a tensor (channel, height, width) as a PIL image.

    Raises:
        UnreadableImageError: The shape, the type or the range is that of no picture.
    """
    if isinstance(array, Tensor):
        array = _channels_last(array)
    elif array.ndim == 3 and array.shape[2] not in _CHANNELS and array.shape[0] in _CHANNELS:
        raise UnreadableImageError(
            f"the array has shape {array.shape}; arrays have their channels last: pass "
            "array.transpose(1, 2, 0), or a torch tensor, whose channels come first"
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if (
        array.ndim not in (2, 3)
        or 0 in array.shape
        or array.shape[2:] not in ((), (2,), (3,), (4,))
    ):
        raise UnreadableImageError(
            f"an array of shape {array.shape} is no picture; expected (height, width), or (height, "
            "width, channel) with 1 to 4 channels"
        )
    return Image.fromarray(np.ascontiguousarray(to_8_bit(array)))


def _channels_last(tensor: Tensor) -> np.ndarray:
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    if tensor.ndim == 4 and len(tensor) == 1:
        tensor = tensor[0]
    if tensor.ndim == 3 and tensor.shape[0] in _CHANNELS:
        return tensor.permute(1, 2, 0).numpy()
    if tensor.ndim == 2:
        return tensor.numpy()
    raise UnreadableImageError(
        f"a tensor of shape {tuple(tensor.shape)} is no picture; expected (channel, height, width) "
        "with 1 to 4 channels; pass the pictures of a batch one by one"
    )


def to_8_bit(values: np.ndarray) -> np.ndarray:
    """Values of any numeric type as uint8; floats are in [0, 1].

    Raises:
        UnreadableImageError: A float is not finite or out of range, or the type is no number.
    """
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * 255
    if values.dtype == np.uint16:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if np.issubdtype(values.dtype, np.integer):
        return _integers_to_8_bit(values)
    if np.issubdtype(values.dtype, np.floating):
        return _floats_to_8_bit(values)
    raise UnreadableImageError(f"values of type {values.dtype} are no picture; use uint8 or float")


def _integers_to_8_bit(values: np.ndarray) -> np.ndarray:
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise UnreadableImageError(
            f"whole numbers from {low} to {high} are no picture; expected 0 to 255 (or 65535)"
        )
    return values.astype(np.uint8) if high <= 255 else to_8_bit(values.astype(np.uint16))


def _floats_to_8_bit(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    # A NaN makes both comparisons false.
    if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):
        raise UnreadableImageError(
            f"floats from {low:.4g} to {high:.4g} are no picture; expected sRGB in [0, 1]: divide "
            "values up to 255 by 255, and remove what is not finite"
        )
    return np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)


def white_level(picture: Image.Image) -> float:
    """The value that is white in a single-channel picture with more than 8 bits per pixel.

    Files do not say it: 16 bits are used in full; of other numbers, the smallest usual range that
    holds the largest value.
    """
    if picture.mode.startswith("I;16"):
        return 65535.0
    high = float(np.max(np.nan_to_num(np.asarray(picture.getextrema(), dtype=np.float64))))
    ranges = (1.0, 255.0, 65535.0) if picture.mode == "F" else (255.0, 65535.0)
    return next((white for white in ranges if high <= white), high)


def is_deep(picture: Image.Image) -> bool:
    """Whether a picture has one channel with more than 8 bits."""
    return picture.mode.startswith(("I", "F"))


def to_rgb(picture: Image.Image, white: float = 65535.0) -> Image.Image:
    """A PIL image of any mode as RGB, in sRGB if it carries a colour profile.

    Args:
        white: `white_level` of the whole picture, of which this may be a part.
    """
    if is_deep(picture):
        values = np.nan_to_num(np.asarray(picture, dtype=np.float32) / white)
        grey = np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    profile = picture.info.get("icc_profile")
    if picture.has_transparency_data:
        # Premultiplied modes know only their own straight twin.
        straight = {"La": "LA", "RGBa": "RGBA"}.get(picture.mode)
        picture = (picture.convert(straight) if straight else picture).convert("RGBA")
        ground = Image.new("RGBA", picture.size, (BACKGROUND, BACKGROUND, BACKGROUND, 255))
        picture = Image.alpha_composite(ground, picture).convert("RGB")
    return _in_srgb(picture, profile) or picture.convert("RGB")


def _in_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image | None:
    if not profile or picture.mode not in ("RGB", "CMYK", "L"):
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(picture, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        # A damaged or foreign profile: the numbers themselves are the best that is left.
        return None
