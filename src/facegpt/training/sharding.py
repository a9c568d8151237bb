"""Weights that no process holds alone: settings for FSDP2 and DeepSpeed, and making weights whole.

FSDP2 cuts the decoder layer by layer; what is left (tower, projector, head, rows) is one piece of
its own, so processes whose batches differ in kind gather the same pieces in the same order. ZeRO
gathers module by module; there `blank_picture` of the model keeps the order. A saved adapter is
whole: nobody has to put shards together afterwards.
"""

import importlib.util
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import patch_environment
from torch import Tensor, distributed, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from facegpt.model.adapter import adapter_parameters
from facegpt.model.modeling_facegpt import FaceGPTForConditionalGeneration
from facegpt.training.config import TrainConfig, TrainConfigError


def cut_into_shards(model: FaceGPTForConditionalGeneration, device: torch.device) -> None:
    """Spread the weights over all processes with FSDP2, in place; they move to the device.

    Whatever calls a model from outside of its `forward` and computes with weights is announced, so
    that they are gathered for it.
    """
    mesh = init_device_mesh(device.type, (distributed.get_world_size(),))
    layers: Any = model.get_decoder().layers
    for layer in layers:
        fully_shard(layer, mesh=mesh, reshard_after_forward=True)
    fully_shard(model, mesh=mesh)
    for name in ("generate", "generate_with_faces", "predict_faces", "prompt_states"):
        register_fsdp_forward_method(model, name)
    # By this transformers knows a model that is sharded already.
    setattr(model, "_is_fsdp_managed_module", True)  # noqa: B010  (to type checkers it is a weight)


def save_sharded_optimizer(
    model: FSDPModule, optimizer: torch.optim.Optimizer, path: Path, *, keep: bool
) -> None:
    """Write the whole state of the optimiser of a model that FSDP2 shards, by names of weights.

    Args:
        keep: Whether this process writes; others only give their shards.
    """
    # After a validation some weights are still whole, and the optimiser knows their shards.
    model.reshard()
    state = get_optimizer_state_dict(cast("nn.Module", model), optimizer, options=_WHOLE)
    if keep:
        torch.save(state, path)


