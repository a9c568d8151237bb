"""The named recipes: `facegpt train PRESET`. Values only; what a field means is in `config.py`.

Imports no torch, so that the command line can list them at once.
"""

import difflib
from dataclasses import replace
from pathlib import Path

from facegpt.training.config import (
    AdapterSettings,
    MixtureShares,
    ObjectiveWeights,
    OptimiserSettings,
    TrainConfig,
    TrainConfigError,
)

LLAVA_7B = TrainConfig(
    recipe="pretrained",
    base="llava-hf/llava-1.5-7b-hf",
    output=Path("runs/llava-7b"),
    morphable_model="bfm2017",
    identity="auto",
    head_hidden_sizes=(5120, 5120),
    adapter=AdapterSettings(rank=128, alpha=256.0, projector=False),
    activation_checkpointing=True,
    workers=4,
)
"""The paper, section 4.2 (docs/scale.md compares value by value). It leaves LoRA's size open: that
of LLaVA-1.5's own LoRA recipe. The projector is frozen, as below its Fig. 2."""

NANO = replace(
    LLAVA_7B,
    recipe="nano",
    base="",
    output=Path("runs/nano"),
    morphable_model="default",
    identity="dlib",
    workers=0,
    head_hidden_sizes=(1024,),
    adapter=AdapterSettings(rank=32, alpha=64.0, dropout=0.0),
    optimiser=OptimiserSettings(
        learning_rate=3e-4, head_learning_rate=1e-3, warmup_steps=6, schedule="cosine"
    ),
    weights=ObjectiveWeights(face=3.0, theta=0.5, from_text=0.05, measured=1.3),
    supervise_photos=True,
    mixture=MixtureShares(
        image=0.9,
        text=1.0,
        composed=0.6,
        situation=0.3,
        talk=0.5,
        replay=0.4,
        reason=0.1,
        short=0.65,
        turns_before=0,
        talk_turns=12,
        unmeasured=0.5,
        note=1.0,
    ),
    steps=290,
    batch_size=8,
    accumulation=4,
    perceptual_every=0,
    validate_every=120,
    held_out=96,
    activation_checkpointing=False,
)
"""Last stage of the language model of the shipped nano (docs/training.md). lambda_face is not the
paper's: in a few hundred steps the text loss alone would steer so small a model."""

VISION = replace(
    LLAVA_7B,
    recipe="vision",
    base="",
    output=Path("runs/vision"),
    morphable_model="default",
    identity="dlib",
    adapter=AdapterSettings(rank=128, alpha=256.0),
    workers=0,
    optimiser=OptimiserSettings(
        learning_rate=1.5e-3, weight_decay=0.05, warmup_steps=100, schedule="cosine"
    ),
    weights=ObjectiveWeights(face=1.0, theta=0.1),
    mixture=MixtureShares(composed=0.125),
    balance="index.ethnicity",
    steps=3000,
    batch_size=64,
    accumulation=1,
    perceptual_every=4,
    activation_checkpointing=False,
)
"""The tower of nano as a face autoencoder; half an hour on two cores."""

LLAVA_KEY = replace(
    NANO,
    output=Path("runs/llava-key"),
    base="nano",
    # No answer holds <FACE>: L_txt alone is left of eq. 5.
    weights=ObjectiveWeights(face=0.0),
    supervise_photos=False,
    mixture=MixtureShares(
        image=0.0, text=0.0, talk=0.0, replay=0.0, image_points=1.0, text_points=1.0
    ),
    steps=72,
    validate_every=24,
    held_out=32,
    best_metric="text",
    sheet_every=0,
)
"""The baseline of A.2: nano writes 68 points as text. A face has 360 tokens more than in the preset
nano, so the steps are a quarter of its steps: the same hour or two of a CPU."""

REGRESSION = replace(
    NANO,
    recipe="regression",
    output=Path("runs/regression"),
    base="nano",
    optimiser=OptimiserSettings(
        learning_rate=1e-3, weight_decay=0.05, warmup_steps=20, schedule="cosine"
    ),
    weights=ObjectiveWeights(face=1.0, theta=NANO.weights.theta),
    mixture=MixtureShares(),
    steps=600,
    batch_size=32,
    accumulation=1,
)
"""The baseline of Table 7: the frozen tower of nano and an MLP, judged by the terms that nano's
photos are judged by."""

DEBUG = replace(
    NANO,
    recipe="debug",
    output=Path("runs/debug"),
    weights=ObjectiveWeights(theta=1.0),
    supervise_photos=False,
    mixture=MixtureShares(),
    steps=2,
    batch_size=4,
    accumulation=1,
    head_hidden_sizes=(64,),
    adapter=AdapterSettings(rank=4, alpha=8.0),
    optimiser=OptimiserSettings(learning_rate=1e-3, warmup_steps=0, schedule="constant"),
    perceptual_every=0,
    precision="float32",
    log_every=1,
    save_every=2,
    validate_every=2,
    held_out=2,
    sheet_every=2,
    sheet_faces=2,
    tensorboard=False,
)

PRESETS = {
    "debug": DEBUG,
    "vision": VISION,
    "nano": NANO,
    "regression": REGRESSION,
    "llava-key": LLAVA_KEY,
    "llava-7b": LLAVA_7B,
}


def find_preset(name: str) -> TrainConfig:
    """A preset by its name.

    Raises:
        TrainConfigError: There is none of this name.
    """
    if name not in PRESETS:
        [nearest] = difflib.get_close_matches(name, PRESETS, n=1, cutoff=0)
        raise TrainConfigError(
            f"no preset {name!r}; did you mean {nearest!r}? Known: {sorted(PRESETS)}"
        )
    return PRESETS[name]
