"""FaceGPT as a whole: from disk, from several threads, in words."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from facegpt.model.adapter import AdapterConfig, add_adapter
from facegpt.model.base_llm import prepare_base_llm
from facegpt.model.configuration_vision import FaceVisionConfig
from facegpt.model.nano import NanoWeightsError, build_nano, save_nano
from facegpt.model.vision_tower import FaceVisionModel
from facegpt.morphable.model import MorphableModel
from facegpt.pipeline import FaceGPT, Spread
from facegpt.pipeline.network import Network
from tiny_facegpt import saying, tiny_network, user
from tiny_gguf import tiny_language_model


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with tiny_language_model(tmp_path_factory.mktemp("world") / "home"):
        yield prepare_base_llm()


@pytest.fixture(scope="module")
def weights(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = FaceVisionConfig(
        image_size=64,
        embedding_size=8,
        stage_sizes=[8, 8, 16, 16],
        depths=[1, 1, 1, 1],
        squeeze_size=4,
        hidden_size=24,
    )
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tower = FaceVisionModel(config)
    model, processor = build_nano(base, vision=tower, head_hidden_sizes=[12], generator=generator)
    add_adapter(model, AdapterConfig(rank=2), generator)
    return save_nano(model, processor, tmp_path_factory.mktemp("weights") / "nano")


def test_it_comes_from_a_folder(weights: Path, tmp_path: Path, spread: Spread) -> None:
    told: list[float] = []
    facegpt = FaceGPT.from_pretrained(weights, progress=lambda what, f: told.append(f))
    assert told[-1] == 1.0
    assert (facegpt.name, facegpt.model.name, facegpt.spread) == ("nano", "default", None)
    [face] = facegpt.imagine("a man")
    assert face.reconstruction.morphable_model == "default"
    half = FaceGPT.from_pretrained(str(weights), dtype=torch.bfloat16)
    [nearly] = half.imagine("a man")
    torch.testing.assert_close(
        nearly.theta.to_vector(), face.theta.to_vector(), atol=0.05, rtol=0.05
    )
    spread.save(weights)
    assert FaceGPT.from_pretrained(weights).spread is not None


def test_any_merged_model_comes_from_its_folder(tmp_path: Path) -> None:
    network = tiny_network()
    network.model.save_pretrained(tmp_path / "merged")
    network.processor.save_pretrained(tmp_path / "merged")
    facegpt = FaceGPT.from_pretrained(tmp_path / "merged")
    assert facegpt.name == "facegpt"
    [face] = facegpt.imagine("a man")
    [same] = FaceGPT(network).imagine("a man")
    torch.testing.assert_close(face.theta.to_vector(), same.theta.to_vector())


@pytest.mark.usefixtures("base")
def test_weights_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(NanoWeightsError, match=r"missing.*facegpt train nano"):
        FaceGPT.from_pretrained(tmp_path / "nowhere")


def test_threads_get_the_answers_they_would_get_alone(facegpt: FaceGPT, photo: np.ndarray) -> None:
    def work() -> list[torch.Tensor]:
        found = [facegpt.reconstruct(photo)[0].parameters.to_vector()]
        found += [facegpt.imagine(text)[0].theta.to_vector() for text in ("a man", "A woman.")]
        said = facegpt.chat([user("Who?", photo)], max_new_tokens=8, temperature=0.8, seed=3)
        return [*found, torch.tensor([ord(letter) for letter in said.text])]

    alone = work()
    results: list[list[torch.Tensor]] = []
    threads = [threading.Thread(target=lambda: results.append(work())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    for result in results:
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(result, alone, strict=True))


def test_a_description_is_the_answers_to_questions(facegpt: FaceGPT, photo: np.ndarray) -> None:
    with saying(facegpt.network, "A smile", "Turned left.", " ", "Dark", "Above!"):
        words = facegpt.describe(photo)
    assert words == "A smile. Turned left. Dark. Above!"
    with saying(facegpt.network, f"It is a face. {'And so on, ' * 20}"):
        assert facegpt.describe(photo, ["What is it?"]) == "It is a face."
    with saying(facegpt.network, "No."):
        assert facegpt.describe(facegpt.look(photo), ["Is it a cat?"]) == "No."


def test_the_public_name_is_the_same_class(tiny_face_model: MorphableModel) -> None:
    import facegpt

    assert facegpt.FaceGPT is FaceGPT
    assert isinstance(FaceGPT(tiny_network(), model=tiny_face_model).network, Network)