def load_sharded_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, path: Path) -> None:
    """What `save_sharded_optimizer` wrote; every process takes its share."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    set_optimizer_state_dict(model, optimizer, state, options=_WHOLE)


_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


def deepspeed_settings(config: TrainConfig, model: PreTrainedModel) -> dict[str, Any]:
    """The DeepSpeed JSON of a run; "auto" is left to transformers but for what it does not know.

    The peak of `WarmupDecayLR` is that of each group of weights: DeepSpeed knows it from the
    optimiser when it is told none. Buckets have the size of a square matrix of the decoder.

    Raises:
        TrainConfigError: DeepSpeed is not installed, or the file cannot be used with this config.
    """
    path = config.deepspeed
    assert path is not None
    if importlib.util.find_spec("deepspeed") is None:
        raise TrainConfigError(
            "--deepspeed needs the package deepspeed, which is not installed: pip install "
            "'facegpt[deepspeed]', or use --fsdp, which needs nothing more"
        )
    settings = _read(path)
    if "optimizer" in settings:
        raise TrainConfigError(
            f"{path} has a section 'optimizer', but facegpt brings its own AdamW with a learning "
            f"rate for each group of weights (--optimiser.*); take the section out"
        )
    scheduler = settings.get("scheduler")
    if scheduler is not None:
        if config.optimiser.schedule != "linear":
            raise TrainConfigError(
                f"{path} has a section 'scheduler' ({scheduler.get('type')}), and the run asks for "
                f"--optimiser.schedule {config.optimiser.schedule}; take the section out, or give "
                f"--optimiser.schedule linear"
            )
        if scheduler.get("params", {}).get("warmup_max_lr") == "auto":
            scheduler["params"]["warmup_max_lr"] = None
    _fill_sizes(settings["zero_optimization"], model.config.get_text_config().hidden_size)
    return settings


def _fill_sizes(zero: dict[str, Any], hidden_size: int) -> None:
    """As transformers does for models that have a hidden size themselves."""
    square = hidden_size * hidden_size
    sizes = {
        "reduce_bucket_size": square,
        "stage3_prefetch_bucket_size": round(0.9 * square),
        "stage3_param_persistence_threshold": 10 * hidden_size,
    }
    zero.update({name: size for name, size in sizes.items() if zero.get(name) == "auto"})


def _read(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise TrainConfigError(
            f"there is no DeepSpeed file {path}; those of the project are "
            "configs/deepspeed/zero2.json and zero3.json"
        ) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise TrainConfigError(f"{path} is no JSON file that can be read ({error})") from error
    if not isinstance(settings, dict) or not isinstance(settings.get("zero_optimization"), dict):
        raise TrainConfigError(
            f"{path} is no DeepSpeed config: it needs an object 'zero_optimization', as in "
            "configs/deepspeed/zero2.json"
        )
    return settings


def forget_former_run() -> None:
    """Of this process, with ZeRO-3: transformers would make the next model without weights."""
    unset_hf_deepspeed_config()


def meet_in_deepspeed() -> None:
    """Make the state of accelerate for DeepSpeed on CPUs.

    Asked for DeepSpeed, accelerate looks for GPUs alone and without one trains every process for
    itself; told the transport, it takes CPUs. transformers tells it none, so it comes before it.
    """
    AcceleratorState._reset_state(reset_partial_state=True)
    with patch_environment(ACCELERATE_USE_DEEPSPEED="true"):
        PartialState(backend="gloo")


@contextmanager
def whole_weights(model: PreTrainedModel, *, keep: bool) -> Iterator[None]:
    """While this lasts, the weights that a run saves are whole, on the CPU, in float32 if they
    learn; whatever saves a model can be called. All processes enter together.

    Args:
        model: Without what distributes it.
        keep: Whether this process will read them; others only give their shards.
    """
    wanted = {id(weight) for weight in _saved(model)}
    places: list[tuple[nn.Module, str, Tensor]] = []
    done: dict[int, Tensor] = {}
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is None or id(weight) not in wanted or not _is_sharded(weight):
                continue
            if id(weight) not in done:
                done[id(weight)] = _whole(weight, keep=keep)
            places.append((module, name, weight))
    try:
        if keep:
            for module, name, weight in places:
                module._parameters[name] = nn.Parameter(done[id(weight)], requires_grad=False)
        yield
    finally:
        for module, name, weight in places:
            module._parameters[name] = weight  # pyright: ignore[reportArgumentType]


def _saved(model: PreTrainedModel) -> Iterable[Tensor]:
    """What `save_adapter` and `save_nano` read."""
    if not isinstance(model, FaceGPTForConditionalGeneration):
        return model.parameters()
    found = [*adapter_parameters(model).values()]
    if model.face_gate is not None:
        found += model.face_gate.parameters()
    if getattr(model.config.vlm_config, "base_weights_sha256", None):
        found += model.get_encoder(modality="image").parameters()
    return found


def _is_sharded(weight: Tensor) -> bool:
    """Of FSDP2, of ZeRO-3, or of ZeRO-2, which keeps the exact numbers in its optimiser.

    Every process must say the same of a weight: DeepSpeed marks one that lies in the part of
    another process, too, by an attribute that is None.
    """
    return isinstance(weight, DTensor) or not {"ds_id", "_hp_mapping"}.isdisjoint(vars(weight))


@torch.no_grad()
def _whole(weight: Tensor, *, keep: bool) -> Tensor:
    """All processes take part; those that do not keep it get nothing."""
    if isinstance(weight, DTensor):
        full = weight.full_tensor()
    else:
        full = _whole_of_deepspeed(weight)
    return full.detach().cpu().clone() if keep else torch.empty(0)


def _whole_of_deepspeed(weight: Tensor) -> Tensor:
    from deepspeed.runtime.zero import GatheredParameters
    from deepspeed.utils import safe_get_full_fp32_param

    exact = safe_get_full_fp32_param(weight) if weight.requires_grad else None
    if exact is not None:
        return exact
    with GatheredParameters([weight]):
        return weight.detach().clone()
