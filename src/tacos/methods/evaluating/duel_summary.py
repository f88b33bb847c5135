"""What the duels of two models say, set by set and in all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tacos.counts import count_words
from tacos.methods.evaluating.clustered_means import MeanEstimate
from tacos.methods.evaluating.duels import (
    DuelResult,
    Outcome,
    Winner,
    count_duels,
    measure_points,
)
from tacos.methods.evaluating.length_adjusted_scores import (
    adjust_for_length,
    can_be_adjusted,
)
from tacos.methods.measures.value_shares import bound_share

FEWEST_QUESTIONS = 10
"""With fewer there is no verdict."""
UNNAMED = "no set"
"""How questions of no set are called."""


@dataclass(frozen=True, slots=True)
class JudgedDuel:
    """Two models' answers to a question, and the winner in each order; None where unreadable.

    `lengths` are the characters of both answers, None where a file does not say. `is_identical`
    says that both answers are the same, so that nobody was asked.
    """

    models: tuple[str, str]
    question_id: str
    winners: tuple[Winner | None, Winner | None]
    set: str | None = None
    turn: int | None = None
    lengths: tuple[int, int] | None = None
    judge: str = ""
    """As its server calls it; "" for identical answers."""
    is_identical: bool = False

    @property
    def is_missing(self) -> bool:
        """Whether an order has no winner that can be read."""
        return None in self.winners


@dataclass(frozen=True, slots=True)
class DuelFigures:
    """The duels of one set, or of all.

    `intervals` are the 95% intervals of the shares of all outcomes. `adjusted` is the score at
    equal length; where it is None, `not_adjusted` says why. `lengths` are both models' mean
    characters.
    """

    result: DuelResult
    intervals: dict[Outcome, tuple[float, float]]
    adjusted: MeanEstimate | None
    not_adjusted: str
    lengths: tuple[float, float] | None
    n_identical: int


@dataclass(frozen=True, slots=True)
class DuelSummary:
    """The duels of two models. `judges` are those that answered, as their servers call them."""

    models: tuple[str, str]
    judges: tuple[str, ...]
    sets: dict[str, DuelFigures]
    pooled: DuelFigures
    missing: tuple[str, ...]
    """The questions without a readable verdict in both orders."""
    verdict: str
    """In one sentence."""


def summarise_duels(duels: Sequence[JudgedDuel]) -> list[DuelSummary]:
    """A summary for each two models, in the order in which they come."""
    by_models: dict[tuple[str, str], list[JudgedDuel]] = {}
    for duel in duels:
        by_models.setdefault(duel.models, []).append(duel)
    return [_summarise_models(models, own) for models, own in by_models.items()]


def describe_duel(duel: JudgedDuel) -> str:
    """Which question it is about, in words.

    >>> describe_duel(JudgedDuel(("a", "b"), "81", (None, None), set="mt_bench", turn=2))
    'mt_bench 81, turn 2'
    """
    name = f"{duel.set} {duel.question_id}" if duel.set else duel.question_id
    return name if duel.turn is None else f"{name}, turn {duel.turn}"


def find_repeated(duels: Sequence[JudgedDuel]) -> str:
    """The first duel that stands there twice, in words; empty where there is none."""
    keys = set()
    for duel in duels:
        key = (duel.models, duel.set, duel.question_id, duel.turn)
        if key in keys:
            first, second = duel.models
            return f"{describe_duel(duel)} of {first} and {second}"
        keys.add(key)
    return ""


def _summarise_models(
    models: tuple[str, str], duels: Sequence[JudgedDuel]
) -> DuelSummary:
    by_set: dict[str, list[JudgedDuel]] = {}
    for duel in duels:
        by_set.setdefault(duel.set or UNNAMED, []).append(duel)
    pooled = _measure_figures(duels)
    judges = dict.fromkeys(duel.judge for duel in duels if duel.judge)
    return DuelSummary(
        models=models,
        judges=tuple(judges),
        sets={name: _measure_figures(own) for name, own in by_set.items()},
        pooled=pooled,
        missing=tuple(describe_duel(duel) for duel in duels if duel.is_missing),
        verdict=_say_verdict(models, pooled.result),
    )


def _measure_figures(duels: Sequence[JudgedDuel]) -> DuelFigures:
    # Two sets may number their questions alike.
    keys = {(duel.set, duel.question_id): None for duel in duels}
    numbers = {key: number for number, key in enumerate(keys)}
    questions = [numbers[duel.set, duel.question_id] for duel in duels]
    result = count_duels([duel.winners for duel in duels], questions)
    adjusted, reason = _adjust_score(duels, questions, result)
    return DuelFigures(
        result=result,
        intervals=_bound_shares(result),
        adjusted=adjusted,
        not_adjusted=reason,
        lengths=_average_lengths(duels),
        n_identical=sum(duel.is_identical for duel in duels),
    )


def _bound_shares(result: DuelResult) -> dict[Outcome, tuple[float, float]]:
    """Wilson's intervals; the turns of a question count as one, which errs on the wide side."""
    if result.score is None:
        return {}
    intervals = {}
    n_clusters = result.score.n_clusters
    for name, count in result.outcomes.items():
        effective = round(count / result.n * n_clusters)
        intervals[name] = bound_share(effective, n_clusters)
    return intervals


