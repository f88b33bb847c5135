"""What a training will take: tokens and steps exactly, time and memory about.

Time is 6 operations per parameter and token (Kaplan et al. 2020, arXiv 2001.08361, section 2.1) at
a share of the speed at which the machine multiplies matrices, which is measured. Memory is 16 bytes
per parameter, for weights, gradients and the two moments of AdamW in single precision, and what the
layers keep of a micro-batch.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tacos.trainers.recipe import Recipe
from tacos.trainers.row_check import Machine, ModelSize

BYTES_PER_PARAMETER = 16
OPERATIONS = 6
"""Per parameter and token: 2 forwards, 4 backwards."""
CHECKPOINTED = 8
"""The same where layers are computed twice."""
SHARE_OF_SPEED = {
    ("cpu", "bf16"): 0.2,
    ("cpu", "fp32"): 0.5,
    # Not measured, since a small model does not fill a GPU: arithmetic from published runs.
    ("cuda", "bf16"): 0.3,
    ("cuda", "fp32"): 0.3,
}
"""Device and precision -> share of the speed of plain products that training reaches. On a CPU
measured with SmolLM2-135M on 2 cores (AMD EPYC): 0.22 and 0.54.
"""
SECONDS_PER_BATCH = {"cpu": 0.05, "cuda": 0.26}
"""Device -> what a micro-batch takes however small it is. On a GPU measured with the 18 layers of
Gemma-3-270M on an H100, idle 4 of 5 seconds: the processor starts the kernels one by one.
"""
KEPT_PER_LAYER = 34
"""Bytes that a layer keeps of a token, per width, in half precision (Korthikanti et al. 2022, arXiv
2205.05198, section 4.1)."""
BYTES_OF = {"bf16": 2, "fp32": 4}
LOGIT_BYTES = 12
"""Per token and entry of the vocabulary: logits, their gradient and a copy in single precision."""


@dataclass(frozen=True)
class Forecast:
    """What a training will take."""

    n_rows: int
    n_cut: int
    read_tokens: int
    """Of all rows once: questions and answers, no padding."""
    trained_tokens: int
    """Over all epochs: answers alone."""
    padded_tokens: int
    """Over all epochs, with what fills up rows to the longest of their micro-batch."""
    steps: int
    seconds: float
    """About; checkpoints are not counted."""
    memory: int
    """Bytes, about."""
    least_memory: int
    """Bytes of the weights, gradients and moments alone."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def forecast_training(
    recipe: Recipe,
    lengths: Sequence[int],
    n_trained: Sequence[int],
    n_cut: int,
    model: ModelSize,
    machine: Machine,
    seed: int,
) -> Forecast:
    """What a training on rows of these lengths will take.

    Args:
        recipe: How the model is trained.
        lengths: Tokens of each row, as they are read.
        n_trained: Tokens of each row that are trained on.
        n_cut: Rows whose end is cut.
        model: The size of the model.
        machine: What it is trained on.
        seed: Of the order in which padding is estimated.

    Raises:
        ConfigError: The batch cannot be shared out to the devices.
    """
    n_rows = len(lengths)
    steps = count_steps(recipe, n_rows, machine.n_devices)
    padded = _estimate_padded_tokens(lengths, recipe.micro_batch_size, seed)
    padded_tokens = round(padded * recipe.epochs)
    operations = CHECKPOINTED if recipe.gradient_checkpointing else OPERATIONS
    n_operations = operations * model.n_parameters * padded_tokens
    # Gradients are shared among devices in no time, by this count.
    speed = (
        machine.flops
        * SHARE_OF_SPEED[machine.kind, recipe.precision]
        * machine.n_devices
    )
    n_batches = steps * recipe.count_accumulated(machine.n_devices)
    seconds = n_operations / speed + n_batches * SECONDS_PER_BATCH[machine.kind]
    least_memory = BYTES_PER_PARAMETER * model.n_parameters
    memory = least_memory + _estimate_activations(
        recipe, max(lengths, default=0), model
    )
    return Forecast(
        n_rows=n_rows,
        n_cut=n_cut,
        read_tokens=sum(lengths),
        trained_tokens=round(sum(n_trained) * recipe.epochs),
        padded_tokens=padded_tokens,
        steps=steps,
        seconds=seconds,
        memory=memory,
        least_memory=least_memory,
    )


def count_steps(recipe: Recipe, n_rows: int, n_devices: int) -> int:
    """Steps of the optimizer, as transformers counts them: the last one of an epoch may be small.

    >>> from tacos.trainers.recipe import read_recipe
    >>> count_steps(read_recipe("small", ["epochs=1"]), 100, 1)
    4
    """
    n_batches = math.ceil(n_rows / (recipe.micro_batch_size * n_devices))
    per_epoch = math.ceil(n_batches / recipe.count_accumulated(n_devices))
    return math.ceil(per_epoch * recipe.epochs)


def _estimate_padded_tokens(lengths: Sequence[int], n_at_once: int, seed: int) -> int:
    """Tokens of one epoch, rows filled up to the longest of their micro-batch, in some order."""
    order = list(lengths)
    random.Random(seed).shuffle(order)
    n_tokens = 0
    for start in range(0, len(order), n_at_once):
        batch = order[start : start + n_at_once]
        n_tokens += max(batch) * len(batch)
    return n_tokens


def _estimate_activations(recipe: Recipe, longest: int, model: ModelSize) -> int:
    """Bytes that a micro-batch of the longest rows keeps."""
    n_tokens = recipe.micro_batch_size * longest
    kept = KEPT_PER_LAYER
    n_layers = model.n_layers
    if recipe.gradient_checkpointing:
        # The input of each layer, and all of one layer.
        per_token = model.width * (2 * n_layers + kept)
    else:
        per_token = model.width * kept * n_layers
    logits = n_tokens * model.n_tokens * LOGIT_BYTES
    return n_tokens * per_token * BYTES_OF[recipe.precision] // 2 + logits
