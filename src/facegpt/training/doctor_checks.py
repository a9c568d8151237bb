"""The five questions of `facegpt train doctor`, each a function that answers with PASS or FAIL.

Each looks for one way in which such models are known to go wrong while their loss looks well. Knows
no preset and no file.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from facegpt.data.mixture import Example
from facegpt.model.adapter import adapter_parameters
from facegpt.model.modeling_facegpt import FaceGPTForConditionalGeneration
from facegpt.model.processing_facegpt import FaceGPTProcessor
from facegpt.morphable.parameters import BLOCK_SIZES
from facegpt.perception.resampling import BACKGROUND
from facegpt.training.collate import Collator, moved
from facegpt.training.objective import FaceObjective, bounded
from facegpt.training.validation import predicted

MEMORY_PX = 2.0
"""Greatest landmark error, mean over 68 points in pixels of the crop, of faces learnt by heart."""
MEMORY_TEXT = 0.5
"""Greatest L_txt of answers learnt by heart, in nats per token."""
SMALLEST_SPREAD = 0.3
"""Least spread of the predicted points over different photos, as a share of that of the true
ones; the mean face has 0."""
BORDER_PX = 4.0
"""How far the points may move, in pixels of the crop, when the border of the photo is cut off."""
BORDER_SHARE = 0.1
"""Width of that border, as a share of the side."""

_SENTENCES = ("Sure, it is {}.", "{}", "a{}b", "{}{} and {}")


@dataclass(frozen=True)
class Check:
    """One question and its answer."""

    name: str
    status: Literal["PASS", "FAIL", "SKIP"]
    reason: str

    @property
    def line(self) -> str:
        """What the doctor says about it."""
        return f"{self.status} {self.name}: {self.reason}"


def _check(name: str, is_good: bool, reason: str) -> Check:
    return Check(name, "PASS" if is_good else "FAIL", reason)


def check_token(processor: FaceGPTProcessor, model: FaceGPTForConditionalGeneration) -> Check:
    """Whether `<FACE>` stays one token in every surrounding, comes back as itself, and is the token
    the model reads."""
    name, token, number = "token", processor.face_token, processor.face_token_id
    tokenizer = processor.tokenizer
    for sentence in _SENTENCES:
        text = sentence.replace("{}", token)
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        if ids.count(number) != text.count(token):
            return _check(name, False, f"{text!r} has {ids.count(number)} tokens {number} in {ids}")
        if processor.decode(ids).replace(" ", "") != text.replace(" ", ""):
            return _check(name, False, f"{text!r} comes back as {processor.decode(ids)!r}")
    read = model.config.face_token_id
    if read != number:
        return _check(name, False, f"the processor writes token {number}, the model reads {read}")
    rows = len(model.parts.input_rows.weight)
    if number >= rows:
        return _check(name, False, f"the model has {rows} token rows, none for number {number}")
    return _check(name, True, f"{token} is token {number} in every surrounding, and comes back")


def check_gradient(
    model: FaceGPTForConditionalGeneration,
    objective: FaceObjective,
    collate: Collator,
    examples: Sequence[Example],
) -> Check:
    """Whether L reaches head, LoRA, token row and a projector that learns, and nothing else learns.

    The examples must show a photo and ask for its face. All gradients are thrown away afterwards.
    """
    batch = moved(collate(examples), next(model.parameters()).device)
    assert batch.targets is not None, "no example asks for a face"
    was_training = model.training
    # Statistics that run along with the data would be the last thing to be noticed.
    before = {name: value.clone() for name, value in model.named_buffers()}
    model.train()
    try:
        with torch.enable_grad():
            output = model(**batch.inputs)
            face = objective.weighted(objective(output.theta[batch.theta_index], batch.targets))
            (output.loss + face.mean()).backward()
        drifted = [n for n, v in model.named_buffers() if not torch.equal(before[n], v)]
        return _gradient_verdict(model, drifted)
    finally:
        model.zero_grad(set_to_none=True)
        model.train(was_training)


def _gradient_verdict(model: FaceGPTForConditionalGeneration, drifted: list[str]) -> Check:
    name = "gradient"
    learns = adapter_parameters(model)
    own = {id(weight) for weight in learns.values()}
    strangers = [n for n, w in model.named_parameters() if w.requires_grad and id(w) not in own]
    if strangers or drifted:
        return _check(name, False, f"{(strangers + drifted)[0]} changes, and should be frozen")
    groups = ["head", "LoRA", "token", *(["projector"] if model.adapter_config.projector else [])]
    for group in map(str.lower, groups):
        weights = [w for n, w in learns.items() if n.startswith(f"{group}.")]
        # LoRA begins with one of its two factors at zero: half of its gradients are zero then.
        reached = [w for w in weights if w.grad is not None and w.grad.abs().sum() > 0]
        needed = len(weights) / 2 if group == "lora" else len(weights)
        if not weights or len(reached) < needed:
            return _check(
                name, False, f"{len(reached)} of {len(weights)} weights of {group} get a gradient"
            )
    return _check(name, True, f"it reaches {', '.join(groups)}, and nothing else")


def check_memory(
    learn: Callable[[], tuple[float, float]],
    *,
    landmark_px: float = MEMORY_PX,
    text: float = MEMORY_TEXT,
) -> Check:
    """Whether eight samples can be learnt by heart.

    Args:
        learn: Trains on them, and gives the landmark error and L_txt on the same samples.
        landmark_px: Bound of the error.
        text: Bound of L_txt.
    """
    error_px, loss = learn()
    return _check(
        "memory",
        error_px <= landmark_px and loss <= text,
        f"eight samples are known to {error_px:.2f} px (bound {landmark_px}) and their answers to "
        f"{loss:.2f} nats per token (bound {text})",
    )


def check_collapse(
    predicted_px: Float[Tensor, "face 68 2"],
    true_px: Float[Tensor, "face 68 2"],
    predicted_theta: Float[Tensor, "face parameter"] | None = None,
    true_theta: Float[Tensor, "face parameter"] | None = None,
    *,
    bound: float = SMALLEST_SPREAD,
) -> Check:
    """Whether different photos give different faces.

    Compared with the true one is the spread of the 68 points, of the same points without their
    place, size and turn (a mean face in the right pose must not pass), and of shape and expression
    where theta is known.
    """
    pairs = {
        "points": (predicted_px, true_px),
        "form": (_without_pose(predicted_px), _without_pose(true_px)),
    }
    if predicted_theta is not None and true_theta is not None:
        for block in ("shape", "expression"):
            columns = _columns(block)
            pairs[block] = (predicted_theta[:, columns], true_theta[:, columns])
    shares = {name: _spread(a) / max(_spread(b), 1e-9) for name, (a, b) in pairs.items()}
    told = ", ".join(f"{name} {share:.2f}" for name, share in shares.items())
    return _check(
        "collapse",
        min(shares.values()) >= bound,
        f"spread over {len(predicted_px)} photos as a share of the true one: {told} "
        f"(bound {bound})",
    )


def _spread(values: Tensor) -> float:
    return float(values.flatten(1).std(dim=0).norm())


def _without_pose(points: Float[Tensor, "face 68 2"]) -> Float[Tensor, "face 68 2"]:
    """Each face moved, scaled and turned in the plane onto the mean of all."""
    centred = points - points.mean(dim=1, keepdim=True)
    reference = torch.view_as_complex(centred.mean(dim=0).contiguous())
    each = torch.view_as_complex(centred.contiguous())
    factor = (each.conj() * reference).sum(dim=1) / each.abs().square().sum(dim=1)
    return torch.view_as_real(each * factor.unsqueeze(1))


def check_border(
    whole_px: Float[Tensor, "face 68 2"],
    cut_px: Float[Tensor, "face 68 2"],
    *,
    bound: float = BORDER_PX,
) -> Check:
    """Whether the face stays where it is when the border of its photo is cut off: tightly cropped
    photos have such borders, and say by them where the face is."""
    shift_px = float((whole_px - cut_px).norm(dim=-1).mean())
    return _check(
        "border",
        shift_px <= bound,
        f"points move by {shift_px:.2f} px when {BORDER_SHARE:.0%} of each side is cut off "
        f"(bound {bound})",
    )


def without_border(
    image: Float[Tensor, "3 height width"], cut: Float[Tensor, "4"] | None = None
) -> Float[Tensor, "3 height width"]:
    """The picture with the grey border that alignment leaves where a photo ends.

    Args:
        cut: Shares of the side that are cut off: above, below, left, right; `BORDER_SHARE` each.
    """
    above, below, left, right = [BORDER_SHARE] * 4 if cut is None else cut.tolist()
    height, width = image.shape[1:]
    rows = (torch.arange(height) + 0.5) / height
    columns = (torch.arange(width) + 0.5) / width
    inside_rows = (rows > above) & (rows < 1 - below)
    inside_columns = (columns > left) & (columns < 1 - right)
    inside = inside_rows.unsqueeze(1) & inside_columns
    return torch.where(inside, image, BACKGROUND / 255)


@torch.no_grad()
def predict(
    model: nn.Module, collate: Collator, examples: Sequence[Example]
) -> Float[Tensor, "face parameter"]:
    """Theta of examples that ask for a face, in evaluation mode."""
    was_training = model.training
    model.eval()
    batch = moved(collate(examples), next(model.parameters()).device)
    theta = predicted(model, batch).cpu()
    model.train(was_training)
    return theta


def cut_borders(examples: Sequence[Example]) -> list[Example]:
    """The same examples, their photos cut off at the border."""
    assert all(example.image is not None for example in examples)
    return [
        replace(example, image=without_border(example.image))
        for example in examples
        if example.image is not None
    ]


@torch.no_grad()
def points_of(
    objective: FaceObjective, theta: Float[Tensor, "face parameter"]
) -> Float[Tensor, "face 68 2"]:
    """Landmarks of predicted faces, in pixels of the 224 crop."""
    return objective.landmarks_in_crop(objective.renderer(bounded(theta)))


def _columns(block: str) -> slice:
    start = 0
    for name, size in BLOCK_SIZES.items():
        if name == block:
            return slice(start, start + size)
        start += size
    raise KeyError(block)
