"""What is trained of a FaceGPT: LoRA on the decoder, the rows of `<FACE>`, projector and head.

The vision encoder and all other weights are frozen. The trained part, with a gate if there is one,
is saved as ONE safetensors file beside a JSON file that says for which model it was made. Knows no
training: see `training/`.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from facegpt.model.backbone import BackboneParts
from facegpt.model.errors import AdapterMismatchError, AdapterMissingError, AdapterStateError
from facegpt.model.modeling_facegpt import FaceGPTForConditionalGeneration
from facegpt.model.token_row import merge_token_row, token_rows, train_token_row

if TYPE_CHECKING:  # peft takes half a second to import; `load_merged` does without it
    from peft.tuners.lora import LoraLayer

WEIGHTS_FILE, CONFIG_FILE = "adapter.safetensors", "adapter_config.json"
FORMAT = "facegpt.adapter/1"

_MODEL_FIELDS = (
    "face_token",
    "face_token_id",
    "head_hidden_sizes",
    "theta_size",
    "theta_center",
    "theta_scale",
    "morphable_model",
    "reads_face_note",
    "has_face_gate",
    "image_size",
)
"""Of the model's config, saved with the adapter: with them `wrap` makes the model it fits."""

_SINCE_FORMAT_1 = {"reads_face_note": False, "has_face_gate": False}
"""Fields that older files lack."""


@dataclass(frozen=True)
class AdapterConfig:
    """How much of the decoder may change."""

    rank: int = 16
    """Of the LoRA matrices on every linear layer of the decoder."""
    alpha: float = 32.0
    """LoRA adds alpha / rank times its product."""
    dropout: float = 0.05
    """Before the LoRA matrices, while training."""
    projector: bool = True
    """Whether the projector learns; older files lack the field, and in theirs it did."""

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"--adapter.rank must be at least 1, got {self.rank}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"--adapter.dropout must be in [0, 1), got {self.dropout}")


@dataclass(frozen=True)
class AdapterRecord:
    """The JSON file of an adapter."""

    adapter: AdapterConfig
    backbone: dict[str, Any]
    """Class and sizes of the backbone that it was made for."""
    model: dict[str, Any]
    """Keyword arguments of `FaceGPTForConditionalGeneration.wrap`."""
    base: str = ""
    """Folder or name of the backbone on the machine that trained it; empty where it has none."""


def add_adapter(
    model: FaceGPTForConditionalGeneration,
    config: AdapterConfig | None = None,
    generator: torch.Generator | None = None,
) -> FaceGPTForConditionalGeneration:
    """Freeze a model and give it a new adapter, in place.

    Until it is trained the model does what it did. The adapter's own numbers are float32.

    Args:
        config: None takes the defaults.
        generator: Of the first LoRA matrices.

    Raises:
        AdapterStateError: It has one already.
    """
    from peft import LoraConfig, inject_adapter_in_model

    _refuse_second(model)
    config = config or AdapterConfig()
    model.requires_grad_(False)
    parts = model.parts
    lora = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,  # pyright: ignore[reportArgumentType]  (a ratio, peft divides it)
        lora_dropout=config.dropout,
        target_modules="all-linear",
    )
    # Without memory first: peft would draw every matrix twice, in seconds.
    inject_adapter_in_model(lora, parts.decoder, low_cpu_mem_usage=True)
    for layer in _lora_layers(parts.decoder).values():
        _draw_lora(layer, generator)
    train_token_row(parts, model.config.face_token_id)
    for module in (*_learning_projectors(parts, config).values(), model.face_head):
        module.requires_grad_(True)
    model.adapter_config = config
    return model.train(model.training)


def _learning_projectors(parts: BackboneParts, config: AdapterConfig) -> Mapping[str, nn.Module]:
    return parts.projectors if config.projector else {}


def _refuse_second(model: FaceGPTForConditionalGeneration) -> None:
    if has_adapter(model):
        raise AdapterStateError("this model carries an adapter already: call merge(model) first")


def _refuse_quantised(model: FaceGPTForConditionalGeneration) -> None:
    if model.quantised != "none":
        raise AdapterStateError(
            f"an adapter cannot be written into weights held in {model.quantised}, which would "
            "lose most of it: keep it apart (load_adapter), or load without --quantise"
        )


@torch.no_grad()
def _draw_lora(layer: "LoraLayer", generator: torch.Generator | None) -> None:
    """First matrices, in float32; their product is zero."""
    device = layer.get_base_layer().weight.device
    for name in ("lora_A", "lora_B"):
        getattr(layer, name).float().to_empty(device=device)
    first: Any = layer.lora_A["default"].weight
    nn.init.kaiming_uniform_(first, a=5**0.5, generator=generator)
    second: Any = layer.lora_B["default"].weight
    nn.init.zeros_(second)


