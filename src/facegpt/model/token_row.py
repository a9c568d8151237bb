"""Training the row of one token while the rest of the vocabulary stays as it is.

The row is a parameter `face_row` beside the frozen rows of the embedding and of the output layer,
which a hook puts in place: nothing of the size of the vocabulary is copied or gets a gradient
(peft's trainable tokens do both, twice per step: with 49 k tokens half a second of a step of eight
texts on one core), and the modules keep their classes and names.
Tied rows share one parameter.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from facegpt.model.backbone import BackboneParts

ROW_NAME = "face_row"


@dataclass(frozen=True)
class _RowHook:
    """Callable, not a closure: models can be copied with it."""

    token_id: int

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        row = getattr(module, ROW_NAME)
        if isinstance(module, nn.Embedding):
            here = (inputs[0] == self.token_id).unsqueeze(-1)
            return torch.where(here, row.to(output.dtype), output)
        assert isinstance(module, nn.Linear)
        bias = None if module.bias is None else module.bias[self.token_id : self.token_id + 1]
        logit = functional.linear(inputs[0], row.to(inputs[0].dtype).unsqueeze(0), bias)
        output[..., self.token_id] = logit.squeeze(-1)
        return output


def train_token_row(parts: BackboneParts, token_id: int) -> None:
    """Put a trainable float32 row, beginning as the present one, over the token's frozen row."""
    row = None
    for module in (parts.input_rows, parts.output_rows):
        if row is None or not parts.tied:
            row = nn.Parameter(module.weight[token_id].detach().float().clone())
        module.register_parameter(ROW_NAME, row)
        module.register_forward_hook(_RowHook(token_id))


def merge_token_row(parts: BackboneParts, token_id: int) -> None:
    """Write the trained row into the vocabulary and take the hook away."""
    for module in (parts.input_rows, parts.output_rows):
        with torch.no_grad():
            module.weight[token_id] = getattr(module, ROW_NAME).to(module.weight.dtype)
        delattr(module, ROW_NAME)
        for handle, hook in list(module._forward_hooks.items()):
            if isinstance(hook, _RowHook):
                del module._forward_hooks[handle]


def token_rows(parts: BackboneParts) -> dict[str, Any]:
    """The trained rows by the names `input` and, unless tied, `output`."""
    rows = {"input": getattr(parts.input_rows, ROW_NAME)}
    if not parts.tied:
        rows["output"] = getattr(parts.output_rows, ROW_NAME)
    return rows
