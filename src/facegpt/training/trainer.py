"""The loop of FaceGPT: `transformers.Trainer` with the objective of eq. 5.

Accelerate, DeepSpeed, resuming and learning rates are transformers'; ours are the loss, its average
over batches and processes, learning rates by group, whole checkpoints, and the guard against
numbers that are none. It knows no data set: examples come by number, in order, from whoever holds
them.

Averages: L_txt is the mean over all answered tokens and L_face the mean over all faces of an
update, however they are spread over its batches and processes. So the update of two processes with
two batches each equals that of one process with four.
"""

import contextlib
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import torch
from accelerate.utils.deepspeed import DeepSpeedSchedulerWrapper
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.utils.data import Dataset, Sampler, SequentialSampler
from transformers import PreTrainedModel, Trainer, TrainerCallback
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from facegpt.model.adapter import load_adapter, save_adapter
from facegpt.model.modeling_facegpt import FaceGPTForConditionalGeneration, FaceGPTOutput
from facegpt.training.arguments import training_arguments
from facegpt.training.checkpoints import (
    UNFINISHED,
    checkpoints,
    move_into_place,
    remove_old,
)
from facegpt.training.collate import TrainingBatch, moved
from facegpt.training.config import TrainConfig
from facegpt.training.face_loss import FaceLoss
from facegpt.training.objective import FaceObjective, TargetBatch
from facegpt.training.processes import check_group, process_count
from facegpt.training.sharding import (
    cut_into_shards,
    load_sharded_optimizer,
    save_sharded_optimizer,
    whole_weights,
)
from facegpt.training.terms import NonFiniteTermError, TermBook, first_non_finite
from facegpt.training.weight_groups import weight_groups


@runtime_checkable
class Examples(Protocol):
    """Examples by number: the same number always gives the same example."""

    def __len__(self) -> int:
        """As many as the run will draw."""
        ...

    def __getitem__(self, index: int) -> Any:
        """Example `index` of the run."""
        ...


ShareOut = Callable[[list[Any], int], list[list[Any]]]  # examples, number of batches


