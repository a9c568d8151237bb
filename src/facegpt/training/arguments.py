"""A run in the words of transformers: `TrainConfig` to `TrainingArguments`."""

from transformers import PreTrainedModel, TrainingArguments

from facegpt.training.config import TrainConfig
from facegpt.training.precision import in_bfloat16
from facegpt.training.processes import process_count
from facegpt.training.sharding import deepspeed_settings, meet_in_deepspeed


def training_arguments(
    config: TrainConfig, model: PreTrainedModel, *, cpu: bool
) -> TrainingArguments:
    """The settings of transformers for a run.

    Args:
        model: DeepSpeed's buckets are made in its size.

    Raises:
        TrainConfigError: The DeepSpeed file cannot be used.
    """
    on_cpus = cpu and config.deepspeed is not None
    if on_cpus:
        meet_in_deepspeed()
    return TrainingArguments(
        output_dir=str(config.output),
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=config.accumulation,
        max_steps=config.steps,
        learning_rate=config.optimiser.learning_rate,
        lr_scheduler_type=_SCHEDULES[config.optimiser.schedule],
        warmup_steps=config.optimiser.warmup_steps,
        optim="adamw_torch",
        weight_decay=config.optimiser.weight_decay,
        max_grad_norm=config.optimiser.clip_norm,
        bf16=in_bfloat16(config),
        activation_checkpointing=config.activation_checkpointing,
        logging_steps=config.log_every,
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        save_strategy="steps",
        save_steps=config.save_every or _NEVER,
        dataloader_num_workers=config.workers,
        dataloader_pin_memory=not cpu,
        remove_unused_columns=False,
        train_sampling_strategy="sequential",
        # Batches of words alone leave the head and the projector without a gradient.
        ddp_find_unused_parameters=process_count() > 1 or None,
        ddp_timeout=round(60 * config.patience_minutes),
        deepspeed=deepspeed_settings(config, model) if config.deepspeed else None,
        # Told to use the CPU, accelerate passes DeepSpeed over.
        use_cpu=cpu and not on_cpus,
        accelerator_config={"use_configured_state": on_cpus},
        seed=config.seed,
        data_seed=config.seed,
    )


_NEVER = 1_000_000_000
_SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}
