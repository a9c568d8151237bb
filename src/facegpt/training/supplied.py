"""What of the paper's parts a user has supplied, and what a run takes without them.

Looks for files only; loads no torch.
"""

from dataclasses import replace

from facegpt.assets import asset_status
from facegpt.training.config import TrainConfig


def resolved(config: TrainConfig) -> TrainConfig:
    """The config with "auto" decided, so that the record of a run says what it heard: L_perc by
    ArcFace (section 4.2) where the user added one, else by dlib's network."""
    if config.identity != "auto":
        return config
    [arcface] = asset_status(["arcface"])
    return replace(config, identity="arcface" if arcface.state == "present" else "dlib")
