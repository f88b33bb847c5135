"""Whether a selection is better than as many random rows, and by what measure: one sentence.

The scores of the judge that selected never answer this by themselves. What may answer:

1. a reliability of that judge that was measured apart from this run: on graded rows that it had not
   seen (the card of the embedded judge), or on labels (`judge.reliability_interval`);
2. a judge that did not select: the embedded one, where it graded the rows that a language model
   then compared.

Where neither is there, the answer is "not known", and what would make it known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import polars as pl

from tacos.config import Settings
from tacos.counts import count_words
from tacos.methods.judging.shortlist import BY_GRADE
from tacos.methods.measures import gain_over_random
from tacos.methods.measures.gain_over_random import Gain
from tacos.methods.measures.random_range import LEVEL, RandomRange
from tacos.pipeline import conditions
from tacos.pipeline.steps.aligned_rows import join_to_samples
from tacos.pipeline.steps.matched_rows import RowFinder
from tacos.pipeline.steps.pool import (
    find_newest_scores,
    iterate_cheap_grades,
    locate_scores,
)
from tacos.pipeline.steps.reliability import (
    AS_SET,
    NOT_THIS_VERSION,
    OF_INPUT,
    Reliability,
    find_grade_reliability,
    find_reliability,
    list_held_out_shares,
)
from tacos.report.figure_texts import format_share
from tacos.report.judge_words import EMBEDDED, name_judge
from tacos.report.selection_request import MadeRequest, read_request
from tacos.store.artifacts import Artifact

Artifacts = Mapping[str, Artifact]
Answer = Literal["yes", "no", "not shown", "not known", "nothing left out"]

HELD_OUT = "the judge's reliability on graded rows of {} data sets that it had not seen"
LABELS = "the judge's reliability on labelled pairs"
SECOND_JUDGE = "a judge that did not select"
IN_QUALITY_ALONE = "Better than random: yes in quality, no in the tags covered."
TO_KNOW = (
    "label 100 random pairs of your rows, run `tacos calibrate` with this judge, and set "
    "judge.reliability and judge.reliability_interval as it prints them"
)


@dataclass(frozen=True)
class RandomVerdict:
    """Whether a selection is better than random.

    `gain`, `low` and `high` are points of 100 with a 95% interval, None where not known; they rest
    on `n` selected rows and the `n_pool` rows that random ones were drawn from. `equal_length` is
    the same (gain, low, high) among rows of equal length, where a second judge was asked. `answer`
    is about quality alone.
    """

    answer: Answer
    sentence: str
    """The answer, what it rests on, and the tags that are covered beside."""
    measure: str = ""
    """What the answer rests on; "" where it is not known."""
    remedy: str = ""
    """What would make it known."""
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    n_pool: int = 0
    equal_length: tuple[float, float, float] | None = None
    coverage: tuple[float, float] | None = None
    """Shares of the pool's tags that the selection covers, and that as many random rows cover on
    average.
    """
    coverage_place: Literal["below", "inside", "above"] | None = None
    """Where the first of them lies beside the middle 95% of random selections."""
    notes: tuple[str, ...] = ()
    """What a reader should know about the comparison, in sentences."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def judge_against_random(artifacts: Artifacts, settings: Settings) -> RandomVerdict:
    """The verdict on the selection of a run, or on one made of it by `tacos reselect`."""
    rows = _collect_rows(artifacts, settings)
    if rows["is_taken"].all():
        n = count_words(rows.height, "row")
        return RandomVerdict(
            "nothing left out",
            f"Nothing was left out of {n}, so there is no better or worse than random.",
        )
    by_grade = read_request(artifacts, settings).by == "grade"
    if by_grade:
        # Such a selection (`tacos reselect --by grade`) never looked at the scores.
        rows = rows.with_columns(score="grade")
    reliability = _find_reliability(artifacts, settings, by_grade=by_grade)
    verdict = _judge_by_reliability(artifacts, settings, rows, reliability)
    if verdict is None and not by_grade:
        verdict = _judge_by_second_judge(artifacts, settings, rows)
    return verdict or _admit_unknown(reliability)


def add_coverage(
    verdict: RandomVerdict,
    figures: Mapping[str, Mapping[str, float | None]],
    random_range: RandomRange | None,
) -> RandomVerdict:
    """The verdict with what the selection covers of the tags beside as many random rows: better
    rows of fewer topics are not simply better.

    `figures` are those of `RunSummary.selection`; only a selection outside of `random_range` is
    said to cover more or fewer.
    """
    own = figures["selection"]["coverage"]
    chance = figures["random"]["coverage"]
    if own is None or chance is None or random_range is None:
        return verdict
    if verdict.answer == "nothing left out":
        return verdict
    place = random_range.place_coverage(own)
    sentence = verdict.sentence
    if place == "inside":
        covers = "In the tags covered there is no difference from random"
    else:
        more = "more" if place == "above" else "fewer"
        covers = f"It covers {more} of the tags than as many random rows"
    yes = _state_answer("yes")
    if place == "below" and sentence.startswith(yes):
        sentence = f"{IN_QUALITY_ALONE}{sentence.removeprefix(yes)}"
    low, high = map(format_share, random_range.coverage)
    return replace(
        verdict,
        sentence=f"{sentence} {covers}: {format_share(own)} against {low} to {high} in "
        f"{LEVEL:.0%} of random draws.",
        coverage=(own, chance),
        coverage_place=place,
    )


