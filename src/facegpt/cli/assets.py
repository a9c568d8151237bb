"""`facegpt doctor` and `facegpt assets`: what is installed, and how to bring what is not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import tyro

from facegpt.model.number_types import Quantise

assets_app = tyro.extras.SubcommandApp()


def doctor(
    preset: str | None = None,
    base: str | None = None,
    data: tuple[Path, ...] = (),
    instructions: tuple[Path, ...] = (),
    landmarks: Path | None = None,
    output: Path | None = None,
    quantise: Quantise | None = None,
) -> int:
    """Every asset: present, missing or damaged, its licence, and how to get it. With --preset:
    everything that a training needs.

    Args:
        preset: Of `facegpt train`; the other flags are those of a training with it.
        base: Folder or name of the model to start from.
        data: Folders that `facegpt data build` wrote.
        instructions: Files of instruction data.
        landmarks: An npz of points per photo, such as FAN's, for `facegpt data build`.
        output: Where the run shall write.
        quantise: Of the frozen linear maps of the decoder.
    """
    if preset is not None:
        given = {
            "base": base,
            "data": data or None,
            "instructions": instructions or None,
            "output": output,
            "quantise": quantise,
        }
        return _examine(preset, {k: v for k, v in given.items() if v is not None}, landmarks)
    if base or data or instructions or landmarks or output or quantise:
        raise ValueError("these flags belong to a training; name its preset, too: --preset nano")
    from facegpt.doctor import doctor_report

    report, exit_code = doctor_report()
    print(report)
    return exit_code


def _examine(preset: str, changes: dict[str, Any], landmarks: Path | None) -> int:
    from facegpt.training.plan.planner import plan
    from facegpt.training.plan.request import Hardware, Load
    from facegpt.training.plan.shapes import PlanError
    from facegpt.training.presets import find_preset
    from facegpt.training.readiness import needs_of, report

    config = replace(find_preset(preset), **changes)
    try:
        planned = plan(config, Hardware(), Load())
    except PlanError:
        planned = None  # the preset has no language model, or its base is not there yet
    lines, exit_code = report(preset, needs_of(config, planned, landmarks))
    print("\n".join(lines))
    return exit_code


@assets_app.command(name="add")
def add_asset(name: tyro.conf.Positional[str], path: tyro.conf.Positional[Path]) -> int:
    """Give facegpt a file that it may not ship, such as the Basel Face Model.

    Args:
        name: Name of the asset, as `facegpt doctor` lists it.
        path: The file or folder you downloaded; it is copied.
    """
    from facegpt.assets import add_asset as add

    print(f"{name} is now at {add(name, path)}")
    return 0
