"""The gate of the shipped nano: when a free answer makes a face.

    python scripts/fit_gate.py runs/nano/refitted runs/nano/gated --data COLOR WILD \\
        --instructions REPLAY --situations scripts/everyday_situations.jsonl

Reads the state at the end of every prompt once (a forward pass each), then fits a line through the
states (`training/gate_stage.py`). Everything else of the folder stays as it is, so this is the last
step: a gate fits the language model that it was fitted on.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import tyro

from facegpt.data.gate_prompts import GatePrompt, gate_prompts, read_written_prompts
from facegpt.model.nano_weights import save_nano
from facegpt.training.checkpoints import replaced_folder
from facegpt.training.config import MixtureShares
from facegpt.training.examples import draw_examples
from facegpt.training.gate_stage import fit_gate, held_out_accuracy, read_prompt_states
from facegpt.training.parts import load_model
from facegpt.training.presets import NANO

_AT_ONCE = 16


@dataclass(frozen=True)
class Options:
    """What to learn from."""

    run: tyro.conf.Positional[Path]
    """A folder of nano weights."""
    output: tyro.conf.Positional[Path]
    data: tuple[Path, ...]
    """Folders that `facegpt data build` wrote."""
    situations: tuple[Path, ...] = ()
    instructions: tuple[Path, ...] = ()
    prompts: Path = Path(__file__).parent / "gate_prompts"
    """Folder of the written prompts."""
    examples: int = 1200
    """Prompts of the mixture that are read beside the written ones."""
    mixture: MixtureShares = field(
        default_factory=lambda: MixtureShares(
            image=1.0,
            text=0.5,
            composed=0.3,
            situation=0.5,
            talk=1.0,
            replay=1.2,
            reason=0.0,
            short=0.65,
            note=1.0,
            unmeasured=0.6,
            talk_turns=3,
        )
    )
    ridge: float = 1e-3
    seed: int = 1


def main(options: Options) -> None:
    """Read, fit, write."""
    config = replace(
        NANO,
        base=str(options.run),
        data=options.data,
        situations=options.situations,
        instructions=options.instructions,
        mixture=options.mixture,
        seed=options.seed,
    )
    written = read_written_prompts(options.prompts)
    drawn = draw_examples(config, options.examples).training
    prompts = gate_prompts(written, [drawn[i] for i in range(options.examples)], options.seed)
    model, processor = load_model(config)
    started = time.monotonic()
    states = read_prompt_states(model, processor, _batches(prompts))
    print(f"{len(states)} prompts in {time.monotonic() - started:.0f} s", flush=True)
    asked, other = held_out_accuracy(states, options.ridge)
    print(f"right on held-out prompts: {asked:.1%} of requests, {other:.1%} of the others")
    fit_gate(model.add_face_gate(), states, options.ridge)
    with replaced_folder(options.output) as folder:
        save_nano(model, processor, folder)


def _batches(prompts: Sequence[GatePrompt]) -> Iterator[list[GatePrompt]]:
    """Prompts of one kind and of about the same length, so that little is padded."""
    for with_photo in (False, True):
        chosen = [p for p in prompts if (p.image is not None) == with_photo]
        chosen.sort(key=lambda p: len(str(p.messages)))
        for first in range(0, len(chosen), _AT_ONCE):
            yield chosen[first : first + _AT_ONCE]


if __name__ == "__main__":
    main(tyro.cli(Options))
