"""`tacos prove`: does a model get better by a selection? An experiment that can say no.

What is compared, and by what, is declared with a hash before anything is trained. Then each arm is
trained by one recipe with several seeds, and all models are measured on the same items. The same
command goes on where it was stopped, and a negative result is a result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from tacos.errors import ConfigError
from tacos.methods.evaluating import arm_differences, experiment_items
from tacos.methods.evaluating.experiment_items import ExperimentItem
from tacos.methods.evaluating.experiment_plan import (
    ARMS,
    PRIMARY_COMPARISONS,
    ArmName,
    ExperimentPlan,
    InstrumentName,
    Match,
)
from tacos.methods.evaluating.experiment_results import (
    ExperimentResults,
)
from tacos.pipeline.run_loop import Progress
from tacos.trainers import environment, trained_folder
from tacos.trainers.model_training import digest_model
from tacos.trainers.recipe import Recipe, read_recipe
from tacos.trainers.row_check import Device
from tacos.workflows import arguments, experiment_folder, kept_files
from tacos.workflows.experiment_arms import (
    build_pool,
    draw_arm,
    plan_arms,
)
from tacos.workflows.experiment_evaluation import (
    Experiment,
    list_instruments,
    write_results,
)
from tacos.workflows.experiment_folder import DeclaredPlan, ExperimentFolder
from tacos.workflows.experiment_inputs import (
    describe_left_out,
    read_held_out,
    read_preferences,
)
from tacos.workflows.experiment_models import (
    ModelMaker,
    drop_model,
    score_arm,
    train_arm,
)
from tacos.workflows.selection import GivenRun, Selection, load
from tacos.workflows.silent_progress import choose_progress

OPTIONAL_ARMS: tuple[ArmName, ...] = ("length-matched", "full", "untrained")
"""Arms that an experiment may go without: no primary comparison is about them."""
MATCHES: tuple[Match, ...] = get_args(Match)
INSTRUMENTS_OF: dict[str, tuple[InstrumentName, ...]] = {
    "answer-loss": ("answer-loss",),
    "preference": ("preference", "preference-matched"),
}
"""File of items -> the instruments that read it."""


@dataclass(frozen=True)
class Proof:
    """An experiment, as far as it has come, and its folder."""

    folder: Path
    results: ExperimentResults
    notes: tuple[str, ...]
    """What was left out of the items, and what of the pool."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "folder": str(self.folder),
            "notes": list(self.notes),
            **self.results.as_dict(),
        }


