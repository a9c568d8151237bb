"""What a named measurement is.

A measurement is a function of a face that a person could also take with a ruler or a colour chart:
a width, an angle, a lightness. This module knows no formula; it knows what belongs to a name.
"""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from facegpt.morphable.probe import ProbedFace

Formula = Callable[[ProbedFace], Float[Tensor, "batch"]]


@dataclass(frozen=True)
class Measurement:
    """A named number of a face, differentiable in the block of theta that it reads."""

    name: str
    block: str
    """The block of theta that it describes; an edit moves only this one."""
    unit: str
    description: str
    subject: str
    """What the words speak of: jaw."""
    low: str
    """The word for a small value: narrow."""
    high: str
    """The word for a large value: wide."""
    formula: Formula
    needs: tuple[str, ...] = ()
    """Anchors that not every model has; a model without them goes without the measurement."""


def enter_into(table: list[Measurement], block: str) -> Callable[..., Callable[[Formula], Formula]]:
    """A decorator that adds a formula to a table, with its name and its docstring as the
    description.
    """

    def measurement(
        unit: str, subject: str, low: str, high: str, *, needs: tuple[str, ...] = ()
    ) -> Callable[[Formula], Formula]:
        def enter(formula: Formula) -> Formula:
            name = getattr(formula, "__name__", "")
            text = " ".join((formula.__doc__ or "").split())
            table.append(Measurement(name, block, unit, text, subject, low, high, formula, needs))
            return formula

        return enter

    return measurement
