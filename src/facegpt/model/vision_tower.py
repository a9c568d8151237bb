"""The nano vision tower: a small ResNet as a Hugging Face vision model that gives tokens.

The first token is a summary of the whole face, linear in theta once the tower was trained as a face
autoencoder (`FaceVisionAutoencoder`, `facegpt train vision`); the others are the cells of the last
map. A convolutional tower, because it learns from some thousand photos what a transformer would
need a million for. It knows no morphable model and no language.
"""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedModel, ResNetConfig, ResNetModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from facegpt.model.configuration_vision import FaceVisionConfig

PIXEL_MEAN, PIXEL_STD = 0.5, 0.25
"""What pictures in [0, 1] are centred and divided by before the tower sees them."""


class FaceVisionModel(PreTrainedModel):
    """Pictures to tokens: (batch, 1 + cells, hidden_size), the summary token first."""

    config_class = FaceVisionConfig
    base_model_prefix = "vision"
    main_input_name = "pixel_values"
    input_modalities = ["image"]  # noqa: RUF012  (as transformers declares it)
    _no_split_modules = ["ResNetStage"]  # noqa: RUF012

    def __init__(self, config: FaceVisionConfig) -> None:
        super().__init__(config)
        cells = config.token_count - 1
        self.backbone = ResNetModel(
            ResNetConfig(
                num_channels=config.num_channels,
                embedding_size=config.embedding_size,
                hidden_sizes=list(config.stage_sizes),
                depths=list(config.depths),
                layer_type="basic",
            )
        )
        width = config.stage_sizes[-1]
        self.squeeze = nn.Conv2d(width, config.squeeze_size, 1)
        self.summary = nn.Linear(cells * config.squeeze_size, config.hidden_size)
        self.patch = nn.Linear(width, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size)
        self.post_init()

    def forward(
        self,
        pixel_values: Float[Tensor, "batch channel height width"],
        output_hidden_states: bool | int | list[int] | None = None,
        return_dict: bool | None = None,
        **kwargs: object,
    ) -> BaseModelOutputWithPooling:
        """Tokens of every picture.

        Args:
            pixel_values: Aligned crops, normalised by the image processor.
            output_hidden_states: Accepted for callers that ask for layers; there is one layer of
                tokens, given as `hidden_states[-1]` either way.
            return_dict: Accepted for the same reason; the answer is always an output object.

        Raises:
            ValueError: The pictures have another size than the tower was made for.
        """
        side = self.config.image_size
        if pixel_values.shape[-2:] != (side, side):
            raise ValueError(
                f"the vision tower takes {side} x {side} pixels, got "
                f"{tuple(pixel_values.shape[-2:])}; let the processor resize the aligned crop"
            )
        pixel_values = pixel_values.to(self.squeeze.weight.dtype)
        cells = self.backbone(pixel_values).last_hidden_state
        summary = self.summary(nn.functional.gelu(self.squeeze(cells)).flatten(1))
        patches = self.patch(cells.flatten(2).transpose(1, 2))
        tokens = self.norm(torch.cat([summary.unsqueeze(1), patches], dim=1))
        return BaseModelOutputWithPooling(
            last_hidden_state=tokens, pooler_output=tokens[:, 0], hidden_states=(tokens,)
        )


class FaceVisionAutoencoder(PreTrainedModel):
    """The tower with a linear road from its summary token to theta (MoFA, Tewari et al. 2017)."""

    config_class = FaceVisionConfig
    base_model_prefix = "autoencoder"
    main_input_name = "pixel_values"
    _no_split_modules = ["ResNetStage"]  # noqa: RUF012
    theta_center: Tensor
    theta_scale: Tensor

    def __init__(self, config: FaceVisionConfig) -> None:
        super().__init__(config)
        self.tower = FaceVisionModel(config)
        self.head = nn.Linear(config.hidden_size, config.theta_size)
        size = config.theta_size
        self.register_buffer("theta_center", theta_vector(config.theta_center, 0.0, size))
        self.register_buffer("theta_scale", theta_vector(config.theta_scale, 1.0, size))
        self.post_init()

    def see(self, photo: Float[Tensor, "batch channel height width"]) -> Tensor:
        """Theta of aligned crops in [0, 1] of any size, made as small as the tower wants them."""
        return self(tower_pixels(photo, self.config.image_size))

    def forward(
        self, pixel_values: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch parameter"]:
        """Theta of every picture, float32 whatever the dtype of the tower."""
        summary = self.tower(pixel_values).pooler_output
        with torch.autocast(pixel_values.device.type, enabled=False):
            output = nn.functional.linear(
                cast("Tensor", summary).float(), self.head.weight.float(), self.head.bias.float()
            )
            return self.theta_center + self.theta_scale * output


def tower_pixels(
    photo: Float[Tensor, "batch channel height width"], side: int
) -> Float[Tensor, "batch channel side side"]:
    """Aligned crops in [0, 1] of any size as a tower for `side` x `side` pixels sees them."""
    if photo.shape[-2:] != (side, side):
        photo = nn.functional.interpolate(photo, size=(side, side), mode="bilinear", antialias=True)
    return ((photo - PIXEL_MEAN) / PIXEL_STD).contiguous(memory_format=torch.channels_last)


def theta_vector(
    values: list[float] | tuple[float, ...] | None, otherwise: float, size: int
) -> Float[Tensor, "parameter"]:
    """Center or scale of theta as a config has it, one number for all where it has none.

    Raises:
        ValueError: There are not as many numbers as theta has.
    """
    if values is None:
        return torch.full((size,), otherwise)
    if len(values) != size:
        raise ValueError(f"theta has {size} coefficients, but its center or scale {len(values)}")
    return torch.tensor(list(values))


AutoConfig.register(FaceVisionConfig.model_type, FaceVisionConfig, exist_ok=True)
AutoModel.register(FaceVisionConfig, FaceVisionModel, exist_ok=True)