class FaceTrainer(Trainer):
    """Trains a FaceGPT model on examples by number."""

    def __init__(
        self,
        config: TrainConfig,
        model: PreTrainedModel,
        examples: Examples,
        collate: Callable[[list[Any]], Any],
        objective: FaceObjective,
        *,
        callbacks: list[TrainerCallback],
        cpu: bool,
        share_out: ShareOut | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            config: The run.
            model: A FaceGPT with an adapter: that is what learns.
            examples: What it learns from.
            collate: Makes a batch of some examples.
            objective: Judges predicted faces.
            callbacks: What happens beside the updates.
            cpu: Train on the CPU, whatever else there is.
            share_out: Puts the examples of an update into other batches than they were drawn in.
        """
        self.run_config = config  # asked for by what is called in the next line
        super().__init__(
            model=model,
            args=training_arguments(config, model, cpu=cpu),
            data_collator=cast("Any", list),  # batches are made of whole updates, below
            train_dataset=cast("Dataset", examples),
            callbacks=callbacks,
        )
        # Nothing below the command line prints.
        self.remove_callback(PrinterCallback)
        self.remove_callback(ProgressCallback)
        check_group(process_count(), self.accelerator.num_processes)
        # Every process draws its own faces, where it trains.
        self._collate, self._share_out = collate, share_out
        self._loss = FaceLoss(objective.to(self.args.device), config.weights)
        self._book = TermBook()
        self._staging: Path | None = None
        # `compute_loss` divides by the tokens and faces of the whole update.
        self.loss_is_scaled_for_ga = True

    @property
    def output(self) -> Path:
        """The folder of the run."""
        return self.run_config.output

    # ---- the loss ----

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The share of one batch in L of its update (eq. 5), times the number of processes.

        Raises:
            NonFiniteTermError: A term of the loss is not finite.
        """
        batch = cast("TrainingBatch", inputs)
        assert isinstance(num_items_in_batch, Tensor)
        output = model(**batch.inputs)
        tokens, faces = num_items_in_batch.clamp(min=1).tolist()
        text = self._text_loss(output, batch) / tokens
        face = self._face_loss(output, batch) / faces
        loss = self.run_config.weights.text * text + self.run_config.weights.face * face
        self._guard("loss", loss.reshape(1), ("all",))
        # Processes average their gradients; the sum over them is meant.
        loss = loss * self.accelerator.num_processes
        return (loss, output) if return_outputs else loss

    def _text_loss(self, output: FaceGPTOutput, batch: TrainingBatch) -> Tensor:
        """L_txt, added up over the answered tokens of the batch."""
        assert output.row_losses is not None
        rows = output.row_losses * torch.tensor(batch.row_tokens, device=output.row_losses.device)
        self._guard("text", rows, batch.kinds)
        for kind, total, count in zip(batch.kinds, rows.tolist(), batch.row_tokens, strict=True):
            self._book.add_sum("text", kind, total, count)
        return rows.sum()

    def _face_loss(self, output: FaceGPTOutput, batch: TrainingBatch) -> Tensor:
        """L_face, added up over the faces of the batch."""
        assert output.theta is not None
        if batch.targets is None:
            # Zero, but connected: every process must have a gradient for the head.
            return output.theta.sum() * 0.0
        theta = output.theta[batch.theta_index]
        return self.face_losses(theta, batch.targets, batch.face_kinds).sum()

    def face_losses(
        self,
        theta: Float[Tensor, "face 257"],
        targets: TargetBatch,
        kinds: tuple[str, ...],
    ) -> Float[Tensor, "face"]:
        """L_face of every face, its terms entered into the book.

        Args:
            kinds: Kind of the example of each face.

        Raises:
            NonFiniteTermError: A term is not finite.
        """
        every = self.run_config.perceptual_every
        loud = every > 0 and self.state.global_step % every == 0
        self._guard("theta", theta.abs().amax(dim=1), kinds)
        return self._loss(
            theta, targets, kinds, perceptual_times=every if loud else 0, watch=self._watch
        )

    def _watch(self, term: str, values: Tensor, kinds: tuple[str, ...]) -> None:
        self._guard(term, values, kinds)
        self._book.add(term, values, kinds)

    def _guard(self, term: str, values: Tensor, kinds: tuple[str, ...]) -> None:
        kind = first_non_finite(values, kinds)
        if kind is not None:
            raise self._refusal(term, kind)

    def _refusal(self, term: str, kind: str) -> NonFiniteTermError:
        saved = checkpoints(self.output)
        where = str(saved[-1]) if saved else "none, the run had not saved yet"
        return NonFiniteTermError(term, kind, self.state.global_step + 1, where)

    def get_batch_samples(
        self, epoch_iterator: Iterator, num_batches: int, device: torch.device
    ) -> tuple[list, Any]:
        """The batches of an update, and what its loss is divided by."""
        drawn = list(islice(epoch_iterator, num_batches))
        if self._share_out is not None and len(drawn) > 1:
            drawn = self._share_out(list(chain.from_iterable(drawn)), len(drawn))
        batches = [self._collate(examples) for examples in drawn]
        return batches, self._get_num_items_in_batch(batches, device)

    def _get_num_items_in_batch(self, batch_samples: list, device: torch.device) -> Tensor:
        """Answered tokens and faces of a whole update, over all processes."""
        counts = torch.tensor(
            [[batch.token_count, batch.face_count] for batch in batch_samples], device=device
        ).sum(dim=0)
        if self.accelerator.num_processes > 1:
            counts = cast("Tensor", self.accelerator.reduce(counts, "sum"))
        return counts

    def _prepare_inputs(self, inputs: Any) -> Any:
        return moved(inputs, self.args.device)

    def floating_point_ops(self, inputs: Any) -> int:
        """Not counted: the renderer has its share and nobody knows it."""
        return 0

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add every term of the loss, by name and by kind, to a line of the log."""
        if "loss" in logs:
            logs = {**logs, **self._book.close(self._added_up)}
        super().log(logs, start_time)

    def _added_up(self, sums: Tensor) -> Tensor:
        if self.accelerator.num_processes == 1:
            return sums
        return cast("Tensor", self.accelerator.reduce(sums.to(self.args.device), "sum")).cpu()

    # ---- the update ----

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW with a learning rate for each group of weights."""
        if self.optimizer is None:
            groups = weight_groups(self._face_gpt)
            rates = self.run_config.optimiser.rates
            self.optimizer = torch.optim.AdamW(
                [{"params": list(w.values()), "lr": rates[g]} for g, w in groups.items() if w],
                weight_decay=self.run_config.optimiser.weight_decay,
            )
        return self.optimizer

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        """The length of the gradient, refused when it is none."""
        norm = super()._get_grad_norm(model, grad_norm)
        if not torch.as_tensor(norm).isfinite():
            worst = next(
                (
                    name
                    for name, weight in model.named_parameters()
                    if weight.grad is not None and not weight.grad.isfinite().all()
                ),
                "a shard",  # DeepSpeed keeps gradients to itself
            )
            raise self._refusal(f"gradient of {worst}", "all")
        return norm

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler:
        """In order: the examples are drawn at random already, by their number."""
        chosen = self.train_dataset if train_dataset is None else train_dataset
        return SequentialSampler(cast("Any", chosen))

    # ---- checkpoints ----

    def _init_training_state(self, max_steps: int, *others: Any, **named: Any) -> Any:
        """As always, but a resumed run saves and logs as often as it is told now."""
        resumed = super()._init_training_state(max_steps, *others, **named)
        self.state.compute_steps(self.args, max_steps)
        return resumed

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Everything that is needed to go on, in one folder that is there in full or not at all."""
        place = self.output / f"checkpoint-{self.state.global_step}"
        if place.exists():
            return
        with self._stage() as folder:
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                move_into_place(folder / place.name, place)
        if self.args.should_save:
            remove_old(self.output, self.run_config.keep)
        self.accelerator.wait_for_everyone()

    @contextlib.contextmanager
    def _stage(self) -> Iterator[Path]:
        self._staging = self.output / UNFINISHED
        try:
            yield self._staging
        finally:
            self._staging = None

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._staging or self.output)

    def _prepare_for_training(
        self, max_steps: int, train_dataloader: Any, resume_from_checkpoint: str | None
    ) -> Any:
        if self.run_config.fsdp:
            # Here and not before: a checkpoint is read into whole weights. In the words of
            # transformers the model comes sharded, whoever did it.
            cut_into_shards(self._face_gpt, self.args.device)
            self.is_distributed_loading_by_transformers = True
        if not self.is_deepspeed_enabled:
            given = (max_steps, train_dataloader, resume_from_checkpoint)
            return super()._prepare_for_training(*given)
        if resume_from_checkpoint:
            self._load_from_checkpoint(resume_from_checkpoint)
        prepared = super()._prepare_for_training(max_steps, train_dataloader, None)
        if resume_from_checkpoint:
            engine = cast("Any", self.model_wrapped)
            # The shards hold what learns; the strict reading of transformers wants the frozen, too.
            engine.load_checkpoint(resume_from_checkpoint, load_module_strict=False)
            self._load_optimizer_and_scheduler(resume_from_checkpoint)
        return prepared

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        """As always, but without the frozen weights, which FSDP and DeepSpeed would write, too."""
        if self.is_deepspeed_enabled:
            cast("Any", self.model_wrapped).save_checkpoint(
                output_dir, exclude_frozen_parameters=True
            )
        elif self.run_config.fsdp:
            path = Path(output_dir) / OPTIMIZER_NAME
            sharded = cast("FSDPModule", self.model)
            save_sharded_optimizer(sharded, self._torch_optimizer, path, keep=self.args.should_save)
        else:
            return super()._save_optimizer_and_scheduler(output_dir)
        if self.args.should_save and not isinstance(self.lr_scheduler, DeepSpeedSchedulerWrapper):
            state = cast("Any", self.lr_scheduler).state_dict()
            torch.save(state, Path(output_dir) / SCHEDULER_NAME)
        return None

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None or not self.run_config.fsdp:
            return super()._load_optimizer_and_scheduler(checkpoint)
        model, folder = cast("nn.Module", self.model), Path(checkpoint)
        load_sharded_optimizer(model, self._torch_optimizer, folder / OPTIMIZER_NAME)
        schedule = torch.load(folder / SCHEDULER_NAME, weights_only=True)
        cast("Any", self.lr_scheduler).load_state_dict(schedule)
        return None

    @property
    def _torch_optimizer(self) -> torch.optim.Optimizer:
        """Without what accelerate puts around it."""
        return cast("Any", self.optimizer).optimizer

    @contextlib.contextmanager
    def _defer_fsdp_gradient_reduction(self) -> Iterator[None]:
        """Gradients of an update are added up in each process first; as that of transformers, which
        asks the config of the model how it was loaded."""
        sharded = cast("FSDPModule", self.model)
        sharded.set_requires_gradient_sync(False)
        try:
            yield
        finally:
            sharded.set_requires_gradient_sync(True)

    def _move_model_to_device(self, model: nn.Module, device: torch.device) -> None:
        """Not the whole model, if a shard of it is all that fits."""
        if not self.run_config.fsdp:
            super()._move_model_to_device(model, device)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the adapter, whole, however its weights are spread. All processes call this."""
        with self.whole_weights():
            self._save(output_dir)

    @contextlib.contextmanager
    def whole_weights(self) -> Iterator[None]:
        """While this lasts, the first process can save the model. All processes enter together."""
        with whole_weights(self.bare_model, keep=self.args.should_save):
            yield

    def _save(
        self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None
    ) -> None:
        if self.args.should_save:
            save_adapter(self._face_gpt, Path(output_dir or self.output))

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        load_adapter(self._face_gpt, Path(resume_from_checkpoint))

    @property
    def bare_model(self) -> PreTrainedModel:
        """The model without what distributes it."""
        return cast("PreTrainedModel", self.accelerator.unwrap_model(self.model))

    @property
    def _face_gpt(self) -> FaceGPTForConditionalGeneration:
        return cast("FaceGPTForConditionalGeneration", self.bare_model)
