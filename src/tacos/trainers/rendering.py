"""Renders a recipe as the configuration of a trainer: TRL's, LLaMA-Factory's or Axolotl's.

All three get the same values under their own names, as YAML. Names of TRL: trl 1.16,
trl/trainer/sft_config.py and transformers' TrainingArguments; of LLaMA-Factory 0.9.5:
llamafactory/hparams; of Axolotl 0.19: axolotl/utils/schemas.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tacos.methods.chats.trainer_rows import Layout
from tacos.trainers.recipe import Recipe

Settings = dict[str, Any]

LLAMA_FACTORY_TEMPLATES = {
    "chatml": "chatml",
    "llama-2": "llama2",
    "mistral": "mistral",
    "vicuna-1.1": "vicuna",
    "alpaca": "alpaca",
}
"""Our templates -> those of LLaMA-Factory's own that write the same."""
LLAMA_FACTORY_ZERO3 = "examples/deepspeed/ds_z3_offload_config.json"
AXOLOTL_ZERO3 = "deepspeed_configs/zero3_bf16_cpuoffload_all.json"
SCHEDULES = {
    "linear": "linear",
    "cosine": "cosine",
    # Else transformers would pass over the warm-up.
    "constant": "constant_with_warmup",
}
EVERY_STEP = 1


@dataclass(frozen=True)
class TrlJob:
    """One run of `trl sft`: where everything lies, and what it runs on."""

    model: str
    rows_file: str
    template_file: str
    output: str
    seed: int
    device: Literal["cuda", "cpu"]
    n_devices: int
    save_steps: int
    resume_from: str = ""
    """The checkpoint to go on from, "" to start."""


def build_trl_settings(
    recipe: Recipe,
    layout: Layout,
    job: TrlJob,
) -> Settings:
    """What `trl sft --config` reads."""
    on_gpu = job.device == "cuda"
    settings: Settings = {
        "model_name_or_path": job.model,
        "dtype": "float32",
        "datasets": [{"path": "json", "data_files": job.rows_file, "split": "train"}],
        "chat_template_path": job.template_file,
        _choose_loss(layout): True,
        "max_length": recipe.max_length,
        "packing": False,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": SCHEDULES[recipe.schedule],
        # Below 1, it is a share of the steps.
        "warmup_steps": recipe.warmup,
        "num_train_epochs": recipe.epochs,
        "per_device_train_batch_size": recipe.micro_batch_size,
        "gradient_accumulation_steps": recipe.count_accumulated(job.n_devices),
        **_list_adamw_settings(recipe),
        "bf16": recipe.precision == "bf16",
        "fp16": False,
        "gradient_checkpointing": recipe.gradient_checkpointing,
        "seed": job.seed,
        "data_seed": job.seed,
        "use_cpu": not on_gpu,
        "dataloader_pin_memory": on_gpu,
        "logging_steps": EVERY_STEP,
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "report_to": "none",
        "save_strategy": "steps",
        "save_steps": job.save_steps,
        "save_total_limit": 2,
        "output_dir": job.output,
    }
    if on_gpu:
        settings["tf32"] = recipe.tf32
    if recipe.neftune_alpha:
        settings["neftune_noise_alpha"] = recipe.neftune_alpha
    if job.resume_from:
        settings["resume_from_checkpoint"] = job.resume_from
    return settings


