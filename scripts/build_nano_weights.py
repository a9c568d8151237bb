"""Make the shipped weights of nano out of a training run.

    python scripts/build_nano_weights.py runs/nano/best --autoencoder runs/vision/best

Matrices of the adapter are stored in bfloat16 (half the size; what the numbers of the model card
were measured with), and the road from the tower to theta is put beside it, so that the tower can be
used and trained alone. The spread of imagined faces is the business of `build_spread.py`.
"""

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from safetensors.torch import load_file, save_file
from torch import Tensor

from facegpt.model.adapter import WEIGHTS_FILE
from facegpt.model.nano import NANO_WEIGHTS
from facegpt.model.nano_weights import THETA_HEAD, read_record, sha256_of
from facegpt.model.vision_tower import FaceVisionAutoencoder

LARGEST_MEGABYTES = 60


@dataclass(frozen=True)
class Options:
    """What to ship."""

    run: tyro.conf.Positional[Path]
    """A folder of nano weights, such as `best` or `last` of a run."""
    autoencoder: Path
    """The folder of the tower that the run started from."""
    average_with: Path | None = None
    """Folder of the weights that the run went on from: what is shipped lies on the way from there
    to the run, which keeps more of what photos had taught."""
    share: float = 1.0
    """How far on that way, 0 to 1."""
    output: Path = NANO_WEIGHTS


def compact(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Matrices in bfloat16, vectors as they are."""
    return {k: v.to(torch.bfloat16) if v.ndim > 1 else v for k, v in tensors.items()}


def between(start: dict[str, Tensor], end: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Weights on the straight way from `start` to `end` (Wortsman et al. 2022)."""
    return {k: torch.lerp(start[k].float(), end[k].float(), share) for k in end}


def main(options: Options) -> None:
    """Write the folder of the shipped weights."""
    read_record(options.run)
    autoencoder = FaceVisionAutoencoder.from_pretrained(options.autoencoder, local_files_only=True)
    with tempfile.TemporaryDirectory(dir=options.output.parent.parent) as staging:
        fresh = Path(staging) / "nano"
        shutil.copytree(options.run, fresh, ignore=shutil.ignore_patterns("validation.json"))
        adapter = load_file(fresh / WEIGHTS_FILE)
        if options.average_with:
            former = load_file(options.average_with / WEIGHTS_FILE)
            adapter = between(former, adapter, options.share)
        save_file(compact(adapter), fresh / WEIGHTS_FILE, metadata={"format": "pt"})
        head = {k: v.detach().contiguous() for k, v in autoencoder.head.state_dict().items()}
        save_file(head, fresh / THETA_HEAD, metadata={"format": "pt"})
        record = json.loads((fresh / "nano.json").read_text())
        record["files"] = {name: sha256_of(fresh / name) for name in record["files"]}
        (fresh / "nano.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        read_record(fresh)
        for file in fresh.iterdir():
            file.chmod(0o644)
        shutil.rmtree(options.output, ignore_errors=True)
        options.output.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(fresh, options.output)
    sizes = {file.name: file.stat().st_size / 2**20 for file in sorted(options.output.iterdir())}
    for name, megabytes in sizes.items():
        print(f"{name:28}{megabytes:8.2f} MB")
    total = sum(sizes.values())
    print(f"{options.output}: {total:.1f} MB")
    if total > LARGEST_MEGABYTES:
        raise SystemExit(f"more than the {LARGEST_MEGABYTES} MB that may be shipped")


if __name__ == "__main__":
    main(tyro.cli(Options))
