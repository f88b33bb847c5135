"""`tacos train`: a model trained by a recipe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from tacos.cli.export import RunOrFile, choose_reading_settings
from tacos.cli.shared import console, option_settings, options, progress
from tacos.cli.shared.stage_progress import format_clock
from tacos.counts import count_words
from tacos.trainers.trained_folder import MANIFEST, Training
from tacos.trainers.training_plan import TrainingPlan
from tacos.workflows import kept_files
from tacos.workflows import train as workflow

N_REASONS = 8
READING = "ingest."
"""Begins a `--set` that is none of the recipe's."""

Folder = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="the folder of the trained model"),
]
RecipeSets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help=f"{options.RECIPE_VALUE}; or of how rows are read, e.g. ingest.group=FIELD; "
        "repeatable",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        help="the random seed [default: that of the recipe]", show_default=False
    ),
]
CheckpointSteps = Annotated[
    int,
    typer.Option(
        min=0, help="steps between checkpoints; 0 for one in about ten minutes"
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="print tokens, steps, time and memory; train nothing"
    ),
]


def train(  # noqa: PLR0913 - the options of the command
    data: RunOrFile,
    recipe: options.RecipeName,
    output: Folder = None,
    model: options.BaseModel = None,
    maps: options.Map = None,
    preference: options.Preference = None,
    sets: RecipeSets = None,
    settings: options.SettingsFile = None,
    seed: Seed = None,
    device: options.Device = "auto",
    trainer_python: options.TrainerPython = None,
    checkpoint_steps: CheckpointSteps = 0,
    dry_run: DryRun = False,
    as_json: options.AsJson = False,
) -> None:
    """Train a model by a recipe, with TRL in an environment of its own.

    The rows are read as TRL will read them before it starts: those that it would drop, or train
    otherwise than meant, are left out and counted. A training that was stopped goes on with the
    same command. The folder gets the model, and training.json with all that was done.

    Examples:

    \b
      tacos train selected.jsonl.run --recipe small --model gemma-270m/ -o trained/
      tacos train selected.jsonl.run --recipe small --model gemma-270m/ --dry-run
      tacos train data.jsonl --recipe small --set epochs=1 --model OWNER/NAME -o trained/
    """
    of_reading = [text for text in sets or () if text.startswith(READING)]
    of_recipe = [text for text in sets or () if not text.startswith(READING)]
    if output is not None:
        kept_files.check_folder_kept(
            output, option_settings.list_files_read(settings, of_reading)
        )
    chosen = choose_reading_settings(
        data,
        settings,
        of_reading,
        option_settings.build_ingest_settings(maps, preference),
    )
    with progress.show_progress(show=not as_json and not dry_run) as bars:
        trained = workflow.train(
            data,
            recipe,
            output,
            chosen,
            model=model,
            values=of_recipe,
            seed=seed,
            device=device,  # type: ignore[arg-type]  # checked there
            trainer_python=trainer_python,
            checkpoint_steps=checkpoint_steps,
            dry_run=dry_run,
            progress=bars,
            note_plan=None if as_json else _announce_plan(bars),
        )
    if as_json:
        console.print_json(trained.as_dict())
    elif trained.training is None:
        assert trained.plan is not None
        _print_plan(trained.plan)
    else:
        _print_training(trained.training, trained.folder, is_new=bool(trained.plan))


def _announce_plan(
    bars: progress.ProgressBars | progress.ProgressLines,
) -> Callable[[TrainingPlan], None]:
    """What prints a plan above the bars."""

    def announce(plan: TrainingPlan) -> None:
        for name, text in _describe_plan(plan):
            bars.announce(f"{name}: {text}")
        for caution in plan.cautions:
            bars.announce(caution)

    return announce


def _print_plan(plan: TrainingPlan) -> None:
    """Print what a training would take."""
    console.print_pairs("", _describe_plan(plan))
    for caution in plan.cautions:
        console.print_line(caution)


def _describe_plan(plan: TrainingPlan) -> list[tuple[str, str]]:
    """What a training will take, a line each."""
    forecast, machine = plan.forecast, plan.machine
    rows = f"{forecast.n_rows:,} of {count_words(plan.n_rows, 'row')}"
    if forecast.n_cut:
        rows += f", the end of {forecast.n_cut:,} is cut"
    if plan.n_held_out:
        rows += f", {plan.n_held_out:,} are held out"
    lines = [
        ("recipe", f"{plan.recipe_name} ({plan.recipe_hash})"),
        (
            "model",
            f"{plan.model}, {plan.model_size.n_parameters / 1e6:,.0f} million parameters",
        ),
        ("rows", rows),
    ]
    for reason, n_rows in list(plan.left_out.items())[:N_REASONS]:
        lines.append(("left out", f"{n_rows:,} x {reason}"))
    n_devices = f"{machine.n_devices} x " if machine.n_devices > 1 else ""
    lines += [
        (
            "tokens",
            f"{forecast.read_tokens:,} read in each epoch, {forecast.trained_tokens:,} trained on "
            "in all",
        ),
        ("steps", f"{forecast.steps:,}"),
        ("on", f"{n_devices}{machine.name}"),
        (
            "takes",
            f"about {format_clock(forecast.seconds)} and {forecast.memory / 1e9:,.1f} GB of memory",
        ),
    ]
    return lines


def _print_training(training: Training, folder: Path | None, *, is_new: bool) -> None:
    """Print what became of a training."""
    lines = [
        ("recipe", f"{training.recipe_name} ({training.recipe_hash})"),
        ("rows", f"{training.n_trained:,} of {count_words(training.n_rows, 'row')}"),
        ("trained on", f"{training.trained_tokens:,} tokens"),
        ("steps", f"{training.steps:,} in {format_clock(training.seconds)}"),
    ]
    if training.losses:
        first, last = training.losses[0][1], training.losses[-1][1]
        lines.append(("loss", f"{first:.3f} at the first step, {last:.3f} at the last"))
    if training.n_starts > 1:
        lines.append(("starts", f"{training.n_starts}"))
    console.print_pairs("", lines)
    if not is_new:
        console.print_line("Nothing to do: the model is trained.")
    console.print_line(f"written to {folder}: model/, {MANIFEST}")
