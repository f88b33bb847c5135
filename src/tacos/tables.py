"""What each stage does with its tables: the seam between `tacos.stages` (what runs) and `tacos.methods` (how).

Every function here reads named tables, hands columns to a pure method, and returns what the stage makes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import polars as pl

from tacos.config import Settings
from tacos.errors import InputError
from tacos.methods import (
    clustering,
    implying,
    ingesting,
    judging,
    normalising,
    overriding,
    pairing,
    publishing,
    rating,
    shortlisting,
    tagging,
)
from tacos.methods.selecting import quotas
from tacos.records import SCORES, Encoder, Made, Table, conform, reject_frame

Tables = Mapping[str, Table]
Naming = tuple[dict[str, str | None], implying.Implied]
N_PAIRS_PER_BATCH = 1_000
LINKED = 2.0
"""Requests per sample from which active pairing can afford to open with a chain (1.1 of them) in place of pairs."""


def input_rows(tables: Tables) -> Iterator[Any]:
    """Batches of raw rows, as `tacos.storage.reading` yields them."""
    yield from tables["input"].batches()


def ingest(batch: Any, prepared: Any, settings: Settings) -> Made:
    """Raw rows -> samples, row by row."""
    samples, rejects = ingesting.parse_batch(batch, settings.ingest)
    return Made(ingesting.to_frame(samples), reject_frame(rejects), {})


def tag_questions(tables: Tables, settings: Settings) -> Iterator[pl.DataFrame]:
    """One question per user turn, batch by batch."""
    for samples in tables["samples"].batches(["id", "turns", "given_tags"]):
        yield tagging.questions(samples)


def tag_rows(tables: Tables) -> Iterator[pl.DataFrame]:
    """The tags, batch by batch."""
    yield from tables["tags"].batches(["id", "tags"])


def normalise(tables: Tables, settings: Settings, encoder: Encoder, number: int) -> Made:
    """Counts of raw tags -> vocabulary, made or given, with counts per step in the notes."""
    tags = tables["tags"].scan().select("id", "tags")
    counts = (
        tags.explode("tags").drop_nulls("tags").group_by(pl.col("tags").alias("tag")).agg(pl.len().alias("count"))
    ).sort("tag")
    config = settings.normalise
    if config.vocabulary:
        known = publishing.from_json(config.vocabulary)
        resolved = publishing.resolve(counts.collect(), known, encoder if config.semantic else None)
        return Made(resolved, reject_frame(), publishing.notes(resolved, known))
    n_samples = int(tags.select(pl.col("id").n_unique()).collect().item())
    transactions = (tagging.join_turns(batch) for batch in tables["tags"].batches(["id", "tags"]))
    overrides = overriding.parse(config.overrides)
    found = normalising.build(counts.collect(), transactions, n_samples, config, encoder, overrides)
    return Made(found.vocabulary, reject_frame(), found.notes())


def vocabulary_mapping(tables: Tables, settings: Settings) -> dict[str, str | None]:
    """Raw tag -> canonical tag, or None where it was dropped."""
    frame = tables["vocabulary"].scan().select("raw", "canonical").collect()
    return dict(frame.iter_rows())


def imply(tables: Tables, settings: Settings, tool: Any, number: int) -> Made:
    """Rules between sets of canonical tags."""
    mapping = vocabulary_mapping(tables, settings)
    named = (canonical(batch, mapping) for batch in tables["tags"].batches(["id", "tags"]))
    made = implying.rules(named, settings.normalise.min_support, settings.normalise.min_confidence)
    return Made(made, reject_frame(), {"n_rules": made.height})


def naming(tables: Tables, settings: Settings) -> Naming:
    """What canonicalising goes by: the vocabulary, and where they are asked for, rules between sets of tags."""
    rules = tables["implications"].scan().collect() if "implications" in tables else None
    return vocabulary_mapping(tables, settings), implying.by_consequent(rules)


def canonical(batch: pl.DataFrame, mapping: dict[str, str | None]) -> pl.DataFrame:
    """Raw tags -> canonical tags, one row per sample."""
    joined = tagging.join_turns(batch)
    tags = normalising.apply(joined["tags"].to_list(), mapping)
    return joined.with_columns(pl.Series("tags", tags, dtype=pl.List(pl.String)))


def canonicalise(batch: pl.DataFrame, naming: Naming, settings: Settings) -> Made:
    """Raw tags -> canonical tags without those that others imply, one row per sample."""
    mapping, implied = naming
    named = canonical(batch, mapping)
    if not implied:
        return Made(named, reject_frame(), {})
    tags = [implying.thin(each, implied) for each in named["tags"].to_list()]
    thinned = named.with_columns(pl.Series("tags", tags, dtype=pl.List(pl.String)))
    n_implied = int(named["tags"].list.len().sum()) - int(thinned["tags"].list.len().sum())
    return Made(thinned, reject_frame(), {"n_implied": n_implied})


def cluster(tables: Tables, settings: Settings, encoder: Encoder, number: int) -> Made:
    """Canonical tags -> clusters."""
    tags = tables["canonical_tags"].scan()
    counts = tags.explode("tags").drop_nulls("tags").group_by(pl.col("tags").alias("tag")).agg(pl.len().alias("count"))
    counts_by_tag = counts.sort("tag").collect()
    n_samples = int(tags.select(pl.len()).collect().item())
    vectors = encoder.encode(counts_by_tag["tag"].to_list())
    k = clustering.choose_k(settings.cluster.k, counts_by_tag.height, n_samples)
    made = clustering.cluster_tags(counts_by_tag, vectors, k, weighted=settings.cluster.weighted, seed=settings.seed)
    return Made(made, reject_frame(), {"n_clusters": made["cluster"].n_unique()})


def canonical_rows(tables: Tables) -> Iterator[pl.DataFrame]:
    """The canonical tags, batch by batch."""
    yield from tables["canonical_tags"].batches()


def cluster_table(tables: Tables, settings: Settings) -> pl.DataFrame:
    """The clusters of all tags."""
    return tables["clusters"].scan().collect()


def assign(batch: pl.DataFrame, clusters: pl.DataFrame, settings: Settings) -> Made:
    """Clusters of the tags -> clusters of the samples."""
    return Made(clustering.assign(batch, clusters), reject_frame(), {})


def grade_questions(tables: Tables, settings: Settings) -> Iterator[pl.DataFrame]:
    """One question per sample, batch by batch; in singleton mode from every judge, as often as it is asked.

    Where the input brought scores, they are not asked for: a sample without one has none.
    """
    alone = settings.judge.mode == "singleton" and not settings.ingest.score
    judges, repetitions = (settings.judges, settings.judge.repetitions) if alone else (("",), 1)
    for samples in tables["samples"].batches(["id", "instruction", "response", "given_score"]):
        asked = samples.filter(pl.col("given_score").is_not_null()) if settings.ingest.score else samples
        yield judging.grade_questions(asked, judges, repetitions)


def members(tables: Tables, settings: Settings) -> pl.DataFrame:
    """One row per (sample, cluster): id, clusters, cluster; untagged samples in a cluster of their own (robust)."""
    homes = settings.cluster.membership == "home"
    untagged = int(tables["clusters"].scan().select(pl.col("cluster").n_unique()).collect().item()) if homes else None
    return clustering.members(tables["memberships"].scan().collect(), homes=homes, untagged=untagged)


def cluster_sizes(frame: pl.DataFrame) -> dict[int, int]:
    """Members per cluster."""
    return dict(frame.group_by("cluster").len().sort("cluster").iter_rows())


def listed(samples: pl.LazyFrame, wanted: tuple[str, ...], name: str) -> list[str]:
    """The ids that a list of ids or content hashes means; `InputError` where one is not in the data."""
    if not wanted:
        return []
    either = pl.col("id").is_in(wanted) | pl.col("content_hash").is_in(wanted)
    found = samples.select("id", "content_hash").filter(either).collect()
    unknown = set(wanted) - set(found["id"]) - set(found["content_hash"])
    if unknown:
        raise InputError(f"the {name} list names {len(unknown)} rows that are not in the data, e.g. {min(unknown)!r}")
    return found["id"].to_list()


def shortlist(tables: Tables, settings: Settings, tool: Any, number: int) -> Made:
    """Which members of each cluster enter comparison; the others are rejects of the rule that left them out."""
    samples = tables["samples"].scan().select("id", "content_hash", "length").with_row_index("position").collect()
    excluded = listed(samples.lazy(), settings.select.exclude, "exclude")
    frame = members(tables, settings).filter(~pl.col("id").is_in(excluded))
    shares = quotas.quotas(cluster_sizes(frame), settings.select.n, settings.select.quota)
    grades = (
        judging.mean_grades(tables["grades"].scan().collect())
        if "grades" in tables
        else pl.DataFrame(schema={"id": pl.String, "grade": pl.Float32})
    )
    table = frame.rename({"clusters": "tag_set"}).join(samples, on="id").join(grades, on="id", how="left")
    config = settings.shortlist
    rule = "all" if settings.ingest.score or settings.judge.mode == "singleton" else config.rule
    kept, dropped = shortlisting.shortlist(table, rule, shares, config.factor, config.explore, settings.seed)
    return Made(kept, dropped_rejects(dropped), {})


def dropped_rejects(dropped: pl.DataFrame) -> pl.DataFrame:
    """Rows that a shortlist rule left out, as rejects that are no failures."""
    return dropped.select(
        "id",
        pl.lit("shortlist").alias("stage"),
        pl.concat_str(pl.lit("left out by rule "), "rule").alias("reason"),
        pl.concat_str(pl.lit("cluster "), "cluster").alias("raw"),
        pl.lit(False).alias("failure"),
    )


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
    graded = shortlist.join(judging.mean_grades(tables["grades"].scan().collect()), on="id").drop_nulls("grade")
    ordered = graded.sort("cluster", "grade", "id").group_by("cluster", maintain_order=True)
    return dict(ordered.agg(pl.col("id").get((pl.len() - 1) // 2)).iter_rows())


def active(
    shortlist: pl.DataFrame, scores: pl.DataFrame, asked: pl.DataFrame, tables: Tables, settings: Settings, number: int
) -> pl.DataFrame:
    """An active round: an even part of what is left of the budget, where it can change who is in the quota."""
    config = settings.pair
    shares = quotas.quotas(cluster_sizes(members(tables, settings)), settings.select.n, settings.select.quota)
    allowed = pairing.allowances(shortlist, asked, config.budget, config.n_rounds - number)
    return pairing.active(shortlist, scores, asked, shares, allowed, settings.seed + number)


def judge_questions(tables: Tables, settings: Settings) -> Iterator[pl.DataFrame]:
    """The orders of every pair that are to be asked, with the texts of both samples, batch by batch."""
    pairs = tables["pairs"].scan().collect()
    wanted = pl.concat([pairs["left"], pairs["right"]]).unique()
    texts = tables["samples"].scan().select("id", "instruction", "response")
    found = texts.filter(pl.col("id").is_in(wanted.implode())).collect()
    for start in range(0, pairs.height, N_PAIRS_PER_BATCH):
        batch = pairs.slice(start, N_PAIRS_PER_BATCH)
        yield judging.questions(batch, found, settings.judges, settings.judge.repetitions)


def rate(tables: Tables, settings: Settings, tool: Any, number: int) -> Made:
    """Verdicts of all rounds so far -> scores."""
    if settings.ingest.score or settings.judge.mode == "singleton":
        return Made(graded_scores(tables), reject_frame(), {})
    config, verdicts = settings.rate, tables["verdicts"].scan().collect()
    if config.method == "mean":
        return Made(rating.mean(verdicts), reject_frame(), {})
    homes = tables["shortlist"].scan().select("id", "cluster").collect()
    if config.method == "bradley-terry":
        lengths = tables["samples"].scan().select("id", "length").collect() if config.length else None
        table, habits = rating.bradley_terry(verdicts, homes, lengths, config.weights, seed=settings.seed)
        return Made(table, reject_frame(), {"habits": asdict(habits)})
    grades = judging.mean_grades(tables["grades"].scan().collect()) if config.prior == "grades" else None
    found = rating.least_squares(verdicts, config.scope, homes, grades, seed=settings.seed)
    return Made(found, reject_frame(), {})


def graded_scores(tables: Tables) -> pl.DataFrame:
    """Grades as scores, by `SCORES`: the input's own or a judge's of every sample alone. Rows without one have none."""
    grades = judging.mean_grades(tables["grades"].scan().collect())
    found = tables["shortlist"].scan().select("id", "cluster").collect().join(grades, on="id")
    scored = found.rename({"grade": "score"}).with_columns(
        pl.lit(None).alias("error"), pl.lit(0).alias("n_comparisons"), pl.lit(0).alias("component")
    )
    return conform(scored, SCORES)


def select(tables: Tables, settings: Settings, selector: Any, number: int) -> Made:
    """The selection."""
    config = settings.select
    samples = tables["samples"].scan()
    keep = listed(samples, config.keep, "must-keep")
    exclude = listed(samples, config.exclude, "exclude")
    frame = members(tables, settings)
    scores = tables["scores"].scan().collect()
    if selector is not None:
        return Made(ranked(chosen_by(selector, scores, tables, settings)), reject_frame(), {})
    fill = unjudged(frame, scores, settings.seed) if config.fill else None
    n = min(config.n, frame["id"].n_unique()) if config.fill else config.n
    sizes, tags = cluster_sizes(frame), tags_of(tables, scores, keep) if config.coverage else {}
    rule = quotas.Rule(config.quota, config.coverage, settings.seed)
    made = quotas.select(scores, sizes, n, rule, keep, exclude, fill, tags)
    return Made(ranked(made), reject_frame(), {})


def tags_of(tables: Tables, scores: pl.DataFrame, keep: Sequence[str]) -> dict[str, list[str]]:
    """The canonical tags of the scored samples and of the must-keep ones."""
    wanted = pl.concat([scores["id"], pl.Series("id", keep, pl.String)]).unique()
    found = tables["canonical_tags"].scan().select("id", "tags").filter(pl.col("id").is_in(wanted.implode()))
    return dict(found.drop_nulls().collect().iter_rows())


def chosen_by(selector: Any, scores: pl.DataFrame, tables: Tables, settings: Settings) -> pl.DataFrame:
    """The selection of a user's own selector over the scored pool: id, cluster, score, length, tags."""
    narrow = tables["samples"].scan().select("id", "length")
    tags = tables["canonical_tags"].scan()
    pool = scores.lazy().join(narrow, on="id").join(tags, on="id", how="left").sort("id", "cluster").collect()
    ids = selector.choose(pool.select("id", "cluster", "score", "length", "tags"), settings.select.n)
    best = scores.sort("score", descending=True).unique("id", keep="first").select("id", "cluster", "score")
    chosen = pl.DataFrame({"id": ids}, schema={"id": pl.String}).join(best, on="id", maintain_order="left")
    return chosen.with_row_index("rank", offset=1).with_columns(pl.lit(selector.name).alias("rule"))


def ranked(selection: pl.DataFrame) -> pl.DataFrame:
    """A selection with ranks from 1, best score first, rows without a score last."""
    ordered = selection.drop("rank").sort("score", "id", descending=[True, False], nulls_last=True)
    return ordered.with_row_index("rank", offset=1)


def unjudged(frame: pl.DataFrame, scores: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Rows without a score, one line each, in an order drawn by chance."""
    rest = frame.join(scores, on="id", how="anti").unique("id", keep="first", maintain_order=True).sort("id")
    return rest.sample(fraction=1.0, shuffle=True, seed=seed).select("id", "cluster")
