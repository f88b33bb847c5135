"""What an experiment has found so far: reads the scores and manifests of its folder, compares the
arms, and writes the table and the report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tacos.counts import count_words
from tacos.errors import InputError
from tacos.methods.evaluating.experiment_items import ExperimentItem
from tacos.methods.evaluating.experiment_plan import (
    ArmName,
    ExperimentPlan,
    InstrumentName,
)
from tacos.methods.evaluating.experiment_results import (
    ArmComparison,
    ExperimentResults,
    SpeedClaim,
    TrainedArm,
)
from tacos.methods.evaluating.experiment_table import (
    AnswerScore,
    Floats,
    InstrumentValues,
    Training,
    average_strata,
    build_instrument_values,
    compare_experiment,
    measure_items,
)
from tacos.report.experiment_page import render_experiment
from tacos.store import files
from tacos.trainers import trained_folder
from tacos.trainers.trained_folder import Training as TrainingManifest
from tacos.workflows import experiment_folder
from tacos.workflows.experiment_arms import ExperimentPool
from tacos.workflows.experiment_duels import ArmDuels, Judging, read_arm_duels
from tacos.workflows.experiment_folder import DeclaredPlan, ExperimentFolder
from tacos.workflows.experiment_models import (
    Items,
    ModelMaker,
    is_measured,
    read_scores,
)

CIRCULAR = "CIRCULAR: the judge of these duels also selected the rows."
FEW_ROWS = 500
FEWEST_SEEDS = 3
"""With fewer rows or seeds, an experiment shows that all works, and nothing else."""


@dataclass(frozen=True)
class Experiment:
    """All that an experiment is made of, before its first training."""

    folder: ExperimentFolder
    pool: ExperimentPool
    items: Items
    plan: ExperimentPlan
    maker: ModelMaker
    notes: tuple[str, ...]
    judging: Judging | None = None

    def count_rows(self, name: ArmName, seed: int) -> int:
        """The rows of one training."""
        arm = self.plan.find_arm(name)
        return dict(zip(arm.seeds, arm.n_rows, strict=True))[seed] if arm else 0


def write_results(experiment: Experiment, declared: DeclaredPlan) -> ExperimentResults:
    """The table and the report of what is there, written into the folder."""
    results = _collect_results(experiment, declared)
    root = experiment.folder.root
    experiment_folder.write_json(results.as_dict(), root / experiment_folder.RESULTS)
    files.write_text(render_experiment(results), root / experiment_folder.REPORT)
    return results


def _collect_results(
    experiment: Experiment,
    declared: DeclaredPlan,
) -> ExperimentResults:
    """Read all scores, and compare the arms."""
    plan = experiment.plan
    instruments = list_instruments(experiment.items)
    values: dict[InstrumentName, dict[Training, Floats]] = {
        name: {} for name in instruments
    }
    trained = []
    manifests: dict[Training, TrainingManifest] = {}
    missing = []
    without_room: dict[InstrumentName, set[str]] = {}
    cut: dict[InstrumentName, set[str]] = {}
    for arm, seed in plan.list_trainings():
        scores = read_scores(experiment.folder, arm, seed, experiment.items)
        is_whole = is_measured(experiment.folder, arm, seed, is_asked=False)
        if scores is None or not is_whole:
            missing.append((arm, seed))
            continue
        for name, members in experiment.items.items():
            for item, answers in zip(members, scores[name], strict=True):
                if not all(answer.n_tokens for answer in answers):
                    without_room.setdefault(name, set()).add(item.key)
                elif any(answer.is_cut for answer in answers):
                    cut.setdefault(name, set()).add(item.key)
        for name, members in instruments.items():
            own = _pick_scores(name, members, experiment.items, scores)
            values[name][(arm, seed)] = measure_items(name, own)
        place = experiment.folder.place_training(arm, seed)
        if arm != "untrained":
            manifests[(arm, seed)] = trained_folder.read_training(place)
        trained.append(
            _describe_training(experiment, arm, seed, manifests, instruments, values)
        )
    measured: list[InstrumentValues] = [
        build_instrument_values(name, members, values[name])
        for name, members in instruments.items()
    ]
    duels = None
    if experiment.judging is not None:
        duels = read_arm_duels(experiment.folder, plan, experiment.judging)
    comparisons = compare_experiment(plan, measured, duels.values if duels else None)
    circles = _list_circles(experiment, duels)
    return ExperimentResults(
        plan=plan,
        declared=declared.declared,
        trainings=trained,
        comparisons=_mark_circular(comparisons) if circles else comparisons,
        missing=missing,
        duels=duels.counts if duels else (),
        unjudged=duels.unjudged if duels else (),
        circular=circles,
        speed=_measure_speed(manifests),
        left_out=[
            *_describe_items(experiment, without_room, cut),
            *_describe_left_out(manifests),
        ],
        environment=_describe_environment(manifests),
        label=_choose_label(plan),
    )


def check_scores(experiment: Experiment, arm: ArmName, seed: int) -> None:
    """Look at the scores of a model, if it has any.

    Raises:
        InputError: The instrument that decides can measure no item.
        RunError: They cannot be read, or are not those of these items.
    """
    plan = experiment.plan
    scores = read_scores(experiment.folder, arm, seed, experiment.items)
    members = list_instruments(experiment.items).get(plan.primary)
    if scores is None or members is None:
        return
    own = _pick_scores(plan.primary, members, experiment.items, scores)
    if np.isfinite(measure_items(plan.primary, own)).any():
        return
    raise InputError(
        f"{plan.primary} can measure no item: the question of each alone has {plan.max_length:,} "
        "tokens or more (max_length); give items with shorter questions, raise max_length (--set "
        "max_length=...), or let another instrument decide (--primary), in another folder (-o)"
    )


def _list_circles(experiment: Experiment, duels: ArmDuels | None) -> tuple[str, ...]:
    """What the judge had to do with the selection; by its name alone before it has judged."""
    if duels is not None and duels.circular:
        return duels.circular
    plan = experiment.plan
    if not plan.is_circular:
        return ()
    return (f"{plan.judge} judges these answers, and selected the rows",)


def _mark_circular(comparisons: Sequence[ArmComparison]) -> list[ArmComparison]:
    """The same comparisons; those by duels say that their judge also selected."""
    return [
        replace(part, verdict=f"{part.verdict} {CIRCULAR}")
        if part.instrument == "duels"
        else part
        for part in comparisons
    ]


def _pick_scores(
    name: InstrumentName,
    members: Sequence[ExperimentItem],
    items: Items,
    scores: Mapping[InstrumentName, Sequence[Sequence[AnswerScore]]],
) -> list[Sequence[AnswerScore]]:
    """The scores of an instrument's items, which may be some of a file's."""
    file: InstrumentName = "answer-loss" if name == "answer-loss" else "preference"
    by_key = {
        item.key: own for item, own in zip(items[file], scores[file], strict=True)
    }
    return [by_key[item.key] for item in members]


def _describe_training(
    experiment: Experiment,
    arm: ArmName,
    seed: int,
    manifests: Mapping[Training, TrainingManifest],
    instruments: Mapping[InstrumentName, Sequence[ExperimentItem]],
    values: Mapping[InstrumentName, Mapping[Training, Floats]],
) -> TrainedArm:
    """One line of the table."""
    manifest = manifests.get((arm, seed))
    strata = {}
    if "answer-loss" in instruments:
        losses = values["answer-loss"][(arm, seed)]
        strata = average_strata(instruments["answer-loss"], losses)
    return TrainedArm(
        arm,
        seed,
        n_rows=manifest.n_trained if manifest else 0,
        n_trained_tokens=manifest.trained_tokens if manifest else None,
        n_steps=manifest.steps if manifest else None,
        seconds=manifest.seconds if manifest else None,
        means={
            name: float(np.nanmean(own))
            for name in instruments
            if np.isfinite(own := values[name][(arm, seed)]).any()
        },
        strata=strata,
    )


def _describe_items(
    experiment: Experiment,
    without_room: Mapping[InstrumentName, set[str]],
    cut: Mapping[InstrumentName, set[str]],
) -> list[str]:
    """Which items could not be measured, or not to their end, a sentence for each file."""
    limit = f"{experiment.plan.max_length:,} tokens"
    sentences = []
    for name, members in experiment.items.items():
        items = count_words(len(members), "item")
        if name in without_room:
            sentences.append(
                f"{name}: {len(without_room[name]):,} of {items} left out, whose question alone "
                f"has {limit} or more (max_length)."
            )
        if name in cut:
            sentences.append(
                f"{name}: {len(cut[name]):,} of {items} measured without the end of an answer, "
                f"which was cut at {limit} (max_length)."
            )
    return sentences


def _describe_left_out(manifests: Mapping[Training, TrainingManifest]) -> list[str]:
    """Which rows of an arm were not trained on, a sentence for each arm."""
    sentences: dict[ArmName, str] = {}
    for (arm, _), each in manifests.items():
        reasons = [f"{n_rows:,} x {reason}" for reason, n_rows in each.left_out.items()]
        if each.n_held_out:
            reasons.append(f"{each.n_held_out:,} x held out by the recipe")
        if reasons and arm not in sentences:
            sentences[arm] = (
                f"{arm}: {each.n_trained:,} of {count_words(each.n_rows, 'row')} trained on "
                f"({'; '.join(reasons)})."
            )
    return list(sentences.values())


def _measure_speed(
    manifests: Mapping[Training, TrainingManifest],
) -> SpeedClaim | None:
    """The full pool against the selection; None while one of them is not trained."""
    full = [each for (arm, _), each in manifests.items() if arm == "full"]
    selected = [each for (arm, _), each in manifests.items() if arm == "selection"]
    if not full or not selected:
        return None
    n = len(selected)
    paces = [each.seconds / each.seen_tokens for each in manifests.values()]
    return SpeedClaim(
        n_full_rows=full[0].n_trained,
        n_selected_rows=selected[0].n_trained,
        n_full_tokens=full[0].trained_tokens,
        n_selected_tokens=sum(each.trained_tokens for each in selected) / n,
        full_seconds=full[0].seconds,
        selected_seconds=sum(each.seconds for each in selected) / n,
        seconds_spread=max(paces) / min(paces) if min(paces) else 1.0,
    )


def _describe_environment(
    manifests: Mapping[Training, TrainingManifest],
) -> dict[str, str]:
    """Devices and versions; several where models were trained in several places."""
    found: dict[str, dict[str, None]] = {}
    for manifest in manifests.values():
        named = {"device": manifest.device, **manifest.versions}
        for name, value in named.items():
            found.setdefault(name, {})[value] = None
    return {name: ", ".join(values) for name, values in found.items()}


def _choose_label(plan: ExperimentPlan) -> str:
    """What must be said before any figure: of an experiment that is too small, of a base model that
    is none.
    """
    arm = plan.find_arm("selection")
    n_seeds = len(arm.seeds) if arm else 0
    sentences = []
    if n_seeds < FEWEST_SEEDS or plan.n_selected < FEW_ROWS:
        sentences.append(
            f"This shows the mechanics, and is no evidence: {count_words(plan.n_selected, 'row')} "
            f"and {count_words(n_seeds, 'seed')} per arm (evidence takes {FEW_ROWS} rows and "
            f"{FEWEST_SEEDS} seeds at least)."
        )
    if plan.is_instruct_start:
        sentences.append(
            "Instruct start: all arms begin with a model that has a chat template, so it followed "
            "instructions before, and what is found need not hold for a base model."
        )
    return " ".join(sentences)


def list_instruments(items: Items) -> dict[InstrumentName, list[ExperimentItem]]:
    """The items of every instrument that can be measured."""
    instruments: dict[InstrumentName, list[ExperimentItem]] = {
        name: list(members) for name, members in items.items()
    }
    matched = [item for item in items.get("preference", ()) if item.has_equal_lengths]
    if matched:
        instruments["preference-matched"] = matched
    return instruments
