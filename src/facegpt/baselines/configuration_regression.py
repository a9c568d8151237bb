"""Configuration of the regression baseline. It knows sizes and names only."""

from typing import Any

from transformers import PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

from facegpt.model.configuration_vision import FaceVisionConfig


class RegressionConfig(PreTrainedConfig):
    """Config of `RegressionNetwork`; size, center and scale of theta are those of the tower."""

    model_type = "facegpt_regression"
    sub_configs_defaults = {  # noqa: RUF012  (transformers declares it so)
        "vision_config": SubConfigSpec(config_class=FaceVisionConfig)
    }

    vision_config: Any = None
    """Of the tower, which stays frozen."""
    head_hidden_sizes: list[int] | tuple[int, ...] = (1024,)
    """Of the MLP, GELU between: those of nano's face head."""
    morphable_model: str = "default"
    """Of which theta speaks."""

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        self.head_hidden_sizes = [int(size) for size in self.head_hidden_sizes]
        if any(size < 1 for size in self.head_hidden_sizes):
            raise ValueError(f"head_hidden_sizes must be positive, got {self.head_hidden_sizes}")
