"""A recipe beside exported rows: the trainer's whole configuration, not its reading alone."""

from __future__ import annotations

import json
from pathlib import Path

from tacos.errors import ConfigError
from tacos.formats.trainer_folders import (
    AXOLOTL_CONFIG,
    DATASET_INFO,
    LINES,
    LLAMA_FACTORY_CONFIG,
    TRL_CONFIG,
    TrainerFolder,
)
from tacos.trainers import rendering, training_rows
from tacos.trainers.recipe import Recipe, read_recipe
from tacos.trainers.rendering import TrlJob

OF_RECIPES = ("trl", "llama-factory", "axolotl")
MODEL = "MODEL"
"""Stands where a recipe names no model."""
OUTPUT = "trained"
NOT_HELD_OUT = "val_set_size: 0\n"
"""A line of Axolotl's configuration that a recipe replaces."""
SAVE_STEPS = 100


def read_export_recipe(name: str | Path, trainer: str) -> Recipe:
    """The recipe of an export. Raises `ConfigError` where the trainer has no configuration."""
    if trainer not in OF_RECIPES:
        raise ConfigError(
            f"--recipe is for {', '.join(OF_RECIPES)}: --for {trainer} writes no configuration"
        )
    return read_recipe(name)


def add_recipe(folder: TrainerFolder, trainer: str, recipe: Recipe) -> None:
    """Put a trainer's configuration by a recipe into its folder.

    Raises `ConfigError` for more rows than the recipe is for.
    """
    training_rows.check_row_limit(recipe, len(folder.rows))
    header = f"# Recipe {recipe.name}, hash {recipe.hash}: {recipe.description}.\n"
    model = recipe.model or MODEL
    if not recipe.model:
        header += f"# {MODEL} stands for the model to train: write its name here.\n"
    if trainer == "trl":
        settings = rendering.build_trl_settings(
            recipe,
            folder.layout,
            TrlJob(
                model=model,
                rows_file=LINES,
                template_file=f"{recipe.template}.jinja",
                output=OUTPUT,
                seed=recipe.seed,
                device="cuda",
                n_devices=recipe.devices,
                save_steps=SAVE_STEPS,
            ),
        )
        folder.texts[TRL_CONFIG] = header + rendering.write_yaml(settings)
        folder.usage = (f"trl sft --config {TRL_CONFIG}",)
    elif trainer == "llama-factory":
        data_set = next(iter(json.loads(folder.texts[DATASET_INFO])))
        settings = rendering.build_llama_factory_settings(
            recipe,
            model=model,
            data_set=data_set,
            output=OUTPUT,
        )
        settings["dataset_dir"] = "."
        folder.texts[LLAMA_FACTORY_CONFIG] = header + rendering.write_yaml(settings)
        folder.usage = (f"llamafactory-cli train {LLAMA_FACTORY_CONFIG}",)
    else:
        settings = rendering.build_axolotl_settings(recipe, model=model, output=OUTPUT)
        # Its first line says what is to be added, which follows here.
        _, _, reading = folder.texts[AXOLOTL_CONFIG].partition("\n")
        reading = reading.replace(NOT_HELD_OUT, "")
        folder.texts[AXOLOTL_CONFIG] = header + reading + rendering.write_yaml(settings)
    if not recipe.model:
        folder.usage = (f"# name the model first, in place of {MODEL}", *folder.usage)
