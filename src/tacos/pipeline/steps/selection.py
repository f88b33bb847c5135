"""What shortlist and select do with their tables: see `tacos.pipeline.steps.tables`.

With quotas of sources or tags, length matching or a near-duplicate limit, `make_selection` walks the order
in which the quotas of clusters would take rows and passes by those that a limit has no room for;
the next best rows come in instead. What such limits need filled is shortlisted, too: `factor` x the
rows of each source, tag or band of lengths.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.config import Settings
from tacos.errors import ConfigError
from tacos.methods.judging import comparisons
from tacos.methods.judging import shortlist as shortlisting
from tacos.methods.judging.shortlist import Reserve
from tacos.methods.selecting import limits as limiting
from tacos.methods.selecting import quotas, sizes, strategies
from tacos.methods.selecting.strategies import StrategyInputs
from tacos.pipeline.steps import pool as pool_tables
from tacos.pipeline.steps.pool import Tables, resolve_ids
from tacos.records import Encoder, StageOutput, build_reject_frame

EXCLUDED = "on the exclude list"


def make_shortlist(tables: Tables, settings: Settings, tool: Any, number: int) -> StageOutput:
    """Which members of each cluster enter comparison; the others are rejects of the rule that left
    them out.
    """
    samples = (
        tables["samples"]
        .scan()
        .select("id", "content_hash", "length")
        .with_row_index("position")
        .collect()
    )
    excluded = resolve_ids(samples.lazy(), settings.select.exclude, "exclude")
    everyone = pool_tables.read_memberships(tables, settings)
    frame = everyone.filter(~pl.col("id").is_in(excluded))
    n = pool_tables.count_requested_rows(tables["samples"], settings.select.size)
    shares = quotas.compute_quotas(pool_tables.cluster_sizes(frame), n, settings.select.quota)
    grades = (
        comparisons.average_grades(tables["grades"].scan().collect())
        if "grades" in tables
        else pl.DataFrame(schema={"id": pl.String, "grade": pl.Float32})
    )
    table = (
        frame.rename({"clusters": "tag_set"})
        .join(samples, on="id")
        .join(grades, on="id", how="left")
    )
    config = settings.shortlist
    rule = "all" if settings.ingest.score or settings.judge.mode == "singleton" else config.rule
    kept, dropped = shortlisting.shortlist_members(
        table,
        rule,
        shares,
        config.factor,
        config.explore,
        settings.seed,
        config.cap or None,
        _build_reserves(tables, settings, excluded, n),
    )
    gone = everyone.filter(pl.col("id").is_in(excluded)).select(
        "id", pl.lit(EXCLUDED).alias("reason"), "cluster"
    )
    rejects = dropped.select(
        "id", pl.concat_str(pl.lit("left out by rule "), "rule").alias("reason"), "cluster"
    )
    return StageOutput(kept, _reject_dropped_rows(pl.concat([rejects, gone])), {})


def _build_reserves(
    tables: Tables, settings: Settings, excluded: list[str], n: int
) -> list[Reserve]:
    """The groups of rows that exact quotas and length matching need filled."""
    limits = pool_tables.build_limits(settings.select)
    if not limits:
        return []
    nobody = pl.DataFrame(schema={"id": pl.String, "cluster": pl.UInt32, "score": pl.Float64})
    pool = pool_tables.build_pool_table(tables, nobody, nobody).filter(
        ~pl.col("id").is_in(excluded)
    )
    return [
        Reserve(pool.select("id", pl.Series("group", bound.groups, pl.Int64)), bound.room)
        for bound in limiting.build_bounds(pool, n, limits)
        if bound.exact
    ]


def _reject_dropped_rows(dropped: pl.DataFrame) -> pl.DataFrame:
    """Rows that did not enter the shortlist (id, reason, cluster), as rejects that are no failures."""
    return dropped.select(
        "id",
        pl.lit("shortlist").alias("stage"),
        "reason",
        pl.concat_str(pl.lit("cluster "), "cluster").alias("raw"),
        pl.lit(False).alias("failure"),
    )


def make_selection(tables: Tables, settings: Settings, tool: Any, number: int) -> StageOutput:
    """The selection; the tool is a user's own selector, the encoder of the near-duplicate limit, or
    None.
    """
    config = settings.select
    choice = QuotaSelection(tables, settings, tool)
    if hasattr(tool, "choose"):
        _check_user_selector(settings)
        n = pool_tables.count_requested_rows(tables["samples"], config.size)
        return StageOutput(
            _rank_selection(_run_user_selector(tool, choice.scores, tables, n)),
            build_reject_frame(),
            {},
        )
    take = choice.limited if config.limited else choice.plain
    notes = {}
    n_rows = sizes.resolve_row_count(config.size, choice.n_samples)
    if n_rows is None:
        least = max(1, len(choice.keep))
        made = sizes.fit_token_budget(
            config.size.value, take, pool_tables.estimate_row_tokens(tables["samples"]), least
        )
    else:
        made = take(min(n_rows, choice.n_most) if config.fill else n_rows)
        notes = {"n_missing": n_rows - made.height} if made.height < n_rows else {}
    return StageOutput(
        _rank_selection(choice.relabelled(made) if config.limited else made),
        build_reject_frame(),
        notes,
    )


def _check_user_selector(settings: Settings) -> None:
    """Raise `ConfigError` for what a selector of the user's own would not obey."""
    if settings.select.limited:
        raise ConfigError(
            "a selector of your own decides alone: leave out quotas, select.match_length and select.limit"
        )
    if settings.select.size.unit == "tokens":
        raise ConfigError(
            "a selector of your own is asked for rows or a share, not for a budget of tokens"
        )


