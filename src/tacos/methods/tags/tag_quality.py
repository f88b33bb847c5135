"""Evaluates judgements of tags: shares with intervals, detection of planted cases, agreement
(InsTag, section 3.3).

Every figure comes with the number of cases behind it; an undefined one is null, never 0. InsTag's
figures for comparison: precision 96.1%, consistency 86.6% by GPT-4; Fleiss' kappa among three
people .47 and .73; Cohen's kappa of their majority and GPT-4 .92 and .75.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from tacos.methods.measures import rater_agreement
from tacos.methods.measures.rater_agreement import MISSING, Ints, Statistic
from tacos.methods.tags.tag_checks import CONSISTENCY, PRECISION

MAJORITY = "majority of people"
FIGURES = {
    "n": pl.UInt32(),
    "value": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
}
SHARES = pl.Schema(
    {
        "task": pl.String(),
        "judge": pl.String(),
        "measure": pl.String(),
        **FIGURES,
        "n_missing": pl.UInt32(),
    }
)
AGREEMENT = pl.Schema(
    {
        "task": pl.String(),
        "between": pl.String(),
        "measure": pl.String(),
        **FIGURES,
    }
)

AMONG: dict[str, Statistic] = {
    "agreement": rater_agreement.pairwise_agreement,
    "Fleiss kappa": rater_agreement.fleiss_kappa,
    "Gwet AC1": rater_agreement.gwet_ac1,
}
"""Measures of agreement among any number of people."""
BETWEEN: dict[str, Statistic] = {
    "agreement": rater_agreement.pairwise_agreement,
    "Cohen kappa": rater_agreement.cohen_kappa,
    "Gwet AC1": rater_agreement.gwet_ac1,
}
"""Measures of agreement between two judges."""


_Row = tuple[object, ...]
"""A row of one of the tables, or a part of it."""


class TagQuality(NamedTuple):
    """Two tables, by `SHARES` and by `AGREEMENT`."""

    shares: pl.DataFrame
    agreement: pl.DataFrame


def assess_tag_quality(
    cases: pl.DataFrame,
    judgements: pl.DataFrame,
    seed: int = 1,
) -> TagQuality:
    """`cases` by `CASES`, `judgements` by `JUDGEMENTS` (one per case and judge).

    Shares: "right" is the share of genuine cases that a judge finds right or consistent, "detected"
    the share of planted ones that it does not; with Wilson's intervals. In `n_missing` cases that
    judge has no answer. Where as many people say yes as no, their majority has neither found the
    case right nor detected it: disagreement lowers both shares.

    Agreement: among people, and of each model with their majority. It rests on all cases, planted
    ones included, since nearly all other answers are yes. Intervals come from resampling cases.
    """
    answers = judgements.select(
        "case",
        "judge",
        "person",
        "answer",
    ).with_columns(tied=pl.lit(False))
    answers = _add_majority_judge(answers)
    shares: list[_Row] = []
    agreement: list[_Row] = []
    for task in (PRECISION, CONSISTENCY):
        of_task = cases.filter(pl.col("task") == task)
        planted = of_task.select("case", "planted")
        given = planted.join(answers, on="case")
        # Sorted, because resampling depends on the order of cases.
        given = given.sort("case", "judge")
        shares += _compute_share_rows(task, of_task, given)
        agreement += _compute_agreement_rows(task, given, seed)
    return TagQuality(
        shares=pl.DataFrame(shares, SHARES, orient="row"),
        agreement=pl.DataFrame(agreement, AGREEMENT, orient="row"),
    )


def _add_majority_judge(answers: pl.DataFrame) -> pl.DataFrame:
    """`answers` and, if there are several people, the answer of most of them as one more judge."""
    people = answers.filter(pl.col("person"))
    n_people = people["judge"].n_unique()
    if n_people < 2:
        return answers
    votes = people.group_by("case").agg("answer")
    majority = []
    for case, case_answers in votes.rows():
        row = {
            "case": case,
            "judge": MAJORITY,
            "person": False,
            "answer": rater_agreement.majority_answer(case_answers),
            "tied": False,
        }
        # Answers without a majority are as many yes as no.
        row["tied"] = row["answer"] is None and any(
            answer is not None for answer in case_answers
        )
        majority.append(row)
    return pl.concat([answers, pl.DataFrame(majority, answers.schema)])


# Shares


def _compute_share_rows(
    task: str,
    cases: pl.DataFrame,
    given: pl.DataFrame,
) -> Iterator[_Row]:
    """Rows of `SHARES`: per judge, the share right and the share detected."""
    is_planted = pl.col("planted")
    n_planted = cases.filter(is_planted).height
    n_genuine = cases.height - n_planted
    judges = given["judge"].unique().sort()
    for judge in judges.to_list():
        own = given.filter(pl.col("judge") == judge)
        if n_genuine:
            figures = _compute_share(
                own.filter(~is_planted),
                wanted=True,
                n_cases=n_genuine,
            )
            yield task, judge, "right", *figures
        if n_planted:
            # A planted case is detected when its tag is not found right.
            figures = _compute_share(
                own.filter(is_planted),
                wanted=False,
                n_cases=n_planted,
            )
            yield task, judge, "detected", *figures


def _compute_share(
    given: pl.DataFrame,
    wanted: bool,
    n_cases: int,
) -> _Row:
    """The figures of the share of `wanted` among the answers given, and how many are missing; a tie
    of people counts as given, and as not wanted.
    """
    answered = given.filter(pl.col("answer").is_not_null() | pl.col("tied"))
    n_valid = answered.height
    n_hits = answered.filter(pl.col("answer") == wanted).height
    interval = rater_agreement.wilson_interval(n_hits, n_valid)
    n_missing = n_cases - n_valid
    return *interval.row(), n_missing


def list_worthless(shares: pl.DataFrame) -> list[tuple[str, str]]:
    """(task, judge) of each judge who finds planted cases right as often as genuine ones, so that
    the share it finds right says nothing; `shares` by `SHARES`.

    >>> rows = [("precision", "x", "right", 50, 1.0, 0.93, 1.0, 0),
    ...         ("precision", "x", "detected", 20, 0.0, 0.0, 0.16, 0)]
    >>> list_worthless(pl.DataFrame(rows, SHARES, orient="row"))
    [('precision', 'x')]
    """
    keys = ["task", "judge"]
    right = shares.filter(measure="right").select(*keys, "value", "low")
    detected = shares.filter(measure="detected").select(
        *keys, missed=1 - pl.col("value")
    )
    both = right.join(detected, on=keys)
    # The least share of genuine cases that the judge may well find right
    is_worthless = pl.col("missed") >= pl.col("low")
    found = both.filter(is_worthless).sort(keys)
    return list(found.select(keys).iter_rows())


# Agreement


def _compute_agreement_rows(
    task: str,
    given: pl.DataFrame,
    seed: int,
) -> Iterator[_Row]:
    """Rows of `AGREEMENT`: among people, and of each model with their majority.

    With only one person, models are compared with that person.
    """
    by_people = given.filter(pl.col("person"))
    people = by_people["judge"].unique().sort().to_list()
    if not people:
        return
    reference = people[0]
    if len(people) > 1:
        reference = MAJORITY
        ratings = _build_ratings(given, people)
        # Only cases that two people have answered say anything about agreement.
        n_ratings = (ratings != MISSING).sum(axis=1)
        shared = ratings[n_ratings >= 2]
        for figures in _measure_task_agreement(AMONG, shared, seed):
            yield task, f"{len(people)} people", *figures
    # Whoever is not a person is a model, except for the majority.
    models = set(given["judge"]) - {*people, MAJORITY}
    for model in sorted(models):
        ratings = _build_ratings(given, [model, reference])
        pairs = rater_agreement.pair_ratings(*ratings.T)
        for figures in _measure_task_agreement(BETWEEN, pairs, seed):
            yield task, f"{model} and {reference}", *figures


def _measure_task_agreement(
    measures: Mapping[str, Statistic],
    ratings: Ints,
    seed: int,
) -> Iterator[_Row]:
    """The figures of each measure of `ratings`, shape (cases, judges)."""
    for measure, statistic in measures.items():
        interval = rater_agreement.bootstrap_interval(
            statistic,
            ratings,
            seed,
        )
        yield measure, *interval.row()


def _build_ratings(
    given: pl.DataFrame,
    judges: Sequence[str],
) -> Ints:
    """Answers as numbers, shape (cases, judges), `MISSING` where there is none."""
    cases = given["case"].unique().sort()
    ratings = np.full(
        (len(cases), len(judges)),
        fill_value=MISSING,
        dtype=np.int64,
    )
    valid = given.drop_nulls("answer")
    for column, judge in enumerate(judges):
        own = valid.filter(pl.col("judge") == judge)
        rows = cases.search_sorted(own["case"])
        answers = own["answer"].cast(pl.Int64)
        ratings[rows.to_numpy(), column] = answers.to_numpy()
    return ratings
