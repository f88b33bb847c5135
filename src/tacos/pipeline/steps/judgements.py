"""The stages grade, reread, pair, judge and rate: questions for judges, and scores from their
answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import polars as pl

from tacos.config import Settings
from tacos.methods.judging import comparisons, pairing, rating
from tacos.methods.selecting import cut_scores, quotas
from tacos.pipeline import conditions
from tacos.pipeline.judging_mode import resolve_mode
from tacos.pipeline.steps import pool
from tacos.pipeline.steps.pool import Tables
from tacos.pipeline.steps.reliability import find_reliability
from tacos.records import SCORES, StageOutput, conform_table

N_PAIRS_PER_BATCH = 1_000
N_REREAD_PER_BATCH = 64
"""Samples that the slow tier reads between two reports of progress: a few seconds."""

CHAIN_BUDGET = 2.0
"""Requests per sample from which active pairing can afford to open with a chain (1.1 requests per
sample) instead of separate pairs.
"""


def build_grade_questions(tables: Tables, settings: Settings) -> Iterator[pl.DataFrame]:
    """One question per sample, batch by batch.

    In singleton mode there is one for every judge and repetition. Where the input brings its own
    scores, they stand in for grades, and a sample without a score gets none.
    """
    has_scores = bool(settings.ingest.score)
    # Grades for the shortlist come from one cheap model, which has no name here.
    judges: tuple[str, ...] = ("",)
    repetitions = 1
    if resolve_mode(settings) == "singleton" and not has_scores:
        judges = settings.judges
        repetitions = settings.judge.repetitions

    columns = ["id", "instruction", "response", "given_score"]
    for samples in pool.iterate_judged_texts(tables["samples"], columns):
        if has_scores:
            is_scored = pl.col("given_score").is_not_null()
            samples = samples.filter(is_scored)
        yield comparisons.list_grade_questions(samples, judges, repetitions)


def build_reread_questions(
    tables: Tables, settings: Settings
) -> Iterator[pl.DataFrame]:
    """One question per shortlisted sample, in small batches: each takes the slow tier a while."""
    shortlisted = tables["shortlist"].scan().select("id").unique().collect()["id"]
    columns = ["id", "instruction", "response", "given_score"]
    for samples in pool.iterate_judged_texts(tables["samples"], columns):
        wanted = samples.filter(pl.col("id").is_in(shortlisted.implode()))
        for batch in wanted.iter_slices(N_REREAD_PER_BATCH):
            yield comparisons.list_grade_questions(batch, settings.judges)


def pair_samples(
    tables: Tables, settings: Settings, tool: Any, number: int
) -> StageOutput:
    """The pairs of one round."""
    # Pairs of neighbours and first rounds need no verdicts; later rounds read those so far.
    method = settings.pair.method
    shortlist = tables["shortlist"].scan().collect()
    if method == "neighbour":
        return StageOutput.without_rejects(pairing.pair_neighbours(shortlist))
    if number == 0:
        return _pair_first_round(shortlist, tables, settings)

    earlier = tables["pairs"].scan().collect()
    scores = tables["scores"].scan().collect()
    if method == "active":
        pairs = _pair_actively(
            shortlist,
            scores,
            earlier,
            tables,
            settings,
            number,
        )
    else:
        pairs = pairing.plan_swiss_round(
            shortlist, scores, earlier, number, settings.seed
        )
    return StageOutput.without_rejects(pairs)


def build_judge_questions(tables: Tables, settings: Settings) -> Iterator[pl.DataFrame]:
    """The orders of every pair that are to be judged, with both samples' texts, batch by batch."""
    pairs = tables["pairs"].scan().collect()
    paired_ids = pl.concat([pairs["left"], pairs["right"]]).unique()
    is_paired = pl.col("id").is_in(paired_ids.implode())
    columns = ["id", "instruction", "response"]
    batches = pool.iterate_judged_texts(tables["samples"], columns)
    texts = pl.concat([samples.filter(is_paired) for samples in batches])
    for batch in pairs.iter_slices(N_PAIRS_PER_BATCH):
        yield comparisons.list_comparison_questions(
            batch, texts, settings.judges, settings.judge.repetitions
        )


def rate_samples(
    tables: Tables, settings: Settings, tool: Any, number: int
) -> StageOutput:
    """Verdicts of all rounds so far -> scores."""
    if not conditions.uses_comparisons(settings):
        return StageOutput.without_rejects(_convert_grades(tables, settings))

    verdicts = comparisons.combine_verdicts(
        tables["verdicts"].scan().collect(),
        settings.judge.target,
    )
    ratings, notes = _rate_verdicts(verdicts, tables, settings)
    scores = ratings.join(
        comparisons.average_verdict_numbers(verdicts),
        on="id",
        how="left",
        maintain_order="left",
    )
    return StageOutput.without_rejects(conform_table(scores, SCORES), notes)


