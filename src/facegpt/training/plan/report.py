"""A plan in words and tables."""

from collections.abc import Sequence
from dataclasses import fields

from facegpt.training.plan.hardware import (
    EXAMPLE_SECONDS,
    FACE_BYTES,
    FACE_SECONDS,
    GIGABYTE,
    LINK_UTILISATION,
    RESERVE_GB,
)
from facegpt.training.plan.memory import Memory, Sharding
from facegpt.training.plan.planner import Plan, photo_share

NAMES: dict[Sharding, str] = {
    "none": "ZeRO-0 (DDP)",
    "zero1": "ZeRO-1",
    "zero2": "ZeRO-2",
    "zero3": "ZeRO-3",
    "fsdp": "FSDP",
}
_COLUMNS = {
    "frozen_weights": "frozen",
    "learning_weights": "learning",
    "gradients": "gradients",
    "optimiser": "optimiser",
    "activations": "kept",
    "working": "working",
    "gathered": "gathered",
    "rendering": "faces",
    "reserve": "reserve",
}
_PAPER = (
    ("GPUs", "8 A40 with 48 GB"),
    ("dividing", "DeepSpeed ZeRO, stage not said"),
    ("batch per GPU x accumulation", "8 x 4"),
    ("examples per update", "256"),
    ("optimiser", "AdamW 2e-5, decay 0, 100 warm-up steps, WarmupDecayLR"),
    ("photos", "train set of CelebA-HQ (30,000 in all)"),
    ("updates, days", "not said"),
)
"""Section 4.2 and 4.1."""


def plan_lines(plan: Plan) -> list[str]:
    """The whole report."""
    return [
        *_model(plan),
        "",
        *_memory(plan),
        "",
        *_time(plan),
        "",
        *_beside_paper(plan),
        "",
        *_assumptions(plan),
    ]


def _model(plan: Plan) -> list[str]:
    count, flops = plan.parameters, plan.flops
    again = f", {_tera(flops.again)} again for checkpointing" if flops.again else ""
    return [
        f"Model: {plan.base}, {count.total / 1e6:,.1f} M parameters with adapter and face head",
        f"  learning {count.trainable / 1e6:,.1f} M: LoRA {count.lora / 1e6:,.1f}, face head "
        f"{count.head / 1e6:,.1f}, projector {count.projector / 1e6:,.1f}, rows of <FACE> "
        f"{count.token / 1e6:,.3f}",
        f"  frozen {count.frozen / 1e6:,.1f} M",
        f"Batch: {plan.batch.examples} examples of {plan.batch.tokens} tokens per GPU, "
        f"{_tera(flops.total)}: vision {_tera(flops.vision)}, forward {_tera(flops.forward)}, "
        f"backward {_tera(flops.backward)}{again}",
    ]


def _tera(flops: float) -> str:
    return f"{flops / 1e12:,.2f} TFLOP"


def _memory(plan: Plan) -> list[str]:
    accelerator = plan.hardware.accelerator
    rows = [["GB on one GPU", *_COLUMNS.values(), "all", "largest batch"]]
    for sharding, memory in plan.memory.items():
        marked = "*" if sharding == plan.hardware.sharding else ""
        numbers = [getattr(memory, f.name) for f in fields(Memory)]
        cells = [f"{value / GIGABYTE:.2f}" for value in (*numbers, memory.total)]
        rows.append([NAMES[sharding] + marked, *cells, str(plan.largest[sharding])])
    verdict = (
        f"* {NAMES[plan.hardware.sharding]} with a batch of {plan.batch.examples} takes "
        f"{plan.chosen.total / GIGABYTE:.1f} of {accelerator.memory_gb:g} GB: "
        + ("it fits" if plan.fits else "it does NOT fit")
    )
    return [*_table(rows), verdict]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]


def _time(plan: Plan) -> list[str]:
    times = plan.times
    parts = [
        ("network", times.network),
        ("rendering and judging faces", times.faces),
        ("waiting for data", times.data),
        ("links", times.links),
    ]
    told = ", ".join(f"{name} {value:.2f} s ({value / times.step:.0%})" for name, value in parts)
    return [
        f"Update: {times.step:.2f} s: {told}",
        f"Run: {plan.steps:,} updates of {plan.examples_per_step} examples, "
        f"{plan.days:.2f} days without validation and checkpoints",
        f"  each of {plan.load.images:,} photos is shown {plan.passes:.1f} times "
        f"({photo_share(plan.config):.0%} of the examples)",
    ]


def _beside_paper(plan: Plan) -> list[str]:
    hardware, config = plan.hardware, plan.config
    optimiser = config.optimiser
    ours = (
        f"{hardware.gpus} {hardware.gpu} with {hardware.accelerator.memory_gb:g} GB",
        NAMES[hardware.sharding],
        f"{config.batch_size} x {config.accumulation}",
        str(plan.examples_per_step),
        f"AdamW {optimiser.learning_rate:g}, decay {optimiser.weight_decay:g}, "
        f"{optimiser.warmup_steps} warm-up steps, {optimiser.schedule}",
        f"{plan.load.images:,}",
        f"{plan.steps:,}, {plan.days:.2f}",
    )
    rows = [["", "this plan", "the paper, section 4.2"]]
    rows += [[name, mine, theirs] for (name, theirs), mine in zip(_PAPER, ours, strict=True)]
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    return [f"{a.ljust(widths[0])}  {b.ljust(widths[1])}  {c}" for a, b, c in rows]


def _assumptions(plan: Plan) -> list[str]:
    accelerator, load = plan.hardware.accelerator, plan.load
    lines = [
        "Assumed:",
        f"  {plan.hardware.utilisation:.0%} of {accelerator.peak_tflops:g} TFLOP/s are reached "
        f"({accelerator.source}); links {LINK_UTILISATION:.0%} of {accelerator.link_gb:g} GB/s",
        f"  every example has a picture of {plan.shape.vision.tokens} tokens, a face and "
        f"{load.answer_tokens} answered tokens, and is padded to {plan.batch.tokens}",
        f"  a face takes {FACE_SECONDS * 1e3:.0f} ms and {FACE_BYTES / 1e6:.0f} MB, an example "
        f"{EXAMPLE_SECONDS * 1e3:.0f} ms, as measured on one CPU core; "
        f"{plan.config.workers} processes make examples",
        f"  weights that are frozen are {_frozen_numbers(plan)}; attention is fused",
    ]
    if plan.hardware.reserve:
        lines.append(f"  driver and allocator take {RESERVE_GB:g} GB")
    return lines


def _frozen_numbers(plan: Plan) -> str:
    plain = "bfloat16" if plan.numbers.bfloat16 else "float32"
    if plan.numbers.quantise == "none":
        return plain
    return f"{plain}, the linear maps of the decoder in {plan.numbers.quantise}"
