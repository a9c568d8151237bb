"""The book of the terms of the loss."""

import pytest
import torch

from facegpt.training.terms import NonFiniteTermError, TermBook, first_non_finite


def test_means_by_name_and_kind() -> None:
    book = TermBook()
    book.add("pixel", torch.tensor([1.0, 2.0]), ("image", "text"))
    book.add("pixel", torch.tensor([3.0]), ("image",))
    book.add_sum("text", "talk", 6.0, 4)
    assert book.close() == {"pixel": 2.0, "pixel/image": 2.0, "pixel/text": 2.0} | {
        "text": 1.5,
        "text/talk": 1.5,
    }
    assert book.close() == {}


def test_processes_are_added_up_before_the_mean() -> None:
    book = TermBook()
    book.add("face", torch.tensor([1.0]), ("image",))
    other = TermBook()
    other.add("face", torch.tensor([4.0, 4.0]), ("image", "text"))
    both = book.close(lambda sums: sums + other._sums)
    assert both == {"face": 3.0, "face/image": 2.5, "face/text": 4.0}


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        TermBook().add("colour", torch.zeros(1), ("image",))
    with pytest.raises(ValueError, match="not in tuple"):
        TermBook().add("pixel", torch.zeros(1), ("dream",))


def test_first_bad_value_names_its_kind() -> None:
    kinds = ("image", "text", "talk")
    assert first_non_finite(torch.tensor([1.0, float("inf"), float("nan")]), kinds) == "text"
    assert first_non_finite(torch.ones(3), kinds) is None


def test_error_says_term_kind_step_and_where_to_go_on() -> None:
    error = NonFiniteTermError("landmark", "text", 12, "runs/a/checkpoint-10")
    assert (error.term, error.kind, error.step) == ("landmark", "text", 12)
    for part in ("'landmark'", "'text'", "step 12", "runs/a/checkpoint-10"):
        assert part in str(error)
