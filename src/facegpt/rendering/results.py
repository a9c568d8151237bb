"""The folder of one face: head.glb, head.obj, head.ply, face.json, and a picture: overlay.png for
the face of a photo, portrait.png for one that was imagined.

A folder is written beside its place and moved there when everything is in it; face.json comes last,
so it is the sign of a finished face. This module knows how results look on disk, not how they come
about.
"""

import difflib
import io
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from facegpt.geometry.export import MeshFileError, TexturedMesh, write_atomically
from facegpt.geometry.gltf import read_glb_chunks, write_glb
from facegpt.geometry.obj import write_obj
from facegpt.geometry.ply import write_ply
from facegpt.morphable.blendshapes import BlendshapeFit, fit_blendshapes
from facegpt.morphable.model import MorphableModel
from facegpt.perception.images import Photo
from facegpt.perception.resampling import resample
from facegpt.reconstruction import SCHEMA, FaceReconstruction, write_record
from facegpt.rendering.photo_view import image_scaling, photo_from_crop, photo_view
from facegpt.rendering.pictures import contact_sheet, overlay, portrait, render_head
from facegpt.rendering.texture import bake_texture, model_texture, sample_texture, vertex_of_uv

FORMATS = ("glb", "obj", "ply", "overlay", "json")
"""Of the face of a photo."""

IMAGINED_FORMATS = ("glb", "obj", "ply", "portrait", "json")
"""Of a face without a photo."""

_FILES = {
    "glb": ("head.glb",),
    "obj": ("head.obj", "head.mtl", "head.png"),
    "ply": ("head.ply",),
    "overlay": ("overlay.png",),
    "portrait": ("portrait.png",),
    "json": ("face.json",),
}
_SHEET_TILE_PX = 448
_PORTRAIT_PX = 512


@dataclass(frozen=True)
class _Head:
    """Everything that the files of one face are made of."""

    face: FaceReconstruction
    model: MorphableModel
    photo: Photo | None
    given_texture: UInt8[np.ndarray, "height width 3"] | None = None

    @cached_property
    def texture(self) -> UInt8[np.ndarray, "height width 3"]:
        if self.given_texture is not None:
            return self.given_texture
        if self.photo is None:
            return model_texture(self.model, self.face.parameters)
        view = photo_view(self.photo, self.face)
        return bake_texture(self.model, self.face.parameters, view)

    @cached_property
    def blendshapes(self) -> BlendshapeFit:
        return fit_blendshapes(self.model, self.face.parameters.expression)


def save_reconstruction(
    face: FaceReconstruction,
    model: MorphableModel,
    photo: Photo | None,
    directory: Path,
    formats: Sequence[str] | None = None,
    texture: UInt8[np.ndarray, "height width 3"] | None = None,
) -> list[Path]:
    """Write the files of one face; files of an earlier run are replaced.

    Args:
        model: The whole head, the model that `face` was fitted with.
        photo: The photo that the face was found in; None for an imagined face.
        formats: Which files; by default `FORMATS`, or `IMAGINED_FORMATS` without a photo.
        texture: Of the head; without it that of the photo or else of the model.

    Returns:
        The files.

    Raises:
        ValueError: There is no such format, or it needs a photo.
    """
    formats = _checked_formats(formats, photo)
    head = _Head(face, model, photo, texture)
    directory.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        for name in formats:
            _WRITERS[name](head, unfinished)
        _move(unfinished, directory)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return [directory / file for name in formats for file in _FILES[name]]


def _checked_formats(formats: Sequence[str] | None, photo: Photo | None) -> Sequence[str]:
    usual = IMAGINED_FORMATS if photo is None else FORMATS
    for name in formats or ():
        if name not in _FILES:
            [nearest] = difflib.get_close_matches(name, usual, n=1, cutoff=0)
            raise ValueError(f"no format {name!r}; did you mean {nearest!r}? Known: {usual}")
        if name == "overlay" and photo is None:
            raise ValueError("an imagined face has no photo to lie on; use the format portrait")
    return usual if formats is None else formats


def is_complete(directory: Path, formats: Sequence[str] = FORMATS) -> bool:
    """Whether an earlier run has written all of these files."""
    return all((directory / file).is_file() for name in formats for file in _FILES[name])


def load_texture(directory: Path) -> UInt8[np.ndarray, "height width 3"] | None:
    """The texture of a face that was saved here, or None when no file holds one."""
    picture = directory / "head.png"
    if picture.is_file():
        with Image.open(picture) as image:
            return np.asarray(image.convert("RGB"))
    try:
        document, binary = read_glb_chunks(directory / "head.glb")
        view = document["bufferViews"][document["images"][0]["bufferView"]]
        data = binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    except (FileNotFoundError, MeshFileError, KeyError, IndexError, TypeError, OSError):
        return None


def sheet_of(
    face: FaceReconstruction, model: MorphableModel, photo: Photo
) -> UInt8[np.ndarray, "height width 3"]:
    """The contact sheet of one face: photo, overlay, shape, albedo, relit, three poses."""
    photo_from_tile = photo_from_crop(photo, face) @ image_scaling(224 / _SHEET_TILE_PX)
    tiles = [
        resample(rgb, photo_from_tile.numpy(), _SHEET_TILE_PX)
        for rgb in (photo.rgb, _overlay(face, model, photo))
    ]
    texture = bake_texture(model, face.parameters, photo_view(photo, face))
    return contact_sheet(tiles[0], tiles[1], model, face.parameters, texture)