def build_llama_factory_settings(
    recipe: Recipe,
    *,
    model: str,
    data_set: str,
    output: str,
    seed: int | None = None,
) -> Settings:
    """What `llamafactory-cli train` reads; `data_set` is an entry of `dataset_info.json`."""
    settings: Settings = {
        "model_name_or_path": model,
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "full",
        "dataset": data_set,
        "template": LLAMA_FACTORY_TEMPLATES[recipe.template],
        "cutoff_len": recipe.max_length,
        "output_dir": output,
        "logging_steps": EVERY_STEP,
        "save_strategy": "no",
        "per_device_train_batch_size": recipe.micro_batch_size,
        "gradient_accumulation_steps": recipe.count_accumulated(recipe.devices),
        "learning_rate": recipe.learning_rate,
        "num_train_epochs": recipe.epochs,
        "lr_scheduler_type": SCHEDULES[recipe.schedule],
        **_list_adamw_settings(recipe),
        "tf32": recipe.tf32,
        "gradient_checkpointing": recipe.gradient_checkpointing,
        "bf16": recipe.precision == "bf16",
        "seed": recipe.seed if seed is None else seed,
        "report_to": "none",
        **recipe.llama_factory,
    }
    # What is 0 is left to the trainer, whose own value it is.
    if recipe.warmup:
        settings["warmup_ratio"] = recipe.warmup
    if recipe.neftune_alpha:
        settings["neftune_noise_alpha"] = recipe.neftune_alpha
    if recipe.max_rows:
        settings["max_samples"] = recipe.max_rows
    if recipe.held_out:
        settings["val_size"] = recipe.held_out
    if recipe.sharding == "zero3-offload":
        settings["deepspeed"] = LLAMA_FACTORY_ZERO3
    if recipe.sharding == "fsdp":
        settings["fsdp"] = "full_shard auto_wrap"
    return settings


def build_axolotl_settings(
    recipe: Recipe,
    *,
    model: str,
    output: str,
    seed: int | None = None,
) -> Settings:
    """What `axolotl train` reads, beside the lines that say how the rows are read."""
    adamw = _list_adamw_settings(recipe)
    optimizer = adamw.pop("optim")
    settings: Settings = {
        "base_model": model,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler": SCHEDULES[recipe.schedule],
        "warmup_ratio": recipe.warmup,
        "num_epochs": recipe.epochs,
        "micro_batch_size": recipe.micro_batch_size,
        "gradient_accumulation_steps": recipe.count_accumulated(recipe.devices),
        "optimizer": optimizer,
        **adamw,
        "bf16": recipe.precision == "bf16",
        "tf32": recipe.tf32,
        "gradient_checkpointing": recipe.gradient_checkpointing,
        "sample_packing": False,
        "seed": recipe.seed if seed is None else seed,
        "val_set_size": recipe.held_out,
        "logging_steps": EVERY_STEP,
        "save_strategy": "no",
        "output_dir": output,
    }
    if recipe.neftune_alpha:
        settings["neftune_noise_alpha"] = recipe.neftune_alpha
    if recipe.sharding == "zero3-offload":
        settings["deepspeed"] = AXOLOTL_ZERO3
    if recipe.sharding == "fsdp":
        settings["fsdp_version"] = 2
        settings["fsdp_config"] = {
            "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
            "reshard_after_forward": True,
        }
    return settings


def write_yaml(settings: Mapping[str, Any]) -> str:
    """Settings as YAML, one a line.

    >>> print(write_yaml({"learning_rate": 1e-05, "packing": False}), end="")
    learning_rate: 1.0e-05
    packing: false
    """
    lines = [f"{name}: {_write_value(value)}\n" for name, value in settings.items()]
    return "".join(lines)


def _choose_loss(layout: Layout) -> str:
    """The setting by which TRL trains on answers alone."""
    if layout == "prompt-completion":
        return "completion_only_loss"
    return "assistant_only_loss"


def _list_adamw_settings(recipe: Recipe) -> Settings:
    """The optimizer, under names that all three trainers have from transformers."""
    return {
        "optim": recipe.optimizer,
        "weight_decay": recipe.weight_decay,
        "adam_beta1": recipe.beta1,
        "adam_beta2": recipe.beta2,
        "max_grad_norm": recipe.max_gradient,
    }


def _write_value(value: Any) -> str:
    """A value as JSON, which is YAML but for numbers like 1e-05: YAML 1.1 reads them as text."""
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and "e" in text and "." not in text:
        return text.replace("e", ".0e")
    return text
