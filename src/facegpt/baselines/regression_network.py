"""The network of Table 7: a vision tower that stays as it is, and an MLP from its tokens to theta.

The MLP sees every token that the language model of nano would see, so what separates the two is
the language model alone. Knows no photo files and no morphable model.
"""

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel

from facegpt.baselines.configuration_regression import RegressionConfig
from facegpt.baselines.errors import BaselineWeightsError
from facegpt.model.face_head import FaceHead
from facegpt.model.vision_tower import FaceVisionModel, theta_vector, tower_pixels

_CONFIG, _WEIGHTS = "config.json", "model.safetensors"


class RegressionNetwork(PreTrainedModel):
    """theta = center + scale * MLP(tokens of the tower)."""

    config_class = RegressionConfig
    base_model_prefix = "regression"
    main_input_name = "pixel_values"
    _no_split_modules = ["ResNetStage"]  # noqa: RUF012
    theta_center: Tensor
    theta_scale: Tensor

    def __init__(self, config: RegressionConfig) -> None:
        super().__init__(config)
        vision = config.vision_config
        self.tower = FaceVisionModel(vision)
        width = vision.token_count * vision.hidden_size
        self.head = FaceHead([width, *config.head_hidden_sizes, vision.theta_size])
        size = vision.theta_size
        self.register_buffer("theta_center", theta_vector(vision.theta_center, 0.0, size))
        self.register_buffer("theta_scale", theta_vector(vision.theta_scale, 1.0, size))
        self.post_init()
        self.tower.requires_grad_(False)

    @classmethod
    def on(
        cls,
        tower: FaceVisionModel,
        head_hidden_sizes: Sequence[int],
        morphable_model: str = "default",
        generator: torch.Generator | None = None,
    ) -> "RegressionNetwork":
        """An untrained MLP on a trained tower, which is copied; its faces are near the mean face.

        Args:
            generator: Of the first weights of the MLP.
        """
        config = RegressionConfig(
            vision_config=copy.deepcopy(tower.config),
            head_hidden_sizes=list(head_hidden_sizes),
            morphable_model=morphable_model,
        )
        # Modules draw their first weights from the global generator, which is left as it was.
        with torch.random.fork_rng(devices=[]):
            network = cls(config)
        network.tower.load_state_dict(tower.state_dict())
        network.head.reset(generator)
        return network

    @classmethod
    def load(cls, folder: Path) -> "RegressionNetwork":
        """The network of a folder that `facegpt train regression` wrote, in evaluation mode.

        Raises:
            BaselineWeightsError: There is none, or it is damaged.
        """
        missing = [name for name in (_CONFIG, _WEIGHTS) if not (folder / name).is_file()]
        if missing:
            raise BaselineWeightsError(
                f"{folder} holds no weights of the regression baseline: {', '.join(missing)} "
                "missing; train them with: facegpt train regression"
            )
        try:
            config = RegressionConfig.from_pretrained(folder, local_files_only=True)
            if config.model_type != RegressionConfig.model_type or config.vision_config is None:
                raise ValueError(f"{_CONFIG} is not that of this baseline")
            with torch.random.fork_rng(devices=[]):
                network = cls(config)
            network.load_state_dict(load_file(folder / _WEIGHTS))
        except (ValueError, TypeError, RuntimeError, OSError, SafetensorError) as error:
            raise BaselineWeightsError(
                f"the weights of the regression baseline in {folder} cannot be used "
                f"({_first_line(error)}); train them again with: facegpt train regression"
            ) from error
        return network.eval()

    def train(self, mode: bool = True) -> "RegressionNetwork":
        """As always, but the norms of the tower keep the statistics that they have."""
        super().train(mode)
        self.tower.eval()
        return self

    def see(self, photo: Float[Tensor, "face 3 height width"]) -> Float[Tensor, "face parameter"]:
        """Theta of aligned crops in [0, 1] of any size."""
        return self(tower_pixels(photo, self.config.vision_config.image_size))

    def forward(
        self, pixel_values: Float[Tensor, "face 3 height width"]
    ) -> Float[Tensor, "face parameter"]:
        """Theta of every picture, float32 whatever the dtype of the tower.

        Args:
            pixel_values: From `tower_pixels`.
        """
        with torch.no_grad():
            tokens = self.tower(pixel_values).last_hidden_state
        return self.head(tokens.flatten(1), self.theta_center, self.theta_scale)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200]
