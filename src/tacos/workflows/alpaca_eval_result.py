"""The result of `tacos alpaca-eval`: win rates with intervals, differences, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np

from tacos.counts import count_words
from tacos.errors import IncompleteError, InputError
from tacos.formats.alpaca_eval_files import LeaderboardRow
from tacos.methods.evaluating.alpaca_eval import (
    N_INSTRUCTIONS,
    AlpacaScore,
    LengthControlledRate,
    compare_annotations,
    guess_detectable_difference,
    score_annotations,
)
from tacos.methods.evaluating.annotations import Annotation
from tacos.methods.evaluating.clustered_means import MeanEstimate
from tacos.methods.evaluating.length_control import RateDraws
from tacos.workflows.alpaca_eval_inputs import Difficulty
from tacos.workflows.evaluated_models import (
    EvaluatedModel,
    list_warnings,
    suggest_asking,
)
from tacos.workflows.files_read import FilesRead, serialise_files

N_SHOWN = 5
MOST_COMPARED = 10
"""Models whose differences are all listed."""
N_BESIDE = 2
"""Rows of the leaderboard above a model, and below it."""


@dataclass(frozen=True)
class MissingPreference:
    """An instruction without a preference, and why."""

    instruction: str
    reason: str

    def describe(self) -> str:
        """In words."""
        return f"instruction {self.instruction} ({self.reason})"


@dataclass(frozen=True)
class ModelPreferences:
    """The preferences between one model and the baseline."""

    label: str
    annotations: list[Annotation]
    """Those that there are."""
    missing: list[MissingPreference]
    judges: Mapping[str, int]
    """Who gave them -> preferences."""
    answers: EvaluatedModel | None = None
    """None where only preferences are known."""
    score: AlpacaScore | None = None
    """None where a preference is missing, and that is not allowed."""
    published: LeaderboardRow | None = None
    """Its row of the leaderboard, if it has one."""
    beside: list[LeaderboardRow] = field(default_factory=list)
    """Rows of the leaderboard near its rate."""

    @property
    def n(self) -> int:
        """Instructions with a preference."""
        return len(self.annotations)

    @property
    def is_complete(self) -> bool:
        """Whether it is a result on AlpacaEval's own 805 instructions, all of them."""
        return not self.missing and self.n == N_INSTRUCTIONS

    def with_answers(self, answers: EvaluatedModel) -> ModelPreferences:
        """The same, with what is known of the outputs."""
        return replace(self, answers=answers)

    def describe_missing(self) -> str:
        """How many preferences there are, and which are missing, on one line."""
        text = f"{self.label}: {self.n:,} of {N_INSTRUCTIONS:,} preferences"
        if not self.missing:
            return text
        shown = "; ".join(each.describe() for each in self.missing[:N_SHOWN])
        n_more = len(self.missing) - N_SHOWN
        more = f" and {n_more:,} more" if n_more > 0 else ""
        return f"{text}; missing: {shown}{more}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "model": self.label,
            "n": self.n,
            "score": None if self.score is None else _serialise_score(self.score),
            "missing": [asdict(each) for each in self.missing],
            "judges": dict(self.judges),
            "answers": None if self.answers is None else asdict(self.answers),
            "published": None if self.published is None else asdict(self.published),
            "beside": [asdict(row) for row in self.beside],
        }


@dataclass(frozen=True)
class RateDifference:
    """How much higher the win rate of the first of two models is."""

    better: str
    worse: str
    raw: MeanEstimate
    """By the instructions that both have."""
    controlled: MeanEstimate | None
    """At equal length; None unless both have a rate of the same instructions."""


@dataclass(frozen=True)
class AlpacaEvaluation:
    """Win rates of models against one baseline."""

    models: list[ModelPreferences]
    differences: list[RateDifference]
    baseline: str
    n_expected: int
    """Instructions of the set."""
    allow_missing: bool
    difficulty: str
    """Where the difficulty of instructions is known from; "" for nowhere."""
    is_on_leaderboard: bool = False
    """Whether the rows of a leaderboard are given beside."""
    warnings: tuple[str, ...] = ()
    """What makes the models hard to compare, in sentences."""
    spending: Mapping[str, Any] = field(default_factory=dict)
    is_judged_here: bool = False
    """Whether a judge was asked, so that asking it again may complete what is missing."""
    files: FilesRead = field(default_factory=dict)

    @property
    def detectable(self) -> float:
        """The smallest difference of two win rates that so many instructions usually show."""
        return guess_detectable_difference(self.n_expected)

    def check_complete(self) -> None:
        """Raise `IncompleteError` where a model lacks preferences and that is not allowed."""
        lacking = [model for model in self.models if not model.is_complete]
        if not lacking or self.allow_missing:
            return
        described = ". ".join(model.describe_missing() for model in lacking[:N_SHOWN])
        n_more = len(lacking) - N_SHOWN
        more = f". {count_words(n_more, 'more model')}" if n_more > 0 else ""
        go_on = "Pass --allow-missing for a rate of those that there are"
        reasons = [each.reason for model in lacking for each in model.missing]
        if self.is_judged_here and reasons:
            go_on = f"{suggest_asking(reasons)}. {go_on}"
        raise IncompleteError(
            f"no win rate without every preference. {described}{more}. {go_on}"
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "baseline": self.baseline,
            "n_instructions": self.n_expected,
            "n_of_alpaca_eval": N_INSTRUCTIONS,
            "allow_missing": self.allow_missing,
            "models": [model.as_dict() for model in self.models],
            "differences": [asdict(each) for each in self.differences],
            "usually_detectable": self.detectable,
            "difficulty": self.difficulty,
            "warnings": list(self.warnings),
            "spending": dict(self.spending),
            "files": serialise_files(self.files),
        }


