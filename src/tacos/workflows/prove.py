"""`tacos prove`: does a model get better by a selection? An experiment that can say no.

What is compared, and by what, is declared with a hash before anything is trained. Then each arm is
trained by one recipe with several seeds, and all models are measured on the same items. The same
command goes on where it was stopped, and a negative result is a result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from tacos.config import Settings
from tacos.errors import ConfigError, TacosError
from tacos.llm.ledger.location import list_ledger_files
from tacos.methods.evaluating.experiment_plan import (
    ARMS,
    ArmName,
    InstrumentName,
    Match,
)
from tacos.methods.evaluating.experiment_results import ExperimentResults
from tacos.pipeline.run_loop import Progress
from tacos.trainers import environment
from tacos.trainers.model_folder import choose_base_model
from tacos.trainers.recipe import Recipe, read_recipe
from tacos.trainers.row_check import Device
from tacos.workflows import arguments, experiment_folder, kept_files
from tacos.workflows.experiment_answers import answer_questions
from tacos.workflows.experiment_duels import choose_judging, judge_arms
from tacos.workflows.experiment_evaluation import (
    Experiment,
    check_scores,
    write_results,
)
from tacos.workflows.experiment_folder import ExperimentFolder
from tacos.workflows.experiment_forecast import (
    ExperimentForecast,
    forecast_experiment,
    keep_forecast,
)
from tacos.workflows.experiment_inputs import read_held_out, read_preferences
from tacos.workflows.experiment_models import (
    ModelMaker,
    drop_model,
    is_measured,
    score_arm,
    train_arm,
)
from tacos.workflows.experiment_preparation import (
    Design,
    choose_primary,
    prepare_experiment,
    write_inputs,
)
from tacos.workflows.given_settings import (
    GivenSettings,
    list_setting_files,
    resolve_settings,
)
from tacos.workflows.reselected_files import load_selection
from tacos.workflows.selection import GivenRun
from tacos.workflows.silent_progress import choose_progress

OPTIONAL_ARMS: tuple[ArmName, ...] = ("length-matched", "full", "untrained")
"""Arms that an experiment may go without: no primary comparison is about them."""
MATCHES: tuple[Match, ...] = get_args(Match)


@dataclass(frozen=True)
class Proof:
    """An experiment, as far as it has come, and its folder."""

    folder: Path
    results: ExperimentResults
    notes: tuple[str, ...]
    """What was left out of the items, and what of the pool."""
    forecast: ExperimentForecast | None = None
    """What all trainings take together; None where all models are measured."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "folder": str(self.folder),
            "notes": list(self.notes),
            "forecast": self.forecast.as_dict() if self.forecast else None,
            **self.results.as_dict(),
        }


