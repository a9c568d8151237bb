"""The last stage of nano: the face head alone, on hidden states that stay as they are.

While language model and head learn together the head follows states that move at every step, and
what photos show strongly (pose, light) drowns what words say weakly (the tone of a skin): that
lies in directions of the states at `<FACE>` in which they vary a hundred times less. Once the
language model stands still, a state is read once and used in many epochs, and the head learns in
coordinates in which every direction varies alike. Of words for a photo, shape and skin are learnt
here: their expression and pose are known less exactly, the model has learnt these from far more
examples than are read for this stage, and it keeps them. Of composed people all but the light is
learnt. Words that say nothing of shape and skin mean the typical face. Knows no data set and no
command line.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from facegpt.data.mixture import Example, FaceTarget, seeded
from facegpt.model.face_head import FaceHead
from facegpt.model.modeling_facegpt import FaceGPTForConditionalGeneration
from facegpt.morphable.parameters import BLOCK_SIZES
from facegpt.training.collate import Collator, stack_targets
from facegpt.training.face_loss import FaceLoss
from facegpt.training.objective import TargetBatch
from facegpt.training.said import WordsToTheta
from facegpt.training.terms import NonFiniteTermError

SMALLEST_VARIANCE = 0.02
"""Directions of less than this share of the mean variance are not stretched further: there is
more rounding than meaning in them."""

Report = Callable[[int, float], None]


@dataclass(frozen=True)
class HeadStage:
    """How the head learns."""

    heads: int = 3
    """So many start alike and see the states in other orders; their weights are averaged."""
    steps: int = 900
    batch_size: int = 64
    learning_rate: float = 1.8e-3
    """At the beginning; it falls to zero along a cosine."""
    weight_decay: float = 0.0
    taught: tuple[str, ...] = ("shape", "albedo")
    """Blocks of theta that faces from words learn, the others stay what the model made of them; of
    composed people all but the light is learnt whatever stands here."""
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = set(self.taught) - set(BLOCK_SIZES)
        if unknown:
            raise ValueError(f"--taught knows {list(BLOCK_SIZES)}, got {sorted(unknown)}")
        for name in ("heads", "steps", "batch_size"):
            if getattr(self, name) < 1:
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True, eq=False)
class FaceStates:
    """Hidden states at `<FACE>` and what the faces made of them should be."""

    hidden: Float[Tensor, "face hidden"]
    kinds: tuple[str, ...]
    targets: Sequence[FaceTarget]
    texts: tuple[str, ...]
    """What the user last said, of every face."""

    def __len__(self) -> int:
        return len(self.kinds)

    def batch(self, rows: Sequence[int]) -> tuple[Tensor, TargetBatch, tuple[str, ...]]:
        """States, targets and kinds of some faces."""
        targets = stack_targets([self.targets[row] for row in rows])
        return self.hidden[list(rows)], targets, tuple(self.kinds[row] for row in rows)


def read_states(
    model: FaceGPTForConditionalGeneration, collate: Collator, batches: Iterable[Sequence[Example]]
) -> FaceStates:
    """The states of all faces that some examples ask for; examples of other kinds give none.

    Args:
        batches: Examples that are read at once; batches of one kind are padded least.

    Raises:
        ExampleError: An answer has a target and no `<FACE>`.
    """
    model.eval()
    hidden: list[Tensor] = []
    kinds: list[str] = []
    targets: list[FaceTarget] = []
    texts: list[str] = []
    for examples in batches:
        asked = [example for example in examples if example.target is not None]
        if not asked:
            continue
        batch = collate(asked)
        inputs = {name: value for name, value in batch.inputs.items() if name != "labels"}
        states = model.predict_faces(**inputs).face_states
        assert states is not None
        hidden.append(states[batch.theta_index].float())
        kinds += batch.face_kinds
        for example in asked:
            assert example.target is not None
            count = example.answer.count(collate.processor.face_token)
            targets += [_light(example.kind, example.target)] * count
            texts += [_last_text(example)] * count
    width = _linear(model.face_head)[0].in_features
    return FaceStates(
        torch.cat([torch.zeros(0, width), *hidden]), tuple(kinds), tuple(targets), tuple(texts)
    )


def _last_text(example: Example) -> str:
    return "".join(part.get("text", "") for part in example.messages[-1]["content"])


def _light(kind: str, target: FaceTarget) -> FaceTarget:
    """The target of words without its picture where theta is known: it judges well enough, and
    thousands of pictures fill the memory."""
    if kind == "image" or target.theta is None:
        return target
    return replace(
        target,
        photo=_NOTHING.expand(3, *target.photo.shape[1:]),
        skin=_NOTHING.bool().expand(target.skin.shape),
        landmarks68_px=torch.full_like(target.landmarks68_px, float("nan")),
    )


_NOTHING = torch.zeros(1, 1)


class WhitenedHead(nn.Module):
    """A face head whose first layer is written for states of which every direction varies alike.

    It predicts what the head predicts; steps of one size move it evenly in all directions.
    """

    def __init__(self, head: FaceHead, hidden: Float[Tensor, "face hidden"]) -> None:
        """Rewrite a copy of the first layer.

        Args:
            head: Is left as it is until `fold`.
            hidden: States whose mean and covariance count.
        """
        super().__init__()
        self._head = [head]  # no submodule: its weights are given back, not learnt
        states = hidden.double()
        self._mean = states.mean(dim=0)
        variance, axes = torch.linalg.eigh(torch.cov((states - self._mean).T, correction=0))
        variance = variance.clamp(min=float(variance.mean()) * SMALLEST_VARIANCE)
        self._whiten = axes * variance.rsqrt() @ axes.T
        first, *others = _linear(head)
        weight, bias = first.weight.detach().double(), first.bias.detach().double()
        self.weight = nn.Parameter((weight @ (axes * variance.sqrt() @ axes.T)).float())
        self.bias = nn.Parameter((bias + weight @ self._mean).float())
        self.others = nn.ParameterList(
            nn.Parameter(values.detach().clone())
            for layer in others
            for values in (layer.weight, layer.bias)
        )

    def states(self, hidden: Float[Tensor, "face hidden"]) -> Float[Tensor, "face hidden"]:
        """States in the coordinates of this head."""
        return ((hidden.double() - self._mean) @ self._whiten).float()

    def forward(self, states: Float[Tensor, "face hidden"]) -> Float[Tensor, "face parameter"]:
        """What the layers of the head write, before center and scale."""
        values = nn.functional.linear(states, self.weight, self.bias)
        for weight, bias in zip(self.others[::2], self.others[1::2], strict=True):
            values = nn.functional.linear(nn.functional.gelu(values), weight, bias)
        return values

    @torch.no_grad()
    def fold(self) -> None:
        """Write what was learnt into the head, for states as they come."""
        first, *others = _linear(self._head[0])
        weight = self.weight.double() @ self._whiten
        first.weight.copy_(weight)
        first.bias.copy_(self.bias.double() - weight @ self._mean)
        learnt = iter(self.others)
        for layer in others:
            layer.weight.copy_(next(learnt))
            layer.bias.copy_(next(learnt))


def _linear(head: FaceHead) -> list[nn.Linear]:
    return [layer for layer in head.layers if isinstance(layer, nn.Linear)]


def taught_by_words(states: FaceStates, words: WordsToTheta) -> FaceStates:
    """The states with the theta of composed people replaced by the mean of all people whom their
    words fit: what nobody spoke of is chance, and a head learns chance by heart."""
    rows = [row for row, target in enumerate(states.targets) if _is_composed(target)]
    targets = list(states.targets)
    for row, theta in zip(rows, words([states.texts[row] for row in rows]), strict=True):
        targets[row] = replace(targets[row], theta=theta)
    return replace(states, targets=targets)


def _is_composed(target: FaceTarget) -> bool:
    """Of people who were never photographed everything is known."""
    return target.theta_mask is not None and bool(target.theta_mask.all())


@torch.no_grad()
def keep_untaught(
    model: FaceGPTForConditionalGeneration, states: FaceStates, taught: Sequence[str]
) -> FaceStates:
    """The states with the theta of faces from words replaced: outside the taught blocks by what the
    model makes of them now, and inside, where nobody knows it, by the mean of the photos. A
    situation says nothing of who is in it; unless that is taught, it gets a skin by chance. Of
    composed people, whose theta is known exactly, the light alone is replaced."""
    known = torch.cat([torch.full((size,), name in taught) for name, size in BLOCK_SIZES.items()])
    typical = _mean_theta(states)
    targets = [
        target
        if kind == "image" or target.theta is None
        else _as_taught(target, target.theta, theta, known, typical)
        for kind, target, theta in zip(
            states.kinds, states.targets, model.theta_of(states.hidden), strict=True
        )
    ]
    return replace(states, targets=targets)


def _mean_theta(states: FaceStates) -> Float[Tensor, "parameter"] | None:
    """Of the photos whose theta is known; None without any."""
    pairs = zip(states.kinds, states.targets, strict=True)
    known = [t.theta for kind, t in pairs if kind == "image" and t.theta is not None]
    return torch.stack(known).mean(dim=0) if known else None


_LIGHT = torch.cat(
    [torch.full((size,), name == "illumination") for name, size in BLOCK_SIZES.items()]
)


def _as_taught(
    target: FaceTarget,
    theta: Float[Tensor, "parameter"],
    now: Float[Tensor, "parameter"],
    taught: Bool[Tensor, "parameter"],
    typical: Float[Tensor, "parameter"] | None,
) -> FaceTarget:
    mask = target.theta_mask
    if _is_composed(target):
        # Of a tinted lamp no text speaks: taught it, words for nothing made magenta light.
        return replace(target, theta=torch.where(_LIGHT, now, theta))
    if mask is None or typical is None:
        return replace(target, theta=torch.where(taught, theta, now))
    wanted = torch.where(mask, theta, typical)
    return replace(target, theta=torch.where(taught, wanted, now), theta_mask=mask | taught)


def refit_head(
    model: FaceGPTForConditionalGeneration,
    states: FaceStates,
    loss: FaceLoss,
    stage: HeadStage,
    report: Report | None = None,
) -> None:
    """Let the head of a model learn on states that were read; nothing else of it changes.

    Args:
        report: Hears the number of every step and its loss.

    Raises:
        ValueError: There are no states.
        NonFiniteTermError: The loss became NaN or infinite; the head is as it was.
    """
    if not len(states):
        raise ValueError("there is no face to learn from: the mixture asks for none")
    kept = keep_untaught(model, states, stage.taught)
    mean = WhitenedHead(model.face_head, states.hidden)
    given = replace(kept, hidden=mean.states(states.hidden))
    config = model.config
    center = torch.tensor(0.0 if config.theta_center is None else config.theta_center)
    scale = torch.tensor(1.0 if config.theta_scale is None else config.theta_scale)
    learnt = []
    for number in range(stage.heads):
        head = WhitenedHead(model.face_head, states.hidden)
        _learn(head, center, scale, given, loss, stage, number, report)
        learnt.append([weight.detach() for weight in head.parameters()])
    with torch.no_grad():
        for weight, *several in zip(mean.parameters(), *learnt, strict=True):
            weight.copy_(torch.stack(several).mean(dim=0))
    mean.fold()


def _learn(
    head: WhitenedHead,
    center: Tensor,
    scale: Tensor,
    given: FaceStates,
    loss: FaceLoss,
    stage: HeadStage,
    number: int,
    report: Report | None,
) -> None:
    optimiser = torch.optim.AdamW(
        head.parameters(), lr=stage.learning_rate, weight_decay=stage.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, stage.steps)
    for step in range(stage.steps):
        hidden, targets, kinds = given.batch(_rows(len(given), step, stage, number))
        value = loss(center + scale * head(hidden), targets, kinds).mean()
        if not value.isfinite():
            raise NonFiniteTermError("loss", "all", step + 1, "none, the head is as it was")
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        schedule.step()
        if report is not None:
            report(number * stage.steps + step, float(value.detach()))


def _rows(count: int, step: int, stage: HeadStage, number: int) -> list[int]:
    """Faces of a step: in each round all of them once, in an order of its own and of the head's."""
    size = min(stage.batch_size, count)
    round_, place = divmod(step, max(count // size, 1))
    order = torch.randperm(count, generator=seeded(stage.seed, "head", number, round_))
    return order[place * size : (place + 1) * size].tolist()
