"""Reads rows as TRL will, before it does. Runs in the training environment, and imports no tacos.

    python training_check.py REQUEST.json RESULT.json

The request names the model, the file of rows, the chat template and the settings; the result has
the tokens of each row, what becomes of it, the size of the model, and what the machine can do.

Source: trl/trainer/sft_trainer.py (`_prepare_dataset`), whose steps are taken one by one here, so
that a row that TRL would drop or train otherwise than meant has a name.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "transformers", "trl", "accelerate", "datasets", "tokenizers")
PRODUCT_SECONDS = 0.3
LEAST_PRODUCTS = 5
GPU_SIDE = 4096
"""Side of the matrices by which a GPU's speed is measured."""
CPU_ROWS = 1024


class Problem(Exception):
    """What a person must mend; its text is one line."""


def main(request_file: str, result_file: str) -> None:
    """Answer a request."""
    request = json.loads(Path(request_file).read_text("utf-8"))
    try:
        result = check_training(request)
    except Problem as problem:
        result = {"problem": str(problem)}
    except ImportError as error:
        # Its metadata may be there without it, and what it needs may not.
        result = {"problem": explain_missing(error.name or str(error))}
    Path(result_file).write_text(json.dumps(result), "utf-8")


def check_training(request: dict[str, Any]) -> dict[str, Any]:
    """The result of a request."""
    versions = read_versions()
    check_settings(request["settings_file"])
    device = describe_device(request["device"], request["precision"])
    tokenizer = load_tokenizer(request["model"])
    template = Path(request["template_file"]).read_text("utf-8")
    with open(request["rows_file"], encoding="utf-8") as lines:
        rows = [
            measure_row(tokenizer, template, json.loads(line), request["max_length"])
            for line in lines
        ]
    return {
        "versions": versions,
        "device": device,
        "model": measure_model(request["model"]),
        "rows": rows,
    }


# The environment


def read_versions() -> dict[str, str]:
    """Package -> version. Raises `Problem` where one is missing."""
    versions = {"python": sys.version.split()[0]}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            raise Problem(explain_missing(package)) from None
    return versions


def explain_missing(package: str) -> str:
    """What to do where a package is missing."""
    return (
        f"{sys.executable} has no {package}: make a training environment with `make setup-train`, "
        "or name another Python (--trainer-python)"
    )


def check_settings(file: str) -> None:
    """Raise `Problem` for settings that this release of TRL does not know: it would pass over
    them.
    """
    from trl.scripts.sft import make_parser

    *_, unknown = make_parser().parse_args_and_config(
        ["--config", file],
        return_remaining_strings=True,
    )
    if unknown:
        raise Problem(
            f"TRL {version('trl')} does not know the setting {unknown[0].lstrip('-')}: make the "
            "training environment again with `make setup-train`"
        )


def describe_device(wanted: str, precision: str) -> dict[str, Any]:
    """What the training runs on, and how fast it multiplies."""
    import torch

    has_gpu = torch.cuda.is_available()
    if wanted == "cuda" and not has_gpu:
        raise Problem(
            f"torch {torch.__version__} finds no GPU here: train on the CPU (--device cpu), or "
            "mend the driver or the training environment"
        )
    if wanted == "cpu" or not has_gpu:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return {
            "kind": "cpu",
            "name": read_processor(),
            "n_devices": 1,
            "n_threads": torch.get_num_threads(),
            "memory": memory,
            "flops": measure_products("cpu", precision),
        }
    properties = torch.cuda.get_device_properties(0)
    return {
        "kind": "cuda",
        "name": properties.name,
        "n_devices": torch.cuda.device_count(),
        "n_threads": torch.get_num_threads(),
        "memory": properties.total_memory,
        "flops": measure_products("cuda", precision),
    }


def read_processor() -> str:
    """The name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return "CPU"
    names = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
    return names[0] if names else "CPU"


def measure_products(kind: str, precision: str) -> float:
    """Floating-point operations per second of a product of matrices."""
    import torch

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    side = GPU_SIDE if kind == "cuda" else CPU_ROWS
    left = torch.ones(side, side, dtype=dtype, device=kind)
    right = torch.ones(side, side, dtype=dtype, device=kind)
    left @ right  # the first one loads kernels
    n_products = 0
    best = float("inf")
    started = time.perf_counter()
    # The best of a few: others may use the cores at the same time.
    while (
        n_products < LEAST_PRODUCTS or time.perf_counter() - started < PRODUCT_SECONDS
    ):
        begun = time.perf_counter()
        left @ right
        if kind == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - begun)
        n_products += 1
    return 2.0 * side**3 / best


# The model


def load_tokenizer(model: str) -> Any:
    """The tokenizer of a model."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise Problem(explain_model(model, error)) from None


