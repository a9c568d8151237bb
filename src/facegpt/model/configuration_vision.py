"""Configuration of the nano vision tower. It knows sizes only."""

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig


@strict
class FaceVisionConfig(PreTrainedConfig):
    """Sizes of `FaceVisionModel`: a ResNet of basic blocks whose map becomes tokens."""

    model_type = "facegpt_vision"

    image_size: int = 128
    """Side of the square picture in pixels; five halvings, so a multiple of 32."""
    num_channels: int = 3
    embedding_size: int = 64
    """Channels of the stem."""
    stage_sizes: list[int] | tuple[int, ...] = (64, 128, 256, 512)
    """Channels of each stage; every stage but the first halves the picture, the stem quarters
    it."""
    depths: list[int] | tuple[int, ...] = (2, 2, 2, 2)
    """Basic blocks of each stage."""
    squeeze_size: int = 128
    """Channels per cell of the last map that the summary token is read from."""
    hidden_size: int = 512
    """Width of every token."""
    theta_size: int = 257
    """What the autoencoder reads off the summary token."""
    theta_center: list[float] | tuple[float, ...] | None = None
    theta_scale: list[float] | tuple[float, ...] | None = None
    """theta = center + scale * output, coefficient by coefficient; None: output as it is."""

    def __post_init__(self, **kwargs) -> None:
        self.stage_sizes = list(self.stage_sizes)
        self.depths = list(self.depths)
        if self.image_size % 32 or self.image_size <= 0:
            raise ValueError(f"image_size must be a positive multiple of 32, got {self.image_size}")
        if len(self.stage_sizes) != 4 or len(self.depths) != 4:
            raise ValueError(f"the tower has four stages, got {self.stage_sizes} and {self.depths}")
        super().__post_init__(**kwargs)

    @property
    def token_count(self) -> int:
        """Tokens per picture: the summary and one per cell of the last map."""
        return 1 + (self.image_size // 32) ** 2
