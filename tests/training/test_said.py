"""What words say of theta: the mean of the people they fit, not the dice of one of them."""

import pytest
import torch

from facegpt import load_morphable_model
from facegpt.training.said import (
    WordsToTheta,
    WordStudy,
    composed_requests,
    runs_of,
    study_words,
)

STUDY = WordStudy(people=1, rounds=6, batch_size=16, learning_rate=0.02, width=16, rarest=5)


def noisy_people(count: int = 600) -> tuple[list[str], torch.Tensor]:
    """Half of them have a long nose, half a short one; of the second number nobody speaks."""
    generator = torch.Generator().manual_seed(0)
    long = torch.rand(count, generator=generator) < 0.5
    theta = torch.randn(count, 2, generator=generator)
    theta[:, 0] += torch.where(long, 3.0, -1.0)
    return [f"a man with a {'long' if yes else 'short'} nose" for yes in long.tolist()], theta


def test_runs_end_at_punctuation() -> None:
    assert runs_of("A long nose, smiling.") == {
        *("a", "long", "nose", "smiling"),
        *("a long", "long nose", "a long nose"),
    }


def test_words_get_the_mean_of_those_they_fit() -> None:
    texts, theta = noisy_people()
    learner = study_words(texts, theta, STUDY)
    made = learner(["a man with a long nose", "a man with a short nose"])
    torch.testing.assert_close(made[:, 0], torch.tensor([3.0, -1.0]), atol=0.35, rtol=0)
    torch.testing.assert_close(made[:, 1], torch.zeros(2), atol=0.35, rtol=0)


def test_words_that_it_never_read_change_nothing() -> None:
    texts, theta = noisy_people()
    learner = study_words(texts, theta, STUDY)
    known, more = learner(["a man with a long nose", "a man with a long nose, zealous; quixotic"])
    torch.testing.assert_close(known, more)


def test_before_it_learns_it_knows_the_mean_alone() -> None:
    fresh = WordsToTheta(["long", "short"], 3, 8)
    fresh.center.copy_(torch.tensor([1.0, 2.0, 3.0]))
    assert torch.equal(fresh(["long", "short nose", ""]), fresh.center.expand(3, 3))
    assert fresh([]).shape == (0, 3)


def test_same_seed_same_words() -> None:
    texts, theta = noisy_people(100)
    first, again = (study_words(texts, theta, STUDY, seed=4) for _ in range(2))
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_requests_for_composed_people_hold_their_words() -> None:
    model = load_morphable_model("default")
    texts, theta = composed_requests(model, 3, seed=1)
    assert len(texts) == len(theta) == 6
    assert torch.equal(theta[0], theta[1])
    assert not torch.equal(theta[1], theta[2])
    again, same = composed_requests(model, 3, seed=1)
    assert again == texts
    assert torch.equal(same, theta)


def test_what_cannot_be_learnt_from_is_refused() -> None:
    with pytest.raises(ValueError, match="need one each"):
        study_words(["a man"], torch.zeros(2, 3), STUDY)
    with pytest.raises(ValueError, match="need one each"):
        study_words([], torch.zeros(0, 3), STUDY)
    with pytest.raises(ValueError, match="zero or more"):
        WordStudy(people=-1)
    with pytest.raises(ValueError, match="batch-size"):
        WordStudy(batch_size=0)
