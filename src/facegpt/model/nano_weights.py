"""The folder in which nano's trained weights are kept, and how it is written and checked.

`tower.safetensors` is the vision tower, the adapter is that of `adapter.py`, and `nano.json` says
for which language model they were made and what the checksums are. It knows files, not how the
parts are put together.
"""

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers.initialization import no_init_weights

from facegpt.model.adapter import CONFIG_FILE, WEIGHTS_FILE, save_adapter
from facegpt.model.configuration_vision import FaceVisionConfig
from facegpt.model.modeling_facegpt import FaceGPTForConditionalGeneration
from facegpt.model.processing_facegpt import FaceGPTProcessor
from facegpt.model.vision_tower import FaceVisionAutoencoder, FaceVisionModel

__all__ = [
    "THETA_HEAD",
    "NanoRecord",
    "NanoWeightsError",
    "is_nano_folder",
    "load_autoencoder",
    "load_tower",
    "read_record",
    "save_nano",
]

_FORMAT = "facegpt.nano/1"
_RECORD, _TOWER = "nano.json", "tower.safetensors"
THETA_HEAD = "theta_head.safetensors"
"""Of the autoencoder that the tower was trained as; the language model does without."""
_FILES = (_TOWER, WEIGHTS_FILE, CONFIG_FILE)
_STAGING = ".saving-"
_TRAIN = "train them with: facegpt train nano"
_VISION_FIELDS = (
    "image_size",
    "num_channels",
    "embedding_size",
    "stage_sizes",
    "depths",
    "squeeze_size",
    "hidden_size",
    "theta_size",
    "theta_center",
    "theta_scale",
)
"""Of `FaceVisionConfig`: what transformers adds changes from version to version."""


class NanoWeightsError(ValueError):
    """A folder does not hold weights of nano that can be used; the message says what to do."""


@dataclass(frozen=True)
class NanoRecord:
    """What `nano.json` says."""

    base_weights_sha256: str
    """Of the language model that the adapter was trained on."""
    vision: dict[str, Any]
    """Fields of `FaceVisionConfig`."""
    files: dict[str, str]
    """SHA-256 by the name of the file."""


def is_nano_folder(folder: Path) -> bool:
    """Whether weights of nano lie there, sound or not."""
    return (folder / _RECORD).is_file()


def save_nano(
    model: FaceGPTForConditionalGeneration, processor: FaceGPTProcessor, folder: Path
) -> Path:
    """Write everything that was trained; the folder is there in full or not at all.

    Of the tower matrices and kernels are stored in bfloat16, its vectors (norms and their running
    statistics) as they are. A folder of nano that is there already is replaced.

    Raises:
        NanoWeightsError: The model was not made by `build_nano`, its processor is another one's, or
            the folder holds something else.
        AdapterStateError: The model carries no adapter.
    """
    _check_saveable(model, processor, folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=folder.parent))
    try:
        fresh = staging / "nano"
        save_adapter(model, fresh)
        tower = model.get_encoder(modality="image")
        save_file(_compact(tower.state_dict()), fresh / _TOWER, metadata={"format": "pt"})
        record = {
            "format": _FORMAT,
            "base_weights_sha256": model.config.vlm_config.base_weights_sha256,
            "vision": {name: getattr(tower.config, name) for name in _VISION_FIELDS},
            "files": {name: sha256_of(fresh / name) for name in _FILES},
        }
        (fresh / _RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        if folder.exists():
            os.replace(folder, staging / "replaced")
        os.replace(fresh, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return folder


def _check_saveable(
    model: FaceGPTForConditionalGeneration, processor: FaceGPTProcessor, folder: Path
) -> None:
    tower = model.get_encoder(modality="image")
    if not isinstance(tower, FaceVisionModel) or not hasattr(
        model.config.vlm_config, "base_weights_sha256"
    ):
        raise NanoWeightsError(
            "this model was not made by build_nano, so its language model is unknown; use "
            "save_pretrained or save_adapter"
        )
    if processor.face_token_id != model.config.face_token_id:
        raise NanoWeightsError(
            f"the processor writes <FACE> as token {processor.face_token_id}, the model reads "
            f"token {model.config.face_token_id}; save the two that were trained together"
        )
    foreign = folder.exists() and not (folder / _RECORD).is_file()
    if foreign and not (folder.is_dir() and not any(folder.iterdir())):
        raise NanoWeightsError(f"{folder} exists and holds no weights of nano; name another folder")


def _compact(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: (values.to(torch.bfloat16) if values.ndim > 1 else values).detach().cpu().contiguous()
        for name, values in state.items()
    }


def read_record(folder: Path) -> NanoRecord:
    """What is in a folder, once every file in it was found to be right.

    Raises:
        NanoWeightsError: Something is missing, damaged or of another version.
    """
    missing = [name for name in (_RECORD, *_FILES) if not (folder / name).is_file()]
    if missing:
        raise NanoWeightsError(
            f"the trained weights of nano are not in {folder}: {', '.join(missing)} missing. "
            f"Reinstall facegpt, or {_TRAIN}"
        )
    try:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        if record["format"] != _FORMAT:
            raise ValueError(f"the format is {record['format']!r}, expected {_FORMAT!r}")
        files = {name: str(record["files"][name]) for name in _FILES}
        result = NanoRecord(str(record["base_weights_sha256"]), dict(record["vision"]), files)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NanoWeightsError(
            f"{folder / _RECORD} cannot be used ({error}); reinstall facegpt, or {_TRAIN}"
        ) from error
    for name, expected in files.items():
        if sha256_of(folder / name) != expected:
            raise NanoWeightsError(
                f"{folder / name} is damaged: its SHA-256 is not the one in {_RECORD}. Reinstall "
                f"facegpt, or {_TRAIN}"
            )
    return result


def load_tower(folder: Path, record: NanoRecord) -> FaceVisionModel:
    """The vision tower in float32, in evaluation mode.

    Raises:
        NanoWeightsError: Its weights do not fit the sizes in the record.
    """
    try:
        unknown = record.vision.keys() - set(_VISION_FIELDS)
        if unknown:
            raise ValueError(f"unknown fields {sorted(unknown)}")
        with no_init_weights():  # they are all read
            tower = FaceVisionModel(FaceVisionConfig(**record.vision))
        tower.load_state_dict(load_file(folder / _TOWER))
    except (ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise NanoWeightsError(
            f"the tower in {folder} does not fit its description in {_RECORD} ({error}); {_TRAIN}"
        ) from error
    return tower.eval()


def load_autoencoder(folder: Path) -> FaceVisionAutoencoder:
    """The tower of a nano folder with its own road to theta: what `facegpt train vision` gave.

    Raises:
        NanoWeightsError: The folder is no sound folder of nano, or was written without that road.
    """
    record = read_record(folder)
    path = folder / THETA_HEAD
    if not path.is_file():
        raise NanoWeightsError(
            f"{folder} has no {THETA_HEAD}, so its tower alone gives no theta; use the folder that "
            f"facegpt train vision wrote"
        )
    model = FaceVisionAutoencoder(FaceVisionConfig(**record.vision))
    model.tower = load_tower(folder, record)
    try:
        model.head.load_state_dict(load_file(path))
    except (RuntimeError, SafetensorError) as error:
        raise NanoWeightsError(f"{path} does not fit the tower beside it ({error})") from error
    return model.eval()


def sha256_of(path: Path) -> str:
    """Checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