def _adjust_score(
    duels: Sequence[JudgedDuel],
    questions: Sequence[int],
    result: DuelResult,
) -> tuple[MeanEstimate | None, str]:
    """The score at equal length, or why there is none."""
    if result.score is None:
        return None, "no question was judged in both orders"
    if not can_be_adjusted(result.score.mean):
        return None, "only a score from 30% to 70% can be adjusted for length"
    scores = []
    lengths = []
    clusters = []
    for duel, question in zip(duels, questions, strict=True):
        winner, other_order = duel.winners
        if winner is None or other_order is None:
            continue
        if duel.lengths is None:
            return None, "the file does not say how long the answers are"
        scores.append(measure_points(winner, other_order))
        lengths.append(duel.lengths)
        clusters.append(question)
    if len(set(scores)) == 1:
        return None, "all duels end alike, whatever the lengths"
    both = np.array(lengths, np.int64)
    adjusted = adjust_for_length(
        np.array(scores),
        both[:, 0],
        both[:, 1],
        np.array(clusters, np.int64),
    )
    return adjusted, ""


def _average_lengths(duels: Sequence[JudgedDuel]) -> tuple[float, float] | None:
    """The mean characters of both models' answers, if all are known."""
    lengths = [duel.lengths for duel in duels if duel.lengths is not None]
    if len(lengths) < len(duels):
        return None
    first, second = np.array(lengths).mean(axis=0).tolist()
    return first, second


def _say_verdict(models: tuple[str, str], result: DuelResult) -> str:
    """Better, worse, or what could have been seen."""
    first, second = models
    score = result.score
    if score is None:
        return f"No verdict on {first} and {second}: no question was judged in both orders."
    # Intervals by the normal curve hold for more questions than that.
    smallest = score.smallest_detectable_difference()
    is_enough = score.n_clusters >= FEWEST_QUESTIONS
    if score.low is None or score.high is None or smallest is None or not is_enough:
        n_questions = count_words(score.n_clusters, "question")
        return (
            f"No verdict on {first} and {second}: {n_questions} can show no difference "
            f"({FEWEST_QUESTIONS} at least)."
        )
    basis = (
        f"win score {100 * score.mean:.1f}%, 95% interval {100 * score.low:.1f} to "
        f"{100 * score.high:.1f}, {count_words(score.n_clusters, 'question')}"
    )
    if score.low > 0.5:
        return f"{first} is better than {second} ({basis})."
    if score.high < 0.5:
        return f"{first} is worse than {second} ({basis})."
    return (
        f"No difference larger than {100 * smallest:.1f} points of win score could be seen "
        f"between {first} and {second} ({basis})."
    )
