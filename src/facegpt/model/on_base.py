"""A trained adapter on the model of Hugging Face that it was trained on, such as LLaVA-1.5-7B.

Nothing is downloaded: a base that is not on this disk is an error that says what is missing.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForImageTextToText

from facegpt.model.adapter import CONFIG_FILE, load_adapter, load_merged, read_adapter_record
from facegpt.model.errors import AdapterMismatchError, BaseMissingError
from facegpt.model.modeling_facegpt import FaceGPTForConditionalGeneration
from facegpt.model.number_types import Quantise
from facegpt.model.processing_facegpt import FaceGPTProcessor
from facegpt.model.quantised import quantise_decoder


def is_adapter_folder(folder: Path) -> bool:
    """Whether an adapter lies there, of nano or another base."""
    return (folder / CONFIG_FILE).is_file()


def load_backbone(base: str, dtype: torch.dtype) -> Any:
    """The model of a folder, or of a name whose files are on this disk.

    Raises:
        BaseMissingError: It is not there.
    """
    try:
        return AutoModelForImageTextToText.from_pretrained(base, dtype=dtype, local_files_only=True)
    except OSError as error:
        raise missing_base(base, error) from error


def missing_base(base: str, error: Exception) -> BaseMissingError:
    """What to say of a base that is not there."""
    return BaseMissingError(
        f"{base} is not on this disk, and facegpt downloads nothing by itself "
        f"({str(error).strip().split(chr(10))[0]}). Get it with: hf download {base}, then run the "
        f"same command again; or give the folder of another image-text-to-text model with --base"
    )


def load_on_base(
    folder: Path,
    *,
    base: str | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    quantise: Quantise = "none",
) -> tuple[FaceGPTForConditionalGeneration, FaceGPTProcessor]:
    """The model of a folder that `facegpt train llava-7b` wrote, in evaluation mode.

    In full precision the adapter is merged; on a quantised base it stays apart, in float32.

    Args:
        folder: With an adapter and its processor.
        base: Folder or name of the model it was trained on; by default what the adapter says.
        device: Where it shall compute.
        dtype: Of what is neither quantised nor learnt.
        quantise: Of the linear maps of the decoder.

    Raises:
        AdapterMissingError, AdapterMismatchError: The folder has no adapter, or one for another
            base.
        BaseMissingError: The base is not on this disk.
        QuantisationError: As `quantise_decoder`.
    """
    record = read_adapter_record(folder)
    name = base or record.base
    if not name:
        raise AdapterMismatchError(
            f"{folder} does not say on which model it was trained; name it with --base"
        )
    processor = FaceGPTProcessor.from_pretrained(folder, local_files_only=True)
    model = FaceGPTForConditionalGeneration.wrap(load_backbone(name, dtype), **record.model)
    quantise_decoder(model.eval(), quantise, device)
    (load_merged if quantise == "none" else load_adapter)(model, folder)
    nn.Module.to(model, device)
    return model.eval(), processor
