"""The linear maps of a decoder in 8 or 4 bits, by bitsandbytes: memory for a little accuracy.

Everything else stays as it was: token rows and the row of `<FACE>`, projector, vision encoder, face
head and gate, and LoRA if there is any. 8 bits are LLM.int8 (Dettmers et al. 2022), 4 bits NF4
(Dettmers et al. 2023), whose scales are not quantised again. Knows no training.
"""

import importlib.util
import logging
from typing import Any

import torch
from torch import nn

from facegpt.model.errors import QuantisationError
from facegpt.model.modeling_facegpt import FaceGPTForConditionalGeneration
from facegpt.model.number_types import Quantise

_OUTLIERS_ABOVE = 6.0
"""Columns of the input with larger numbers are multiplied in full precision (LLM.int8)."""
_PACKAGE = "bitsandbytes"


def quantise_decoder(
    model: FaceGPTForConditionalGeneration, kind: Quantise, device: torch.device | str = "cpu"
) -> FaceGPTForConditionalGeneration:
    """Quantise the linear maps of the decoder in place, one after the other, each on `device`; they
    stay there, and nothing else is moved.

    It comes before `add_adapter` and after `load_merged`.

    Args:
        kind: "none" leaves the model as it is.

    Raises:
        QuantisationError: bitsandbytes is missing or cannot compute on the device, the model
            carries an adapter, or is quantised already.
    """
    if kind == "none":
        return model
    if model.adapter_config is not None or model.quantised != "none":
        raise QuantisationError(
            "this model carries an adapter or is quantised already; quantise a fresh one, then "
            "add or load the adapter"
        )
    bnb, decoder = _bitsandbytes(), model.get_decoder()
    maps = {n: m for n, m in decoder.named_modules() if type(m) is nn.Linear}
    try:
        for path, layer in maps.items():
            parent, _, name = path.rpartition(".")
            setattr(decoder.get_submodule(parent), name, _MAKERS[kind](bnb, layer, device))
    except (RuntimeError, NotImplementedError, AttributeError) as error:
        raise QuantisationError(
            f"bitsandbytes cannot hold weights in {kind} on {device} ({_first_line(error)}); use "
            "another device, or load without --quantise"
        ) from error
    # peft asks the module that it puts LoRA into.
    setattr(decoder, f"is_loaded_in_{kind}", True)
    model.quantised = kind
    return model


def _bitsandbytes() -> Any:
    if importlib.util.find_spec(_PACKAGE) is None:
        raise QuantisationError(
            f"weights in 8 or 4 bits need {_PACKAGE}, which is not installed: "
            "pip install 'facegpt[quantise]'"
        )
    import bitsandbytes

    # At every product it would say that the input is rounded for it, which is what it is for.
    logging.getLogger(f"{_PACKAGE}.autograd._functions").setLevel(logging.ERROR)
    return bitsandbytes


def _in_8_bits(bnb: Any, layer: nn.Linear, device: torch.device | str) -> nn.Module:
    with torch.device("meta"):
        made = bnb.nn.Linear8bitLt(
            layer.in_features,
            layer.out_features,
            bias=layer.bias is not None,
            has_fp16_weights=False,
            threshold=_OUTLIERS_ABOVE,
        )
    weight = layer.weight.detach()
    made.weight = bnb.nn.Int8Params(weight, requires_grad=False, has_fp16_weights=False)
    return _filled(made, layer, device)


def _in_4_bits(bnb: Any, layer: nn.Linear, device: torch.device | str) -> nn.Module:
    with torch.device("meta"):
        made = bnb.nn.Linear4bit(
            layer.in_features,
            layer.out_features,
            bias=layer.bias is not None,
            compute_dtype=layer.weight.dtype,
            compress_statistics=False,
            quant_type="nf4",
        )
    made.weight = bnb.nn.Params4bit(
        layer.weight.detach(),
        requires_grad=False,
        compress_statistics=False,
        quant_type="nf4",
        module=made,
    )
    return _filled(made, layer, device)


def _filled(made: Any, layer: nn.Linear, device: torch.device | str) -> nn.Module:
    """With the bias of the layer; on its way to the device the weight is quantised."""
    if layer.bias is not None:
        made.bias = nn.Parameter(layer.bias.detach(), requires_grad=False)
    made.requires_grad_(False)
    made.train(layer.training)
    return made.to(device)


_MAKERS = {"8bit": _in_8_bits, "4bit": _in_4_bits}


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
