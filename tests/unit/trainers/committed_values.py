"""What the authors trained with: the values of their committed configurations, and of their papers.

TACOS: train/examples/train_full/{llama2-7b,llama2-13b,mistral-7b}_full_sft_ds3.yaml in the public
repository hexixiang/OpenCS (commit ff86393, now hexixiang/TACOS).
InsTag: arXiv 2308.07074, section 4.1, and FastChat's README, "Fine-tuning", which it names.
"""

from typing import Any

ALL = {
    "stage": "sft",
    "do_train": True,
    "finetuning_type": "full",
    "deepspeed": "examples/deepspeed/ds_z3_offload_config.json",
    "max_samples": 1000,
    "overwrite_cache": True,
    "preprocessing_num_workers": 16,
    "logging_steps": 1,
    "save_strategy": "no",
    "plot_loss": True,
    "overwrite_output_dir": True,
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 16,
    "num_train_epochs": 15,
    "lr_scheduler_type": "linear",
    "weight_decay": 0.1,
    "optim": "adamw_torch",
    "adam_beta1": 0.9,
    "adam_beta2": 0.95,
    "neftune_noise_alpha": 15,
    "tf32": True,
    "gradient_checkpointing": True,
    "bf16": True,
    "ddp_timeout": 180000000,
    "val_size": 0.1,
    "per_device_eval_batch_size": 1,
    "eval_strategy": "steps",
    "eval_steps": 500,
    "report_to": "wandb",
}
TACOS: dict[str, dict[str, Any]] = {
    "paper-llama2-7b": {
        **ALL,
        "model_name_or_path": "/model/meta-llama/Llama-2-7b-hf",
        "dataset": "alpaca_tips_wo_tag_cluster_1k_sharegpt",
        "template": "llama2",
        "max_length": 2028,
        "output_dir": "/model/output/llama2-7b-alpaca_tips_wo_tag_cluster_1k_sharegpt-e15lr1e-05",
        "learning_rate": 1e-5,
        "run_name": "llama2-7b-0905-alpaca_tips_wo_tag_cluster_1k_sharegpt-e15lr1e-05",
    },
    "paper-llama2-13b": {
        **ALL,
        "model_name_or_path": "/model/meta-llama/Llama-2-13b-hf",
        "dataset": "evol_instruct_tips_what_1k_sharegpt",
        "template": "llama2",
        "max_length": 4096,
        "output_dir": "/model/output/llama2-13b-evol_instruct_tips_what_1k_sharegpt-e15lr1e-05",
        "learning_rate": 1e-5,
        "run_name": "llama2-13b-0829-evol_instruct_tips_what_1k_sharegpt-e15lr1e-05",
    },
    "paper-mistral-7b": {
        **ALL,
        "model_name_or_path": "/model/mistralai/Mistral-7B-v0.1",
        "dataset": "filtered_alpaca_1k_score_beautified",
        "template": "mistral",
        "max_length": 4096,
        "output_dir": "/model/output/llama2-13b-filtered_alpaca_1k_score_beautified-e15lr2e-06",
        "learning_rate": 2e-6,
        "run_name": "llama2-13b-0830-filtered_alpaca_1k_score_beautified-e15lr2e-06",
    },
}
OF_THEIR_MACHINE = {
    "model_name_or_path",
    "dataset",
    "output_dir",
    "run_name",
    "report_to",
}
"""Paths, names and where their logs went: these are a user's own."""
SAID_BY_US = {"cutoff_len": 1024, "max_grad_norm": 1.0, "seed": 42}
"""Values that they leave to LLaMA-Factory 0.9.1 and to transformers, whose defaults these are."""

TAGLM = {
    "num_train_epochs": 5,
    "learning_rate": 2e-5,
    "template": "vicuna",
    "bf16": True,
    "tf32": True,
    "lr_scheduler_type": "cosine",
    "warmup_ratio": 0.03,
    "weight_decay": 0.0,
    "cutoff_len": 2048,
    "gradient_checkpointing": True,
    "fsdp": "full_shard auto_wrap",
}
TAGLM_BATCH = 128
"""Rows of a step; the paper says no more of it."""
