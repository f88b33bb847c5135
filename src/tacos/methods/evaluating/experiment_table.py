"""From the scores of all models to the table of an experiment: means, differences, verdicts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from tacos.methods.evaluating.arm_differences import (
    ArmDifference,
    adjust_by_holm,
    compare_arms,
)
from tacos.methods.evaluating.arm_duels import compare_duels
from tacos.methods.evaluating.experiment_items import ExperimentItem, number_questions
from tacos.methods.evaluating.experiment_plan import (
    LOWER_IS_BETTER,
    ArmName,
    ExperimentPlan,
    InstrumentName,
)
from tacos.methods.evaluating.experiment_results import ArmComparison
from tacos.methods.evaluating.verdicts import Measure, decide_verdict

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Training = tuple[ArmName, int]
"""Arm and seed."""
Pair = tuple[ArmName, ArmName]
Compare = Callable[[Pair], ArmDifference | None]
"""The difference of two arms on an instrument; None if something of theirs is missing."""

POINTS = 100
"""Shares are compared as points of a hundred, in words."""
MEASURES: dict[InstrumentName, Measure] = {
    "answer-loss": Measure("nats per token", decimals=4),
    "preference": Measure("points", decimals=1),
    "preference-matched": Measure("points", decimals=1),
    "duels": Measure("points", decimals=1),
}


@dataclass(frozen=True, slots=True)
class AnswerScore:
    """The log-probability of an answer (nats, over all of its tokens that were scored)."""

    logprob: float
    n_tokens: int
    is_cut: bool = False
    """Whether its end was left out, beyond the longest length."""

    @property
    def per_token(self) -> float:
        """The mean over its tokens; not a number where the question left no room for any."""
        return self.logprob / self.n_tokens if self.n_tokens else math.nan


@dataclass(frozen=True)
class InstrumentValues:
    """What one instrument says of each model, item by item.

    `values` has (n_items,) for every model, `clusters` (n_items,) the questions that items are
    about.
    """

    name: InstrumentName
    values: Mapping[Training, Floats]
    clusters: Ints


@dataclass(frozen=True)
class DuelValues:
    """What a judge says of the selection's models against those of other arms.

    `scores` has (n_seeds, n_questions) for every other arm, from 0 to 1; `questions` (n_questions,)
    are their clusters.
    """

    scores: Mapping[ArmName, Floats]
    questions: Ints


def measure_items(
    name: InstrumentName,
    scores: Sequence[Sequence[AnswerScore]],
) -> Floats:
    """The value of each item, by the scores of its answers, the better answer first.

    >>> better, worse = AnswerScore(-10.0, 10), AnswerScore(-9.0, 3)
    >>> measure_items("answer-loss", [[better]]), measure_items("preference", [[better, worse]])
    (array([1.]), array([1.]))
    """
    if name == "answer-loss":
        return np.array([-answer.per_token for (answer,) in scores])
    differences = np.array(
        [better.per_token - worse.per_token for better, worse in scores]
    )
    # Equal ones count half, as in every comparison.
    points: Floats = (np.sign(differences) + 1) / 2
    return points


def average_strata(items: Sequence[ExperimentItem], values: Floats) -> dict[str, float]:
    """The mean value of each stratum of length."""
    by_stratum: dict[str, list[float]] = {}
    for item, value in zip(items, values.tolist(), strict=True):
        if math.isfinite(value):
            by_stratum.setdefault(item.stratum, []).append(value)
    return {name: float(np.mean(found)) for name, found in by_stratum.items()}


def build_instrument_values(
    name: InstrumentName,
    items: Sequence[ExperimentItem],
    values: Mapping[Training, Floats],
) -> InstrumentValues:
    """The values of an instrument with the clusters of its items.

    An item whose question alone is as long as a chat may be has no value, and is left out for all
    models.
    """
    clusters = number_questions(items)
    if not values:
        return InstrumentValues(name, values, clusters)
    is_measured = np.isfinite(np.stack([*values.values()])).all(axis=0)
    kept = {training: row[is_measured] for training, row in values.items()}
    return InstrumentValues(name, kept, clusters[is_measured])


def compare_experiment(
    plan: ExperimentPlan,
    measured: Sequence[InstrumentValues],
    duels: DuelValues | None = None,
) -> list[ArmComparison]:
    """The selection against every other arm on every instrument, the primary ones first.

    Arms of which a training or a duel is missing are left out, so a verdict rests on all that was
    planned.
    """
    instruments: dict[InstrumentName, Compare] = {
        part.name: partial(_compare_values, plan, part) for part in measured
    }
    if duels is not None:
        instruments["duels"] = partial(_compare_duels, plan, duels)
    comparisons = _compare_primary(plan, instruments[plan.primary])
    for name, compare in instruments.items():
        for arm in plan.arms:
            pair: Pair = ("selection", arm.name)
            is_decided = name == plan.primary and pair in plan.comparisons
            if arm.name == "selection" or is_decided:
                continue
            difference = compare(pair)
            if difference is not None:
                comparisons.append(
                    _build_comparison(name, pair, difference, difference.p_value)
                )
    return comparisons


def _compare_primary(
    plan: ExperimentPlan,
    compare: Compare,
) -> list[ArmComparison]:
    """The declared comparisons with Holm's correction; none while one of them is incomplete."""
    differences = [compare(pair) for pair in plan.comparisons]
    complete = [each for each in differences if each is not None]
    if len(complete) < len(plan.comparisons):
        return []
    p_values = [1.0 if each.p_value is None else each.p_value for each in complete]
    adjusted = adjust_by_holm(p_values)
    comparisons = []
    for pair, difference, p_value in zip(
        plan.comparisons, complete, adjusted, strict=True
    ):
        is_known = difference.p_value is not None
        comparisons.append(
            _build_comparison(
                plan.primary,
                pair,
                difference,
                p_value if is_known else None,
                n_tests=len(plan.comparisons),
                is_primary=True,
            )
        )
    return comparisons


