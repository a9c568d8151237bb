"""What each recipe trains: the model with its adapter, the judge, and the examples.

Nothing is downloaded: a model that is not on this disk is an error that says what is missing. Knows
how parts are put together, not how they are trained (`run.py`).
"""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from peft.tuners.lora import LoraLayer
from torch import nn

from facegpt.data.mixture import Example
from facegpt.losses import LossWeights
from facegpt.model.adapter import AdapterConfig, adapter_parameters, add_adapter, has_adapter
from facegpt.model.base_llm import prepare_base_llm
from facegpt.model.errors import BaseMissingError
from facegpt.model.modeling_facegpt import FaceGPTForConditionalGeneration
from facegpt.model.nano import NANO_WEIGHTS, build_nano, load_nano
from facegpt.model.nano_weights import is_nano_folder, load_tower, read_record
from facegpt.model.on_base import load_backbone, missing_base
from facegpt.model.processing_facegpt import FaceGPTProcessor
from facegpt.model.quantised import quantise_decoder
from facegpt.model.vision_tower import FaceVisionAutoencoder, FaceVisionModel
from facegpt.morphable.framing import CROP_SIZE
from facegpt.morphable.registry import load_morphable_model
from facegpt.perception.arcface import ArcFaceOnnx
from facegpt.perception.identity import DlibIdentity, IdentityEncoder
from facegpt.rendering.renderer import Renderer
from facegpt.training.config import TrainConfig, TrainConfigError
from facegpt.training.debug import debug_examples, rendered_faces, tiny_backbone
from facegpt.training.examples import Reshuffled, draw_examples
from facegpt.training.objective import FaceObjective
from facegpt.training.precision import in_bfloat16
from facegpt.training.supplied import resolved
from facegpt.training.trainer import Examples

_SHIPPED = "nano"
DEBUG_RENDER_PX = 64
DEBUG_EXAMPLES = 12


@dataclass(frozen=True)
class Parts:
    """Everything that a run is made of."""

    model: FaceGPTForConditionalGeneration
    """With an adapter, which is what learns."""
    processor: FaceGPTProcessor
    objective: FaceObjective
    examples: Examples
    held_out: Sequence[Example]


Loaded = tuple[FaceGPTForConditionalGeneration, FaceGPTProcessor]


def build_parts(config: TrainConfig, length: int) -> Parts:
    """The parts of a run that draws `length` examples.

    Raises:
        TrainConfigError: The config names no data, or contradicts itself.
        DatasetError: The data cannot be used.
        BaseMissingError: The model to start from is not there.
    """
    # Data first: what is wrong with it shows before a large model is loaded.
    if config.recipe == "debug":
        objective = build_objective(config, DEBUG_RENDER_PX)
        examples, held_out = _debug_examples(config, objective, length)
    else:
        drawn = draw_examples(config, length)
        examples, held_out = drawn.training, drawn.held_out
        objective = build_objective(config, CROP_SIZE)
    model, processor = load_model(config)
    return Parts(model, processor, objective, examples, held_out)


def load_model(config: TrainConfig) -> Loaded:
    """The model of a recipe with its adapter, which is what learns, and its processor.

    The adapter is new, but for a base that has one to go on with.

    Raises:
        TrainConfigError: The recipe trains no language model, or names no base.
        BaseMissingError: The model to start from is not there.
    """
    if config.recipe not in MODELS:
        raise TrainConfigError(
            f"the recipe {config.recipe!r} trains no language model; those that do: "
            f"{sorted(MODELS)}"
        )
    model, processor = MODELS[config.recipe](config)
    model.config.reads_face_note |= config.mixture.note > 0
    wanted = AdapterConfig(**vars(config.adapter))
    if not has_adapter(model):
        quantise_decoder(model, config.quantise, _device())
        add_adapter(model, wanted, torch.Generator().manual_seed(config.seed))
    elif model.adapter_config != wanted:
        raise TrainConfigError(
            f"the adapter in {config.base} has {model.adapter_config}, the run asks for {wanted}; "
            f"give the same --adapter.rank, --adapter.alpha and --adapter.dropout"
        )
    for weight in adapter_parameters(model).values():
        # In bfloat16 small steps would be lost.
        weight.data = weight.data.float()
    if config.freeze_below:
        freeze_below(model, config.freeze_below)
    if in_bfloat16(config):
        trust_autocast(model)
    return model, processor


def freeze_below(model: FaceGPTForConditionalGeneration, layer: int) -> None:
    """Let nothing learn that comes before a layer of the decoder.

    Raises:
        TrainConfigError: No layer of the adapter is above.
    """
    depths = {name: _depth(name) for name in adapter_parameters(model)}
    deepest = max(depths.values())
    if layer > deepest:
        raise TrainConfigError(
            f"--freeze-below {layer} freezes all {deepest + 1} layers of the decoder; lower it"
        )
    for name, weight in adapter_parameters(model).items():
        weight.requires_grad_(depths[name] >= layer or name.startswith("head."))


