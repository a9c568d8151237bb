"""In which numbers a run computes."""

import torch

from facegpt.training.config import TrainConfig


def in_bfloat16(config: TrainConfig) -> bool:
    """Whether a run computes in bfloat16; "auto" asks the hardware."""
    if config.precision != "auto":
        return config.precision == "bfloat16"
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Without such instructions a matrix product took six times as long as in float32.
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