def prove(  # noqa: PLR0913 - the options of the command
    run: GivenRun,
    output: str | Path,
    *,
    held_out: Any = (),
    preferences: Any = (),
    recipe: str | Path = "small",
    values: Sequence[str] = (),
    model: str | Path | None = None,
    seeds: int = 5,
    match: Match = "rows",
    primary: InstrumentName = "answer-loss",
    n_items: int | None = None,
    without: Iterable[str] = (),
    seed: int = 0,
    device: Device = "auto",
    trainer_python: str | Path | None = None,
    keep_models: bool = False,
    plan_only: bool = False,
    progress: Progress | None = None,
) -> Proof:
    """Train models on a run's selection and on other rows of its pool, and compare them.

    Args:
        run: A run directory or a selection.
        output: The folder of the experiment; one that was begun goes on.
        held_out: Data sets of answers that people wrote, for the instrument "answer-loss".
        preferences: Files of pairs of which people prefer one, as `tacos.calibrate` reads them, for
            the instruments "preference" and "preference-matched".
        recipe: The recipe of all arms, by name or as a TOML file.
        values: Values that replace those of the recipe, such as "epochs=1".
        model: The base model: a folder, or a name on the Hugging Face hub; None for the recipe's.
        seeds: Trainings of each arm.
        match: What all arms have alike: "rows" or "tokens" (of answers, by their characters).
        primary: The instrument that decides.
        n_items: The most items of each file of items, spread evenly over lengths; None for all.
        without: Arms that are left out: "length-matched", "full", "untrained".
        seed: Of the draws of items, and of the bootstrap.
        device: "auto" (a GPU where there is one), "cpu" or "cuda".
        trainer_python: The Python of the training environment; None to look for it.
        keep_models: Whether the weights of models that were measured stay.
        plan_only: Whether to stop when the plan is declared and the rows of all arms are written.
        progress: Told of each training.

    Raises:
        ConfigError: A recipe, model, arm or instrument is wrong or missing.
        InputError: The run has no selection, or the items cannot be read.
        OutputError: The folder holds something else, or cannot be written.
        RunError: The folder holds an experiment that was declared otherwise, or is in use.
        TrainingError: The trainer has stopped; the same call goes on.
    """
    folder = ExperimentFolder(arguments.to_path("output", output))
    done = load(run)
    watcher = choose_progress(progress)
    given = {
        "answer-loss": arguments.list_items(held_out),
        "preference": arguments.list_items(preferences),
    }
    _check_given(given, primary, seeds, match, n_items)
    arms = _choose_arms(without)
    folder.check()
    # A file of items, or the run itself, must not lie where this command writes.
    read = [part for parts in given.values() for part in parts]
    kept_files.check_folder_kept(
        folder.root,
        [done.run, *kept_files.list_data_files(read)],
    )
    maker = _choose_maker(read_recipe(recipe, values), model, device, trainer_python)
    if "untrained" in arms and not Path(maker.base_model).is_dir():
        raise ConfigError(
            f"the untrained base must be a folder, and {maker.base_model} is none: download it, or "
            "go without that arm (--without untrained)"
        )
    with experiment_folder.lock_experiment(folder):
        experiment = _prepare(
            folder, done, given, maker, arms, seeds, match, primary, n_items, seed
        )
        declared = experiment_folder.declare_plan(folder, experiment.plan)
        _write_inputs(experiment)
        if not plan_only:
            _run_trainings(experiment, declared, watcher, keep_models=keep_models)
        results = write_results(experiment, declared)
    return Proof(folder.root, results, experiment.notes)


# Before the first training


def _check_given(
    given: Mapping[str, Sequence[Any]],
    primary: InstrumentName,
    seeds: int,
    match: Match,
    n_items: int | None,
) -> None:
    """Raise `ConfigError` for options that cannot be met."""
    if not any(given.values()):
        raise ConfigError(
            "nothing to measure by: name answers that people wrote (--held-out FILE), or pairs of "
            "which people prefer one (--preferences FILE)"
        )
    arguments.check_choice("match (--match)", match, MATCHES)
    measured = [
        name for file, names in INSTRUMENTS_OF.items() if given[file] for name in names
    ]
    arguments.check_choice("primary (--primary)", primary, measured)
    arguments.check_type("seeds", seeds, int, "a number")
    if seeds < 2:
        raise ConfigError(
            f"--seeds is {seeds}: give 2 at least, better 5; from one training of each arm nobody "
            "can tell a difference from chance"
        )
    if n_items is not None and n_items < 2:
        raise ConfigError(f"--items is {n_items}: give 2 at least")


def _choose_arms(without: Iterable[str]) -> list[ArmName]:
    """All arms but some. Raises `ConfigError` for one that cannot be left out."""
    left_out = arguments.list_items(without)
    for name in left_out:
        arguments.check_choice("arm to go without (--without)", name, OPTIONAL_ARMS)
    return [name for name in ARMS if name not in left_out]


def _choose_maker(
    recipe: Recipe,
    model: str | Path | None,
    device: Device,
    trainer_python: str | Path | None,
) -> ModelMaker:
    """How models are made. Raises `ConfigError` where recipe, model or environment are missing."""
    name = str(model or recipe.model)
    if not name:
        raise ConfigError(
            f"the recipe {recipe.name} is for any model: name one with --model (a folder, or a "
            "name on the Hugging Face hub)"
        )
    path = Path(name)
    if trained_folder.is_trained_folder(path):
        path = path / trained_folder.MODEL
        name = str(path)
    is_folder = path.is_absolute() or name.startswith((".", "~"))
    if is_folder and not path.is_dir():
        raise ConfigError(f"--model: the folder {name} does not exist; check the name")
    return ModelMaker(
        recipe,
        name,
        environment.find_python(trainer_python),
        device,
    )


