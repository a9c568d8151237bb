"""Does a face show the expression that is wanted? Agreement of ARKit weights, action by action.

Numpy in float64. Wanted weights come from a fitted face or from what a situation asks for; the
paper has no such measure. The slow twin is named `..._by_faces`. Knows weights and names, no
morphable model: `arkit_weights` of `facegpt.morphable.blendshapes` makes them of a theta.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from facegpt.evaluation.checks import check_finite, check_pairs
from facegpt.evaluation.errors import MeasureError, UnknownActionError
from facegpt.evaluation.metrics import Bootstrap, Estimate, auc, cosine, cosines, ratio_estimates


@dataclass(frozen=True)
class Zone:
    """Which weights are an action. Chosen by hand, tuned on nothing; the dead zone between the two
    spares faces that people would not agree on."""

    quiet: float = 0.05
    """Up to this weight an action is not wanted."""
    active: float = 0.2
    """From this weight on it is; between the two nobody is judged."""

    def __post_init__(self) -> None:
        if not 0 <= self.quiet < self.active <= 1:
            raise MeasureError(
                f"a zone needs 0 <= quiet < active <= 1, got {self.quiet} and {self.active}"
            )

    @property
    def shown(self) -> float:
        """From this predicted weight on, an action is shown: the middle."""
        return (self.quiet + self.active) / 2


@dataclass(frozen=True)
class ActionAgreement:
    """One action over all faces; shares of 0-1 with 95 % intervals."""

    shown: Estimate
    """Of the faces that it is wanted of, those that show it."""
    still: Estimate
    """Of the faces that it is not wanted of, those that do not show it."""
    sign: Estimate
    """Of the faces whose wanted weight is off the centre by more than `Zone.quiet`, those whose
    predicted weight is off it to the same side. A prediction at the centre itself is on no side and
    counts as wrong."""
    auc: float
    """Chance that a face that it is wanted of has the larger weight: `shown` and `still` without a
    threshold."""


def weight_matrix(
    weights: Sequence[Mapping[str, float]], names: Sequence[str]
) -> Float[np.ndarray, "face blendshape"]:
    """Weights by name as rows, columns in the order of `names`; a name left out is 0.

    Raises:
        UnknownActionError: A weight has a name that is not among them.
    """
    columns = {name: column for column, name in enumerate(names)}
    matrix = np.zeros((len(weights), len(names)))
    for row, face in enumerate(weights):
        for name, weight in face.items():
            if name not in columns:
                raise UnknownActionError(_unknown(row, name, names))
            matrix[row, columns[name]] = weight
    return matrix


def expression_cosines(
    predicted: Float[np.ndarray, "face blendshape"],
    wanted: Float[np.ndarray, "face blendshape"],
    *,
    centre: Float[np.ndarray, "blendshape"] | None = None,
) -> Float[np.ndarray, "face"]:
    """Cosine of the two vectors of weights, -1 to 1, face by face. A face without any expression
    agrees with nobody: 0.

    Args:
        centre: Subtracted from both, such as the mean of the wanted weights, so that what everybody
            shares counts for nothing.

    Raises:
        MeasureError: There are no faces or not as many of both, or a weight is not finite.
    """
    middle = _checked_centre(predicted, wanted, centre)
    return np.nan_to_num(cosines(predicted - middle, wanted - middle))


def expression_cosines_by_faces(
    predicted: Float[np.ndarray, "face blendshape"],
    wanted: Float[np.ndarray, "face blendshape"],
    *,
    centre: Float[np.ndarray, "blendshape"] | None = None,
) -> Float[np.ndarray, "face"]:
    """The same by one `cosine` after the other."""
    middle = np.zeros(predicted.shape[1]) if centre is None else centre
    found = [cosine(p - middle, w - middle) for p, w in zip(predicted, wanted, strict=True)]
    return np.array([0.0 if np.isnan(value) else value for value in found])


def action_agreement(
    predicted: Float[np.ndarray, "face blendshape"],
    wanted: Float[np.ndarray, "face blendshape"],
    names: Sequence[str],
    bootstrap: Bootstrap | None = None,
    *,
    zone: Zone | None = None,
    centre: Float[np.ndarray, "blendshape"] | None = None,
) -> dict[str, ActionAgreement]:
    """Every action by name: whether it is shown where it is wanted, and only there.

    Args:
        names: Of the columns.
        centre: The weights of an average face, for `ActionAgreement.sign`; a still face (0) when
            left out, and then a weight that is wanted has one side only.

    Raises:
        MeasureError: There are no faces or not as many of both, a weight is not finite, there is
            not a name for every column, or as `Bootstrap.groups_of`.
    """
    middle = _checked_centre(predicted, wanted, centre)
    if len(names) != wanted.shape[1]:
        raise MeasureError(
            f"{len(names)} names stand against {wanted.shape[1]} columns of weights; give the name "
            f"of every column"
        )
    zone = zone or Zone()
    asked, quiet = wanted >= zone.active, wanted <= zone.quiet
    shown, judged = predicted >= zone.shown, asked | quiet
    sided = np.abs(wanted - middle) > zone.quiet
    same_side = sided & (np.sign(predicted - middle) == np.sign(wanted - middle))
    shares = [
        ratio_estimates(right, among, bootstrap)
        for right, among in (
            (shown & asked, asked),
            (~shown & quiet, quiet),
            (same_side, sided),
        )
    ]
    areas = [auc(p[j], a[j]) for p, a, j in zip(predicted.T, asked.T, judged.T, strict=True)]
    columns = zip(names, *shares, areas, strict=True)
    return {name: ActionAgreement(*column) for name, *column in columns}


def action_shares_by_faces(
    predicted: Float[np.ndarray, "face blendshape"],
    wanted: Float[np.ndarray, "face blendshape"],
    *,
    zone: Zone | None = None,
    centre: Float[np.ndarray, "blendshape"] | None = None,
) -> Float[np.ndarray, "blendshape 3"]:
    """`shown`, `still` and `sign` of every action without intervals, by one face after the
    other."""
    zone, shares = zone or Zone(), []
    middle = np.zeros(wanted.shape[1]) if centre is None else centre
    for has, wants, usual in zip(predicted.T, wanted.T, middle, strict=True):
        shown = [h >= zone.shown for h, w in zip(has, wants, strict=True) if w >= zone.active]
        still = [h < zone.shown for h, w in zip(has, wants, strict=True) if w <= zone.quiet]
        sign = [
            h > usual if w > usual else h < usual
            for h, w in zip(has, wants, strict=True)
            if abs(w - usual) > zone.quiet
        ]
        shares.append([np.mean(found) if found else np.nan for found in (shown, still, sign)])
    return np.array(shares, dtype=np.float64)


def _unknown(row: int, name: str, names: Sequence[str]) -> str:
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0)
    hint = f"did you mean {nearest[0]!r}?" if nearest else "no name was given"
    return f"face {row} has a weight for {name!r}, which is not among the names; {hint}"


def _checked_centre(
    predicted: Float[np.ndarray, "face blendshape"],
    wanted: Float[np.ndarray, "face blendshape"],
    centre: Float[np.ndarray, "blendshape"] | None,
) -> Float[np.ndarray, "blendshape"]:
    check_pairs("predicted and wanted weights", predicted, wanted)
    check_finite("predicted weights", predicted)
    check_finite("wanted weights", wanted)
    return np.zeros(wanted.shape[1]) if centre is None else centre