def _compare_values(
    plan: ExperimentPlan,
    part: InstrumentValues,
    pair: Pair,
) -> ArmDifference | None:
    """The difference of two arms by their values; None if a training of theirs is missing, or no
    item can be measured.
    """
    stacked = [_stack_arm(plan, part, name) for name in pair]
    values, others = stacked
    if values is None or others is None or not len(part.clusters):
        return None
    return compare_arms(
        values,
        others,
        part.clusters,
        plan.seed,
        is_trained=pair[1] != "untrained",
    )


def _compare_duels(
    plan: ExperimentPlan,
    duels: DuelValues,
    pair: Pair,
) -> ArmDifference | None:
    """How far the first of two arms is above one half; None while duels are missing."""
    other = plan.find_arm(pair[1])
    scores = duels.scores.get(pair[1])
    if other is None or scores is None:
        return None
    n_other_seeds = 0 if pair[1] == "untrained" else len(other.seeds)
    return compare_duels(scores, duels.questions, plan.seed, n_other_seeds)


def _stack_arm(
    plan: ExperimentPlan,
    part: InstrumentValues,
    name: ArmName,
) -> Floats | None:
    """The values of an arm, shape (n_seeds, n_items); None if one is missing."""
    arm = plan.find_arm(name)
    if arm is None:
        return None
    rows = [part.values.get((name, seed)) for seed in arm.seeds]
    there = [row for row in rows if row is not None]
    return np.stack(there) if len(there) == len(rows) else None


def _build_comparison(
    name: InstrumentName,
    pair: tuple[ArmName, ArmName],
    difference: ArmDifference,
    p_value: float | None,
    *,
    n_tests: int = 1,
    is_primary: bool = False,
) -> ArmComparison:
    """A comparison with its verdict, the sign turned so that above 0 is better."""
    gain = _scale_difference(difference, -1 if name in LOWER_IS_BETTER else 1)
    in_words = gain
    if name != "answer-loss":
        in_words = _scale_difference(gain, POINTS)
    verdict = decide_verdict(in_words, p_value, n_tests, MEASURES[name], pair)
    return ArmComparison(
        instrument=name,
        arm=pair[0],
        other=pair[1],
        gain=gain.difference,
        low=gain.low,
        high=gain.high,
        p=p_value,
        smallest=difference.smallest_detectable(n_tests),
        n_seeds=difference.n_seeds,
        n_other_seeds=difference.n_other_seeds,
        n_items=difference.n_items,
        is_primary=is_primary,
        verdict=verdict.sentence,
    )


def _scale_difference(difference: ArmDifference, factor: float) -> ArmDifference:
    """The same difference in another unit."""
    if difference.low is None or difference.high is None or difference.error is None:
        return replace(difference, difference=factor * difference.difference)
    ends = sorted((factor * difference.low, factor * difference.high))
    return replace(
        difference,
        difference=factor * difference.difference,
        error=abs(factor) * difference.error,
        low=ends[0],
        high=ends[1],
    )
