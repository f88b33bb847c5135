"""The duels of an experiment: the models of the selection against those of every other arm.

Each model of the selection meets the model of the other arm with the same seed, or its only one. A
judge that took part in the selection is circular, and that is said with every figure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tacos.config import Settings
from tacos.errors import ConfigError, InputError, RunError
from tacos.formats.duel_files import read_duels, write_duels
from tacos.formats.question_sets import read_questions
from tacos.llm.ledger.location import LedgerLocation
from tacos.methods.evaluating import duel_questions
from tacos.methods.evaluating.arm_duels import Floats, score_duels
from tacos.methods.evaluating.duel_summary import JudgedDuel, summarise_duels
from tacos.methods.evaluating.experiment_plan import (
    ArmName,
    ExperimentPlan,
    Instrument,
)
from tacos.methods.evaluating.experiment_results import DuelCounts
from tacos.methods.evaluating.experiment_table import DuelValues
from tacos.methods.evaluating.questions import Question
from tacos.pipeline.model_factory import (
    list_endpoint_models,
    resolve_evaluation_judge,
)
from tacos.pipeline.run_loop import Progress
from tacos.records import canonical_hash
from tacos.store import files
from tacos.workflows.duel_judging import (
    Pairs,
    judge_pairs,
    list_circles,
    require_all,
)
from tacos.workflows.evaluated_models import has_refusals
from tacos.workflows.experiment_answers import read_arm_answers
from tacos.workflows.experiment_folder import ExperimentFolder
from tacos.workflows.selection import Selection

NO_SET = "no set"
"""How questions of no set are counted."""
NAMED_BY_SERVER = "llm"
"""The judge of settings that name none themselves."""


@dataclass(frozen=True)
class Judging:
    """What models are asked for duels, and who judges their answers."""

    questions: Sequence[Question]
    settings: Settings
    ledger: LedgerLocation | None
    judge: str
    selected_by: Selection

    @property
    def is_circular(self) -> bool:
        """Whether the judge also selected, by its name."""
        of_stages = list_endpoint_models(self.selected_by.settings).values()
        return any(self.judge in models for models in of_stages)

    def describe(self) -> Instrument:
        """What the plan says of the duels: questions, and how they are asked and judged."""
        rules = {
            "answer": self.settings.answer.model_dump(mode="json"),
            "duel": self.settings.duel.model_dump(mode="json"),
        }
        for section in rules.values():
            # How many failures are borne changes no verdict.
            section.pop("max_failure_rate")
        texts = [list(question.turns) for question in self.questions]
        sets = Counter(question.set or NO_SET for question in self.questions)
        return Instrument(
            name="duels",
            n_items=len(self.questions),
            items_hash=canonical_hash([texts, rules]),
            sources=dict(sets),
            strata={},
        )


@dataclass(frozen=True)
class ArmDuels:
    """The duels that are judged, arm by arm."""

    values: DuelValues
    """Of the arms of which every duel is judged."""
    counts: list[DuelCounts]
    """Of the same arms; a question by another seed is a further turn of it."""
    unjudged: list[tuple[ArmName, int]]
    circular: tuple[str, ...]


def choose_judging(
    questions: Sequence[Any],
    settings: Settings,
    ledger: LedgerLocation | None,
    done: Selection,
) -> Judging | None:
    """Who judges duels on which questions; None where nobody is named.

    Raises:
        ConfigError: There is a judge and no question, or the judge is no model of an endpoint.
        InputError: The questions cannot be read.
    """
    if not has_judge(settings):
        return None
    if not questions:
        raise ConfigError(
            "a judge is named, and nothing to judge: name questions that all models answer "
            "(--questions FILE)"
        )
    judge = resolve_evaluation_judge(settings, settings.duel.model)
    return Judging(read_questions(questions), settings, ledger, judge, done)


def has_judge(settings: Settings) -> bool:
    """Whether settings name a judge of duels."""
    return bool(settings.llm.model) or settings.duel.model != NAMED_BY_SERVER


def judge_arms(
    folder: ExperimentFolder,
    plan: ExperimentPlan,
    judging: Judging,
    progress: Progress,
) -> None:
    """Have the models of the selection and of every other arm compared, as far as they are not.

    Raises:
        FailureRateError: The judge answers hardly anything in the form that it was asked for.
        IncompleteError: A question was not judged in both orders; what was judged is in the ledger.
        InputError: Two models did not answer the same questions.
    """
    for other, seed in list_arm_duels(plan):
        place = folder.place_duels(other, seed)
        if place.is_file():
            continue
        progress.announce(f"duels: selection against {other}, seed {seed}")
        pairs = _pair_models(folder, plan, other, seed)
        judged = judge_pairs(pairs, judging.settings, judging.ledger, progress)
        require_all(judged.duels, _suggest_remedy(judged.reasons), judged.reasons)
        files.make_folder(place.parent)
        write_duels(judged.duels, judged.verdicts, place)


def list_arm_duels(plan: ExperimentPlan) -> list[tuple[ArmName, int]]:
    """Each other arm, and each seed of the selection that meets it."""
    selection = plan.find_arm("selection")
    seeds = selection.seeds if selection else ()
    return [
        (arm.name, seed)
        for arm in plan.arms
        for seed in seeds
        if arm.name != "selection"
    ]


def read_arm_duels(
    folder: ExperimentFolder,
    plan: ExperimentPlan,
    judging: Judging,
) -> ArmDuels:
    """The duels of an experiment, as far as they are judged. Raises `RunError`."""
    by_arm: dict[ArmName, list[list[JudgedDuel]]] = {}
    unjudged = []
    for other, seed in list_arm_duels(plan):
        place = folder.place_duels(other, seed)
        if place.is_file():
            by_arm.setdefault(other, []).append(_read_duel_file(folder, other, seed))
        else:
            unjudged.append((other, seed))
    incomplete = {other for other, _ in unjudged}
    complete = {
        other: seeds for other, seeds in by_arm.items() if other not in incomplete
    }
    scores = {other: _stack_scores(seeds) for other, seeds in complete.items()}
    all_duels = [duel for seeds in by_arm.values() for duels in seeds for duel in duels]
    circles: list[str] = []
    if all_duels:
        circles = list_circles(judging.judge, all_duels, [judging.selected_by])
    return ArmDuels(
        values=DuelValues(scores, np.arange(len(judging.questions))),
        counts=[_count_arm(other, seeds) for other, seeds in complete.items()],
        unjudged=unjudged,
        circular=tuple(circles),
    )


def _pair_models(
    folder: ExperimentFolder,
    plan: ExperimentPlan,
    other: ArmName,
    seed: int,
) -> Pairs:
    """The answers of two models, under the names of their arms: all models of one are a side."""
    arm = plan.find_arm(other)
    other_seeds = arm.seeds if arm else ()
    own = read_arm_answers(folder, "selection", seed)
    theirs = read_arm_answers(
        folder, other, seed if seed in other_seeds else other_seeds[0]
    )
    return [
        (replace(answer, model="selection"), replace(other_answer, model=other))
        for answer, other_answer in duel_questions.pair_answers(own, theirs)
    ]


def _suggest_remedy(reasons: Mapping[str, int]) -> str:
    """What to do about replies that could not be read: the trainings are there already."""
    if has_refusals(reasons):
        return (
            "run the same command again with ask_refused = true in the section [llm] of a file of "
            "settings (--settings FILE)"
        )
    return "run the same command again, which trains nothing and asks only these anew"


def _read_duel_file(
    folder: ExperimentFolder, other: ArmName, seed: int
) -> list[JudgedDuel]:
    """The duels of one file, all of them judged. Raises `RunError`."""
    place = folder.place_duels(other, seed)
    try:
        duels = read_duels(place)
        score_duels(duels)
    except (InputError, ValueError):
        raise RunError(
            f"{place} lacks judged duels of the plan: delete it, and run the same command again"
        ) from None
    return duels


def _stack_scores(seeds: Sequence[Sequence[JudgedDuel]]) -> Floats:
    """The selection's points, shape (n_seeds, n_questions)."""
    return np.stack([score_duels(duels) for duels in seeds])


def _count_arm(
    other: ArmName,
    seeds: Sequence[Sequence[JudgedDuel]],
) -> DuelCounts:
    """The duels of one arm in figures."""
    duels = [
        replace(duel, turn=number)
        for number, own in enumerate(seeds, 1)
        for duel in own
    ]
    (summary,) = summarise_duels(duels)
    figures = summary.pooled
    return DuelCounts(
        other=other,
        n=figures.result.n,
        outcomes=figures.result.outcomes,
        score=figures.result.score.mean if figures.result.score else 0.5,
        adjusted=figures.adjusted.mean if figures.adjusted else None,
        lengths=figures.lengths,
        judges=summary.judges,
    )
