"""The preset `regression`: the baseline of Table 7, an MLP on the frozen tower of nano.

Photos, terms and lambdas are those that nano's photos are judged by; loop, log, guard and
checkpoints are those of the preset `vision`. Knows no language model.
"""

from collections.abc import Callable

import torch

from facegpt.baselines.regression_network import RegressionNetwork
from facegpt.training.config import TrainConfig
from facegpt.training.objective import FaceObjective
from facegpt.training.parts import trained_tower
from facegpt.training.vision import VisionParts, check_photos, parts_for


def build_regression_parts(
    config: TrainConfig, length: int, objective_of: Callable[[TrainConfig, int], FaceObjective]
) -> VisionParts:
    """The parts of a run that draws `length` faces.

    Args:
        objective_of: Makes the judge for pictures of some size.

    Raises:
        TrainConfigError: The config names no data.
        BaseMissingError: There is no trained tower to start from.
        DatasetError: The data cannot be used.
    """
    check_photos(config)
    tower = trained_tower(config)
    network = RegressionNetwork.on(
        tower,
        config.head_hidden_sizes,
        config.morphable_model,
        torch.Generator().manual_seed(config.seed),
    )
    return parts_for(network, objective_of(config, tower.config.image_size), config, length)
