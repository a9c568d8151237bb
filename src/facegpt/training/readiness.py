"""What a training needs on this machine: what is there, what is missing, how to get it.

It looks for files, packages, memory and room; it reads no weights, writes nothing and downloads
nothing. Whether the parts work together is asked by `dry_run.py`.
"""

import importlib.util
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from facegpt.assets import ASSETS, asset_status
from facegpt.training.config import TrainConfig
from facegpt.training.plan.hardware import GIGABYTE
from facegpt.training.plan.planner import Plan
from facegpt.training.supplied import resolved

State = Literal["ok", "missing", "optional"]
_MARKS = {"ok": "ok", "missing": "!!", "optional": "--"}

_MODEL_ASSETS = {
    "default": ("default",),
    "default-procedural": ("default-procedural",),
    "bfm2017": ("bfm2017",),
    "bfm2009": ("bfm2009",),
    "flame": ("flame2020",),
    "ict": ("ict",),
}
_BYTES_PER_LEARNT = 12
"""In a checkpoint: the weight and two moments in float32."""


@dataclass(frozen=True)
class Need:
    """One thing that a training needs or could use."""

    name: str
    state: State
    found: str
    """What is there, or what happens without it."""
    get: str = ""
    """How to bring it."""

    @property
    def lines(self) -> list[str]:
        """As the doctor prints it."""
        first = f"  {_MARKS[self.state]} {self.name:<18} {self.found}"
        return [first, *([f"     get it: {self.get}"] if self.get else [])]


def needs_of(config: TrainConfig, plan: Plan | None, landmarks: Path | None = None) -> list[Need]:
    """Everything a run of this config needs, in the order in which it would fail.

    Args:
        plan: Says how much memory and room is needed; without one neither is judged.
        landmarks: An npz of 68 points per photo that the data shall be built with.
    """
    return [
        *_packages(config),
        _base(config),
        *_faces(config),
        _landmarks(landmarks),
        *_data(config),
        *_machine(config, plan),
    ]


def _packages(config: TrainConfig) -> Iterator[Need]:
    wanted = {
        "accelerate": True,
        "datasets": config.recipe != "debug",
        "bitsandbytes": config.quantise != "none",
        "deepspeed": config.deepspeed is not None,
        "h5py": config.morphable_model == "bfm2017",
        "tensorboard": False,
    }
    reasons = {
        "bitsandbytes": "for --quantise 8bit and 4bit",
        "deepspeed": "for --deepspeed FILE",
        "tensorboard": "for curves beside log.jsonl",
    }
    for name, needed in wanted.items():
        if importlib.util.find_spec(name) is not None:
            yield Need(name, "ok", "installed")
        elif needed or name in reasons:
            found = "not installed" if needed else f"not installed; {reasons[name]}"
            yield Need(name, "missing" if needed else "optional", found, f"pip install {name}")


def _base(config: TrainConfig) -> Need:
    if config.recipe == "pretrained":
        return _pretrained(config.base)
    if config.recipe in ("nano", "regression"):
        return _small(config)
    return Need("weights", "ok", "this recipe starts from random weights")


def _pretrained(base: str) -> Need:
    folder = base_folder(base)
    get = f"hf download {base}    (nothing is downloaded by facegpt itself)"
    if folder is None:
        return Need("weights", "missing", f"{base or 'no --base'} is not on this disk", get)
    missing = missing_files(folder)
    if missing:
        return Need("weights", "missing", f"{folder} lacks {', '.join(missing)}", get)
    return Need("weights", "ok", str(folder))


def base_folder(base: str) -> Path | None:
    """The folder of a model by its path, or by its name in the cache of the Hugging Face hub; None
    where there is none."""
    if base and Path(base).is_dir():
        return Path(base)
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(base, "config.json")
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None


def missing_files(folder: Path) -> list[str]:
    """Which files of a model of Hugging Face are not there: config, weights with every part that
    their index names, tokenizer and processor."""
    missing = [] if (folder / "config.json").is_file() else ["config.json"]
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            parts = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError):
            return [*missing, f"{index.name} (damaged)"]
        missing += sorted(part for part in parts if not _is_filled(folder / str(part)))
    elif not _is_filled(folder / "model.safetensors"):
        missing.append("model.safetensors")
    for names in (("tokenizer.json", "tokenizer.model"), _PROCESSORS):
        if not any((folder / name).is_file() for name in names):
            missing.append(" or ".join(names))
    return missing


_PROCESSORS = ("preprocessor_config.json", "processor_config.json")


