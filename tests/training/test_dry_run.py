"""`--dry-run` and `doctor --preset`: the true size without its weights, and what is missing."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from facegpt.cli import main
from facegpt.morphable.model import MorphableModel
from facegpt.training.config import AdapterSettings, MixtureShares, TrainConfig, TrainConfigError
from facegpt.training.debug import tiny_backbone
from facegpt.training.dry_run import rehearse
from facegpt.training.meta_build import build_on_meta, pass_through
from facegpt.training.plan.planner import base_shape, batch_of, learning_of
from facegpt.training.plan.request import Hardware, Load
from facegpt.training.plan.work import count_flops, count_parameters
from facegpt.training.presets import PRESETS
from facegpt.training.readiness import Need, missing_files, needs_of
from facegpt.training.supplied import resolved
from runs import face_folder

MEGABYTE = 1 << 20
ROOM = 1500 * MEGABYTE
"""Of a whole dry run, libraries included; the weights of LLaVA-1.5-7B alone are 14 GB."""


def by_name(needs: list[Need]) -> dict[str, Need]:
    return {need.name: need for need in needs}


def tiny_base(folder: Path, **save: bool) -> TrainConfig:
    """The preset of the paper on a LLaVA of 100,000 weights in a folder."""
    backbone, processor = tiny_backbone(0)
    backbone.save_pretrained(folder)
    processor.save_pretrained(folder)
    return replace(
        PRESETS["llava-7b"],
        base=str(folder),
        morphable_model="default",
        batch_size=2,
        head_hidden_sizes=(32, 32),
        adapter=AdapterSettings(rank=4, alpha=8.0, projector=False),
    )


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for the memory of a process")
def test_llava_7b_is_rehearsed_in_a_fraction_of_its_memory(tmp_path: Path) -> None:
    # Not getrusage: there a process begins with the highest point of the one that started it.
    program = (
        "import sys\nfrom facegpt.cli import main\ntry:\n"
        "    main(sys.argv[1:])\nexcept SystemExit as stop:\n    code = stop.code\n"
        "lines = open('/proc/self/status').read().splitlines()\n"
        "[peak] = [int(line.split()[1]) * 1024 for line in lines if line.startswith('VmHWM')]\n"
        "print('PEAK', peak, code)"
    )
    arguments = ["train", "llava-7b", "--dry-run", "--output", "run"]
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *arguments],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert "Built on the meta device: 7,431,763,201 weights, of which 368,336,129 learn" in (
        result.stdout
    )
    assert "theta [8, 257]" in result.stdout
    _, peak, code = result.stdout.splitlines()[-1].split()
    assert int(peak) < ROOM
    assert code == "1"  # neither weights nor data are here
    assert not list(tmp_path.iterdir())


def test_flops_of_llava_7b_in_its_true_size() -> None:
    config = PRESETS["llava-7b"]
    name, shape = base_shape(config)
    assert name == config.base
    batch = replace(batch_of(config, shape, Load()), examples=1, pictures=1, faces=1)
    model = build_on_meta(config)
    assert {weight.device.type for weight in model.parameters()} == {"meta"}
    passed = pass_through(model, batch, checkpointing=True)
    planned = count_flops(shape, learning_of(config, shape), batch).total
    print(f"planned {planned:.4g}, counted {passed.flops:.4g}")
    assert planned == pytest.approx(passed.flops, rel=0.02)
    assert passed.shapes["logits"] == (1, 64, 32064)


@pytest.mark.parametrize("name", ["nano", "llava-7b"])
def test_parameters_in_the_true_size(name: str) -> None:
    config = PRESETS[name]
    _, shape = base_shape(config)
    planned = count_parameters(shape, learning_of(config, shape))
    weights = list(build_on_meta(config).parameters())
    assert planned.total == sum(w.numel() for w in weights)
    assert planned.trainable == sum(w.numel() for w in weights if w.requires_grad)


def test_a_base_on_disk_is_read_from_its_config_alone(tmp_path: Path) -> None:
    config = tiny_base(tmp_path / "base")
    (tmp_path / "base" / "model.safetensors").unlink()
    found = rehearse("llava-7b", config, Hardware(), Load())
    text = "\n".join(found.lines)
    assert "Built on the meta device" in text
    assert "theta [2, 257]" in text
    assert "lacks model.safetensors" in text
    assert found.exit_code == 1


def test_everything_there_is_said_to_be_there(
    tmp_path: Path, tiny_face_model: MorphableModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    gpu = type("Gpu", (), {"total_memory": int(48e9)})
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda _: gpu)
    data = face_folder(tiny_face_model, tmp_path / "data", 4)
    config = replace(
        tiny_base(tmp_path / "base"),
        data=(data,),
        held_out=1,
        mixture=MixtureShares(talk=0.0, replay=0.0),
        output=tmp_path / "run",
    )
    found = rehearse("llava-7b", config, Hardware(gpus=1), Load())
    text = "\n".join(found.lines)
    assert found.exit_code == 0, text
    assert "Everything that is needed is there" in text
    assert "4 faces, 4 described" in text
    assert "1 kept back" in text or "2 kept back" in text
    assert not (tmp_path / "run").exists()


def test_debug_is_rehearsed_too(tmp_path: Path) -> None:
    config = replace(PRESETS["debug"], output=tmp_path / "run")
    found = rehearse("debug", config, Hardware(), Load())
    assert found.exit_code == 0, found.lines
    assert any(line.startswith("No plan:") for line in found.lines)
    assert not (tmp_path / "run").exists()


def test_a_recipe_without_a_language_model_is_not_built() -> None:
    with pytest.raises(TrainConfigError, match="'vision'"):
        build_on_meta(PRESETS["vision"])
    with pytest.raises(TrainConfigError, match="not on this disk"):
        build_on_meta(replace(PRESETS["llava-7b"], base="nobody/nothing"))


def test_weights_with_a_missing_part_are_incomplete(tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "preprocessor_config.json"):
        (tmp_path / name).write_text("{}")
    assert missing_files(tmp_path) == ["model.safetensors"]
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}))
    (tmp_path / "one.safetensors").write_text("x")
    (tmp_path / "two.safetensors").write_text("")
    assert missing_files(tmp_path) == ["two.safetensors"]
    index.write_text("[")
    assert missing_files(tmp_path) == ["model.safetensors.index.json (damaged)"]


def test_the_doctor_names_what_the_paper_needs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["doctor", "--preset", "llava-7b", "--quantise", "4bit"])
    assert stop.value.code == 1
    text = capsys.readouterr().out
    for name in ("weights", "face model", "L_perc", "FAN landmarks", "data", "GPU", "disk"):
        assert f" {name} " in text
    for get in ("hf download llava-hf/llava-1.5-7b-hf", "facegpt assets add bfm2017"):
        assert get in text


def test_flags_of_a_training_need_its_preset(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["doctor", "--base", "somewhere"])
    assert stop.value.code == 1
    assert "--preset" in capsys.readouterr().err


def test_arcface_is_heard_when_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEGPT_HOME", str(tmp_path))
    config = PRESETS["llava-7b"]
    assert resolved(config).identity == "dlib"
    file = tmp_path / "assets" / "arcface" / "arcface.onnx"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"onnx")
    assert resolved(config).identity == "arcface"
    assert resolved(PRESETS["nano"]).identity == "dlib"
    assert by_name(needs_of(config, None))["L_perc"].state == "ok"


def test_landmarks_of_another_detector_are_counted(tmp_path: Path) -> None:
    import numpy as np

    path = tmp_path / "fan.npz"
    np.savez(path, names=np.array(["a.png"]), landmarks=np.zeros((1, 68, 2), np.float32))
    config = PRESETS["llava-7b"]
    assert by_name(needs_of(config, None, path))["FAN landmarks"].state == "ok"
    path.write_bytes(b"nothing")
    assert by_name(needs_of(config, None, path))["FAN landmarks"].state == "missing"


def test_the_meta_device_is_left_behind() -> None:
    build_on_meta(PRESETS["debug"])
    assert torch.zeros(1).device.type == "cpu"