def _rate_verdicts(
    verdicts: pl.DataFrame, tables: Tables, settings: Settings
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """A table RATINGS, and what the fit says about the judges."""
    config = settings.rate
    if config.method == "mean":
        return rating.average_raw_scores(verdicts), {}

    homes = tables["shortlist"].scan().select("id", "cluster").collect()
    if config.method == "bradley-terry":
        lengths = None
        if config.length:
            lengths = tables["samples"].scan().select("id", "length").collect()
        ratings, habits = rating.fit_bradley_terry(
            verdicts,
            homes,
            lengths,
            config.weights,
            seed=settings.seed,
        )
        return ratings, {"habits": asdict(habits)}

    grades = None
    if config.prior == "grades":
        grades = _average_grades(tables, settings)
    ratings = rating.fit_least_squares(
        verdicts,
        config.scope,
        homes,
        grades,
        seed=settings.seed,
    )
    return ratings, {}


def _pair_first_round(
    shortlist: pl.DataFrame, tables: Tables, settings: Settings
) -> StageOutput:
    """The first round: pairs within clusters, and bridges between clusters."""
    config = settings.pair
    seed = settings.seed
    if config.method == "reference":
        medians = _find_median_samples(shortlist, tables, settings)
        within = pairing.pair_with_reference(shortlist, seed, medians)
    elif config.method == "active":
        within = pairing.plan_first_round(
            shortlist,
            seed,
            linked=config.budget >= CHAIN_BUDGET,
        )
    else:
        within = pairing.pair_in_chain(shortlist, seed)
    bridges = pairing.bridge_clusters(
        shortlist,
        config.bridges,
        seed,
        asked=within,
        first=within.height,
    )
    return StageOutput.without_rejects(
        pl.concat([within, bridges]),
        {"n_bridges": bridges.height},
    )


def _find_median_samples(
    shortlist: pl.DataFrame, tables: Tables, settings: Settings
) -> dict[int, str]:
    """Cluster -> the sample with the median grade; clusters without grades are left out."""
    if "grades" not in tables:
        return {}
    # With an even number of samples, the lower of the two in the middle.
    lower_middle = (pl.len() - 1) // 2
    medians = (
        shortlist.join(_average_grades(tables, settings), on="id")
        .drop_nulls("grade")
        .sort("cluster", "grade", "id")
        .group_by("cluster", maintain_order=True)
        .agg(pl.col("id").get(lower_middle))
    )
    return dict(medians.iter_rows())


def _pair_actively(
    shortlist: pl.DataFrame,
    scores: pl.DataFrame,
    earlier: pl.DataFrame,
    tables: Tables,
    settings: Settings,
    number: int,
) -> pl.DataFrame:
    """An active round: an even part of the budget that is left, spent where an answer can still
    change who is selected.
    """
    config = settings.pair
    n = pool.count_requested_rows(tables["samples"], settings.select.size)
    # Rounds are numbered from 0: this one is among those left.
    rounds_left = config.n_rounds - number
    if settings.select.quota == "none":
        n_requests = pairing.count_requests_left(
            shortlist,
            earlier,
            config.budget,
            rounds_left,
        )
        return pairing.plan_open_round(
            shortlist,
            scores,
            earlier,
            _find_cut_scores(scores, n, tables, settings),
            n_requests,
            settings.seed + number,
        )
    allowance = pairing.allot_requests(shortlist, earlier, config.budget, rounds_left)
    sizes = pool.cluster_sizes(pool.read_memberships(tables, settings))
    shares = quotas.compute_quotas(sizes, n, settings.select.quota)
    return pairing.plan_active_round(
        shortlist,
        scores,
        earlier,
        shares,
        allowance,
        settings.seed + number,
    )


def _find_cut_scores(
    scores: pl.DataFrame, n: int, tables: Tables, settings: Settings
) -> dict[str, float]:
    """The score at which each row would enter or leave the selection, by the scores so far."""
    config = settings.select
    tags: dict[str, list[str]] = {}
    if config.tag_price:
        named = tables["canonical_tags"].scan().select("id", "tags").drop_nulls()
        tags = dict(named.collect().iter_rows())
    return cut_scores.find_cut_scores(
        scores,
        n,
        tags,
        # Without tables: the cheap grades among them are another judge's.
        find_reliability({}, settings, scores).weight,
        config.tag_price,
    )


def _average_grades(tables: Tables, settings: Settings) -> pl.DataFrame:
    """id, grade, value, correctness: the means over judges and repetitions."""
    grades = tables["grades"].scan().collect()
    return comparisons.average_grades(grades, settings.judge.target)


def _convert_grades(tables: Tables, settings: Settings) -> pl.DataFrame:
    """Grades as scores, by `SCORES`: the input's own, or those of a judge that sees each sample
    alone, its slow tier where there is one. Rows without a grade are left out.
    """
    grades = tables.get("close_grades", tables["grades"])
    means = comparisons.average_grades(
        grades.scan().collect(),
        settings.judge.target,
    )
    homes = tables["shortlist"].scan().select("id", "cluster").collect()
    scores = (
        homes.join(means, on="id")
        .rename({"grade": "score"})
        .with_columns(
            pl.lit(None).alias("error"),
            pl.lit(0).alias("n_comparisons"),
            pl.lit(0).alias("component"),  # grades are all comparable
        )
    )
    return conform_table(scores, SCORES)