def _collect_rows(artifacts: Artifacts, settings: Settings) -> pl.DataFrame:
    """length, is_taken, score (null: not rated) and grade (null: none) of every sample."""
    taken = artifacts["selection"].scan().select("id").collect()["id"]
    batches: Iterator[pl.DataFrame] = artifacts["samples"].batches(["id", "length"])
    if "grades" in artifacts:
        grades = iterate_cheap_grades(artifacts["grades"], settings)
        batches = join_to_samples(batches, grades)
    else:
        no_grade = pl.lit(None, pl.Float64)
        batches = (batch.with_columns(grade=no_grade) for batch in batches)
    is_taken = pl.col("id").is_in(taken.implode())
    # Without ids, which take most memory
    rows = pl.concat(
        batch.select("length", "grade", is_taken=is_taken) for batch in batches
    )
    return rows.with_columns(_average_scores(artifacts, rows.height))


def _average_scores(artifacts: Artifacts, n_samples: int) -> pl.Series:
    """The score of each sample, less the mean of its component where there are several, as scores
    of different components share no scale; null: not rated. Shape (samples,).
    """
    newest = find_newest_scores(artifacts)
    if newest is None:
        return pl.repeat(None, n_samples, dtype=pl.Float64, eager=True).alias("score")
    samples = artifacts["samples"]
    finder = RowFinder(lambda: (batch["id"] for batch in samples.batches(["id"])))
    columns = ("id", "score", "component")
    located = locate_scores(artifacts[newest], columns, finder.find)
    scores = pl.concat(located).drop_nulls("score")
    del finder
    score = pl.col("score")
    if scores["component"].n_unique() > 1:
        score -= score.mean().over("component")
    scores = scores.select("row", score)
    is_scored = np.zeros(n_samples, np.bool_)
    is_scored[scores["row"].to_numpy()] = True
    if is_scored.sum() < scores.height:
        # The preset paper scores a row once in each of its clusters.
        scores = scores.group_by("row").agg(pl.col("score").mean())
    values = np.full(n_samples, np.nan)
    values[scores["row"].to_numpy()] = scores["score"].to_numpy()
    return pl.Series("score", values, nan_to_null=True)


def _find_reliability(
    artifacts: Artifacts, settings: Settings, *, by_grade: bool
) -> Reliability | None:
    """The reliability of the judge whose scores or grades the rows have; None without any."""
    if by_grade:
        return find_grade_reliability(artifacts)
    newest = find_newest_scores(artifacts)
    if newest is None:
        return None
    return find_reliability(artifacts, settings, artifacts[newest].scan())


def _judge_by_reliability(
    artifacts: Artifacts,
    settings: Settings,
    rows: pl.DataFrame,
    reliability: Reliability | None,
) -> RandomVerdict | None:
    """By what was measured of the judge apart from this run; None where nothing was."""
    if reliability is None or reliability.value is None:
        return None
    rated = rows.drop_nulls("score")
    taken = rated.filter("is_taken")
    is_set = reliability.basis == AS_SET
    shares = list_held_out_shares(artifacts, settings, reliability)
    gain = gain_over_random.predict_gain(
        taken["score"].to_numpy(),
        rated["score"].to_numpy(),
        reliability.value,
        shares,
        settings.judge.reliability_interval if is_set else None,
    )
    if gain is None:
        return None
    answer = _choose_answer(gain)
    where = LABELS if is_set else HELD_OUT.format(len(shares))
    sentence = f"{_state_answer(answer)} {_describe_gain(gain, rows.height)}, going by {where}."
    return _build_verdict(answer, sentence, where, gain)


def _judge_by_second_judge(
    artifacts: Artifacts, settings: Settings, rows: pl.DataFrame
) -> RandomVerdict | None:
    """By the grades of a judge that took no part in choosing among the rated rows."""
    if not is_second_judge(artifacts, settings):
        return None
    compared = rows.drop_nulls(["score", "grade"])
    taken = compared.filter("is_taken")
    if taken.is_empty() or taken.height == compared.height:
        return None
    gain = gain_over_random.measure_gain(
        taken["grade"].to_numpy(),
        compared["grade"].to_numpy(),
    )
    equal = gain_over_random.measure_gain_at_equal_length(
        compared["grade"].to_numpy(),
        compared["length"].to_numpy(),
        compared["is_taken"].to_numpy(),
    )
    answer = _choose_answer(gain)
    # A taste for length that both judges share is no merit.
    if answer == "yes" and not equal.is_above:
        answer = "not shown"
    judge = name_judge(artifacts["grades"].model)
    sentence = (
        f"{_state_answer(answer)} {judge[0].upper()}{judge[1:]}, which did not choose among the "
        f"rated rows, grades the {gain.n:,} selected {_compare(gain)} than as many random ones "
        f"of the {gain.n_pool:,} rated; among rows of equal length {_compare(equal)}."
    )
    verdict = _build_verdict(answer, sentence, f"{SECOND_JUDGE}: {judge}", gain)
    return replace(
        verdict,
        equal_length=(equal.value, equal.low, equal.high),
        notes=tuple(_describe_second_judge(artifacts, judge, gain, rows.height)),
    )


