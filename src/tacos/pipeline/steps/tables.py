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
from tacos.methods.samples import sample_parsing as ingesting
from tacos.methods.selecting import quotas
from tacos.methods.tags import itemset_rules, normalisation, open_tags, published_vocabulary
from tacos.methods.tags import overrides as overriding
from tacos.pipeline.steps import pool
from tacos.pipeline.steps.pool import Tables
from tacos.records import SCORES, Encoder, StageOutput, build_reject_frame, conform_table

Naming = tuple[dict[str, str | None], itemset_rules.ImplicationIndex]
N_PAIRS_PER_BATCH = 1_000
LINKED = 2.0
"""Requests per sample from which active pairing can afford to open with a chain (1.1 of them) in
place of pairs.
"""


def read_input_rows(tables: Tables) -> Iterator[Any]:
    """Batches of raw rows, as `tacos.formats.reading` yields them."""
    yield from tables["input"].batches()


def ingest_batch(batch: Any, prepared: Any, settings: Settings) -> StageOutput:
    """Raw rows -> samples, row by row."""
    samples, rejects = ingesting.parse_sample_batch(batch, settings.ingest)
    return StageOutput(ingesting.samples_to_frame(samples), build_reject_frame(rejects), {})


def build_tag_questions(tables: Tables, settings: Settings) -> Iterator[pl.DataFrame]:
    """One question per user turn, batch by batch."""
    for samples in tables["samples"].batches(["id", "turns", "given_tags"]):
        yield open_tags.build_turn_questions(samples)


def read_tag_rows(tables: Tables) -> Iterator[pl.DataFrame]:
    """The tags, batch by batch."""
    yield from tables["tags"].batches(["id", "tags"])


def normalise_tags(
    tables: Tables, settings: Settings, encoder: Encoder, number: int
) -> StageOutput:
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
        known = published_vocabulary.vocabulary_from_json(config.vocabulary)
        resolved = published_vocabulary.resolve_new_tags(
            counts.collect(), known, encoder if config.semantic else None
        )
        return StageOutput(
            resolved,
            build_reject_frame(),
            published_vocabulary.summarise_drift(
                resolved, known, encoder.name if config.semantic else ""
            ),
        )
    n_samples = int(tags.select(pl.col("id").n_unique()).collect().item())
    transactions = (
        open_tags.join_turn_tags(batch) for batch in tables["tags"].batches(["id", "tags"])
    )
    overrides = overriding.parse_overrides(config.overrides, config.signs)
    found = normalisation.build_vocabulary(
        counts.collect(), transactions, n_samples, config, encoder, overrides
    )
    return StageOutput(found.vocabulary, build_reject_frame(), found.notes())


def _read_vocabulary_mapping(tables: Tables, settings: Settings) -> dict[str, str | None]:
    """Raw tag -> canonical tag, or None where it was dropped."""
    frame = tables["vocabulary"].scan().select("raw", "canonical").collect()
    return dict(frame.iter_rows())


def mine_implications(tables: Tables, settings: Settings, tool: Any, number: int) -> StageOutput:
    """Rules between sets of canonical tags."""
    mapping = _read_vocabulary_mapping(tables, settings)
    named = (_canonicalise_tags(batch, mapping) for batch in tables["tags"].batches(["id", "tags"]))
    made = itemset_rules.mine_implications(
        named, settings.normalise.min_support, settings.normalise.min_confidence
    )
    return StageOutput(made, build_reject_frame(), {"n_rules": made.height})


def read_naming_rules(tables: Tables, settings: Settings, tool: Any = None) -> Naming:
    """What canonicalising goes by: the vocabulary, and where they are asked for, rules between sets
    of tags.
    """
    rules = tables["implications"].scan().collect() if "implications" in tables else None
    return _read_vocabulary_mapping(tables, settings), itemset_rules.index_implications(rules)


def _canonicalise_tags(batch: pl.DataFrame, mapping: dict[str, str | None]) -> pl.DataFrame:
    """Raw tags -> canonical tags, one row per sample."""
    joined = open_tags.join_turn_tags(batch)
    tags = normalisation.apply_mapping(joined["tags"].to_list(), mapping)
    return joined.with_columns(pl.Series("tags", tags, dtype=pl.List(pl.String)))


def canonicalise_batch(batch: pl.DataFrame, naming: Naming, settings: Settings) -> StageOutput:
    """Raw tags -> canonical tags without those that others imply, one row per sample."""
    mapping, implied = naming
    named = _canonicalise_tags(batch, mapping)
    if not implied:
        return StageOutput(named, build_reject_frame(), {})
    tags = [itemset_rules.drop_implied_tags(each, implied) for each in named["tags"].to_list()]
    thinned = named.with_columns(pl.Series("tags", tags, dtype=pl.List(pl.String)))
    n_implied = int(named["tags"].list.len().sum()) - int(thinned["tags"].list.len().sum())
    return StageOutput(thinned, build_reject_frame(), {"n_implied": n_implied})


def build_grade_questions(tables: Tables, settings: Settings) -> Iterator[pl.DataFrame]:
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
        yield comparisons.list_grade_questions(asked, judges, repetitions)


