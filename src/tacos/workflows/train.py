"""`tacos train`: a model trained by a recipe on a run's selection, or on any data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tacos.errors import ConfigError
from tacos.pipeline.run_loop import Progress
from tacos.trainers import environment
from tacos.trainers.model_folder import choose_base_model
from tacos.trainers.model_training import train_model
from tacos.trainers.recipe import Recipe, read_recipe
from tacos.trainers.row_check import Device
from tacos.trainers.trained_folder import Training
from tacos.trainers.training_plan import TrainingPlan
from tacos.trainers.training_preparation import TrainingJob, plan_training
from tacos.workflows import arguments, kept_files
from tacos.workflows.chat_pool import read_chat_pool
from tacos.workflows.given_settings import (
    GivenSettings,
    list_setting_files,
    resolve_settings,
)
from tacos.workflows.selection import Selection
from tacos.workflows.silent_progress import choose_progress

DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class TrainedModel:
    """A training that is finished, or only planned."""

    folder: Path | None
    """None where it is only planned."""
    plan: TrainingPlan | None
    """What it would take; None where it was finished before."""
    training: Training | None
    """What became of it; None where it is only planned."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "folder": None if self.folder is None else str(self.folder),
            "plan": None if self.plan is None else self.plan.as_dict(),
            "training": None if self.training is None else self.training.as_dict(),
        }


def train(  # noqa: PLR0913 - the options of the command
    data: Any,
    recipe: str | Path,
    output: str | Path | None = None,
    settings: GivenSettings = None,
    *,
    model: str | Path | None = None,
    values: Sequence[str] = (),
    seed: int | None = None,
    device: Device = "auto",
    trainer_python: str | Path | None = None,
    checkpoint_steps: int = 0,
    dry_run: bool = False,
    progress: Progress | None = None,
    note_plan: Callable[[TrainingPlan], None] | None = None,
) -> TrainedModel:
    """Train a model by a recipe with TRL, in its own environment; the same call goes on.

    Args:
        data: A run directory or a selection, of which the selected rows are taken, or whatever
            `tacos.select` reads.
        recipe: "small", "tiny", "paper-llama2-7b", "paper-llama2-13b", "paper-mistral-7b",
            "taglm-13b", or a TOML file.
        output: The folder of the trained model; None only with `dry_run`.
        settings: How rows are read (section `ingest`); for a run, as it read them.
        model: The base model: a folder, the folder of an earlier training, or a name on the
            Hugging Face hub; None for the recipe's own.
        values: Values that replace those of the recipe, such as "epochs=1".
        seed: Of the order of rows, noise, and rows held out; None for the recipe's own.
        device: "auto" (a GPU where there is one), "cpu" or "cuda".
        trainer_python: The Python of the training environment; None to look for it.
        checkpoint_steps: Steps between checkpoints; 0 for one in about ten minutes.
        dry_run: Whether to say only what the training would take.
        progress: Told of each step.
        note_plan: Told what the training will take, before it starts.

    Raises:
        ConfigError: The recipe, the model, the device or the environment is wrong or missing.
        InputError: The data cannot be read, or no row can be trained on.
        FailureRateError: Too many rows would be trained on otherwise than meant.
        OutputError: The folder holds something else, or cannot be written.
        RunError: Another process trains into the folder.
        TrainingError: The trainer has stopped; the same call goes on from its last checkpoint.
    """
    chosen = read_recipe(recipe, values)
    arguments.check_choice("device (--device)", device, DEVICES)
    watched = choose_progress(progress)
    resolve_settings(settings)  # raises for what is none
    target = arguments.to_optional_path("output", output)
    if target is not None:
        kept_files.check_folder_kept(
            target,
            [*kept_files.list_data_files(data), *list_setting_files(settings)],
        )
    elif not dry_run:
        raise ConfigError(
            "nothing to do: name a folder with -o (output), or look first with --dry-run"
        )
    job = TrainingJob(
        recipe=chosen,
        model=choose_base_model(model, chosen),
        seed=_choose_seed(seed, chosen),
        data=_name_data(data),
        python=environment.find_python(trainer_python),
        device=device,
        checkpoint_steps=checkpoint_steps,
    )
    pool = read_chat_pool(data, settings)
    if dry_run:
        return TrainedModel(None, plan_training(pool.chats, pool.left_out, job), None)
    assert target is not None
    plans: list[TrainingPlan] = []

    def note(plan: TrainingPlan) -> None:
        """Keep the plan, and tell of it."""
        plans.append(plan)
        if note_plan is not None:
            note_plan(plan)

    training = train_model(
        pool.chats,
        pool.left_out,
        job,
        target,
        watched,
        note,
    )
    return TrainedModel(target, plans[0] if plans else None, training)


def _name_data(data: Any) -> str:
    """What was given as data, as the manifest names it."""
    parts = data if isinstance(data, list | tuple) else [data]
    if all(isinstance(part, str | Path) for part in parts):
        return ", ".join(map(str, parts))
    if isinstance(data, Selection):
        return str(data.run)
    return type(data).__name__


def _choose_seed(given: int | None, recipe: Recipe) -> int:
    """The seed. Raises `ConfigError` for a negative one."""
    seed = recipe.seed if given is None else given
    arguments.check_type("seed", seed, int, "a number")
    if seed < 0:
        raise ConfigError(f"--seed is {seed}: give 0 or more")
    return seed
