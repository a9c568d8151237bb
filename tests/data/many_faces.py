"""Data sets of several shards that cost nothing to make, on disk and behind an S3 server."""

from dataclasses import replace
from pathlib import Path

import torch

from facegpt.data.schema import FaceRow, encode_crop, encode_mask
from facegpt.data.shards import Manifest, write_manifest, write_shard


def write_faces(folder: Path, shards: int, rows_per_shard: int) -> Path:
    """A finished data set whose face number i is grey number i, the even ones with words."""
    mask = encode_mask(torch.ones(224, 224, dtype=torch.bool))
    manifest = Manifest({}, shards * rows_per_shard)
    for shard in range(shards):
        first = shard * rows_per_shard
        rows = [_row(number, mask) for number in range(first, first + rows_per_shard)]
        written = write_shard(folder, shard, rows, photos=rows_per_shard, problems_end=0)
        manifest = replace(manifest, shards=(*manifest.shards, written))
    write_manifest(folder, manifest)
    return folder


def _row(number: int, mask: bytes) -> FaceRow:
    return FaceRow(
        face_id=f"{number}.png:0",
        source=f"{number}.png",
        crop=encode_crop(torch.full((3, 224, 224), (number % 256) / 255)),
        skin=mask,
        validity=mask,
        landmarks68_px=torch.full((68, 2), float(number)),
        is_grey=True,
        descriptions=(f"This is number {number}.",) if number % 2 == 0 else (),
        conversations=(("Who?", f"Number {number}."),),
        short=f"number {number}" if number % 3 == 0 else "",
    )
