"""Who computes in bfloat16: whoever is told to, and with "auto" whoever can."""

from dataclasses import replace

import pytest
import torch

from facegpt.training.precision import in_bfloat16
from facegpt.training.presets import PRESETS

AUTO = replace(PRESETS["nano"], precision="auto")


def test_who_is_told_does_as_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert in_bfloat16(replace(AUTO, precision="bfloat16"))
    assert not in_bfloat16(replace(AUTO, precision="float32"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU decides for itself")
def test_auto_asks_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    supported = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    assert in_bfloat16(AUTO) == supported
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not in_bfloat16(AUTO)


def test_auto_asks_the_gpu_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for able in (True, False):
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda including_emulation, able=able: able
        )
        assert in_bfloat16(AUTO) == able