@dataclass(frozen=True)
class QuotaSelection:
    """The selection by quotas of clusters, for any number of rows; its parts are read once."""

    tables: Tables
    settings: Settings
    encoder: Encoder | None

    @cached_property
    def keep(self) -> list[str]:
        """The must-keep rows."""
        return resolve_ids(self.tables["samples"].scan(), self.settings.select.keep, "must-keep")

    @cached_property
    def exclude(self) -> list[str]:
        """The excluded rows."""
        return resolve_ids(self.tables["samples"].scan(), self.settings.select.exclude, "exclude")

    @cached_property
    def n_samples(self) -> int:
        """Rows of the pool."""
        return int(self.tables["samples"].scan().select(pl.len()).collect().item())

    @property
    def n_most(self) -> int:
        """Rows that can be taken where unjudged ones may stand in."""
        return len({*self.members["id"].to_list(), *self.keep} - set(self.exclude))

    @cached_property
    def members(self) -> pl.DataFrame:
        """Rows per (sample, cluster)."""
        return pool_tables.read_memberships(self.tables, self.settings)

    @cached_property
    def scores(self) -> pl.DataFrame:
        """The newest scores."""
        return self.tables["scores"].scan().collect()

    @cached_property
    def fill(self) -> pl.DataFrame | None:
        """Unjudged rows that may stand in, where the settings let them."""
        if not self.settings.select.fill:
            return None
        return pool_tables.draw_unjudged_rows(self.members, self.scores, self.settings.seed)

    @property
    def rule(self) -> quotas.QuotaRule:
        """How rows are shared out among clusters, and what covering tags is worth."""
        config = self.settings.select
        return quotas.QuotaRule(config.quota, config.coverage, self.settings.seed)

    @cached_property
    def tags(self) -> dict[str, list[str]]:
        """The canonical tags of the scored samples and of the must-keep ones, where covering tags
        counts.
        """
        if not self.settings.select.coverage:
            return {}
        wanted = pl.concat([self.scores["id"], pl.Series("id", self.keep, pl.String)]).unique()
        found = (
            self.tables["canonical_tags"]
            .scan()
            .select("id", "tags")
            .filter(pl.col("id").is_in(wanted.implode()))
        )
        return dict(found.drop_nulls().collect().iter_rows())

    def plain(self, n: int) -> pl.DataFrame:
        """n rows by the quotas of the clusters alone."""
        sizes_now = pool_tables.cluster_sizes(self.members)
        return quotas.select_by_quota(
            self.scores, sizes_now, n, self.rule, self.keep, self.exclude, self.fill, self.tags
        )

    def limited(self, n: int) -> pl.DataFrame:
        """n rows by the quotas of the clusters, as far as the limits have room."""
        config = self.settings.select
        limits = pool_tables.build_limits(config)
        return strategies.select_by_strategy(
            self.pool, "tacos", n, self.settings.seed, self.extras, self.keep, self.exclude, limits
        )

    @cached_property
    def pool(self) -> pl.DataFrame:
        """Every sample that is not excluded."""
        homes = pool_tables.order_memberships(self.tables, self.settings)
        return pool_tables.build_pool_table(self.tables, homes, self.scores).filter(
            ~pl.col("id").is_in(self.exclude)
        )

    @cached_property
    def extras(self) -> StrategyInputs:
        """What the strategy needs beside the pool."""
        gone = set(self.exclude)
        fill = (
            []
            if self.fill is None
            else [one for one in self.fill["id"].to_list() if one not in gone]
        )
        wanted = {*self.scores["id"].to_list(), *self.keep, *fill}
        return StrategyInputs(
            ids=self.pool["id"].to_list(),
            vectors=None if self.settings.select.limit >= 1 else self.vectors(wanted),
            scores=self.scores,
            sizes=pool_tables.cluster_sizes(self.members),
            quota=self.settings.select.quota,
            coverage=self.settings.select.coverage,
            fill=fill,
            partial=self.settings.select.fill,
        )

    def vectors(self, wanted: set[str]) -> npt.NDArray[np.float32]:
        """Unit vectors by the pool's rows; those of rows that cannot be taken are 0, which costs no
        memory.
        """
        assert self.encoder is not None
        ids, found = pool_tables.encode_samples(self.tables["samples"], self.encoder, wanted)
        place = {one: row for row, one in enumerate(self.pool["id"].to_list())}
        out = np.zeros((self.pool.height, self.encoder.dim), np.float32)
        known = [number for number, one in enumerate(ids) if one in place]
        out[[place[ids[number]] for number in known]] = found[known]
        return out

    def relabelled(self, made: pl.DataFrame) -> pl.DataFrame:
        """A limited selection with the rule of each row: what the quotas alone take, too, keeps
        their rule.
        """
        n_most = len({*self.pool.filter(pl.col("score").is_finite())["id"].to_list(), *self.keep})
        alone = quotas.select_by_quota(
            self.scores,
            pool_tables.cluster_sizes(self.members),
            min(made.height, n_most),
            self.rule,
            self.keep,
            self.exclude,
            tags=self.tags,
        )
        rules = dict(alone.select("id", "rule").iter_rows())
        other = (
            pl.when(pl.col("score").is_null()).then(pl.lit("fill")).otherwise(pl.lit("remainder"))
        )
        by_quota = (
            pl.col("id")
            .replace_strict(rules, default=None, return_dtype=pl.String)
            .fill_null(other)
        )
        return made.with_columns(
            rule=pl.when(pl.col("rule") == "must-keep").then("rule").otherwise(by_quota)
        )


def _run_user_selector(selector: Any, scores: pl.DataFrame, tables: Tables, n: int) -> pl.DataFrame:
    """The selection of a user's own selector over the scored pool: id, cluster, score, length,
    tags.
    """
    narrow = tables["samples"].scan().select("id", "length")
    tags = tables["canonical_tags"].scan()
    pool = (
        scores.lazy()
        .join(narrow, on="id")
        .join(tags, on="id", how="left")
        .sort("id", "cluster")
        .collect()
    )
    ids = selector.choose(pool.select("id", "cluster", "score", "length", "tags"), n)
    best = (
        scores.sort("score", descending=True)
        .unique("id", keep="first")
        .select("id", "cluster", "score")
    )
    chosen = pl.DataFrame({"id": ids}, schema={"id": pl.String}).join(
        best, on="id", maintain_order="left"
    )
    return chosen.with_row_index("rank", offset=1).with_columns(pl.lit(selector.name).alias("rule"))


def _rank_selection(selection: pl.DataFrame) -> pl.DataFrame:
    """A selection with ranks from 1, best score first, rows without a score last."""
    ordered = selection.drop("rank").sort("score", "id", descending=[True, False], nulls_last=True)
    return ordered.with_row_index("rank", offset=1)