def prove(  # noqa: PLR0913 - the options of the command
    run: GivenRun,
    output: str | Path,
    *,
    held_out: Any = (),
    preferences: Any = (),
    questions: Any = (),
    settings: GivenSettings = None,
    ledger: str | Path | None = None,
    recipe: str | Path = "small",
    values: Sequence[str] = (),
    model: str | Path | None = None,
    seeds: int = 5,
    match: Match = "rows",
    primary: InstrumentName | None = None,
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
        run: A run directory, a selection, or a file of selected rows beside its run.
        output: The folder of the experiment; one that was begun goes on.
        held_out: Data sets of answers that people wrote, for the instrument "answer-loss".
        preferences: Files of pairs of which people prefer one, as `tacos.calibrate` reads them, for
            the instruments "preference" and "preference-matched".
        questions: Question sets, as `tacos.answer` reads them, that all models answer where a
            judge is named, for the instrument "duels". All three kinds of files may be named with
            their hash (`tacos.formats.pinned_files`).
        settings: All settings, or nested ones over the defaults: `duel.model` or `llm.model` names
            the judge of the duels, `answer` says how models answer, `ingest` how rows of the
            held-out data sets are read.
        ledger: The file of paid replies, or the address of a PostgreSQL database that holds them;
            a file in the user's data folder by default.
        recipe: The recipe of all arms, by name or as a TOML file.
        values: Values that replace those of the recipe, such as "epochs=1".
        model: The base model: a folder, or a name on the Hugging Face hub; None for the recipe's.
        seeds: Trainings of each arm.
        match: What all arms have alike: "rows", or trained "tokens" by the base model's tokenizer.
        primary: The instrument that decides; None for the first of "answer-loss", "preference" and
            "duels" that is measured.
        n_items: The most items of held-out answers and of pairs, spread evenly over lengths; None
            for all. Questions are always all asked.
        without: Arms that are left out: "length-matched", "full", "untrained".
        seed: Of the draws of items, and of the bootstrap.
        device: "auto" (a GPU where there is one), "cpu" or "cuda".
        trainer_python: The Python of the training environment; None to look for it.
        keep_models: Whether the weights of models that were measured stay.
        plan_only: Whether to stop when the plan is declared and the rows of all arms are written.
        progress: Told of each training.

    Raises:
        ConfigError: A recipe, model, arm, judge or instrument is wrong or missing.
        FailureRateError: Models or the judge answer hardly anything.
        IncompleteError: A question was not judged in both orders; the same call goes on.
        InputError: The run has no selection, or the items cannot be read or measured.
        ModelError: The base model lacks something, or a process that asks a model was killed.
        OutputError: The folder holds something else, or cannot be written.
        RunError: The folder holds an experiment that was declared otherwise, or is in use.
        TrainingError: The trainer has stopped; the same call goes on.
    """
    folder = ExperimentFolder(arguments.to_path("output", output))
    done = load_selection(run)
    done.check_selected()
    watcher = choose_progress(progress)
    location = arguments.to_ledger_location(ledger)
    chosen = resolve_settings(settings)
    given = {
        "answer-loss": arguments.to_data_sets("held_out", held_out),
        "preference": arguments.to_data_sets("preferences", preferences),
    }
    asked = [file.path for file in arguments.to_files("questions", questions)]
    judging = choose_judging(asked, chosen, location, done)
    has_duels = judging is not None
    _check_given(given, seeds, match, n_items, has_duels=has_duels)
    arms = _choose_arms(without)
    # A file of items, or the run itself, must not lie where this command writes.
    read = [part for parts in given.values() for part in parts]
    kept_files.check_folder_kept(
        folder.root,
        [
            done.run,
            *asked,
            *list_setting_files(settings),
            *list_ledger_files(location),
            *kept_files.list_data_files(read),
        ],
    )
    folder.check()
    maker = _choose_maker(
        read_recipe(recipe, values), model, device, trainer_python, done.settings
    )
    if "untrained" in arms and not Path(maker.base_model).is_dir():
        raise ConfigError(
            f"the untrained base must be a folder, and {maker.base_model} is none: download it, or "
            "go without that arm (--without untrained)"
        )
    items = {
        "answer-loss": read_held_out(given["answer-loss"], chosen),
        "preference": read_preferences(given["preference"]),
    }
    decides = choose_primary(primary, items, has_duels=has_duels)
    design = Design(tuple(arms), seeds, match, decides, n_items, seed)
    with experiment_folder.lock_experiment(folder):
        experiment = prepare_experiment(folder, done, items, design, maker, judging)
        forecast = _forecast_missing(experiment)
        declared = experiment_folder.declare_plan(folder, experiment.plan)
        write_inputs(experiment)
        if forecast is not None:
            keep_forecast(experiment, forecast)
            watcher.announce(forecast.describe())
        try:
            if not plan_only:
                _run_trainings(experiment, watcher, keep_models=keep_models)
                if judging is not None:
                    judge_arms(folder, experiment.plan, judging, watcher)
        except BaseException:
            # Stopped, by Ctrl-C too: the report says how far it has come.
            with suppress(TacosError):
                write_results(experiment, declared)
            raise
        results = write_results(experiment, declared)
    notes = list(experiment.notes)
    if asked and judging is None:
        notes.append("duels, since no judge is named (--judge MODEL)")
    return Proof(folder.root, results, tuple(notes), forecast)


# Before the first training


def _check_given(
    given: Mapping[str, Sequence[Any]],
    seeds: int,
    match: Match,
    n_items: int | None,
    *,
    has_duels: bool,
) -> None:
    """Raise `ConfigError` for options that cannot be met."""
    if not any(given.values()) and not has_duels:
        raise ConfigError(
            "nothing to measure by: name answers that people wrote (--held-out FILE), pairs of "
            "which people prefer one (--preferences FILE), or questions and a judge of their "
            "answers (--questions FILE --judge MODEL)"
        )
    arguments.check_choice("match (--match)", match, MATCHES)
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
    reading: Settings,
) -> ModelMaker:
    """How models are made.

    Raises `ConfigError` where recipe, model or environment are missing, `ModelError` for a folder
    that holds no model.
    """
    return ModelMaker(
        recipe,
        choose_base_model(model, recipe),
        environment.find_python(trainer_python),
        device,
        reading,
    )


def _forecast_missing(experiment: Experiment) -> ExperimentForecast | None:
    """What the trainings take; None where all models are measured. Raises as the first of them."""
    folder = experiment.folder
    is_asked = experiment.judging is not None
    trainings = experiment.plan.list_trainings()
    if all(is_measured(folder, *each, is_asked=is_asked) for each in trainings):
        return None
    return forecast_experiment(experiment)


# Training and measuring


def _run_trainings(
    experiment: Experiment,
    progress: Progress,
    *,
    keep_models: bool,
) -> None:
    """Train and measure every model."""
    trainings = experiment.plan.list_trainings()
    for arm, seed in trainings:
        # What is spoilt is said before hours of training, not after them.
        check_scores(experiment, arm, seed)
    for number, (arm, seed) in enumerate(trainings, 1):
        folder = experiment.folder
        judging = experiment.judging
        if is_measured(folder, arm, seed, is_asked=judging is not None):
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
        check_scores(experiment, arm, seed)
        if judging is not None:
            answer_questions(
                folder,
                experiment.maker,
                arm,
                seed,
                judging.questions,
                judging.settings,
                progress,
            )
        if not keep_models:
            drop_model(folder, arm, seed)
