"""Recipes: how a model is trained, as one file of values with a hash.

One recipe is for all arms of a comparison, so its hash covers every value that changes what is
learned, and neither the base model, nor the seed, nor where the training runs.

Sources: the authors' committed configurations (TACOS, arXiv 2507.03673), InsTag (arXiv 2308.07074)
and FastChat's README; each file in `recipes/` names its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from tacos.config.files import read_toml_file
from tacos.config.loading import DEMANDS, parse_set_option
from tacos.config.section import SettingsSection
from tacos.errors import ConfigError, hint_at_nearest
from tacos.formats.templates import read_template
from tacos.records import canonical_hash

RECIPES = (
    "small",
    "tiny",
    "paper-llama2-7b",
    "paper-llama2-13b",
    "paper-mistral-7b",
    "taglm-13b",
)
BESIDE_THE_HASH = frozenset(
    {
        "description",
        "source",
        "model",
        "seed",
        "devices",
        "needs_gpu",
        "sharding",
        "gradient_checkpointing",
        "llama_factory",
    }
)
"""Values that change nothing of what is learned, or that differ between the arms of a comparison.

The size of a micro-batch is not among them: rows are padded to its longest, and the noise of
NEFTune depends on that length.
"""

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
PositiveCount = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Frame = Literal["none", "alpaca-line"]


class Recipe(SettingsSection):
    """How a model is trained. Every value must be given: there is no default to be judged by."""

    name: str
    """The recipe's name; of a file, its name without the suffix."""
    description: str
    """What it is for."""
    source: str
    """Where its values come from."""
    model: str
    """The base model where none is named: a name on the Hugging Face hub, or empty."""
    template: str
    """The chat template: chatml, llama-2, mistral, vicuna-1.1 or alpaca."""
    frame: Frame
    """What stands around a question besides: none, or the sentence of Alpaca on one line, as in the
    rows of the authors."""
    max_length: PositiveCount
    """Tokens of a row; what is longer is cut at the end."""
    max_rows: Count
    """Rows that are trained on at most; 0 for any number."""
    held_out: Share
    """Share of the rows that is not trained on."""
    epochs: Positive
    """How often each row is seen."""
    batch_size: PositiveCount
    """Rows of one step, over all devices."""
    micro_batch_size: PositiveCount
    """Rows that one device holds at once."""
    learning_rate: Positive
    """The highest learning rate."""
    schedule: Literal["linear", "cosine", "constant"]
    """How the learning rate falls."""
    warmup: Annotated[float, Field(ge=0, lt=1)]
    """Share of the steps in which the learning rate rises."""
    optimizer: Literal["adamw_torch"]
    """The optimizer, as transformers names it."""
    weight_decay: NotNegative
    """AdamW's weight decay."""
    beta1: Share
    """AdamW's first decay rate."""
    beta2: Share
    """AdamW's second decay rate."""
    max_gradient: NotNegative
    """The norm to which gradients are clipped."""
    neftune_alpha: NotNegative
    """Noise on the embeddings (NEFTune, arXiv 2310.05914); 0 for none."""
    precision: Literal["bf16", "fp32"]
    """bf16: products in bfloat16, weights and optimizer in single precision."""
    tf32: bool
    """Whether GPUs multiply in TensorFloat-32 what is left in single precision."""
    gradient_checkpointing: bool
    """Compute layers twice to save memory."""
    seed: Count
    """The seed where none is given: order of rows, noise, rows held out."""
    devices: PositiveCount
    """GPUs that exported configurations are for."""
    needs_gpu: bool
    """Whether training without a GPU is refused."""
    sharding: Literal["none", "zero3-offload", "fsdp"]
    """How exported configurations share a model among GPUs."""
    llama_factory: dict[str, str | int | float | bool]
    """More lines of LLaMA-Factory's configuration, which say nothing of what is learned."""

    @property
    def hash(self) -> str:
        """32 hex digits over what decides what is learned."""
        values = self.model_dump(mode="json", exclude=set(BESIDE_THE_HASH) | {"name"})
        return canonical_hash(values)

    def count_accumulated(self, n_devices: int) -> int:
        """Micro-batches of a step on each device. Raises `ConfigError` if they do not fit."""
        n_rows = self.micro_batch_size * n_devices
        if self.batch_size % n_rows:
            raise ConfigError(
                f"batch_size {self.batch_size} is no multiple of micro_batch_size "
                f"{self.micro_batch_size} x {n_devices} devices: set batch_size or "
                "micro_batch_size (--set)"
            )
        return self.batch_size // n_rows


def read_recipe(name: str | Path, sets: Iterable[str] = ()) -> Recipe:
    """A recipe by its name, or from a TOML file, with `key=value` strings laid over it.

    >>> read_recipe("tiny").hash == read_recipe("tiny", ["epochs=2"]).hash
    False

    Raises:
        ConfigError: There is no such recipe, or a value is unknown, missing or out of range.
    """
    file = _find_file(str(name))
    values = read_toml_file(file)
    values["name"] = file.stem
    for text in sets:
        given = parse_set_option(text)
        _check_names(given)
        values |= given
    if sets:
        values["name"] = f"{file.stem} (changed)"
    return build_recipe(values)


def build_recipe(values: Mapping[str, Any]) -> Recipe:
    """A recipe from its values, as a manifest keeps them. Raises `ConfigError`."""
    _check_names(values)
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_describe_error(error)) from None
    read_template(recipe.template)  # raises where there is none
    return recipe


def _find_file(name: str) -> Path:
    """The file of a recipe."""
    if name in RECIPES:
        return Path(str(files(__package__).joinpath("recipes", f"{name}.toml")))
    if name.endswith(".toml"):
        return Path(name)
    raise ConfigError(
        f"unknown recipe {name!r}; choose from {', '.join(RECIPES)}, or name a .toml file"
        f"{hint_at_nearest(name, RECIPES)}"
    )


def _check_names(values: Mapping[str, Any]) -> None:
    """Raise `ConfigError` for a value that recipes do not have."""
    for name in values:
        if name not in Recipe.model_fields:
            raise ConfigError(
                f"a recipe has no value {name!r}{hint_at_nearest(name, Recipe.model_fields)}"
            )


def _describe_error(error: ValidationError) -> str:
    """What is wrong with the first wrong value, in one line."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"]) or "recipe"
    if first["type"] == "missing":
        return f"the recipe says nothing of {name}: add it to its file"
    demand = DEMANDS.get(first["type"])
    if demand is None:
        return f"recipe: {first['msg'].removeprefix('Value error, ')}"
    bounds = {
        bound: f"{value:g}" if isinstance(value, float) else value
        for bound, value in first.get("ctx", {}).items()
    }
    wanted = demand.format(**bounds)
    return f"the recipe's {name} must be {wanted}, not {first['input']!r}"