def head_mesh(
    model: MorphableModel,
    face: FaceReconstruction,
    texture: UInt8[np.ndarray, "height width 3"] | None,
) -> TexturedMesh:
    """The whole head with the fitted expression; colours come from the texture if there is one."""
    theta = face.parameters
    vertices = model.vertices_mm(theta.shape, theta.expression)[0].detach()
    return _surface(model, face, texture, vertices)


def rigged_mesh(
    model: MorphableModel,
    face: FaceReconstruction,
    texture: UInt8[np.ndarray, "height width 3"] | None,
    weights: Mapping[str, float],
) -> TexturedMesh:
    """The neutral head with the blendshapes of the model as morphs.

    A model without blendshapes keeps the fitted expression in its vertices.
    """
    if not model.arkit_names:
        return head_mesh(model, face, texture)
    theta = face.parameters
    neutral = model.vertices_mm(theta.shape, torch.zeros_like(theta.expression))[0].detach()
    still = _surface(model, face, texture, neutral)
    return TexturedMesh(
        vertices_mm=still.vertices_mm,
        triangles=still.triangles,
        uv=still.uv,
        uv_triangles=still.uv_triangles,
        texture=still.texture,
        colours=still.colours,
        morphs_mm=dict(zip(model.arkit_names, model.arkit_mm, strict=True)),
        morph_weights=dict(weights),
    )


def _surface(
    model: MorphableModel,
    face: FaceReconstruction,
    texture: np.ndarray | None,
    vertices_mm: Float[Tensor, "vertex 3"],
) -> TexturedMesh:
    if texture is None:
        colours = model.albedo_srgb(face.parameters.albedo)[0].detach().clamp(0, 1)
        return TexturedMesh(vertices_mm, model.triangles, colours=colours)
    colours = torch.zeros_like(vertices_mm)
    colours[vertex_of_uv(model)] = sample_texture(texture, model.uv)
    return TexturedMesh(
        vertices_mm, model.triangles, model.uv, model.uv_triangles, texture, colours
    )


def _write_glb(head: _Head, directory: Path) -> None:
    extras: dict[str, Any] = {
        "schema": SCHEMA,
        "method": head.face.method,
        "morphable_model": head.face.morphable_model,
        "expression_residual_mm": round(head.blendshapes.residual_mm, 4),
        "licences": head.face.to_record()["licences"],
    }
    weights = head.blendshapes.weights
    mesh = rigged_mesh(head.model, head.face, head.texture, weights)
    notice = "; ".join(licence_lines(head.face))
    write_glb(directory / "head.glb", mesh, copyright_notice=notice, extras=extras)


def _write_obj(head: _Head, directory: Path) -> None:
    mesh = head_mesh(head.model, head.face, head.texture)
    write_obj(directory / "head.obj", mesh, comments=tuple(licence_lines(head.face)))


def _write_ply(head: _Head, directory: Path) -> None:
    mesh = head_mesh(head.model, head.face, head.texture)
    write_ply(directory / "head.ply", mesh, comments=tuple(licence_lines(head.face)))


def _write_overlay(head: _Head, directory: Path) -> None:
    picture = io.BytesIO()
    assert head.photo is not None
    pixels = _overlay(head.face, head.model, head.photo)
    # Stronger compression takes seconds on a large photo and saves little.
    Image.fromarray(pixels).save(picture, "PNG", compress_level=3)
    write_atomically(directory / "overlay.png", picture.getvalue())


def _write_portrait(head: _Head, directory: Path) -> None:
    """The whole head in its own pose, expression and light."""
    theta = head.face.parameters
    pitch, yaw, roll = theta.camera[0, :3].tolist()
    framed = portrait(head.model, theta, yaw=yaw, pitch=pitch, roll=roll)
    picture = io.BytesIO()
    pixels = render_head(head.model, framed, texture=head.texture, size=_PORTRAIT_PX)
    Image.fromarray(pixels).save(picture, "PNG")
    write_atomically(directory / "portrait.png", picture.getvalue())


def _write_json(head: _Head, directory: Path) -> None:
    write_record(directory / "face.json", head.face)


_WRITERS = {
    "glb": _write_glb,
    "obj": _write_obj,
    "ply": _write_ply,
    "overlay": _write_overlay,
    "portrait": _write_portrait,
    "json": _write_json,
}


def _overlay(face: FaceReconstruction, model: MorphableModel, photo: Photo) -> np.ndarray:
    return overlay(
        photo.rgb,
        model.restricted_to(),
        face.parameters,
        photo_from_crop(photo, face),
        is_grey=photo.is_grey,
    )


def licence_lines(face: FaceReconstruction) -> list[str]:
    """The licence ledger of a face as lines of text."""
    lines = []
    for entry in face.licences:
        if isinstance(entry, Mapping):
            name, licence = entry.get("name", ""), entry.get("licence", "")
            lines.append(f"{name}: {licence}" if licence else str(name))
        else:
            lines.append(str(entry))
    return lines


def _move(unfinished: Path, directory: Path) -> None:
    """Put the finished files in their place, face.json last."""
    unfinished.chmod(0o755)
    if not directory.exists():
        os.replace(unfinished, directory)
        return
    # While files are being replaced the folder must not look finished.
    if (unfinished / "face.json").exists():
        (directory / "face.json").unlink(missing_ok=True)
    for path in sorted(unfinished.iterdir(), key=lambda p: p.name == "face.json"):
        os.replace(path, directory / path.name)
