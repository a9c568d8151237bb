"""The planner against what can be measured here: memory of nano and of a tiny model, FLOPs of the
tiny one and of LLaVA-1.5-7B on the meta device, and the constants of `training/plan/hardware.py`.

Bars: memory within 15 %, FLOPs within 2 %. Memory is the highest resident set of a process while it
makes two updates, less that before the model was loaded. Needs the language model of nano.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from facegpt.data.schema import decode_crop, encode_crop
from facegpt.model.nano import NANO_WEIGHTS
from facegpt.training.collate import Collator, stack_targets
from facegpt.training.config import TrainConfig
from facegpt.training.debug import picture_examples, rendered_faces
from facegpt.training.examples import Reshuffled, changed
from facegpt.training.meta_build import build_on_meta, pass_through
from facegpt.training.parts import build_objective, load_model
from facegpt.training.plan.hardware import EXAMPLE_SECONDS, FACE_BYTES, FACE_SECONDS
from facegpt.training.plan.memory import count_memory
from facegpt.training.plan.meter import count_bytes
from facegpt.training.plan.planner import base_shape, batch_of, learning_of, numbers_of
from facegpt.training.plan.request import Load
from facegpt.training.plan.work import Batch, count_flops
from facegpt.training.precision import in_bfloat16
from facegpt.training.presets import PRESETS
from facegpt.training.trainer import FaceTrainer

MALLOC = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""glibc then gives back what is freed: what is resident is what is in use, without the gaps of the
allocator, which took another third at the smallest batch."""
MEMORY_BAR, FLOPS_BAR = 0.15, 0.02
FACES = 8
MEGABYTE = 1e6


def nano_config(output: Path, examples: int, checkpointing: bool) -> TrainConfig:
    """Two updates of the preset nano on rendered faces."""
    return replace(
        PRESETS["nano"],
        base=str(NANO_WEIGHTS),
        output=output,
        batch_size=examples,
        accumulation=2,
        steps=2,
        save_every=0,
        validate_every=0,
        sheet_every=0,
        tensorboard=False,
        activation_checkpointing=checkpointing,
    )


