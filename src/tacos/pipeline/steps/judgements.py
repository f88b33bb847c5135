"""The stages grade, reread, judge and rate: questions for judges, and scores from their answers.

Which samples are compared: `tacos.pipeline.steps.pairs`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl

from tacos.config import Settings
from tacos.methods.judging import comparisons, known_answers, rating
from tacos.pipeline import conditions
from tacos.pipeline.judging_mode import resolve_mode
from tacos.pipeline.steps import pool
from tacos.pipeline.steps.extension import read_old_rows
from tacos.pipeline.steps.matched_rows import RowFinder
from tacos.pipeline.steps.row_codes import RowCodes
from tacos.records import SCORES, StageOutput, Tables, conform_table

N_PAIRS_PER_BATCH = 1_000
N_REREAD_PER_BATCH = 64
"""Samples that the slow tier reads between two reports of progress: a few seconds."""


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

    known = read_old_rows(tables, "old_grades", "id", key=known_answers.GRADE_KEY)
    columns = ["id", "instruction", "response", "given_score"]
    for samples in pool.iterate_judged_texts(tables["samples"], columns):
        if has_scores:
            is_scored = pl.col("given_score").is_not_null()
            samples = samples.filter(is_scored)
        questions = comparisons.list_grade_questions(samples, judges, repetitions)
        yield known_answers.attach_known_grades(questions, known)


def build_reread_questions(
    tables: Tables, settings: Settings
) -> Iterator[pl.DataFrame]:
    """One question per shortlisted sample, in small batches: each takes the slow tier a while."""
    shortlisted = tables["shortlist"].scan().select("id").unique().collect()["id"]
    known = read_old_rows(tables, "old_close_grades", "id", key=known_answers.GRADE_KEY)
    columns = ["id", "instruction", "response", "given_score"]
    for samples in pool.iterate_judged_texts(tables["samples"], columns):
        wanted = samples.filter(pl.col("id").is_in(shortlisted.implode()))
        for batch in wanted.iter_slices(N_REREAD_PER_BATCH):
            questions = comparisons.list_grade_questions(batch, settings.judges)
            yield known_answers.attach_known_grades(questions, known)


def build_judge_questions(tables: Tables, settings: Settings) -> Iterator[pl.DataFrame]:
    """The orders of every pair that are to be judged, with both samples' texts, batch by batch."""
    pairs = tables["pairs"].scan().collect()
    paired_ids = pl.concat([pairs["left"], pairs["right"]]).unique()
    is_paired = pl.col("id").is_in(paired_ids.implode())
    columns = ["id", "instruction", "response"]
    batches = pool.iterate_judged_texts(tables["samples"], columns)
    texts = pl.concat([samples.filter(is_paired) for samples in batches])
    known = read_old_rows(
        tables, "old_verdicts", "left", "right", key=known_answers.VERDICT_KEY
    )
    for batch in pairs.iter_slices(N_PAIRS_PER_BATCH):
        questions = comparisons.list_comparison_questions(
            batch, texts, settings.judges, settings.judge.repetitions
        )
        yield known_answers.attach_known_verdicts(questions, known)


def rate_samples(
    tables: Tables, settings: Settings, tool: Any, number: int
) -> StageOutput:
    """Verdicts of all rounds so far -> scores."""
    if not conditions.uses_comparisons(settings):
        codes = RowCodes.of_samples(tables.get("close_grades", tables["grades"]))
        scores = _convert_grades(tables, settings, codes)
        return StageOutput.without_rejects(scores, name_rows=codes.name_rows)

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
    # Rows of an extended run may have verdicts without being on the shortlist.
    shortlist = tables["shortlist"].scan().select("id").unique().collect()
    listed = scores.join(shortlist, on="id", how="semi", maintain_order="left")
    return StageOutput.without_rejects(conform_table(listed, SCORES), notes)


def _rate_verdicts(
    verdicts: pl.DataFrame, tables: Tables, settings: Settings
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """A table RATINGS, and what the fit says about the judges."""
    config = settings.rate
    if config.method == "mean":
        return rating.average_raw_scores(verdicts), {}

    homes = _list_homes(verdicts, tables)
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
        grades = average_grades(tables, settings)
    ratings = rating.fit_least_squares(
        verdicts,
        config.scope,
        homes,
        grades,
        seed=settings.seed,
    )
    return ratings, {}


def _list_homes(verdicts: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """id, cluster: the cluster of each shortlisted row, and of each other one with a verdict."""
    homes = tables["shortlist"].scan().select("id", "cluster").collect()
    sides = [
        verdicts.select("cluster", id=pl.col(side)).select("id", "cluster")
        for side in ("left", "right")
    ]
    others = pl.concat(sides).unique("id", keep="first", maintain_order=True)
    return pl.concat([homes, others.join(homes, on="id", how="anti")])


def average_grades(tables: Tables, settings: Settings) -> pl.DataFrame:
    """id, grade, value, correctness: the means over judges and repetitions."""
    return pool.average_grade_table(tables["grades"], settings.judge.target)


def _convert_grades(
    tables: Tables, settings: Settings, codes: RowCodes
) -> pl.DataFrame:
    """Grades as scores, by `SCORES`: the input's own, or those of a judge that sees each sample
    alone, its slow tier where there is one. Rows without a grade are left out. The numbers have the
    types of grades, which take half the memory, and ids are codes.
    """
    grades = tables.get("close_grades", tables["grades"])
    finder = RowFinder(
        lambda: (
            batch["id"].unique(maintain_order=True) for batch in grades.batches(["id"])
        )
    )
    # A join would take each row of both tables once more.
    found = [
        (finder.find(batch["id"]).astype(np.int32), batch["cluster"])
        for batch in tables["shortlist"].batches(["id", "cluster"])
    ]
    n_graded = len(finder)
    del finder
    rows = np.concatenate([rows for rows, _ in found])
    clusters = pl.concat(clusters for _, clusters in found)
    del found
    order = np.arange(len(rows))
    if len(rows) <= n_graded:
        # In the order of the grades, unless many rows have none; runs of 0.2 have it so, too.
        order = np.argsort(rows, kind="stable")
    order = order[rows[order] >= 0]
    clusters = clusters.gather(order)
    rows = rows[order]
    del order
    means = pl.concat(
        pool.encode_ids(batch, codes)
        for batch in pool.iterate_average_grades(grades, settings.judge.target)
    )
    if not np.array_equal(rows, np.arange(n_graded)):
        means = means.select(pl.all().gather(rows))
    scores = means.rename({"grade": "score"}).with_columns(
        clusters.alias("cluster"),
        pl.lit(None).alias("error"),
        pl.lit(0).alias("n_comparisons"),
        pl.lit(0).alias("component"),  # grades are all comparable
    )
    return scores.select(SCORES.names())