@dataclass(frozen=True)
class ComparedSet:
    """What the models of an evaluation have in common."""

    baseline: str
    n_expected: int
    """Instructions of the set."""
    allow_missing: bool
    seed: int
    """Of the bootstrap."""


def build_evaluation(
    models: Sequence[ModelPreferences],
    compared: ComparedSet,
    difficulty: Difficulty,
    leaderboard: Sequence[LeaderboardRow],
    *,
    judge: str = "",
    max_chars: int = 0,
    spending: Mapping[str, Any] | None = None,
    files: FilesRead | None = None,
) -> AlpacaEvaluation:
    """Win rates and differences; `spending` of the judge, if it was asked, `judge` the name by
    which it was, and `max_chars` what it saw of an output at most.
    """
    scored = []
    for model in models:
        may_be_scored = model.is_complete or compared.allow_missing
        if not model.annotations or not may_be_scored:
            scored.append(model)
            continue
        try:
            score = score_annotations(
                model.annotations, difficulty.eases, compared.seed
            )
        except ValueError as error:
            raise InputError(
                f"{model.label}: {error}: give annotations of the same set (--difficulty)"
            ) from None
        scored.append(_place_on_leaderboard(replace(model, score=score), leaderboard))
    return AlpacaEvaluation(
        models=scored,
        differences=_list_differences(scored),
        baseline=compared.baseline,
        n_expected=compared.n_expected,
        allow_missing=compared.allow_missing,
        difficulty=difficulty.source,
        is_on_leaderboard=bool(leaderboard),
        warnings=list_warnings(
            [model.label for model in models],
            [model.answers for model in models if model.answers is not None],
            [judge, *(name for model in models for name in model.judges)],
            max_chars,
        ),
        spending=spending or {},
        is_judged_here=spending is not None,
        files=files or {},
    )


def _place_on_leaderboard(
    model: ModelPreferences, leaderboard: Sequence[LeaderboardRow]
) -> ModelPreferences:
    """A model with its published row, or else with the rows near its rate."""
    own = next((row for row in leaderboard if row.model == model.label), None)
    if own is not None or model.score is None:
        return replace(model, published=own)
    controlled = model.score.controlled
    # Published rates are in percent.
    if controlled is None:
        rate = 100 * model.score.raw.mean
        placed = [(row.win_rate, row) for row in leaderboard]
    else:
        rate = 100 * controlled.rate
        placed = [(row.controlled, row) for row in leaderboard if row.controlled]
    placed.sort(key=lambda pair: -pair[0])
    n_above = sum(1 for published, _ in placed if published > rate)
    near = placed[max(0, n_above - N_BESIDE) : n_above + N_BESIDE]
    return replace(model, beside=[row for _, row in near])


def _list_differences(models: Sequence[ModelPreferences]) -> list[RateDifference]:
    """The differences of all scored models, the better one first; none of too many."""
    complete = [model for model in models if model.score is not None]
    if len(complete) > MOST_COMPARED:
        return []
    differences = []
    for first, second in combinations(complete, 2):
        better, worse = first, second
        if _find_rate(first) < _find_rate(second):
            better, worse = second, first
        raw = compare_annotations(better.annotations, worse.annotations)
        difference = RateDifference(
            better.label, worse.label, raw, _compare_controlled(better, worse)
        )
        differences.append(difference)
    return differences


def _find_rate(model: ModelPreferences) -> float:
    """The rate that models are ordered by: at equal length, where that is known."""
    assert model.score is not None
    controlled = model.score.controlled
    return model.score.raw.mean if controlled is None else controlled.rate


def _compare_controlled(
    better: ModelPreferences, worse: ModelPreferences
) -> MeanEstimate | None:
    """The difference at equal length, draw by draw of the same instructions."""
    assert better.score is not None
    assert worse.score is not None
    own, theirs = better.score.controlled, worse.score.controlled
    if own is None or theirs is None:
        return None
    instructions = {each.instruction for each in better.annotations}
    if instructions != {each.instruction for each in worse.annotations}:
        return None
    draws = RateDraws(np.asarray(own.draws.rates - theirs.draws.rates))
    low, high = draws.interval
    n = len(instructions)
    return MeanEstimate(own.rate - theirs.rate, draws.error, low, high, n, n)


def _serialise_score(score: AlpacaScore) -> dict[str, Any]:
    """For JSON: the draws as what they say."""
    plain = {name: getattr(score, name) for name in score.__dataclass_fields__}
    plain["raw"] = asdict(score.raw)
    if score.controlled is not None:
        plain["controlled"] = serialise_rate(score.controlled)
    return plain


def serialise_rate(rate: LengthControlledRate) -> dict[str, float]:
    """A rate at equal length with its interval."""
    low, high = rate.draws.interval
    return {
        "rate": rate.rate,
        "error": rate.draws.error,
        "low": low,
        "high": high,
        "length_weight": rate.length_weight,
    }
