"""What each stage does with its tables: the seam between `tacos.pipeline.stages` (what runs) and
`tacos.methods` (how).

Every function here reads named tables, hands columns to a pure method, and returns what the stage
makes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import polars as pl

from tacos.config import Settings
from tacos.methods.judging import comparisons, pairing, rating
from tacos.methods.samples import samples as ingesting
from tacos.methods.selecting import quotas
from tacos.methods.tags import itemset_rules, normalisation, open_tags, published_vocabulary
from tacos.methods.tags import overrides as overriding
from tacos.pipeline.steps import pool
from tacos.pipeline.steps.pool import Tables
from tacos.records import SCORES, Encoder, Made, conform, reject_frame

Naming = tuple[dict[str, str | None], itemset_rules.Implied]
N_PAIRS_PER_BATCH = 1_000
LINKED = 2.0
"""Requests per sample from which active pairing can afford to open with a chain (1.1 of them) in
place of pairs.
"""


def input_rows(tables: Tables) -> Iterator[Any]:
    """Batches of raw rows, as `tacos.formats.reading` yields them."""
    yield from tables["input"].batches()


def ingest(batch: Any, prepared: Any, settings: Settings) -> Made:
    """Raw rows -> samples, row by row."""
    samples, rejects = ingesting.parse_batch(batch, settings.ingest)
    return Made(ingesting.to_frame(samples), reject_frame(rejects), {})


def tag_questions(tables: Tables, settings: Settings) -> Iterator[pl.DataFrame]:
    """One question per user turn, batch by batch."""
    for samples in tables["samples"].batches(["id", "turns", "given_tags"]):
        yield open_tags.questions(samples)


def tag_rows(tables: Tables) -> Iterator[pl.DataFrame]:
    """The tags, batch by batch."""
    yield from tables["tags"].batches(["id", "tags"])


def normalise(tables: Tables, settings: Settings, encoder: Encoder, number: int) -> Made:
    """Counts of raw tags -> vocabulary, made or given, with counts per step in the notes."""
    tags = tables["tags"].scan().select("id", "tags")
    counts = (
        tags.explode("tags")
        .drop_nulls("tags")
        .group_by(pl.col("tags").alias("tag"))
        .agg(pl.len().alias("count"))
    ).sort("tag")
    config = settings.normalise
    if config.vocabulary:
        known = published_vocabulary.from_json(config.vocabulary)
        resolved = published_vocabulary.resolve(
            counts.collect(), known, encoder if config.semantic else None
        )
        return Made(
            resolved,
            reject_frame(),
            published_vocabulary.notes(resolved, known, encoder.name if config.semantic else ""),
        )
    n_samples = int(tags.select(pl.col("id").n_unique()).collect().item())
    transactions = (open_tags.join_turns(batch) for batch in tables["tags"].batches(["id", "tags"]))
    overrides = overriding.parse(config.overrides, config.signs)
    found = normalisation.build(
        counts.collect(), transactions, n_samples, config, encoder, overrides
    )
    return Made(found.vocabulary, reject_frame(), found.notes())


def vocabulary_mapping(tables: Tables, settings: Settings) -> dict[str, str | None]:
    """Raw tag -> canonical tag, or None where it was dropped."""
    frame = tables["vocabulary"].scan().select("raw", "canonical").collect()
    return dict(frame.iter_rows())


def imply(tables: Tables, settings: Settings, tool: Any, number: int) -> Made:
    """Rules between sets of canonical tags."""
    mapping = vocabulary_mapping(tables, settings)
    named = (canonical(batch, mapping) for batch in tables["tags"].batches(["id", "tags"]))
    made = itemset_rules.rules(
        named, settings.normalise.min_support, settings.normalise.min_confidence
    )
    return Made(made, reject_frame(), {"n_rules": made.height})


def naming(tables: Tables, settings: Settings, tool: Any = None) -> Naming:
    """What canonicalising goes by: the vocabulary, and where they are asked for, rules between sets
    of tags.
    """
    rules = tables["implications"].scan().collect() if "implications" in tables else None
    return vocabulary_mapping(tables, settings), itemset_rules.by_consequent(rules)


def canonical(batch: pl.DataFrame, mapping: dict[str, str | None]) -> pl.DataFrame:
    """Raw tags -> canonical tags, one row per sample."""
    joined = open_tags.join_turns(batch)
    tags = normalisation.apply(joined["tags"].to_list(), mapping)
    return joined.with_columns(pl.Series("tags", tags, dtype=pl.List(pl.String)))


def canonicalise(batch: pl.DataFrame, naming: Naming, settings: Settings) -> Made:
    """Raw tags -> canonical tags without those that others imply, one row per sample."""
    mapping, implied = naming
    named = canonical(batch, mapping)
    if not implied:
        return Made(named, reject_frame(), {})
    tags = [itemset_rules.thin(each, implied) for each in named["tags"].to_list()]
    thinned = named.with_columns(pl.Series("tags", tags, dtype=pl.List(pl.String)))
    n_implied = int(named["tags"].list.len().sum()) - int(thinned["tags"].list.len().sum())
    return Made(thinned, reject_frame(), {"n_implied": n_implied})


def grade_questions(tables: Tables, settings: Settings) -> Iterator[pl.DataFrame]:
    """One question per sample, batch by batch; in singleton mode from every judge, as often as it
    is asked.

    Where the input brought scores, they are not asked for: a sample without one has none.
    """
    alone = settings.judge.mode == "singleton" and not settings.ingest.score
    judges, repetitions = (settings.judges, settings.judge.repetitions) if alone else (("",), 1)
    for samples in tables["samples"].batches(["id", "instruction", "response", "given_score"]):
        asked = (
            samples.filter(pl.col("given_score").is_not_null())
            if settings.ingest.score
            else samples
        )
        yield comparisons.grade_questions(asked, judges, repetitions)


def pair(tables: Tables, settings: Settings, tool: Any, number: int) -> Made:
    """The pairs of one round."""
    config, seed = settings.pair, settings.seed
    table = tables["shortlist"].scan().collect()
    if config.method == "neighbour":
        return Made(pairing.neighbour(table), reject_frame(), {})
    if number == 0:
        first = opening(table, tables, settings)
        bridges = pairing.bridges(table, config.bridges, seed, asked=first, first=first.height)
        return Made(pl.concat([first, bridges]), reject_frame(), {"n_bridges": bridges.height})
    asked = tables["pairs"].scan().collect()
    scores = tables["scores"].scan().collect()
    if config.method == "active":
        return Made(active(table, scores, asked, tables, settings, number), reject_frame(), {})
    return Made(pairing.swiss(table, scores, asked, number, seed), reject_frame(), {})


def opening(shortlist: pl.DataFrame, tables: Tables, settings: Settings) -> pl.DataFrame:
    """The first round's pairs within clusters."""
    config, seed = settings.pair, settings.seed
    if config.method == "reference":
        return pairing.reference(shortlist, seed, middles(shortlist, tables))
    if config.method == "active":
        return pairing.opening(shortlist, seed, linked=config.budget >= LINKED)
    return pairing.chain(shortlist, seed)