def _is_filled(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _small(config: TrainConfig) -> Need:
    folder = Path(config.base) if config.base else None
    if config.base == "nano" or (folder is not None and (folder / "config.json").is_file()):
        return _asset("language model", "smollm2", needed=config.recipe == "nano")
    if folder is not None and (folder / "nano.json").is_file():
        return _asset("language model", "smollm2", needed=config.recipe == "nano")
    found = f"no trained tower at {folder}" if folder else "no --base given"
    get = "facegpt train vision, then --base runs/vision/best; or --base nano, the shipped one"
    return Need("vision tower", "missing", found, get)


def _asset(title: str, name: str, *, needed: bool, without: str = "") -> Need:
    [row] = asset_status([name])
    if row.state == "present":
        return Need(title, "ok", f"{name}: {row.path}")
    asset = ASSETS[name]
    get = f"{asset.how_to_get} ({asset.homepage}) Then: {asset.next_command}"
    found = f"{name} is {row.state}" + (f"; {without}" if without else "")
    return Need(title, "missing" if needed else "optional", found, get)


def _faces(config: TrainConfig) -> Iterator[Need]:
    for name in _MODEL_ASSETS.get(config.morphable_model, ()):
        other = "" if name.startswith("default") else "or train with --morphable-model default"
        yield _asset("face model", name, needed=True, without=other)
    if not config.perceptual_every or not config.weights.perceptual:
        yield Need("L_perc", "ok", "not used by this run")
        return
    if config.identity != "dlib":
        chosen = resolved(config).identity
        without = "L_perc then hears dlib's network" if config.identity == "auto" else ""
        yield _asset("L_perc", "arcface", needed=config.identity == "arcface", without=without)
        if chosen == "arcface":
            return
    yield _asset("identity network", "dlib-resnet", needed=True)


def _landmarks(path: Path | None) -> Need:
    get = (
        "run FAN (Bulat and Tzimiropoulos 2017; the package face-alignment has it) over the photos "
        "and store its points as docs/scale.md says; then facegpt data build --landmarks FILE"
    )
    if path is None:
        without = "no file named with --landmarks; data is then built with dlib's 68 points"
        return Need("FAN landmarks", "optional", without, get)
    from facegpt.data.schema import DatasetError
    from facegpt.data.sources import read_known_landmarks

    try:
        known = read_known_landmarks(path)
    except (DatasetError, OSError) as error:
        return Need("FAN landmarks", "missing", str(error), get)
    return Need("FAN landmarks", "ok", f"{path}: points of {len(known)} photos")


def _data(config: TrainConfig) -> Iterator[Need]:
    mixture = config.mixture
    if config.recipe == "debug":
        yield Need("data", "ok", "rendered faces, no file")
        return
    photos = mixture.image + mixture.text + mixture.talk + mixture.image_points
    if photos + mixture.text_points > 0:
        build = "facegpt data build --images PHOTOS --output DATA, then --data DATA"
        if not config.data:
            yield Need("data", "missing", "no --data given", build)
        yield from (_table(folder, build) for folder in (*config.data, *config.validation_data))
    wanted = {
        "situations": (mixture.situation, config.situations, "--situations FILE.jsonl"),
        "instructions": (
            mixture.replay,
            config.instructions,
            "llava_v1_5_mix665k.json of LLaVA's authors with --instructions, its pictures with "
            "--instruction-images; or leave them out with --mixture.replay 0",
        ),
    }
    for name, (share, files, get) in wanted.items():
        if not share:
            continue
        if not files:
            yield Need(name, "missing", f"no --{name} given", get)
        for path in files:
            there = path.is_file()
            yield Need(name, "ok" if there else "missing", f"{path}{'' if there else ': no file'}")
    pictures = config.instruction_images
    if pictures is not None and not pictures.is_dir():
        yield Need("pictures", "missing", f"no folder at {pictures}", "--instruction-images FOLDER")


def _table(folder: Path | str, build: str) -> Need:
    from facegpt.data.schema import DatasetError
    from facegpt.data.table import FaceTable

    try:
        table = FaceTable(folder)
        if table.streams:  # to count what is described, all of it would have to be fetched
            return Need("data", "ok", f"{folder}: {len(table)} faces")
        described = len(table.with_text("descriptions"))
    except (DatasetError, OSError) as error:
        return Need("data", "missing", str(error), build)
    return Need("data", "ok", f"{folder}: {len(table)} faces, {described} described")


def _machine(config: TrainConfig, plan: Plan | None) -> Iterator[Need]:
    if config.recipe == "pretrained":
        yield _gpu(plan)
    learnt = plan.parameters.trainable if plan else 0
    # Kept ones, the best, the last and one that is being written.
    room = learnt * _BYTES_PER_LEARNT * (config.keep + 3) / GIGABYTE
    place = next(p for p in (config.output, *config.output.absolute().parents) if p.exists())
    free = shutil.disk_usage(place).free / GIGABYTE
    found = f"{free:.1f} GB free at {place}, checkpoints take up to {room:.1f} GB"
    enough = free > room
    yield Need("disk", "ok" if enough else "missing", found, "" if enough else "--output, --keep 1")


def _gpu(plan: Plan | None) -> Need:
    import torch

    if not torch.cuda.is_available():
        get = "facegpt plan says which GPUs would do; a CPU trains the preset nano"
        return Need("GPU", "missing", "torch sees none", get)
    memory = [
        torch.cuda.get_device_properties(i).total_memory / GIGABYTE
        for i in range(torch.cuda.device_count())
    ]
    found = f"{len(memory)} with {min(memory):.0f} GB or more"
    if plan is None or plan.chosen.total / GIGABYTE <= min(memory):
        return Need("GPU", "ok", found)
    needed = f"; a batch of {plan.batch.examples} takes {plan.chosen.total / GIGABYTE:.0f} GB"
    get = f"--batch-size below {plan.batch.examples}, --quantise 4bit, or ZeRO-3 (facegpt plan)"
    return Need("GPU", "missing", found + needed, get)


def report(preset: str, needs: list[Need]) -> tuple[list[str], int]:
    """The lines, and the exit code: 1 when something is missing without which nothing goes."""
    missing = [need.name for need in needs if need.state == "missing"]
    lines = [f"To train {preset}:", *(line for need in needs for line in need.lines), ""]
    if missing:
        lines.append(f"{len(missing)} missing: {', '.join(missing)}")
    else:
        lines.append("Everything that is needed is there.")
    return lines, 1 if missing else 0