def _describe_second_judge(
    artifacts: Artifacts, judge: str, gain: Gain, n_rows: int
) -> Iterator[str]:
    """Who the two judges are, and which random rows the selection is compared with."""
    selecting = {
        each.model
        for name, each in artifacts.items()
        if name.startswith("verdicts/") and each.model
    }
    names = " and ".join(sorted(map(name_judge, selecting))) or "another judge"
    yield (
        f"Two judges are in this: {names} compared rows, and its scores selected; {judge} graded "
        "every row by itself, and its grades are the measure here. Their points are not of one "
        "scale."
    )
    if gain.n_pool == n_rows:
        return
    reason = "the others have no score"
    rules = (
        artifacts["shortlist"].manifest["rejects"] if "shortlist" in artifacts else {}
    )
    if any(reason.rpartition(" ")[2] in BY_GRADE for reason in rules):
        reason = (
            f"by its own grades {judge} decided which rows were compared at all, so it cannot be "
            "the witness of that step"
        )
    yield (
        f"Random rows are here those of the {gain.n_pool:,} rated ones, not of all {n_rows:,}: "
        f"{reason}. How much better the selection is than random rows of the whole pool is not "
        "known."
    )


def is_second_judge(artifacts: Artifacts, settings: Settings) -> bool:
    """Whether there are grades, of a judge that was measured, that no score and no choice among the
    rated rows depends on.
    """
    if "grades" not in artifacts or not conditions.uses_comparisons(settings):
        return False
    if settings.rate.prior == "grades":
        return False
    asked: MadeRequest = read_request(artifacts, settings)
    if asked.by != "score" or asked.selector or asked.strategy == "singleton":
        return False
    grader = artifacts["grades"].model
    judges = {each.model for name, each in artifacts.items() if "verdicts" in name}
    # The grader may have compared the rows, too, alone or as a member of a panel.
    if grader in judges or EMBEDDED.intersection(settings.judge.panel):
        return False
    return find_grade_reliability(artifacts).value is not None


def _choose_answer(gain: Gain) -> Answer:
    """By where the interval lies."""
    if gain.is_above:
        return "yes"
    return "no" if gain.is_below else "not shown"


def _state_answer(answer: Answer) -> str:
    """The beginning of the sentence."""
    return f"Better than random: {answer}."


def _describe_gain(gain: Gain, n_rows: int) -> str:
    """What to expect of the rows, and of how many random ones they were drawn from."""
    pool = "" if gain.n_pool == n_rows else f" of the {gain.n_pool:,} rated"
    rows = count_words(gain.n, "row")
    return f"Expect the {rows} to be {_compare(gain)} than as many random ones{pool}"


def _compare(gain: Gain) -> str:
    """Points with their interval.

    >>> _compare(Gain(-1.5, -2.0, -1.0, 10, 100))
    '1.5 points of 100 worse (95%: 1.0 to 2.0)'
    >>> _compare(Gain(1.5, -0.5, 3.5, 10, 100))
    '1.5 points of 100 better (95%: -0.5 to 3.5)'
    """
    if gain.value < 0:
        figures = (-gain.value, -gain.high, -gain.low)
        word = "worse"
    else:
        figures = (gain.value, gain.low, gain.high)
        word = "better"
    # + 0.0 shows no -0.0.
    size, low, high = (f"{round(figure, 1) + 0.0:.1f}" for figure in figures)
    return f"{size} points of 100 {word} (95%: {low} to {high})"


def _build_verdict(
    answer: Answer, sentence: str, measure: str, gain: Gain
) -> RandomVerdict:
    """A verdict with figures."""
    remedy = "" if answer in {"yes", "no"} else TO_KNOW
    return RandomVerdict(
        answer,
        sentence,
        measure,
        remedy,
        gain.value,
        gain.low,
        gain.high,
        gain.n,
        gain.n_pool,
    )


def _admit_unknown(reliability: Reliability | None) -> RandomVerdict:
    """What is missing, and what would make it known."""
    if reliability is None:
        reason = "the rows have no scores"
    elif reliability.basis == OF_INPUT:
        reason = "nobody measured the scores that came with the data"
    elif reliability.basis == AS_SET:
        reason = "judge.reliability was set without its interval"
    elif reliability.basis == NOT_THIS_VERSION:
        reason = reliability.basis
    elif reliability.value is None:
        reason = "nobody measured this judge"
    elif reliability.is_bound:
        reason = "nobody measured this judge, and its own scores cannot answer this"
    else:
        reason = "the judge was measured on too few data sets"
    sentence = f"Better than random: not known; {reason}. To know it, {TO_KNOW}."
    return RandomVerdict("not known", sentence, remedy=TO_KNOW)
