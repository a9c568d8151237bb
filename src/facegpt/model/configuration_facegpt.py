"""What makes a FaceGPT: a backbone's config, the `<FACE>` token and the head that reads it.

Knows no weights and no morphable model; `morphable_model` is a name kept for those who build one.
"""

from typing import Any

from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

from facegpt.model.errors import ThetaSizeError


class FaceGPTConfig(PreTrainedConfig):
    """Config of `FaceGPTForConditionalGeneration`.

    Theta = theta_center + theta_scale * MLP(h). With both None it is eq. 2a of the paper as
    written; a fixed centre and scale (mean and spread of theta over photos, say) let the MLP work
    with numbers of one size.
    """

    model_type = "facegpt"
    sub_configs_defaults = {  # noqa: RUF012  (transformers declares it so)
        "vlm_config": SubConfigSpec(config_class=AutoConfig, model_type="llava")
    }

    vlm_config: Any = None
    """Of any image-text-to-text backbone; None is a LLaVA of the standard size."""
    face_token: str = "<FACE>"
    face_token_id: int = 0
    head_hidden_sizes: list[int] | tuple[int, ...] = (5120, 5120)
    """Of the MLP, GELU between (section 4.2)."""
    theta_size: int = 257
    """Numbers per face: 257 for the default model and BFM, another count for other models."""
    theta_center: list[float] | None = None
    theta_scale: list[float] | None = None
    morphable_model: str = "default"
    """Of which theta speaks."""
    reads_face_note: bool = False
    """Trained with lines of measured words beside photos (`data.face_note`): whoever talks with the
    model about a photo gives it those lines."""
    has_face_gate: bool = False
    """A gate decides when free answers make a face (`face_gate.py`); without one the language model
    does, as in the paper."""
    image_size: int | None = None
    """Side of the crops that the vision encoder sees, in pixels; None: the processor knows."""
    tie_word_embeddings: bool = False
    """Follows the backbone."""

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        self.head_hidden_sizes = [int(size) for size in self.head_hidden_sizes]
        self.tie_word_embeddings = bool(getattr(self.vlm_config, "tie_word_embeddings", False))
        if self.theta_size < 1 or any(size < 1 for size in self.head_hidden_sizes):
            raise ThetaSizeError(
                f"theta_size and head_hidden_sizes must be positive, got {self.theta_size} and "
                f"{self.head_hidden_sizes}"
            )
        for name in ("theta_center", "theta_scale"):
            values = getattr(self, name)
            if values is None:
                continue
            setattr(self, name, [float(value) for value in values])
            if len(values) != self.theta_size:
                raise ThetaSizeError(
                    f"{name} has {len(values)} numbers, but theta_size is {self.theta_size}"
                )

    def get_text_config(self, *args: Any, **kwargs: Any) -> PreTrainedConfig:
        """Of the backbone's decoder."""
        return self.vlm_config.get_text_config(*args, **kwargs)


AutoConfig.register(FaceGPTConfig.model_type, FaceGPTConfig)
