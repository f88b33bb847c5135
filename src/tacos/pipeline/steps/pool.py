"""The annotated pool of a run, as stages and other selections read it: memberships, lists, sizes,
rows, vectors.

Like all of `tacos.pipeline.steps`, it reads columns and hands them to pure functions of
`tacos.methods`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.amounts import SelectionSize
from tacos.config import SelectSettings, Settings
from tacos.errors import InputError
from tacos.methods.clusters import kmeans_clusters
from tacos.methods.judging import comparisons
from tacos.methods.measures.selection_figures import MeasuredPool
from tacos.methods.selecting import sizes
from tacos.methods.selecting.limits import Limits
from tacos.pipeline.steps.aligned_rows import join_to_samples
from tacos.pipeline.steps.matched_rows import (
    RowFinder,
    has_distinct_ids,
    match_rows,
    place_rows,
    sort_by_id,
)
from tacos.pipeline.steps.reliability import Reliability, find_reliability
from tacos.pipeline.steps.row_codes import RowCodes, find_codes
from tacos.pipeline.steps.sample_tags import number_sample_tags
from tacos.records import SCORES, Encoder, Table, Tables, add_missing_columns

CATEGORY = pl.Categorical()
FRAMED = "framed"
N_AT_ONCE = 100_000
"""Scores that are placed together: their ids take much memory beside the numbers."""
NO_HOMES = pl.DataFrame(schema={"id": pl.String, "cluster": pl.UInt32})
NO_SCORES = pl.DataFrame(schema={"id": pl.String, "score": pl.Float64})
"""In place of homes and scores, where there are none."""


@dataclass(frozen=True)
class AnnotatedPool:
    """The rows that a selection chooses from; each part is read when first needed, then kept."""

    tables: Tables
    """By plain name: samples, canonical_tags, memberships, clusters, scores."""
    settings: Settings

    @property
    def codes(self) -> RowCodes | None:
        """How ids are written as numbers; None where they are texts."""
        return None

    @property
    def memberships(self) -> pl.DataFrame:
        """id, cluster: one row per (sample, cluster)."""
        return pl.concat(
            encode_ids(members.select("id", "cluster"), self.codes)
            for members in _iterate_memberships(self.tables, self.settings)
        )

    @cached_property
    def samples(self) -> pl.DataFrame:
        """A row per sample, without its scores: see `build_sample_rows`."""
        homes = iterate_homes(self.tables, self.settings)
        return build_sample_rows(self.tables, homes, codes=self.codes)

    @cached_property
    def scores(self) -> pl.DataFrame:
        """id, cluster, score: the newest scores, sorted by id; with a floor, correctness, too."""
        columns = ["id", "cluster", "score"]
        if self.settings.select.min_correctness:
            columns.append("correctness")
        samples = self.samples
        scores = read_scores(self.tables["scores"], columns, samples["id"], self.codes)
        if scores["cluster"].equals(samples["cluster"]):
            # The usual case: one column will do.
            scores = scores.with_columns(samples["cluster"])
        return scores

    @cached_property
    def keep(self) -> list[str]:
        """The ids on the must-keep list, as texts."""
        samples = self.tables["samples"].scan()
        return resolve_ids(samples, self.settings.select.keep, "must-keep")

    @cached_property
    def exclude(self) -> list[str]:
        """The ids on the exclude list, as texts."""
        samples = self.tables["samples"].scan()
        return resolve_ids(samples, self.settings.select.exclude, "exclude")

    @cached_property
    def reliability(self) -> Reliability:
        """How far the scores can be trusted."""
        scores = self.tables["scores"].scan()
        return find_reliability(self.tables, self.settings, scores)

    @property
    def cluster_sizes(self) -> dict[int, int]:
        """Members per cluster."""
        return count_members(self.tables, self.settings)

    @cached_property
    def grades(self) -> pl.DataFrame | None:
        """id, grade, value, correctness: the cheap grades; None if the run has none."""
        grades = self.tables.get("grades")
        if grades is None:
            return None
        return average_cheap_grades(grades, self.settings)

    @cached_property
    def rows(self) -> pl.DataFrame:
        """A row per sample: see `join_best_scores`."""
        return join_best_scores(self.samples, self.scores)

    def draw_fill(self, seed: int) -> pl.DataFrame | None:
        """id, cluster, rule: unjudged rows that may come in when judged ones run out; None without.

        Shortlisted rows that nothing was compared with (`uncompared`: alone in their clusters, or
        an odd last one) lack no judgement, since none was asked for. All others, in random order,
        only where the settings let them (`fill`).
        """
        parts = []
        # A floor of correctness can only be checked on judged rows.
        if not self.settings.select.min_correctness:
            uncompared = encode_ids(list_uncompared_rows(self.tables), self.codes)
            parts.append(uncompared.with_columns(rule=pl.lit("uncompared")))
        if self.settings.select.fill:
            drawn = draw_unjudged_rows(self.memberships, self.scores, seed)
            parts.append(drawn.with_columns(rule=pl.lit("fill")))
        rows = pl.concat(parts) if parts else pl.DataFrame()
        return None if rows.is_empty() else rows.unique("id", maintain_order=True)

    def remove_excluded(self, ids: Iterable[str]) -> list[str]:
        """The ids (texts) that are not on the exclude list, in the same order."""
        excluded = set(self.exclude)
        return [row_id for row_id in ids if row_id not in excluded]


def encode_ids(table: pl.DataFrame, codes: RowCodes | None) -> pl.DataFrame:
    """The table with the codes of its ids, if they are to be written so."""
    return table if codes is None else table.with_columns(id=codes.encode(table["id"]))


def measure_pool(
    artifacts: Tables, settings: Settings, codes: RowCodes | None = None
) -> MeasuredPool:
    """The pool of a run in figures, and every selection from it: see `build_scored_rows`."""
    # Texts and codes sort alike.
    numbers = codes or RowCodes.of_samples(artifacts["samples"])
    tags, is_tagged = number_sample_tags(artifacts, numbers)
    rows = build_scored_rows(artifacts, settings, codes)
    return MeasuredPool(rows.with_columns(is_tagged=is_tagged), tags)


def build_scored_rows(
    artifacts: Tables, settings: Settings, codes: RowCodes | None = None
) -> pl.DataFrame:
    """A row per sample, sorted by id: id, length, source, cluster (null: in none), score (the best
    of the run's newest; null: not judged), and grade if there are grades.

    `artifacts` are under their full names. With `codes`, ids are written as numbers. Raises
    `InputError` if the run has no scores.
    """
    newest = find_newest_scores(artifacts)
    if newest is None:
        raise InputError("this run has no scores: finish it first")
    grades = None
    if "grades" in artifacts:
        grades = iterate_cheap_grades(artifacts["grades"], settings)
    homes = iterate_homes(artifacts, settings)
    samples = build_sample_rows(
        artifacts, homes, grades, codes, columns=("length", "source")
    )
    scores = read_scores(artifacts[newest], ("id", "score"), samples["id"], codes)
    rows = join_best_scores(samples, scores)
    del samples, scores
    if grades is not None and rows["grade"].equals(rows["score"]):
        # Where grades are the scores, one column will do.
        rows = rows.with_columns(grade="score")
    # Rows whose topic is not known have a number, too, but are in no cluster.
    clusters = artifacts["clusters"].scan().select("cluster").collect()["cluster"]
    is_in_cluster = pl.col("cluster").is_in(clusters.unique().implode())
    return rows.with_columns(cluster=pl.when(is_in_cluster).then("cluster"))


def average_cheap_grades(grades: Table, settings: Settings) -> pl.DataFrame:
    """id, grade, value, correctness: the means over judges and repetitions."""
    means = average_grade_table(grades, settings.judge.target)
    numbers = pl.col("grade", "value", "correctness")
    return means.select("id", numbers.cast(pl.Float64))


def iterate_cheap_grades(grades: Table, settings: Settings) -> Iterator[pl.DataFrame]:
    """id, grade: the same, batch by batch."""
    for means in iterate_average_grades(grades, settings.judge.target):
        yield means.select("id", pl.col("grade").cast(pl.Float64))


def average_grade_table(grades: Table, target: float) -> pl.DataFrame:
    """id, grade, value, correctness: see `tacos.methods.judging.comparisons.average_grades`.

    All grades of a sample are in one batch.
    """
    return pl.concat(iterate_average_grades(grades, target))


def iterate_average_grades(grades: Table, target: float) -> Iterator[pl.DataFrame]:
    """The same, batch by batch."""
    for batch in grades.batches():
        yield comparisons.average_grades(batch, target)


def find_newest_scores(names: Iterable[str]) -> str | None:
    """The artifact with the scores of the last round, if there are any."""
    rounds = [name for name in names if name.startswith("scores/")]
    return max(rounds, key=lambda name: int(name.partition("/")[2]), default=None)


def read_scores(
    scores: Table,
    columns: Sequence[str],
    ids: pl.Series,
    codes: RowCodes | None = None,
) -> pl.DataFrame:
    """Columns of a table SCORES, its id among them, in the order of the samples `ids` (null: an
    earlier version had no such column). They share their texts with `ids`, which take most memory.

    With `codes`, `ids` are sorted numbers.
    """
    find = _build_finder(ids, codes)
    if scores.scan().select(pl.len()).collect().item() == len(ids):
        placed = place_rows(locate_scores(scores, columns, find), len(ids))
        if placed is not None:
            # The usual case: each sample has a score.
            return placed.with_columns(id=ids).select(columns)
    located = pl.concat(locate_scores(scores, columns, find))
    in_order = located.sort("row", maintain_order=True)
    own = ids.gather(in_order["row"].to_numpy())
    return in_order.drop("row").with_columns(id=own).select(columns)


def locate_scores(
    scores: Table,
    columns: Sequence[str],
    find: Callable[[pl.Series], npt.NDArray[np.int64]],
) -> Iterator[pl.DataFrame]:
    """The same batch by batch (an empty one first), with the number of the row as `row` in place of
    its id; rows without a number (-1) are left out.
    """
    schema = scores.scan().collect_schema()
    present = [name for name in columns if name in schema]
    nobody = scores.scan().select(present).head(0).collect()
    parts = (
        part
        for batch in scores.batches(present)
        for part in batch.iter_slices(N_AT_ONCE)
    )
    for batch in chain([nobody], parts):
        complete = add_missing_columns(batch, SCORES)
        own = complete.select(name for name in columns if name != "id")
        rows = pl.Series("row", find(batch["id"]))
        known = own.with_columns(rows).filter(pl.col("row") >= 0)
        yield known.cast({"row": pl.UInt32})


def _build_finder(
    ids: pl.Series, codes: RowCodes | None
) -> Callable[[pl.Series], npt.NDArray[np.int64]]:
    """What finds the places of texts among `ids`: see `read_scores`."""
    if codes is None:
        return RowFinder(lambda: [ids]).find
    return lambda wanted: find_codes(ids, codes.encode(wanted))


def read_memberships(tables: Tables, settings: Settings) -> pl.DataFrame:
    """id, clusters, cluster: one row per (sample, cluster).

    With home clusters, samples without a tag form a cluster of their own, after all others.
    """
    return pl.concat(_iterate_memberships(tables, settings))


def count_members(tables: Tables, settings: Settings) -> dict[int, int]:
    """Members per cluster."""
    parts = [
        members.group_by("cluster").len()
        for members in _iterate_memberships(tables, settings)
    ]
    counts = pl.concat(parts).group_by("cluster").agg(len=pl.col("len").sum())
    return dict(counts.sort("cluster").iter_rows())


def _iterate_memberships(tables: Tables, settings: Settings) -> Iterator[pl.DataFrame]:
    """The same, batch by batch."""
    homes = settings.cluster.membership == "home"
    untagged = _number_untagged(tables) if homes else None
    for batch in tables["memberships"].batches():
        yield kmeans_clusters.list_cluster_members(
            batch,
            homes=homes,
            untagged=untagged,
        )


def _number_untagged(tables: Tables) -> int:
    """The number of the cluster of samples without a tag."""
    # Clusters are numbered from 0, so that their count is the next number.
    n_clusters = tables["clusters"].scan().select(pl.col("cluster").n_unique())
    return int(n_clusters.collect().item())


def iterate_homes(tables: Tables, settings: Settings) -> Iterator[pl.DataFrame]:
    """id, cluster of each sample, batch by batch: its home cluster; null for none.

    Those without a tag: see `read_memberships`.
    """
    homes = settings.cluster.membership == "home"
    untagged = _number_untagged(tables) if homes else None
    home = pl.coalesce("home", pl.lit(untagged, pl.UInt32))
    for batch in tables["memberships"].batches(["id", "home"]):
        yield batch.select("id", cluster=home)


def iterate_members(tables: Tables, settings: Settings) -> Iterator[pl.DataFrame]:
    """id, clusters, cluster, length and position of the sample, batch by batch: one row per
    (sample, cluster).
    """
    samples = _number_samples(tables["samples"])
    memberships = tables["memberships"].batches(["id", "clusters", "home"])
    homes = settings.cluster.membership == "home"
    untagged = _number_untagged(tables) if homes else None
    for batch in join_to_samples(samples, memberships):
        members = kmeans_clusters.list_cluster_members(
            batch.filter(pl.col("clusters").is_not_null()),
            homes=homes,
            untagged=untagged,
        )
        yield members.join(
            batch.select("id", "length", "position"),
            on="id",
            maintain_order="left",
        )


def _number_samples(samples: Table) -> Iterator[pl.DataFrame]:
    """id, length and position of the samples, batch by batch."""
    n_before = 0
    for batch in samples.batches(["id", "length"]):
        yield batch.with_row_index("position", offset=n_before)
        n_before += batch.height


def cluster_sizes(frame: pl.DataFrame) -> dict[int, int]:
    """Members per cluster."""
    return dict(frame.group_by("cluster").len().sort("cluster").iter_rows())


def resolve_ids(samples: pl.LazyFrame, wanted: tuple[str, ...], name: str) -> list[str]:
    """The ids that a list of ids or content hashes means.

    Raises `InputError`, with the name of the list, if a row is not in the data.
    """
    if not wanted:
        return []
    has_id = pl.col("id").is_in(wanted)
    has_hash = pl.col("content_hash").is_in(wanted)
    listed = samples.select("id", "content_hash").filter(has_id | has_hash).collect()
    unknown = set(wanted)
    unknown -= set(listed["id"])
    unknown -= set(listed["content_hash"])
    if unknown:
        raise InputError(
            f"the {name} list names {len(unknown)} rows that are not in the data, "
            f"e.g. {min(unknown)!r}"
        )
    return listed["id"].to_list()


def iterate_judged_texts(
    samples: Table, columns: Sequence[str]
) -> Iterator[pl.DataFrame]:
    """These columns of all samples, batch by batch, `instruction` as judges read it: in the prompt
    template that taggers and encoders do without, since it may say what the response must be.
    """
    if FRAMED not in samples.scan().collect_schema().names():
        # A run of an earlier version, which knew no templates.
        yield from samples.batches(columns)
        return
    for batch in samples.batches([*columns, FRAMED]):
        framed = pl.coalesce(FRAMED, "instruction")
        yield batch.with_columns(instruction=framed).drop(FRAMED)


def estimate_row_tokens(samples: Table) -> pl.DataFrame:
    """id, tokens: a quarter of the characters of instruction and response."""
    n_chars = pl.col("instruction").str.len_chars() + pl.col("length")
    tokens = sizes.estimate_tokens(n_chars).alias("tokens")
    parts = [
        batch.select("id", tokens)
        for batch in samples.batches(["id", "instruction", "length"])
    ]
    return pl.concat(parts) if parts else samples.scan().select("id", tokens).collect()


def count_rows(table: Table) -> int:
    """Rows of a table."""
    return int(table.scan().select(pl.len()).collect().item())


def count_requested_rows(samples: Table, size: SelectionSize) -> int:
    """How many rows a size comes to, at least 1.

    A budget of tokens counts as many rows as it buys of the pool's mean row.
    """
    if size.unit == "rows":
        return int(size.value)
    if size.unit == "share":
        n_share = sizes.count_share_rows(size, count_rows(samples))
        return max(1, n_share)
    tokens = estimate_row_tokens(samples)["tokens"]
    n_rows = len(tokens)
    mean_tokens = float(tokens.sum()) / max(n_rows, 1)
    # At least a token a row: a pool of empty rows has a mean of 0.
    n_affordable = int(size.value / max(mean_tokens, 1.0))
    return max(1, min(n_rows, n_affordable))


def build_limits(config: SelectSettings) -> Limits:
    """The limits that the settings ask for."""
    return Limits(
        config.parts("per_source"),
        config.parts("per_tag"),
        config.match_length,
        config.cosine,
        config.min_correctness,
        questions=config.limit == "auto",
        conversations=config.conversations,
    )


def build_pool_table(
    tables: Tables,
    homes: Iterable[pl.DataFrame] | None,
    scores: pl.DataFrame,
    grades: Iterable[pl.DataFrame] | None = None,
) -> pl.DataFrame:
    """The rows of `build_sample_rows` with their scores: see `join_best_scores`."""
    return join_best_scores(build_sample_rows(tables, homes, grades), scores)


def build_sample_rows(
    tables: Tables,
    homes: Iterable[pl.DataFrame] | None,
    grades: Iterable[pl.DataFrame] | None = None,
    codes: RowCodes | None = None,
    columns: Collection[str] = ("length", "source", "tags"),
) -> pl.DataFrame:
    """A row per sample, sorted by id: id, length, source, tags, cluster (null: in none), and grade
    where there are `grades` (id and grade, as a row-wise stage makes them). Of length, source and
    tags, it has these `columns`.

    `homes` are those of `iterate_homes`; without them, no row has a cluster. Sources and tags are
    categories, so that a row takes some 80 bytes, with `codes` in place of ids some 40.
    """
    own = [name for name in ("id", "length", "source") if name in ("id", *columns)]
    rows: Iterable[pl.DataFrame] = tables["samples"].batches(own)
    compact = [pl.col(name).cast(CATEGORY) for name in own if name == "source"]
    if "tags" in columns:
        rows = join_to_samples(rows, tables["canonical_tags"].batches(["id", "tags"]))
        compact.append(pl.col("tags").cast(pl.List(CATEGORY)))
    rows = (batch.with_columns(compact) for batch in rows)
    if homes is not None:
        rows = join_to_samples(rows, homes)
    else:
        no_cluster = pl.lit(None, pl.UInt32)
        rows = (batch.with_columns(cluster=no_cluster) for batch in rows)
    if grades is not None:
        rows = join_to_samples(rows, grades)
    return sort_by_id(pl.concat(encode_ids(batch, codes) for batch in rows))


def join_best_scores(samples: pl.DataFrame, scores: pl.DataFrame) -> pl.DataFrame:
    """A row per sample with score (the best one; null: not judged), and value and correctness where
    `scores` has them (null: the judge gave none); `scores` of the same ids need no copy.
    """
    judged = [name for name in comparisons.NUMBERS if name in scores.columns]
    best = take_best_scores(scores, judged)
    return samples.hstack(match_rows(samples["id"], best))


def take_best_scores(
    scores: pl.DataFrame, judged: Sequence[str] = comparisons.NUMBERS
) -> pl.DataFrame:
    """id, score, and those of value and correctness that are `judged`: one row per scored sample.

    In `paper` a sample has a score in each of its clusters, and the best one counts.
    """
    names = ("id", "score", *judged)
    wanted = pl.Schema({name: SCORES[name] for name in names})
    present = scores.select(name for name in names if name in scores.columns)
    complete = add_missing_columns(present, wanted).select(names)
    if has_distinct_ids(complete):
        # The usual case, without a group of each row
        return complete
    # The two numbers are the same in each cluster.
    return complete.group_by("id").agg(
        pl.col("score").max(),
        pl.col(judged).mean(),
    )


def draw_unjudged_rows(
    frame: pl.DataFrame, scores: pl.DataFrame, seed: int
) -> pl.DataFrame:
    """id, cluster: rows of `read_memberships` without a score, each once, in random order."""
    unjudged = frame.join(scores, on="id", how="anti")
    distinct = unjudged.unique(
        "id",
        keep="first",
        maintain_order=True,
    ).sort("id")
    return distinct.sample(
        fraction=1.0,
        shuffle=True,
        seed=seed,
    ).select("id", "cluster")


def list_uncompared_rows(tables: Tables) -> pl.DataFrame:
    """id, cluster: shortlisted rows that are in no pair of any round; none where nothing is
    compared at all.
    """
    pairs = [
        table.scan().select("left", "right")
        for name, table in tables.items()
        if name.partition("/")[0] == "pairs"
    ]
    if not pairs:
        return pl.DataFrame(schema=NO_HOMES.schema)
    # Columns of both sides under one name
    sides = [
        side.select(id=pl.col(name)) for side in pairs for name in ("left", "right")
    ]
    shortlist = tables["shortlist"].scan().select("id", "cluster")
    alone = shortlist.join(
        pl.concat(sides),
        on="id",
        how="anti",
    )
    return alone.sort("id", "cluster").collect()


def build_embedding_text() -> pl.Expr:
    """The column `text` that a sample's embedding is made from: instruction and response."""
    return pl.concat_str(
        "instruction",
        "response",
        separator="\n",
    ).alias("text")


def encode_samples(
    samples: Table, encoder: Encoder, only: Collection[str] | None = None
) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Ids and unit vectors, shape (rows, dim), of all samples or `only` some, in input order."""
    ids: list[str] = []
    # The empty first part gives the shape to a selection of no rows.
    parts = [np.zeros((0, encoder.dim), np.float32)]
    wanted = None if only is None else set(only)
    for batch in samples.batches(["id", "instruction", "response"]):
        if wanted is not None:
            batch = batch.filter(pl.col("id").is_in(wanted))
        texts = batch.select(build_embedding_text())["text"]
        vectors = encoder.encode(texts.to_list())
        ids += batch["id"].to_list()
        parts.append(vectors)
    return ids, np.concatenate(parts)
