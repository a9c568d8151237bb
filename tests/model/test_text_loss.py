"""L_txt against the definition, written out."""

import torch
from torch import nn

from facegpt.model.text_loss import text_loss


def example(dtype: torch.dtype = torch.float32):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(2, 5, 4, generator=generator, dtype=dtype)
    rows = nn.Linear(4, 7, bias=False, dtype=dtype)
    with torch.no_grad():
        rows.weight.normal_(generator=generator)
    labels = torch.tensor([[3, -100, 1, 2, -100], [6, -100, -100, -100, 5]])
    return hidden, labels, rows


def test_it_is_the_mean_surprise_of_the_labelled_tokens() -> None:
    hidden, labels, rows = example()
    surprise = -rows(hidden).log_softmax(dim=-1)
    first = [surprise[0, 1, 1], surprise[0, 2, 2]]  # the label of position 0 has no past
    second = [surprise[1, 3, 5]]
    loss = text_loss(hidden, labels, rows)
    torch.testing.assert_close(loss.mean, torch.stack(first + second).mean())
    torch.testing.assert_close(loss.row_means, torch.stack([sum(first) / 2, second[0]]))


def test_gradient() -> None:
    hidden, labels, rows = example(torch.float64)

    def mean(values):
        return text_loss(values, labels, rows).mean.double()

    # The loss itself is float32: differences of it are good to some 1e-3 of a step of 1e-3.
    assert torch.autograd.gradcheck(
        mean, (hidden.requires_grad_(),), eps=1e-3, atol=2e-3, rtol=1e-2
    )


def test_the_loss_is_float32_for_half_precision() -> None:
    loss = text_loss(*example(torch.bfloat16))
    assert loss.mean.dtype == loss.row_means.dtype == torch.float32