def has_adapter(model: FaceGPTForConditionalGeneration) -> bool:
    """Whether the model carries an adapter that is not merged."""
    return model.adapter_config is not None


def _lora_layers(decoder: nn.Module) -> dict[str, "LoraLayer"]:
    from peft.tuners.lora import LoraLayer

    return {n: m for n, m in decoder.named_modules() if isinstance(m, LoraLayer)}


def adapter_parameters(model: FaceGPTForConditionalGeneration) -> dict[str, Tensor]:
    """Everything that an adapter consists of, by the names in its file: `lora.*`, `token.*`,
    `projector.*`, `head.*`. All of it is trained, nothing else is.

    Raises:
        AdapterStateError: The model carries none.
    """
    if not has_adapter(model):
        raise AdapterStateError("this model carries no adapter: call add_adapter(model, config)")
    parts = model.parts
    found: dict[str, Tensor] = {f"token.{k}": v for k, v in token_rows(parts).items()}
    for path, layer in _lora_layers(parts.decoder).items():
        for matrix in ("A", "B"):
            found[f"lora.{path}.{matrix}"] = getattr(layer, f"lora_{matrix}")["default"].weight
    for path, module in _learning_projectors(parts, model.adapter_config).items():
        found |= {f"projector.{path}.{k}": v for k, v in module.named_parameters()}
    return found | {f"head.{k}": v for k, v in model.face_head.named_parameters()}


def _gate_parameters(model: FaceGPTForConditionalGeneration) -> dict[str, Tensor]:
    """Of a gate, which is saved with the adapter and learns after it, in a stage of its own."""
    if model.face_gate is None:
        return {}
    return {f"gate.{k}": v for k, v in model.face_gate.named_parameters()}


def save_adapter(model: FaceGPTForConditionalGeneration, folder: Path | str) -> Path:
    """Write `adapter.safetensors` and `adapter_config.json`; each file appears complete or not.

    Raises:
        AdapterStateError: The model carries no adapter.
    """
    folder = Path(folder)
    stored = adapter_parameters(model) | _gate_parameters(model)
    tensors = {k: v.detach().cpu().contiguous() for k, v in stored.items()}
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "format": FORMAT,
        "adapter": asdict(model.adapter_config),
        "base": str(getattr(model.config.vlm_config, "_name_or_path", "") or ""),
        "backbone": _describe_backbone(model),
        "model": {name: getattr(model.config, name) for name in _MODEL_FIELDS},
    }
    weights, config = (folder / f"{name}.new" for name in (WEIGHTS_FILE, CONFIG_FILE))
    save_file(tensors, weights, metadata={"format": "pt"})
    config.write_text(json.dumps(record, indent=2) + "\n")
    os.replace(weights, folder / WEIGHTS_FILE)
    os.replace(config, folder / CONFIG_FILE)
    return folder


def _describe_backbone(model: FaceGPTForConditionalGeneration) -> dict[str, Any]:
    text = model.config.get_text_config()
    return {
        "class": type(model.backbone).__name__,
        "hidden_size": text.hidden_size,
        "layers": text.num_hidden_layers,
    }


def read_adapter_record(folder: Path | str) -> AdapterRecord:
    """For which model an adapter was made.

    Raises:
        AdapterMissingError: The folder has no complete adapter.
        AdapterMismatchError: It is an adapter of another program or version.
    """
    folder = Path(folder)
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise AdapterMissingError(
                f"{folder} has no {name}: an adapter is a folder with {WEIGHTS_FILE} and "
                f"{CONFIG_FILE}, as save_adapter and facegpt train write it"
            )
    try:
        record = json.loads((folder / CONFIG_FILE).read_text())
        if record["format"] != FORMAT:
            raise KeyError(record["format"])
        model = _SINCE_FORMAT_1 | record["model"]
        adapter, base = AdapterConfig(**record["adapter"]), str(record.get("base", ""))
        return AdapterRecord(adapter, record["backbone"], model, base)
    except (ValueError, KeyError, TypeError) as error:
        raise AdapterMismatchError(
            f"{folder / CONFIG_FILE} is not a config of the format {FORMAT} ({error}); train or "
            "fetch the adapter again"
        ) from error


def load_adapter(
    model: FaceGPTForConditionalGeneration, folder: Path | str
) -> FaceGPTForConditionalGeneration:
    """Give a model a saved adapter, in place; one that it carries already is overwritten.

    Raises:
        AdapterMissingError: The folder has no complete adapter.
        AdapterMismatchError: The adapter was made for another model.
    """
    folder = Path(folder)
    record, tensors = _read(folder, model)
    if not has_adapter(model):
        add_adapter(model, record.adapter)
    own = adapter_parameters(model) | _gate_parameters(model)
    _check_tensors({name: tensor.shape for name, tensor in own.items()}, tensors, folder)
    with torch.no_grad():
        for name, tensor in tensors.items():
            own[name].copy_(tensor)
    return model


