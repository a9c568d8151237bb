"""Free chat: the backbone generates, and the hidden state of every `<FACE>` it writes is kept.

With a cache each step shows the decoder one token, the last one written; so the state of a token
appears one step after the token, and a `<FACE>` at the very end needs one step more. The states
are caught where they leave the decoder: nothing of the prompt and of the other layers is stored.
Knows no sampling: that is the backbone's business.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import LogitsProcessorList, PreTrainedModel

from facegpt.model.errors import GenerationError
from facegpt.model.face_gate import FaceGate, FaceWords, FollowGate


@dataclass(frozen=True)
class FaceGeneration:
    """Texts with the faces in them."""

    sequences: Int[Tensor, "batch token"]
    """Prompts and answers; rows that ended early are padded on the right."""
    prompt_length: int
    theta: list[Float[Tensor, "_ parameter"]]
    """Per row, of the `<FACE>` tokens of the answer in their order; float32."""
    face_positions: list[list[int]]
    """Where in `sequences` they are."""

    @property
    def answers(self) -> Int[Tensor, "batch token"]:
        """The generated tokens alone."""
        return self.sequences[:, self.prompt_length :]


@torch.no_grad()
def generate_with_faces(
    backbone: PreTrainedModel,
    face_token_id: int,
    theta_of: Callable[[Tensor], Tensor],
    input_ids: Int[Tensor, "batch token"],
    inputs_and_options: dict[str, Any],
    *,
    gate: FaceGate | None = None,
    face_words: FaceWords | None = None,
) -> FaceGeneration:
    """See `FaceGPTForConditionalGeneration.generate_with_faces`.

    Args:
        theta_of: From hidden states to theta.
        inputs_and_options: For `generate` of the backbone.
        gate: Decides which answers make a face; None leaves it to the language model.
        face_words: What it needs to have its way; without them it is not asked.

    Raises:
        GenerationError: An option would mix up the hidden states, or the opening does not end in
            the face token.
    """
    options = {"attention_mask": torch.ones_like(input_ids)} | inputs_and_options
    _refuse_reordering(backbone, options)
    options |= {"return_dict_in_generate": True, "output_hidden_states": False}
    start = input_ids.shape[1]
    if face_words is not None and face_words.opening[-1:] != (face_token_id,):
        raise GenerationError("the opening of an answer with a face must end in the face token")
    with _last_states(backbone.get_decoder()) as states:
        if gate is not None and face_words is not None:
            # The first state that is caught is the one at the end of the prompts.
            follow = FollowGate(lambda: gate(states[0]) > 0, face_words, start)
            rules = [follow, *options.get("logits_processor", [])]
            options["logits_processor"] = LogitsProcessorList(rules)
        result = cast("Any", backbone).generate(input_ids=input_ids, **options)
    written = result.sequences[:, start:] == face_token_id
    if len(states) != written.shape[1]:
        raise GenerationError(
            f"generation took {len(states)} decoder steps for {written.shape[1]} tokens; only "
            "plain greedy search and sampling give the faces"
        )
    if written.shape[1] and written[:, -1].any():
        states.append(_state_of_last(backbone, result, options))
    states_at = torch.stack([*states[1:], states[-1]][: written.shape[1]], dim=1)
    return FaceGeneration(
        sequences=result.sequences,
        prompt_length=start,
        theta=[theta_of(row[where]) for row, where in zip(states_at, written, strict=True)],
        face_positions=[(row.nonzero()[:, 0] + start).tolist() for row in written],
    )


def _refuse_reordering(backbone: PreTrainedModel, options: dict[str, Any]) -> None:
    config = options.get("generation_config") or backbone.generation_config
    for name in ("num_beams", "num_return_sequences"):
        count = options.get(name, getattr(config, name, None)) or 1
        if count > 1:
            raise GenerationError(
                f"{name}={count} would mix up the hidden states of <FACE>; generate greedily or by "
                "sampling, and put a conversation into the batch as often as you want answers"
            )
    if options.get("assistant_model") is not None:
        raise GenerationError("an assistant model would skip hidden states of <FACE>; leave it out")


@contextmanager
def _last_states(decoder: nn.Module) -> Iterator[list[Float[Tensor, "batch hidden"]]]:
    """Collects the state of the last position at every step of the decoder in this thread."""
    states: list[Tensor] = []
    thread = threading.get_ident()

    def keep(module: nn.Module, inputs: Any, output: Any) -> None:
        if threading.get_ident() == thread:
            states.append(output[0][:, -1])

    handle = decoder.register_forward_hook(keep)
    try:
        yield states
    finally:
        handle.remove()


def _state_of_last(
    backbone: PreTrainedModel, result: Any, options: dict[str, Any]
) -> Float[Tensor, "batch hidden"]:
    """Of the last token of finished sequences, by one more step of the backbone."""
    sequences = result.sequences
    more = sequences.shape[1] - options["attention_mask"].shape[1]
    known = {k: v for k, v in options.items() if isinstance(v, Tensor)}
    for name, filling in (("attention_mask", 1), ("mm_token_type_ids", 0)):
        if name in known:
            old = known[name]
            known[name] = torch.cat([old, old.new_full((len(old), more), filling)], dim=1)
    cache = getattr(result, "past_key_values", None)
    if cache is not None:
        known = {"attention_mask": known["attention_mask"], "past_key_values": cache}
    with _last_states(backbone.get_decoder()) as states:
        cast("Any", backbone).generate(
            input_ids=sequences, **known, max_new_tokens=1, do_sample=False, num_beams=1
        )
    return states[0]