def pair_samples(tables: Tables, settings: Settings, tool: Any, number: int) -> StageOutput:
    """The pairs of one round."""
    config, seed = settings.pair, settings.seed
    table = tables["shortlist"].scan().collect()
    if config.method == "neighbour":
        return StageOutput(pairing.pair_neighbours(table), build_reject_frame(), {})
    if number == 0:
        first = _pair_first_round(table, tables, settings)
        bridges = pairing.bridge_clusters(
            table, config.bridges, seed, asked=first, first=first.height
        )
        return StageOutput(
            pl.concat([first, bridges]), build_reject_frame(), {"n_bridges": bridges.height}
        )
    asked = tables["pairs"].scan().collect()
    scores = tables["scores"].scan().collect()
    if config.method == "active":
        return StageOutput(
            _pair_actively(table, scores, asked, tables, settings, number), build_reject_frame(), {}
        )
    return StageOutput(
        pairing.plan_swiss_round(table, scores, asked, number, seed), build_reject_frame(), {}
    )


def _pair_first_round(shortlist: pl.DataFrame, tables: Tables, settings: Settings) -> pl.DataFrame:
    """The first round's pairs within clusters."""
    config, seed = settings.pair, settings.seed
    if config.method == "reference":
        return pairing.pair_with_reference(shortlist, seed, _find_median_samples(shortlist, tables))
    if config.method == "active":
        return pairing.plan_first_round(shortlist, seed, linked=config.budget >= LINKED)
    return pairing.pair_in_chain(shortlist, seed)


def _find_median_samples(shortlist: pl.DataFrame, tables: Tables) -> dict[int, str]:
    """The sample of each cluster whose grade is the middle one; clusters without grades have none."""
    if "grades" not in tables:
        return {}
    graded = shortlist.join(
        comparisons.average_grades(tables["grades"].scan().collect()), on="id"
    ).drop_nulls("grade")
    ordered = graded.sort("cluster", "grade", "id").group_by("cluster", maintain_order=True)
    return dict(ordered.agg(pl.col("id").get((pl.len() - 1) // 2)).iter_rows())


def _pair_actively(
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
    members = pool.cluster_sizes(pool.read_memberships(tables, settings))
    n = pool.count_requested_rows(tables["samples"], settings.select.size)
    shares = quotas.compute_quotas(members, n, settings.select.quota)
    allowed = pairing.allot_requests(shortlist, asked, config.budget, config.n_rounds - number)
    return pairing.plan_active_round(
        shortlist, scores, asked, shares, allowed, settings.seed + number
    )


def build_judge_questions(tables: Tables, settings: Settings) -> Iterator[pl.DataFrame]:
    """The orders of every pair that are to be asked, with the texts of both samples, batch by
    batch.
    """
    pairs = tables["pairs"].scan().collect()
    wanted = pl.concat([pairs["left"], pairs["right"]]).unique()
    texts = tables["samples"].scan().select("id", "instruction", "response")
    found = texts.filter(pl.col("id").is_in(wanted.implode())).collect()
    for start in range(0, pairs.height, N_PAIRS_PER_BATCH):
        batch = pairs.slice(start, N_PAIRS_PER_BATCH)
        yield comparisons.list_comparison_questions(
            batch, found, settings.judges, settings.judge.repetitions
        )


def rate_samples(tables: Tables, settings: Settings, tool: Any, number: int) -> StageOutput:
    """Verdicts of all rounds so far -> scores."""
    if settings.ingest.score or settings.judge.mode == "singleton":
        return StageOutput(_convert_grades(tables), build_reject_frame(), {})
    config, verdicts = settings.rate, tables["verdicts"].scan().collect()
    if config.method == "mean":
        return StageOutput(rating.average_raw_scores(verdicts), build_reject_frame(), {})
    homes = tables["shortlist"].scan().select("id", "cluster").collect()
    if config.method == "bradley-terry":
        lengths = (
            tables["samples"].scan().select("id", "length").collect() if config.length else None
        )
        table, habits = rating.fit_bradley_terry(
            verdicts, homes, lengths, config.weights, seed=settings.seed
        )
        return StageOutput(table, build_reject_frame(), {"habits": asdict(habits)})
    grades = (
        comparisons.average_grades(tables["grades"].scan().collect())
        if config.prior == "grades"
        else None
    )
    found = rating.fit_least_squares(verdicts, config.scope, homes, grades, seed=settings.seed)
    return StageOutput(found, build_reject_frame(), {})


def _convert_grades(tables: Tables) -> pl.DataFrame:
    """Grades as scores, by `SCORES`: the input's own or a judge's of every sample alone. Rows
    without one have none.
    """
    grades = comparisons.average_grades(tables["grades"].scan().collect())
    found = tables["shortlist"].scan().select("id", "cluster").collect().join(grades, on="id")
    scored = found.rename({"grade": "score"}).with_columns(
        pl.lit(None).alias("error"), pl.lit(0).alias("n_comparisons"), pl.lit(0).alias("component")
    )
    return conform_table(scored, SCORES)
