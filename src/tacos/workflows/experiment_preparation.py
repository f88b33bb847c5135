"""An experiment before its first training: items and pool are read, arms drawn, the plan is made of
them, and the rows of every training are written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from pydantic import ValidationError

from tacos.errors import ConfigError
from tacos.methods.evaluating import arm_differences, experiment_items
from tacos.methods.evaluating.experiment_items import ExperimentItem
from tacos.methods.evaluating.experiment_plan import (
    INSTRUCT_START,
    PRIMARY_COMPARISONS,
    ArmName,
    ExperimentPlan,
    Instrument,
    InstrumentName,
    Match,
)
from tacos.trainers.model_folder import has_chat_template
from tacos.trainers.training_preparation import digest_model
from tacos.workflows import arguments, experiment_folder
from tacos.workflows.experiment_arms import (
    ExperimentPool,
    build_pool,
    draw_arm,
    plan_arms,
)
from tacos.workflows.experiment_duels import NO_SET, Judging
from tacos.workflows.experiment_evaluation import Experiment, list_instruments
from tacos.workflows.experiment_folder import ExperimentFolder
from tacos.workflows.experiment_inputs import (
    GivenItems,
    describe_left_out,
)
from tacos.workflows.experiment_models import Items, ModelMaker
from tacos.workflows.experiment_tokens import count_pool_tokens
from tacos.workflows.selection import Selection

INSTRUMENTS_OF: dict[str, tuple[InstrumentName, ...]] = {
    "answer-loss": ("answer-loss",),
    "preference": ("preference", "preference-matched"),
}
"""File of items -> the instruments that read it."""


@dataclass(frozen=True)
class Design:
    """What the options say of an experiment; see `tacos.prove`."""

    arms: tuple[ArmName, ...]
    seeds: int
    match: Match
    primary: InstrumentName
    n_items: int | None
    seed: int


NEEDS: dict[InstrumentName, str] = {
    "answer-loss": "answers that people wrote (--held-out FILE)",
    "preference": "pairs of which people prefer one (--preferences FILE)",
    "preference-matched": "pairs of about the same length (--preferences FILE)",
    "duels": "questions and a judge (--questions FILE --judge MODEL)",
}
"""Instrument -> what it takes."""


def choose_primary(
    named: InstrumentName | None,
    given: Mapping[str, GivenItems],
    *,
    has_duels: bool,
) -> InstrumentName:
    """The instrument that decides; the first that can be measured unless one is named.

    Raises `ConfigError` where it cannot be measured, or nothing can.
    """
    measured: list[InstrumentName] = [
        *(name for name in ("answer-loss", "preference") if given[name].items),
    ]
    if any(item.has_equal_lengths for item in given["preference"].items):
        measured.append("preference-matched")
    if has_duels:
        measured.append("duels")
    if named is None:
        return measured[0]
    arguments.check_choice("primary (--primary)", named, list(get_args(InstrumentName)))
    if named not in measured:
        raise ConfigError(
            f"{named} cannot decide without {NEEDS[named]}: give them, or let another primary "
            f"instrument decide (--primary {measured[0]})"
        )
    return named


def prepare_experiment(
    folder: ExperimentFolder,
    done: Selection,
    given: Mapping[str, GivenItems],
    design: Design,
    maker: ModelMaker,
    judging: Judging | None,
) -> Experiment:
    """Read the pool, draw all arms, and plan the experiment.

    `given` are the items of the files: answer-loss and preference.

    Raises:
        ConfigError: The primary instrument is not measured, or tokens cannot be counted.
        InputError: The pool leaves nothing to compare.
    """
    held_out, pairs = given["answer-loss"], given["preference"]
    test_sets = _list_test_sets([held_out, pairs], judging)
    pool = build_pool(done, test_sets)
    if design.match == "tokens":
        pool = replace(pool, lengths=count_pool_tokens(folder, pool, maker))
    items: dict[InstrumentName, Sequence[ExperimentItem]] = {}
    all_items = {"answer-loss": held_out.items, "preference": pairs.items}
    for file, members in all_items.items():
        if members:
            drawn = experiment_items.sample_items(members, design.n_items, design.seed)
            items[INSTRUMENTS_OF[file][0]] = drawn
    plan = _plan_experiment(pool, items, design, maker, judging)
    notes = [*describe_left_out(held_out), *describe_left_out(pairs)]
    if pool.n_selected_removed:
        notes.append(
            f"{pool.n_selected_removed:,} selected rows ask what the models are measured on, and "
            "were taken out of all arms"
        )
    return Experiment(folder, pool, items, plan, maker, tuple(notes), judging)


def write_inputs(experiment: Experiment) -> None:
    """Write items and the rows of every training: also those that are there, which a user may have
    changed.
    """
    folder = experiment.folder
    for name, members in experiment.items.items():
        experiment_folder.write_items(folder.place_items(name), members)
    for arm in experiment.plan.arms:
        if arm.name == "untrained":
            continue
        for seed in arm.seeds:
            places = draw_arm(experiment.pool, arm.name, experiment.plan.match, seed)
            rows = experiment.pool.read_rows(places)
            experiment_folder.write_rows(folder.place_rows(arm.name, seed), rows)


def _list_test_sets(
    given: Sequence[GivenItems],
    judging: Judging | None,
) -> dict[str, list[str]]:
    """Every file of items or questions -> what it asks."""
    test_sets: dict[str, list[str]] = {}
    for items in given:
        for item in items.items:
            test_sets.setdefault(item.source, []).append(item.question)
    for question in judging.questions if judging else ():
        test_sets.setdefault(question.set or NO_SET, []).append(question.turns[0])
    return test_sets


def _plan_experiment(
    pool: ExperimentPool,
    items: Items,
    design: Design,
    maker: ModelMaker,
    judging: Judging | None,
) -> ExperimentPlan:
    """The plan. Raises `ConfigError` where its primary instrument is not measured."""
    planned = plan_arms(pool, design.arms, design.match, range(design.seeds))
    instruments: list[Instrument] = [
        experiment_items.describe_instrument(name, members)
        for name, members in list_instruments(items).items()
    ]
    if judging is not None:
        instruments.append(judging.describe())
    try:
        return ExperimentPlan(
            n_pool=pool.rows.height,
            pool_hash=pool.pool_hash,
            n_selected=len(pool.selected),
            selection_hash=pool.selection_hash,
            removed=dict(pool.removed),
            recipe=maker.recipe.name,
            recipe_hash=maker.recipe.hash,
            base_model=_name_base_model(Path(maker.base_model)),
            base_model_hash=digest_model(maker.base_model),
            max_length=maker.recipe.max_length,
            match=design.match,
            arms=tuple(planned),
            instruments=tuple(instruments),
            primary=design.primary,
            comparisons=PRIMARY_COMPARISONS,
            judge=judging.judge if judging else "",
            is_circular=judging is not None and judging.is_circular,
            n_draws=arm_differences.N_DRAWS,
            seed=design.seed,
        )
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{reason}; name another (--primary)") from None


def _name_base_model(model: Path) -> str:
    """The last part of its name, marked where it had been tuned to follow instructions."""
    return f"{model.name}{INSTRUCT_START}" if has_chat_template(model) else model.name