def _prepare(  # noqa: PLR0913 - what a plan is made of
    folder: ExperimentFolder,
    done: Selection,
    given: Mapping[str, Sequence[Any]],
    maker: ModelMaker,
    arms: Sequence[ArmName],
    seeds: int,
    match: Match,
    primary: InstrumentName,
    n_items: int | None,
    seed: int,
) -> Experiment:
    """Read items and pool, draw all arms, and plan the experiment."""
    held_out = read_held_out(given["answer-loss"])
    pairs = read_preferences(given["preference"])
    all_items = {"answer-loss": held_out.items, "preference": pairs.items}
    test_sets: dict[str, list[str]] = {}
    for item in [*held_out.items, *pairs.items]:
        test_sets.setdefault(item.source, []).append(item.question)
    pool = build_pool(done, test_sets)
    items: dict[InstrumentName, Sequence[ExperimentItem]] = {}
    for file, members in all_items.items():
        if members:
            drawn = experiment_items.sample_items(members, n_items, seed)
            items[INSTRUMENTS_OF[file][0]] = drawn
    planned = plan_arms(pool, arms, match, range(seeds))
    instruments = [
        experiment_items.describe_instrument(name, members)
        for name, members in list_instruments(items).items()
    ]
    try:
        plan = ExperimentPlan(
            n_pool=pool.rows.height,
            pool_hash=pool.pool_hash,
            n_selected=len(pool.selected),
            selection_hash=pool.selection_hash,
            removed=dict(pool.removed),
            recipe=maker.recipe.name,
            recipe_hash=maker.recipe.hash,
            base_model=Path(maker.base_model).name,
            base_model_hash=digest_model(maker.base_model),
            max_length=maker.recipe.max_length,
            match=match,
            arms=tuple(planned),
            instruments=tuple(instruments),
            primary=primary,
            comparisons=PRIMARY_COMPARISONS,
            n_draws=arm_differences.N_DRAWS,
            seed=seed,
        )
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{reason}; name another (--primary)") from None
    notes = [*describe_left_out(held_out), *describe_left_out(pairs)]
    if pool.n_selected_removed:
        notes.append(
            f"{pool.n_selected_removed:,} selected rows ask what a held-out file asks, and were "
            "taken out of all arms"
        )
    return Experiment(folder, pool, items, plan, maker, tuple(notes))


def _write_inputs(experiment: Experiment) -> None:
    """Write items, template and the rows of every training, as far as they are not there."""
    folder = experiment.folder
    for name, members in experiment.items.items():
        place = folder.place_items(name)
        if not place.is_file():
            experiment_folder.write_items(place, members)
    for arm in experiment.plan.arms:
        if arm.name == "untrained":
            continue
        for seed in arm.seeds:
            place = folder.place_rows(arm.name, seed)
            if not place.is_file():
                places = draw_arm(
                    experiment.pool, arm.name, experiment.plan.match, seed
                )
                rows = experiment.pool.read_rows(places)
                experiment_folder.write_rows(place, rows)


# Training and measuring


def _run_trainings(
    experiment: Experiment,
    declared: DeclaredPlan,
    progress: Progress,
    *,
    keep_models: bool,
) -> None:
    """Train and measure every model, and write what is known after each."""
    trainings = experiment.plan.list_trainings()
    for number, (arm, seed) in enumerate(trainings, 1):
        folder = experiment.folder
        if folder.place_scores(arm, seed).is_file():
            continue
        progress.announce(
            f"model {number} of {len(trainings)}: {arm}, seed {seed} "
            f"({experiment.count_rows(arm, seed):,} rows)"
        )
        train_arm(folder, experiment.maker, arm, seed, progress)
        score_arm(
            folder,
            experiment.maker,
            arm,
            seed,
            experiment.items,
            progress,
        )
        if not keep_models:
            drop_model(folder, arm, seed)
        write_results(experiment, declared)