@torch.no_grad()
def load_merged(
    model: FaceGPTForConditionalGeneration, folder: Path | str
) -> FaceGPTForConditionalGeneration:
    """Write a saved adapter into the weights, in place: what `load_adapter` and `merge` do, but no
    layer is replaced and taken out again.

    Raises:
        AdapterStateError: The model carries an adapter, or is quantised.
        AdapterMissingError: The folder has no complete adapter.
        AdapterMismatchError: The adapter was made for another model.
    """
    folder = Path(folder)
    _refuse_second(model)
    _refuse_quantised(model)
    record, tensors = _read(folder, model)
    layers = {n: m for n, m in model.parts.decoder.named_modules() if isinstance(m, nn.Linear)}
    own = _replaced_by_adapter(model, record.adapter)
    shapes = {name: tensor.shape for name, tensor in own.items()}
    for path, layer in layers.items():
        shapes[f"lora.{path}.A"] = torch.Size((record.adapter.rank, layer.in_features))
        shapes[f"lora.{path}.B"] = torch.Size((layer.out_features, record.adapter.rank))
    _check_tensors(shapes, tensors, folder)
    for name, tensor in own.items():
        tensor.copy_(tensors[name])
    for path, layer in layers.items():
        # Files hold bfloat16, whose products take seconds on processors that do not know it.
        down, up = (tensors[f"lora.{path}.{m}"].to(layer.weight.device).float() for m in "AB")
        layer.weight += (up @ down) * (record.adapter.alpha / record.adapter.rank)
    return model.requires_grad_(False)


def _replaced_by_adapter(
    model: FaceGPTForConditionalGeneration, adapter: AdapterConfig
) -> dict[str, Tensor]:
    """What of a model without an adapter a saved one puts something else in place of."""
    parts, row = model.parts, model.config.face_token_id
    own: dict[str, Tensor] = {"token.input": parts.input_rows.weight[row]}
    if not parts.tied:
        own["token.output"] = parts.output_rows.weight[row]
    for path, module in _learning_projectors(parts, adapter).items():
        own |= {f"projector.{path}.{k}": v for k, v in module.named_parameters()}
    own |= {f"head.{k}": v for k, v in model.face_head.named_parameters()}
    return own | _gate_parameters(model)


def _read(
    folder: Path, model: FaceGPTForConditionalGeneration
) -> tuple[AdapterRecord, dict[str, Tensor]]:
    """A saved adapter that was made for models like this one."""
    record = read_adapter_record(folder)
    _check_model(model, record, folder)
    try:
        return record, load_file(folder / WEIGHTS_FILE)
    except SafetensorError as error:
        raise AdapterMismatchError(
            f"{folder / WEIGHTS_FILE} is damaged ({error}); train or fetch the adapter again"
        ) from error


def _check_model(
    model: FaceGPTForConditionalGeneration, record: AdapterRecord, folder: Path
) -> None:
    own = {name: getattr(model.config, name) for name in _MODEL_FIELDS}
    carried = model.adapter_config or record.adapter
    pairs = [
        (record.backbone, _describe_backbone(model)),
        (record.model, json.loads(json.dumps(own))),
        (asdict(record.adapter), asdict(carried)),
    ]
    for made_for, this in pairs:
        for name, value in this.items():
            if made_for.get(name) != value:
                raise AdapterMismatchError(
                    f"the weights in {folder} were made for a model with {name} = "
                    f"{_short(made_for.get(name))}, this one has {_short(value)}; load them into "
                    "the model that they were trained on"
                )


def _check_tensors(own: Mapping[str, torch.Size], read: Mapping[str, Tensor], folder: Path) -> None:
    different = own.keys() ^ read.keys()
    different |= {k for k in own.keys() & read.keys() if own[k] != read[k].shape}
    if different:
        raise AdapterMismatchError(
            f"the weights in {folder} were made for another model: {len(different)} of "
            f"{len(own)} tensors are missing, unknown or of another size, such as "
            f"{min(different)!r}; load them into the model that they were trained on"
        )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def merge(model: FaceGPTForConditionalGeneration) -> FaceGPTForConditionalGeneration:
    """Write the adapter into the weights, in place: faster, and `save_pretrained` works again.

    Theta stays the same but for rounding (1e-4 in float32).

    Raises:
        AdapterStateError: The model carries no adapter, or is quantised.
    """
    adapter_parameters(model)
    _refuse_quantised(model)
    parts = model.parts
    for path, layer in _lora_layers(parts.decoder).items():
        layer.merge(safe_merge=False)
        parent, _, name = path.rpartition(".")
        setattr(parts.decoder.get_submodule(parent), name, layer.get_base_layer())
    merge_token_row(parts, model.config.face_token_id)
    del parts.decoder.peft_config
    model.adapter_config = None
    return model.requires_grad_(False)
