"""Which weights learn, and at which rate."""

from torch import Tensor

from facegpt.model.adapter import adapter_parameters
from facegpt.model.modeling_facegpt import FaceGPTForConditionalGeneration

_GROUPS = {"lora": "adapter", "token": "token", "projector": "head", "head": "head"}


def weight_groups(model: FaceGPTForConditionalGeneration) -> dict[str, dict[str, Tensor]]:
    """The weights that learn, by the group whose learning rate they have and by their name."""
    groups: dict[str, dict[str, Tensor]] = {"adapter": {}, "head": {}, "token": {}}
    for name, weight in adapter_parameters(model).items():
        if weight.requires_grad:
            groups[_GROUPS[name.split(".")[0]]][name] = weight
    return groups
