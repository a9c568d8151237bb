"""What a plan is asked: on which hardware, and how much to train on."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from facegpt.training.plan.hardware import (
    GIGABYTE,
    RESERVE_GB,
    UTILISATION,
    Accelerator,
    find_accelerator,
)
from facegpt.training.plan.memory import SHARDINGS, Sharding
from facegpt.training.plan.shapes import PlanError


@dataclass(frozen=True)
class Hardware:
    """What a training shall run on."""

    gpu: str = "a40"
    """a40, a100-40, a100-80, h100, l40s, 4090 or cpu: peak rate and memory are in a table."""
    gpus: int = 8
    gpu_memory: float | None = None
    """10^9 bytes per GPU; that of the table without it."""
    peak_tflops: float | None = None
    """10^12 operations a second; those of the table without it."""
    link_gb: float | None = None
    """10^9 bytes a second between GPUs, one direction; those of the table without it."""
    utilisation: float = UTILISATION
    """Share of the peak rate that is reached. An assumption: measure yours and give it."""
    zero: Literal[0, 1, 2, 3] = 2
    """Stage of DeepSpeed's ZeRO; 0 is DDP."""
    fsdp: bool = False
    """FSDP instead of ZeRO."""

    def __post_init__(self) -> None:
        if self.gpus < 1:
            raise PlanError(f"--gpus must be at least 1, got {self.gpus}")
        if not 0 < self.utilisation <= 1:
            raise PlanError(f"--utilisation must be in (0, 1], got {self.utilisation}")
        for name in ("gpu_memory", "peak_tflops", "link_gb"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise PlanError(f"--{name.replace('_', '-')} must be positive, got {value}")
        find_accelerator(self.gpu)

    @property
    def accelerator(self) -> Accelerator:
        """That of the table with what was said otherwise."""
        known = find_accelerator(self.gpu)
        return replace(
            known,
            memory_gb=self.gpu_memory or known.memory_gb,
            peak_tflops=self.peak_tflops or known.peak_tflops,
            link_gb=self.link_gb or known.link_gb,
        )

    @property
    def sharding(self) -> Sharding:
        """What is divided among the GPUs."""
        if self.fsdp:
            return "fsdp"
        return SHARDINGS[self.zero]

    @property
    def reserve(self) -> float:
        """Bytes that are nobody's."""
        return 0.0 if self.gpu == "cpu" else RESERVE_GB * GIGABYTE


@dataclass(frozen=True)
class Load:
    """How much is trained on."""

    images: int = 30_000
    """Photos of faces; CelebA-HQ has so many."""
    epochs: float | None = None
    """How often each photo is shown; without it the steps of the preset decide."""
    sequence: int | None = None
    """Tokens per example, padding and those of the picture included; without it those of the
    picture and 128 more."""
    answer_tokens: int = 64
    """Of them answered."""

    def __post_init__(self) -> None:
        if self.images < 1:
            raise PlanError(f"--images must be at least 1, got {self.images}")
        if self.epochs is not None and not 0 < self.epochs < math.inf:
            raise PlanError(f"--epochs must be positive, got {self.epochs}")
        for name in ("sequence", "answer_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise PlanError(f"--{name.replace('_', '-')} must be at least 1, got {value}")