def measure_model(model: str) -> dict[str, int]:
    """The size of a model, by its configuration alone."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(model)
        with torch.device("meta"):
            empty = AutoModelForCausalLM.from_config(config)
    except (OSError, ValueError) as error:
        raise Problem(explain_model(model, error)) from None
    text = config.get_text_config()
    return {
        "n_parameters": sum(each.numel() for each in empty.parameters()),
        "n_layers": text.num_hidden_layers,
        "width": text.hidden_size,
        "n_tokens": text.vocab_size,
        "max_length": getattr(text, "max_position_embeddings", 0) or 0,
    }


def explain_model(model: str, error: Exception) -> str:
    """Why a model cannot be loaded, in one line."""
    said = str(error).strip().splitlines() or [type(error).__name__]
    where = "its folder" if Path(model).is_dir() else "its name, and the network"
    return f"the model {model} cannot be loaded: {said[0].rstrip('.')}; check {where}"


# Rows


def measure_row(
    tokenizer: Any,
    template: str,
    row: dict[str, Any],
    max_length: int,
) -> list[Any]:
    """[tokens that are read, tokens that are trained on, what becomes of the row].

    What becomes of it is "" where it is trained on as it is, "cut" where its end is cut, else why
    it is not trained on.
    """
    tools = row.get("tools")
    tools = json.loads(tools) if isinstance(tools, str) else tools
    try:
        if "prompt" in row:
            tokens, is_trained = tokenize_pair(tokenizer, template, row, tools)
        else:
            tokens, is_trained = tokenize_chat(tokenizer, template, row, tools)
    except Problem as problem:
        return [0, 0, str(problem)]
    n_trained = sum(is_trained[:max_length])
    if n_trained == 0 and any(is_trained):
        return [0, 0, f"the question alone is longer than {max_length:,} tokens"]
    if n_trained == 0:
        return [0, 0, "no token of it is trained on"]
    is_cut = len(tokens) > max_length
    return [min(len(tokens), max_length), n_trained, "cut" if is_cut else ""]


def tokenize_pair(
    tokenizer: Any,
    template: str,
    row: dict[str, Any],
    tools: Any,
) -> tuple[list[int], list[bool]]:
    """Tokens of a prompt with its completion, and which of them are trained on."""
    prompt = apply_template(
        tokenizer,
        template,
        row["prompt"],
        tools,
        add_generation_prompt=True,
    )["input_ids"]
    tokens = apply_template(
        tokenizer,
        template,
        row["prompt"] + row["completion"],
        tools,
    )["input_ids"]
    if tokens[: len(prompt)] != prompt:
        raise Problem(
            "its question ends within a token of its answer: it would be trained on otherwise "
            "than it is asked"
        )
    is_trained = [place >= len(prompt) for place in range(len(tokens))]
    return tokens, is_trained


def tokenize_chat(
    tokenizer: Any,
    template: str,
    row: dict[str, Any],
    tools: Any,
) -> tuple[list[int], list[bool]]:
    """Tokens of a chat, and which of them are trained on: those of its answers."""
    encoded = apply_template(
        tokenizer,
        template,
        row["messages"],
        tools,
        return_assistant_tokens_mask=True,
    )
    return encoded["input_ids"], [bool(mark) for mark in encoded["assistant_masks"]]


def apply_template(
    tokenizer: Any,
    template: str,
    messages: Any,
    tools: Any,
    **options: bool,
) -> Any:
    """The tokens of messages. Raises `Problem` where the template has no form for them."""
    from jinja2 import TemplateError

    try:
        return tokenizer.apply_chat_template(
            messages,
            tools=tools,
            chat_template=template,
            tokenize=True,
            return_dict=True,
            **options,
        )
    except TemplateError as error:
        raise Problem(f"the chat template has no form for it: {error}") from None


if __name__ == "__main__":
    main(*sys.argv[1:])
