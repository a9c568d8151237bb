"""Photos of running conversations: in memory only, the oldest go first.

Nothing here is written to the disk, whatever becomes of the faces.
"""

import base64
import io
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from facegpt.perception.images import Photo
from facegpt.web.store import new_id

_LONGEST_SIDE_PX = 1280
_THUMBNAIL_PX = 360
_QUALITY = 85


@dataclass(frozen=True)
class HeldPhoto:
    """A photo, and the file it came from."""

    photo: Photo
    file: bytes


class PhotoMemory:
    """Photos by key, up to so many bytes in all, and for so long after they were last looked at."""

    def __init__(
        self,
        most_bytes: int = 256 << 20,
        keep_seconds: float = 3600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Beyond `most_bytes` the photo that was not asked for the longest is forgotten."""
        self._most_bytes = most_bytes
        self._keep_seconds = keep_seconds
        self._clock = clock
        self._looked_at: dict[str, float] = {}
        self._bytes = 0
        self._held: OrderedDict[str, HeldPhoto] = OrderedDict()
        self._lock = threading.Lock()

    def hold(self, photo: Photo, file: bytes) -> str:
        """A key for a photo, which is reduced if it is large."""
        held, key = HeldPhoto(_reduced(photo), file), new_id()
        with self._lock:
            self._held[key] = held
            self._looked_at[key] = self._clock()
            self._bytes += _size(held)
            while self._bytes > self._most_bytes and len(self._held) > 1:
                self._drop(next(iter(self._held)))
        return key

    def find(self, key: str | None) -> HeldPhoto | None:
        """The photo of a key, unless it was forgotten."""
        with self._lock:
            if key not in self._held:
                return None
            self._held.move_to_end(key)
            self._looked_at[key] = self._clock()
            return self._held[key]

    def forget(self, keys: list[str]) -> None:
        """Photos of a conversation that is over."""
        with self._lock:
            for key in keys:
                if key in self._held:
                    self._drop(key)

    def forget_old(self) -> None:
        """Photos whose conversation was left."""
        oldest = self._clock() - self._keep_seconds
        with self._lock:
            for key in [key for key, then in self._looked_at.items() if then <= oldest]:
                self._drop(key)

    def _drop(self, key: str) -> None:
        self._bytes -= _size(self._held.pop(key))
        del self._looked_at[key]

    def __len__(self) -> int:
        return len(self._held)


def data_uri(rgb: np.ndarray, longest_px: int = _THUMBNAIL_PX) -> str:
    """A small JPEG that stands in the page itself, so no file of it is needed."""
    picture = Image.fromarray(rgb)
    picture.thumbnail((longest_px, longest_px))
    sink = io.BytesIO()
    picture.save(sink, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(sink.getvalue()).decode()}"


def around_face(photo: Photo, box_px: list[float]) -> np.ndarray:
    """The part of a photo that shows one face, with as much again on each side.

    Args:
        box_px: x0, y0, x1, y1 in pixels of the original.
    """
    corners = photo.from_original(np.asarray(box_px, np.float64).reshape(2, 2))
    (x0, y0), (x1, y1) = corners
    margin = max(x1 - x0, y1 - y0)
    height, width = photo.rgb.shape[:2]
    left, top = max(0, int(x0 - margin)), max(0, int(y0 - margin))
    right, bottom = min(width, int(x1 + margin) + 1), min(height, int(y1 + margin) + 1)
    return photo.rgb[top:bottom, left:right]


def _reduced(photo: Photo) -> Photo:
    picture = Image.fromarray(photo.rgb)
    before = max(picture.size)
    if before <= _LONGEST_SIDE_PX:
        return photo
    scale = _LONGEST_SIDE_PX / before
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    rgb = np.asarray(picture.resize(size, Image.Resampling.LANCZOS))
    return replace(photo, rgb=rgb, photo_from_original=photo.photo_from_original * scale)


def _size(held: HeldPhoto) -> int:
    return held.photo.rgb.nbytes + len(held.file)
