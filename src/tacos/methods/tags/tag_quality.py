"""What judgements of tags come to: shares with intervals, detection of planted cases, agreement
(InsTag, section 3.3).

Every figure says how many cases it rests on; one that is undefined is null, never 0. InsTag's
figures to compare with: precision 96.1%, consistency 86.6% by GPT-4; Fleiss' kappa among three
people .47 and .73; Cohen's kappa of majority and GPT-4 .92 and .75.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from tacos.methods.measures import rater_agreement
from tacos.methods.tags.tag_checks import CONSISTENCY, JUDGEMENTS, PRECISION

MAJORITY = "majority of people"
FIGURES = {"n": pl.UInt32(), "value": pl.Float64(), "low": pl.Float64(), "high": pl.Float64()}
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
    {"task": pl.String(), "between": pl.String(), "measure": pl.String(), **FIGURES}
)


AMONG: dict[str, rater_agreement.Statistic] = {
    "agreement": rater_agreement.pairwise_agreement,
    "Fleiss kappa": rater_agreement.fleiss_kappa,
    "Gwet AC1": rater_agreement.gwet_ac1,
}
BETWEEN: dict[str, rater_agreement.Statistic] = {
    "agreement": rater_agreement.pairwise_agreement,
    "Cohen kappa": rater_agreement.cohen_kappa,
    "Gwet AC1": rater_agreement.gwet_ac1,
}


class TagQuality(NamedTuple):
    """Two tables, by `SHARES` and by `AGREEMENT`."""

    shares: pl.DataFrame
    agreement: pl.DataFrame


def assess_tag_quality(cases: pl.DataFrame, judgements: pl.DataFrame, seed: int = 1) -> TagQuality:
    """`cases` by `CASES`, `judgements` by `JUDGEMENTS` (one per case and judge).

    Shares: "right" is the share of cases not planted that a judge finds right or consistent;
    "detected" the share of planted ones that it does not. Wilson's intervals; `n_missing` cases
    have no answer of that judge. Agreement among people, and of each model with their majority:
    over all cases, planted ones included, since nearly all other answers are yes. Intervals by
    resampling cases.
    """
    answers = _add_majority_judge(judgements.select("case", "judge", "person", "answer"))
    shares, agreement = [], []
    for task in (PRECISION, CONSISTENCY):
        of_task = cases.filter(pl.col("task") == task)
        given = of_task.select("case", "planted").join(answers, on="case").sort("case", "judge")
        shares += [(task, *row) for row in _compute_share_rows(of_task, given)]
        agreement += [(task, *row) for row in _compute_agreement_rows(given, seed)]
    return TagQuality(
        pl.DataFrame(shares, SHARES, orient="row"), pl.DataFrame(agreement, AGREEMENT, orient="row")
    )


def _add_majority_judge(answers: pl.DataFrame) -> pl.DataFrame:
    """`answers` and, where there are several people, the answer of most of them as one more judge."""
    people = answers.filter(pl.col("person"))
    if people["judge"].n_unique() < 2:
        return answers
    votes = people.group_by("case").agg("answer").rows()
    rows = [
        (case, MAJORITY, False, rater_agreement.majority_answer(given)) for case, given in votes
    ]
    schema = {name: JUDGEMENTS[name] for name in answers.columns}
    return pl.concat([answers, pl.DataFrame(rows, schema, orient="row")])


def _compute_share_rows(cases: pl.DataFrame, given: pl.DataFrame) -> Iterator[tuple[object, ...]]:
    """For each judge the share right and the share of planted cases detected."""
    for judge in given["judge"].unique().sort().to_list():
        for measure, planted in (("right", False), ("detected", True)):
            asked = cases.filter(pl.col("planted") == planted).height
            own = given.filter((pl.col("judge") == judge) & (pl.col("planted") == planted))[
                "answer"
            ].drop_nulls()
            n_hits = int((own != planted).sum())
            if asked:
                yield (
                    judge,
                    measure,
                    *rater_agreement.wilson_interval(n_hits, len(own)).row(),
                    asked - len(own),
                )


def _compute_agreement_rows(given: pl.DataFrame, seed: int) -> Iterator[tuple[object, ...]]:
    """Agreement among people, and between each model and their majority (or the one person)."""
    people = given.filter(pl.col("person"))["judge"].unique().sort().to_list()
    if not people:
        return
    if len(people) > 1:
        table = _build_ratings(given, people)
        table = table[(table != rater_agreement.MISSING).sum(axis=1) >= 2]
        for measure, statistic in AMONG.items():
            yield (
                f"{len(people)} people",
                measure,
                *rater_agreement.bootstrap_interval(statistic, table, seed).row(),
            )
    reference = MAJORITY if len(people) > 1 else people[0]
    for model in sorted(set(given["judge"]) - {*people, MAJORITY}):
        pairs = rater_agreement.pair_ratings(*_build_ratings(given, [model, reference]).T)
        for measure, statistic in BETWEEN.items():
            yield (
                f"{model} and {reference}",
                measure,
                *rater_agreement.bootstrap_interval(statistic, pairs, seed).row(),
            )


def _build_ratings(given: pl.DataFrame, judges: Sequence[str]) -> rater_agreement.Ints:
    """Answers as numbers, shape (cases, judges), `MISSING` where there is none."""
    cases = given.select("case").unique().sort("case")
    table = np.full((cases.height, len(judges)), rater_agreement.MISSING, np.int64)
    for column, judge in enumerate(judges):
        own = given.filter((pl.col("judge") == judge) & pl.col("answer").is_not_null())
        table[cases["case"].search_sorted(own["case"]).to_numpy(), column] = (
            own["answer"].cast(pl.Int64).to_numpy()
        )
    return table
