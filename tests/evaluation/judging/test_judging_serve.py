"""The whole command against `transformers serve`, offline, with a judge that the test makes."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from bench_folder import BenchFiles
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.import_utils import is_serve_available

from facegpt.cli.benchmark import benchmark_app

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not is_serve_available(), reason="transformers serve needs fastapi, uvicorn and openai"
    ),
]

SAYING = ("8", "6")
WORDS = ("<unk>", "<end>", "<judge>", *SAYING)
WIDTH = 16
STARTS_WITHIN_S = 400.0


def make_judge(folder: Path) -> Path:
    """A language model that says "8 6" whatever it is asked.

    Its only layer adds nothing, embeddings are one-hot, and the head of each word is the word
    before it: so every word decides the next one.
    """
    end, judge = WORDS.index("<end>"), WORDS.index("<judge>")
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=end,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config)
    chain = [judge, *(WORDS.index(word) for word in SAYING), end]
    with torch.no_grad():
        layer = model.model.layers[0]
        for silent in (layer.self_attn.o_proj, layer.mlp.down_proj, model.lm_head):
            silent.weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(len(WORDS), WIDTH))
        for word, following in pairwise(chain):
            model.lm_head.weight[following, word] = 9.0
    words = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<end>", pad_token="<end>"
    )
    fast.chat_template = "{% for m in messages %}{{ m['content'] }} {% endfor %}<judge>"
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_it_answers(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline:
        assert process.poll() is None, "transformers serve has ended; its output is in serve.log"
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(f"transformers serve does not answer at {url}")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Name of the judge, and the address of its server."""
    folder, port = make_judge(tmp_path / "judge"), free_port()
    program = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder)]
    options = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    with (
        (tmp_path / "serve.log").open("wb") as log,
        subprocess.Popen(
            program + options, env=environment, stdout=log, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            wait_until_it_answers(f"http://127.0.0.1:{port}", process)
            yield str(folder), f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


def test_a_served_model_is_a_judge(
    files: BenchFiles, served: tuple[str, str], tmp_path: Path
) -> None:
    model, url = served
    code = benchmark_app.cli(
        prog="facegpt benchmark",
        args=[
            "judge", "--questions", str(files.questions), "--context", str(files.context),
            "--reference", str(files.reference), "--answers", str(files.answers), "--both-orders",
            "--model", model, "--server", url, "-o", str(tmp_path / "out"), "--concurrency", "1",
        ],
    )  # fmt: skip
    assert code == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())["models"]["our-model"]
    # It gives 8 points to whatever comes first and 6 to whatever comes second.
    assert report["scores"]["all"]["value"] == pytest.approx(100.0)
    assert report["position_bias"]["points"] == pytest.approx(2.0)
    assert report["position_bias"]["reference_first"] == pytest.approx(75.0)
    assert report["position_bias"]["reference_second"] == pytest.approx(100 * 8 / 6)