_LAYER = re.compile(r"^lora\..*?\blayers\.(\d+)\.")


def _depth(name: str) -> int:
    """The layer of a weight; -1 outside the layers."""
    found = _LAYER.match(name)
    return int(found[1]) if found else -1


def trust_autocast(model: nn.Module) -> None:
    """Let no LoRA layer turn its input into float32: autocast makes bfloat16 of it again, and the
    way there and back costs a quarter of a step."""
    for layer in model.modules():
        if isinstance(layer, LoraLayer):
            layer.cast_input_dtype_enabled = False


def build_objective(config: TrainConfig, size: int) -> FaceObjective:
    """The judge of predicted faces, for pictures of `size` pixels."""
    renderer = Renderer(load_morphable_model(config.morphable_model).restricted_to(), size)
    terms = {k: v for k, v in config.weights.face_terms.items() if k != "theta"}
    hears_identity = config.perceptual_every > 0 and config.weights.perceptual > 0
    encoder = IDENTITIES[resolved(config).identity]() if hears_identity else None
    return FaceObjective(renderer, encoder=encoder, weights=LossWeights(**terms))


IDENTITIES: dict[str, Callable[[], IdentityEncoder]] = {
    "arcface": ArcFaceOnnx,
    "dlib": DlibIdentity,
}
"""Name -> network of L_perc."""


def _debug_examples(
    config: TrainConfig, objective: FaceObjective, length: int
) -> tuple[Examples, Sequence[Example]]:
    generator = torch.Generator().manual_seed(config.seed)
    count = DEBUG_EXAMPLES + config.held_out
    examples = debug_examples(rendered_faces(objective.renderer, count, generator=generator))
    pool = Reshuffled(examples[:DEBUG_EXAMPLES], length, config.seed)
    return pool, examples[DEBUG_EXAMPLES:]


def _debug(config: TrainConfig) -> Loaded:
    backbone, backbone_processor = tiny_backbone(config.seed)
    processor = FaceGPTProcessor(backbone_processor)
    model = FaceGPTForConditionalGeneration.wrap(
        backbone,
        processor.face_token_id,
        torch.Generator().manual_seed(config.seed),
        head_hidden_sizes=list(config.head_hidden_sizes),
        morphable_model=config.morphable_model,
    )
    return model, processor


def _nano(config: TrainConfig) -> Loaded:
    """Nano on a trained tower, or nano itself to go on with: its folder then keeps its adapter."""
    folder = _base_folder(config)
    if is_nano_folder(folder):
        return load_nano(
            folder, dtype=_dtype(config), merge_adapter=False, quantise=config.quantise
        )
    return build_nano(
        prepare_base_llm(),
        vision=trained_tower(config),
        head_hidden_sizes=config.head_hidden_sizes,
        dtype=_dtype(config),
        generator=torch.Generator().manual_seed(config.seed),
        morphable_model=config.morphable_model,
    )


def trained_tower(config: TrainConfig) -> FaceVisionModel:
    """The vision tower of `--base`: of a run of `facegpt train vision`, or of nano.

    Raises:
        BaseMissingError: There is none.
        NanoWeightsError: The weights of nano are damaged.
    """
    folder = _base_folder(config)
    if is_nano_folder(folder):
        return load_tower(folder, read_record(folder))
    if not (folder / "config.json").is_file():
        raise BaseMissingError(
            f"{config.recipe} starts from a trained vision tower, and there is none at "
            f"{folder}; train one with: facegpt train vision, then "
            "give its folder with --base, or give a folder of nano weights (the shipped ones: "
            "--base nano)"
        )
    return FaceVisionAutoencoder.from_pretrained(folder, local_files_only=True).tower


def _base_folder(config: TrainConfig) -> Path:
    """Where to start from; a folder that is not there if the config does not say."""
    return NANO_WEIGHTS if config.base == _SHIPPED else Path(config.base or "no --base given")


def _pretrained(config: TrainConfig) -> Loaded:
    if not config.base:
        raise TrainConfigError("the recipe 'pretrained' needs a model to start from: --base NAME")
    try:
        processor = FaceGPTProcessor.from_pretrained(config.base, local_files_only=True)
    except OSError as error:
        raise missing_base(config.base, error) from error
    backbone = load_backbone(config.base, _dtype(config))
    model = FaceGPTForConditionalGeneration.wrap(
        backbone,
        processor.face_token_id,
        torch.Generator().manual_seed(config.seed),
        head_hidden_sizes=list(config.head_hidden_sizes),
        morphable_model=config.morphable_model,
    )
    return model, processor


MODELS: dict[str, Callable[[TrainConfig], Loaded]] = {
    "debug": _debug,
    "nano": _nano,
    "pretrained": _pretrained,
}
"""Recipe -> its model, frozen and without an adapter."""


def _device() -> torch.device:
    """Where frozen weights are quantised: on the GPU of this process, if it has one."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def _dtype(config: TrainConfig) -> torch.dtype:
    """Of the weights that do not learn."""
    return torch.bfloat16 if in_bfloat16(config) else torch.float32