def middles(shortlist: pl.DataFrame, tables: Tables) -> dict[int, str]:
    """The sample of each cluster whose grade is the middle one; clusters without grades have none."""
    if "grades" not in tables:
        return {}
    graded = shortlist.join(
        comparisons.mean_grades(tables["grades"].scan().collect()), on="id"
    ).drop_nulls("grade")
    ordered = graded.sort("cluster", "grade", "id").group_by("cluster", maintain_order=True)
    return dict(ordered.agg(pl.col("id").get((pl.len() - 1) // 2)).iter_rows())


def active(
    shortlist: pl.DataFrame,
    scores: pl.DataFrame,
    asked: pl.DataFrame,
    tables: Tables,
    settings: Settings,
    number: int,
) -> pl.DataFrame:
    """An active round: an even part of what is left of the budget, where it can change who is in
    the quota.
    """
    config = settings.pair
    members = pool.cluster_sizes(pool.members(tables, settings))
    n = pool.n_wanted(tables["samples"], settings.select.size)
    shares = quotas.quotas(members, n, settings.select.quota)
    allowed = pairing.allowances(shortlist, asked, config.budget, config.n_rounds - number)
    return pairing.active(shortlist, scores, asked, shares, allowed, settings.seed + number)


def judge_questions(tables: Tables, settings: Settings) -> Iterator[pl.DataFrame]:
    """The orders of every pair that are to be asked, with the texts of both samples, batch by
    batch.
    """
    pairs = tables["pairs"].scan().collect()
    wanted = pl.concat([pairs["left"], pairs["right"]]).unique()
    texts = tables["samples"].scan().select("id", "instruction", "response")
    found = texts.filter(pl.col("id").is_in(wanted.implode())).collect()
    for start in range(0, pairs.height, N_PAIRS_PER_BATCH):
        batch = pairs.slice(start, N_PAIRS_PER_BATCH)
        yield comparisons.questions(batch, found, settings.judges, settings.judge.repetitions)


def rate(tables: Tables, settings: Settings, tool: Any, number: int) -> Made:
    """Verdicts of all rounds so far -> scores."""
    if settings.ingest.score or settings.judge.mode == "singleton":
        return Made(graded_scores(tables), reject_frame(), {})
    config, verdicts = settings.rate, tables["verdicts"].scan().collect()
    if config.method == "mean":
        return Made(rating.mean(verdicts), reject_frame(), {})
    homes = tables["shortlist"].scan().select("id", "cluster").collect()
    if config.method == "bradley-terry":
        lengths = (
            tables["samples"].scan().select("id", "length").collect() if config.length else None
        )
        table, habits = rating.bradley_terry(
            verdicts, homes, lengths, config.weights, seed=settings.seed
        )
        return Made(table, reject_frame(), {"habits": asdict(habits)})
    grades = (
        comparisons.mean_grades(tables["grades"].scan().collect())
        if config.prior == "grades"
        else None
    )
    found = rating.least_squares(verdicts, config.scope, homes, grades, seed=settings.seed)
    return Made(found, reject_frame(), {})


def graded_scores(tables: Tables) -> pl.DataFrame:
    """Grades as scores, by `SCORES`: the input's own or a judge's of every sample alone. Rows
    without one have none.
    """
    grades = comparisons.mean_grades(tables["grades"].scan().collect())
    found = tables["shortlist"].scan().select("id", "cluster").collect().join(grades, on="id")
    scored = found.rename({"grade": "score"}).with_columns(
        pl.lit(None).alias("error"), pl.lit(0).alias("n_comparisons"), pl.lit(0).alias("component")
    )
    return conform(scored, SCORES)
