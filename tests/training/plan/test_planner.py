"""`facegpt plan`: laws that every plan obeys, and what it refuses."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from facegpt.cli import main
from facegpt.training.plan.hardware import ACCELERATORS, GIGABYTE, find_accelerator
from facegpt.training.plan.memory import SHARDINGS
from facegpt.training.plan.planner import Plan, plan
from facegpt.training.plan.report import plan_lines
from facegpt.training.plan.request import Hardware, Load
from facegpt.training.plan.shapes import (
    LLAVA_7B_CONFIG,
    NANO_CONFIG,
    PlanError,
    config_of,
    model_shape,
)
from facegpt.training.presets import PRESETS

LLAVA = PRESETS["llava-7b"]


def planned(hardware: Hardware | None = None, load: Load | None = None, **changes) -> Plan:
    return plan(replace(LLAVA, **changes), hardware or Hardware(), load or Load())


def test_the_paper_fits_its_gpus() -> None:
    made = planned()
    assert made.fits
    assert made.examples_per_step == 256
    assert made.shape.parameters == 7_063_427_072  # as published with the weights
    assert 6e9 < made.parameters.frozen < 8e9
    assert made.learning.head == (4096, 5120, 5120, 257)


def test_dividing_more_never_takes_more() -> None:
    memory = planned().memory
    totals = [memory[name].total for name in ("none", "zero1", "zero2", "zero3")]
    assert totals == sorted(totals, reverse=True)
    assert memory["zero3"].frozen_weights == pytest.approx(memory["none"].frozen_weights / 8)
    assert memory["fsdp"].total < memory["none"].total


@pytest.mark.parametrize("sharding", SHARDINGS)
def test_the_largest_batch_fits_and_one_more_does_not(sharding) -> None:
    made = planned()
    largest = made.largest[sharding]
    room = made.hardware.accelerator.memory_gb * GIGABYTE
    assert planned(batch_size=largest).memory[sharding].total <= room
    assert planned(batch_size=largest + 1).memory[sharding].total > room


def test_what_does_not_fit_is_said() -> None:
    made = planned(Hardware(gpu="4090", gpus=1, zero=0, gpu_memory=12.0))
    assert not made.fits
    assert any("does NOT fit" in line for line in plan_lines(made))


def test_four_bits_take_a_quarter_of_the_decoder() -> None:
    plain, packed = (planned(quantise=kind).chosen.frozen_weights for kind in ("none", "4bit"))
    decoder = 32 * 202_375_168
    assert plain - packed == pytest.approx(decoder * (2 - 0.5625))
    assert planned(quantise="8bit").chosen.frozen_weights == pytest.approx(plain - decoder)


def test_time_follows_rate_gpus_and_work() -> None:
    slow, fast = planned().times, planned(Hardware(peak_tflops=2 * 149.7)).times
    assert fast.network == pytest.approx(slow.network / 2)
    assert planned(accumulation=8).times.network == pytest.approx(2 * slow.network)
    epoch = planned(load=Load(epochs=10.0))
    halved = planned(Hardware(gpus=4), Load(epochs=10.0))
    assert halved.steps == pytest.approx(2 * epoch.steps, abs=2)
    assert epoch.passes == pytest.approx(10.0, rel=0.01)


def test_slow_links_are_felt_by_what_gathers_weights() -> None:
    near = planned(Hardware(zero=3, link_gb=300.0)).times.links
    far = planned(Hardware(zero=3, link_gb=1.0)).times.links
    assert far > 10 * near
    assert planned(Hardware(gpus=1, zero=0)).times.links == 0


def test_a_plan_prints_the_paper_and_what_it_assumes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["plan", "--gpus", "8", "--gpu-memory", "48", "--images", "30000"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for said in ("ZeRO-3", "FSDP", "8 A40 with 48 GB", "not said", "Assumed:", "35% of 149.7"):
        assert said in text


def test_exit_code_says_that_it_does_not_fit() -> None:
    with pytest.raises(SystemExit) as stop:
        main(["plan", "--gpu", "a40", "--gpu-memory", "8", "--gpus", "1", "--zero", "0"])
    assert stop.value.code == 1


def test_planning_loads_no_torch() -> None:
    program = (
        "import sys\nfrom facegpt.cli import main\ntry:\n    main(['plan'])\n"
        "except SystemExit:\n    pass\nprint('torch' in sys.modules, 'transformers' in sys.modules)"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True
    ).stdout
    assert output.splitlines()[-1] == "False False"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: find_accelerator("h10"), "did you mean 'h100'"),
        (lambda: Hardware(gpus=0), "--gpus"),
        (lambda: Hardware(utilisation=0.0), "--utilisation"),
        (lambda: Hardware(gpu_memory=float("nan")), "--gpu-memory"),
        (lambda: Load(images=0), "--images"),
        (lambda: Load(epochs=-1.0), "--epochs"),
        (lambda: planned(load=Load(sequence=500)), "--sequence 500 has no room"),
        (lambda: planned(base="nobody/nothing"), "are not known"),
        (lambda: plan(PRESETS["vision"], Hardware(), Load()), "'vision'"),
        (lambda: planned(freeze_below=32), "--freeze-below 32"),
        (lambda: model_shape({"model_type": "qwen3_vl"}), "'qwen3_vl'"),
        (lambda: model_shape({**LLAVA_7B_CONFIG, "text_config": {"hidden_size": "x"}}), "garbles"),
    ],
)
def test_what_cannot_be_planned_is_refused(make, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        make()


def test_a_folder_brings_its_own_sizes(tmp_path: Path) -> None:
    text = LLAVA_7B_CONFIG["text_config"] | {"num_hidden_layers": 40, "hidden_size": 5120}
    text |= {"num_attention_heads": 40, "num_key_value_heads": 40, "intermediate_size": 13824}
    (tmp_path / "config.json").write_text(json.dumps({**LLAVA_7B_CONFIG, "text_config": text}))
    made = planned(base=str(tmp_path))
    assert made.shape.decoder.layers == 40
    assert made.shape.parameters > 13e9
    assert made.learning.head[0] == 5120


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_config_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(PlanError, match="cannot be read"):
        config_of(tmp_path)


def test_nano_is_known_by_its_sizes() -> None:
    shape = model_shape(NANO_CONFIG)
    assert shape.vision.tokens == 17
    assert 134e6 < shape.decoder.parameters < 136e6


def test_every_gpu_of_the_table_plans() -> None:
    for name in ACCELERATORS:
        assert planned(Hardware(gpu=name)).days > 0