def resident_bytes(name: str) -> int:
    """VmRSS (now) or VmHWM (highest) of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(name)


def train_nano(examples: int, checkpointing: bool, output: Path) -> dict[str, float]:
    """Train in this process; what was measured and what the plan says.

    Args:
        output: Gets the checkpoint that the trainer writes at the end.
    """
    config = nano_config(output, examples, checkpointing)
    objective = build_objective(config, 224)
    faces = rendered_faces(objective.renderer, FACES, generator=torch.Generator().manual_seed(0))
    # Libraries that load with the first picture and the first face are not the plan's business.
    objective(
        faces.theta.to_vector().requires_grad_(),
        stack_targets([faces.target(i) for i in range(FACES)]),
    )
    before = resident_bytes("VmRSS")
    model, processor = load_model(config)
    Path("/proc/self/clear_refs").write_text("5")  # the highest point counts from here
    collate = Collator(processor)
    pool = Reshuffled(picture_examples(faces), 2 * config.examples_per_step, 0)
    batch = collate([pool[i] for i in range(examples)])
    trainer = FaceTrainer(config, model, pool, collate, objective, callbacks=[], cpu=True)
    trainer.train()
    measured = resident_bytes("VmHWM") - before
    _, shape = base_shape(config)
    numbers = replace(numbers_of(config, on_cpu=True), bfloat16=in_bfloat16(config))
    rows, tokens = batch.inputs["input_ids"].shape
    answered = batch.token_count // rows
    planned = count_memory(
        shape,
        learning_of(config, shape),
        Batch(rows, tokens, answered, rows, rows),
        numbers,
        face_bytes=FACE_BYTES,
    )
    return {"tokens": tokens, "measured": measured, "planned": planned.total}


def nano_memory() -> list[bool]:
    """Each setting in a process of its own."""
    met = []
    print("\n| nano (135 M), 2 updates | tokens | planned MB | measured MB | difference |")
    print("| --- | --- | --- | --- | --- |")
    for examples, checkpointing in ((8, False), (16, False), (16, True)):
        command = [sys.executable, __file__, "--child", str(examples), str(int(checkpointing))]
        output = subprocess.run(
            command, check=True, capture_output=True, encoding="utf-8", env=os.environ | MALLOC
        ).stdout
        found = json.loads(output.splitlines()[-1])
        share = found["planned"] / found["measured"] - 1
        met.append(abs(share) <= MEMORY_BAR)
        what = f"batch {examples}" + (", checkpointing" if checkpointing else "")
        numbers = f"{found['planned'] / MEGABYTE:.0f} | {found['measured'] / MEGABYTE:.0f}"
        print(f"| {what} | {found['tokens']} | {numbers} | {share:+.1%} |", flush=True)
    return met


def flops() -> bool:
    """LLaVA-1.5-7B in its true size."""
    config = PRESETS["llava-7b"]
    _, shape = base_shape(config)
    batch = replace(batch_of(config, shape, Load()), examples=1, pictures=1, faces=1)
    model = build_on_meta(config)
    counted = pass_through(model, batch, checkpointing=config.activation_checkpointing).flops
    formula = count_flops(shape, learning_of(config, shape), batch).total
    share = formula / counted - 1
    print(
        f"\nLLaVA-1.5-7B, one example of {batch.tokens} tokens, forward, backward, recomputed: "
        f"formula {formula / 1e12:.3f}, counted {counted / 1e12:.3f} TFLOP ({share:+.2%})"
    )
    return abs(share) <= FLOPS_BAR


def seconds(work: Callable[[], object], repeats: int) -> float:
    """CPU time of the fastest of some runs; on one thread others cannot spoil it."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def constants() -> None:
    """What `hardware.py` takes from here."""
    torch.set_num_threads(1)
    config = PRESETS["llava-7b"]
    objective = build_objective(replace(config, morphable_model="default", identity="dlib"), 224)
    faces = rendered_faces(objective.renderer, FACES, generator=torch.Generator().manual_seed(0))
    targets, theta = (
        stack_targets([faces.target(i) for i in range(FACES)]),
        faces.theta.to_vector().clone().requires_grad_(),
    )

    def judge() -> None:
        objective.weighted(objective(theta, targets, perceptual=True)).sum().backward()

    face = seconds(judge, 5) / FACES
    held = count_bytes(judge, [theta, *vars(targets).values()]).peak / FACES
    print(f"\na face: {face * 1e3:.1f} ms (constant {FACE_SECONDS * 1e3:.0f})")
    print(f"  and {held / MEGABYTE:.0f} MB (constant {FACE_BYTES / MEGABYTE:.0f})")
    jpeg, target = encode_crop(faces.photo[0]), faces.target(0)
    generator = torch.Generator().manual_seed(0)
    large = nn.Upsample((336, 336), mode="bilinear")

    def prepare() -> None:
        decode_crop(jpeg)
        large(changed(target, generator).photo[None])

    print(f"an example: {seconds(prepare, 20) * 1e3:.1f} ms (constant {EXAMPLE_SECONDS * 1e3:.0f})")
    a = torch.randn(1536, 1536)
    rate = 2 * 2 * len(a) ** 3 / seconds(lambda: a @ a, 10) / 1e12
    print(f"float32 products on two cores: {rate:.3f} TFLOP/s")


def main() -> int:
    """Measure, print, and fail when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", nargs=2, type=int, help=argparse.SUPPRESS)
    child = parser.parse_args().child
    if child:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(train_nano(child[0], bool(child[1]), Path(folder))))
        return 0
    constants()
    met = [flops(), *nano_memory()]
    return int(not all(met))


if __name__ == "__main__":
    sys.exit(main())
