"""Checks that measures share: there is something, in pairs, and its numbers are finite.

Without them numpy would broadcast one truth over all faces, or hand a NaN on into a table.
"""

from collections.abc import Sized

import numpy as np
from jaxtyping import Float, Shaped

from facegpt.evaluation.errors import MeasureError


def check_any(what: str, items: Sized) -> None:
    """
    Raises:
        MeasureError: There is none.
    """
    if len(items) == 0:
        raise MeasureError(f"{what}: there is nothing to measure; give at least one")


def check_pairs(what: str, first: Sized, second: Sized) -> None:
    """
    Args:
        what: Names both, in the order given.

    Raises:
        MeasureError: There are not as many of one as of the other, or none at all.
    """
    if len(first) != len(second):
        raise MeasureError(
            f"{what}: {len(first)} stand against {len(second)}; give one of each for every item, "
            f"in the same order"
        )
    check_any(what, first)


def check_finite(what: str, values: Shaped[np.ndarray, "item *rest"]) -> None:
    """
    Raises:
        MeasureError: A number is NaN or infinite; names the first item that has one.
    """
    good = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if not good.all():
        raise MeasureError(
            f"{what}: item {int(good.argmin())} is not finite; leave it out and say so"
        )


def checked_cloud(
    what: str, points_mm: Float[np.ndarray, "*shape"], fewest: int = 1
) -> Float[np.ndarray, "point 3"]:
    """A cloud of points in float64.

    Raises:
        MeasureError: It is no (points, 3), has too few points, or one that is not finite.
    """
    if points_mm.ndim != 2 or points_mm.shape[1] != 3:
        raise MeasureError(
            f"the {what} cloud must have shape (points, 3), got {points_mm.shape}; give one face "
            f"at a time"
        )
    if len(points_mm) < fewest:
        raise MeasureError(
            f"the {what} cloud has {len(points_mm)} points where at least {fewest} are needed; "
            f"give the vertices of the face region"
        )
    check_finite(f"points of the {what} cloud", points_mm)
    return np.asarray(points_mm, dtype=np.float64)
