"""The stages shortlist and select: which rows are compared, and which are taken in the end.

With quotas of sources or tags, length matching or a near-duplicate limit, `make_selection` walks
the order in which the quotas of clusters would take rows and skips those that a limit has no room
for; the next best rows come in instead. The rows that such limits need are shortlisted, too:
`factor` times the rows of each source, tag or band of lengths.
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
from tacos.methods.judging import comparisons, shortlist
from tacos.methods.judging.shortlist import Reserve
from tacos.methods.selecting import quotas, sizes, strategies
from tacos.methods.selecting.limits import build_bounds
from tacos.methods.selecting.strategies import StrategyInputs
from tacos.pipeline.steps import pool as pool_steps
from tacos.pipeline.steps.pool import NO_HOMES, NO_SCORES, AnnotatedPool, Tables
from tacos.records import Encoder, StageOutput

EXCLUDED = "on the exclude list"
NO_GRADES = pl.DataFrame(schema={"id": pl.String, "grade": pl.Float32})


def make_shortlist(
    tables: Tables, settings: Settings, tool: Any, number: int
) -> StageOutput:
    """The members of each cluster that enter comparison; the others are rejects, with the rule that
    left them out.
    """
    config = settings.shortlist
    rule = config.rule
    # Without comparisons, there is nothing to save by a shortlist.
    if settings.ingest.score or settings.judge.mode == "singleton":
        rule = "all"

    # The members of each cluster, without those on the exclude list
    samples = _read_positions(tables)
    excluded = pool_steps.resolve_ids(
        samples.lazy(), settings.select.exclude, "exclude"
    )
    is_excluded = pl.col("id").is_in(excluded)
    everyone = pool_steps.read_memberships(tables, settings)
    members = everyone.filter(~is_excluded)

    # The quota of each cluster, which the size of its shortlist depends on
    n = pool_steps.count_requested_rows(tables["samples"], settings.select.size)
    sizes_now = pool_steps.cluster_sizes(members)
    shares = quotas.compute_quotas(sizes_now, n, settings.select.quota)
    candidates = (
        members.rename({"clusters": "tag_set"})
        .join(samples, on="id")
        .join(
            _read_grades(tables, settings),
            on="id",
            how="left",
        )
    )
    kept, dropped = shortlist.shortlist_members(
        candidates,
        rule,
        shares,
        config.factor,
        config.explore,
        settings.seed,
        config.cap or None,
        _build_reserves(tables, settings, excluded, n),
    )
    # Why the others are left out
    by_rule = pl.concat_str(pl.lit("left out by rule "), "rule").alias("reason")
    by_list = pl.lit(EXCLUDED).alias("reason")
    left_out = dropped.select("id", by_rule, "cluster")
    listed = everyone.filter(is_excluded).select("id", by_list, "cluster")
    return StageOutput(
        kept,
        _reject_dropped_rows(pl.concat([left_out, listed])),
        notes={},
    )


def make_selection(
    tables: Tables, settings: Settings, tool: Any, number: int
) -> StageOutput:
    """The selection; the tool is a user's own selector, the encoder of the near-duplicate limit, or
    None.
    """
    if hasattr(tool, "choose"):
        return _select_by_user(tables, settings, tool)

    config = settings.select
    selector = QuotaSelection(tables, settings, tool)
    # Limits are walked row by row, which takes longer than quotas of clusters alone.
    take = selector.take_within_limits if config.limited else selector.take
    n_rows = sizes.resolve_row_count(config.size, selector.n_samples)
    if n_rows is None:
        selection = sizes.fit_token_budget(
            config.size.value,
            take,
            pool_steps.estimate_row_tokens(tables["samples"]),
            max(1, len(selector.keep)),
        )
        n_missing = 0
    else:
        # With `fill`, fewer rows than requested are no error.
        n_taken = min(n_rows, selector.n_available) if config.fill else n_rows
        selection = take(n_taken)
        n_missing = n_rows - selection.height
    if config.limited:
        selection = selector.relabel_rules(selection)
    notes: dict[str, Any] = {"reliability": selector.reliability._asdict()}
    if n_missing > 0:
        notes["n_missing"] = n_missing
    return StageOutput.without_rejects(_rank_selection(selection), notes)


@dataclass(frozen=True)
class QuotaSelection(AnnotatedPool):
    """The selection by quotas of clusters, for any number of rows."""

    encoder: Encoder | None

    @cached_property
    def n_samples(self) -> int:
        """Rows of the pool."""
        return pool_steps.count_rows(self.tables["samples"])

    @property
    def n_available(self) -> int:
        """Rows that can be taken where unjudged ones may fill up."""
        candidates = {*self.memberships["id"].to_list(), *self.keep}
        return len(candidates - set(self.exclude))

    @property
    def rule(self) -> quotas.QuotaRule:
        """How rows are divided among clusters, and what covering tags is worth."""
        config = self.settings.select
        return quotas.QuotaRule(
            config.quota,
            config.tag_price,
            self.reliability.weight,
            self.settings.seed,
        )

    @cached_property
    def fill(self) -> pl.DataFrame | None:
        """Unjudged rows that may fill up, where the settings let them."""
        return self.draw_fill(self.settings.seed)

    @cached_property
    def tags(self) -> dict[str, list[str]]:
        """Canonical tags of the scored and the must-keep samples, where covering tags counts."""
        if not self.settings.select.tag_price:
            return {}
        must_keep = pl.Series("id", self.keep, pl.String)
        ids = pl.concat([self.scores["id"], must_keep]).unique()
        tags = (
            self.tables["canonical_tags"]
            .scan()
            .select("id", "tags")
            .filter(pl.col("id").is_in(ids.implode()))
            .drop_nulls()
            .collect()
        )
        return dict(tags.iter_rows())

    @cached_property
    def pool(self) -> pl.DataFrame:
        """Every sample that is not excluded."""
        return self.build_table().filter(~pl.col("id").is_in(self.exclude))

    @cached_property
    def strategy_inputs(self) -> StrategyInputs:
        """What the strategy needs beside the pool."""
        config = self.settings.select
        fill_ids = (
            [] if self.fill is None else self.remove_excluded(self.fill["id"].to_list())
        )
        vectors = None
        if config.limit < 1:
            vectors = self._encode_rows(
                {*self.scores["id"].to_list(), *self.keep, *fill_ids}
            )
        return StrategyInputs(
            ids=self.pool["id"].to_list(),
            vectors=vectors,
            scores=self.scores,
            sizes=self.cluster_sizes,
            quota=config.quota,
            tag_price=config.tag_price,
            reliability=self.reliability.weight,
            fill=fill_ids,
            partial=config.fill,
        )

    def take(self, n: int) -> pl.DataFrame:
        """n rows by the quotas of the clusters alone."""
        return quotas.select_by_quota(
            self.scores,
            self.cluster_sizes,
            n,
            self.rule,
            self.keep,
            self.exclude,
            self.fill,
            self.tags,
        )

    def take_within_limits(self, n: int) -> pl.DataFrame:
        """n rows by the quotas of the clusters, as far as the limits have room."""
        return strategies.select_by_strategy(
            self.pool,
            "tacos",
            n,
            self.settings.seed,
            self.strategy_inputs,
            self.keep,
            self.exclude,
            pool_steps.build_limits(self.settings.select),
        )

    def relabel_rules(self, selection: pl.DataFrame) -> pl.DataFrame:
        """A selection within limits, with the rule of each row: rows that the quotas of the
        clusters take by themselves keep their rule.
        """
        scored = self.pool.filter(pl.col("score").is_finite())["id"].to_list()
        n_takeable = len({*scored, *self.keep})
        unlimited = quotas.select_by_quota(
            self.scores,
            self.cluster_sizes,
            min(selection.height, n_takeable),
            self.rule,
            self.keep,
            self.exclude,
            tags=self.tags,
        )
        rules = dict(unlimited.select("id", "rule").iter_rows())
        otherwise = (
            # A row that only came in because of a limit
            pl.when(pl.col("score").is_null())
            .then(pl.lit("fill"))
            .otherwise(pl.lit("remainder"))
        )
        by_quota = (
            pl.col("id")
            .replace_strict(
                rules,
                default=None,
                return_dtype=pl.String,
            )
            .fill_null(otherwise)
        )
        is_must_keep = pl.col("rule") == "must-keep"
        return selection.with_columns(
            rule=pl.when(is_must_keep).then("rule").otherwise(by_quota)
        )

    def _encode_rows(self, wanted: set[str]) -> npt.NDArray[np.float32]:
        """Unit vectors, shape (rows of the pool, dim); rows that are not wanted are all 0, which
        takes no memory until it is written to.
        """
        assert self.encoder is not None
        ids, encoded = pool_steps.encode_samples(
            self.tables["samples"], self.encoder, wanted
        )
        pool_ids = self.pool["id"].to_list()
        row_of = {row_id: row for row, row_id in enumerate(pool_ids)}
        vectors = np.zeros((len(pool_ids), self.encoder.dim), np.float32)
        in_pool = [number for number, row_id in enumerate(ids) if row_id in row_of]
        rows = [row_of[ids[number]] for number in in_pool]
        vectors[rows] = encoded[in_pool]
        return vectors


def _read_positions(tables: Tables) -> pl.DataFrame:
    """id, content_hash, length and position in the input of every sample."""
    columns = tables["samples"].scan().select("id", "content_hash", "length")
    return columns.with_row_index("position").collect()


def _read_grades(tables: Tables, settings: Settings) -> pl.DataFrame:
    """id, grade: the mean grades, if any were asked for."""
    if "grades" not in tables:
        return NO_GRADES
    grades = tables["grades"].scan().collect()
    means = comparisons.average_grades(grades, settings.judge.target)
    return means.select("id", "grade")


def _build_reserves(
    tables: Tables, settings: Settings, excluded: list[str], n: int
) -> list[Reserve]:
    """The groups of rows that exact quotas and length matching need on the shortlist."""
    limits = pool_steps.build_limits(settings.select)
    if not limits:
        return []
    everyone = pool_steps.build_pool_table(tables, NO_HOMES, NO_SCORES)
    pool = everyone.filter(~pl.col("id").is_in(excluded))
    reserves = []
    for bound in build_bounds(pool, n, limits):
        # An upper limit needs no rows: it can be left empty.
        if not bound.exact:
            continue
        groups = pl.Series("group", bound.groups, pl.Int64)
        reserve = Reserve(pool.select("id", groups), bound.room)
        reserves.append(reserve)
    return reserves


def _reject_dropped_rows(dropped: pl.DataFrame) -> pl.DataFrame:
    """Rows that are not shortlisted (id, reason, cluster), as rejects that are no failures."""
    return dropped.select(
        "id",
        pl.lit("shortlist").alias("stage"),
        "reason",
        pl.concat_str(pl.lit("cluster "), "cluster").alias("raw"),
        pl.lit(False).alias("failure"),
    )


def _select_by_user(tables: Tables, settings: Settings, selector: Any) -> StageOutput:
    """The selection of a user's own selector; `ConfigError` for settings that it would ignore."""
    config = settings.select
    if config.limited:
        raise ConfigError(
            "your own selector decides alone: "
            "remove quotas, select.match_length and select.limit from the settings"
        )
    if config.size.unit == "tokens":
        raise ConfigError(
            "your own selector cannot fill a budget of tokens: set select.n to rows or a share"
        )
    n = pool_steps.count_requested_rows(tables["samples"], config.size)
    scores = tables["scores"].scan().collect()
    selection = _run_user_selector(selector, scores, tables, n)
    return StageOutput.without_rejects(_rank_selection(selection))


def _run_user_selector(
    selector: Any, scores: pl.DataFrame, tables: Tables, n: int
) -> pl.DataFrame:
    """The rows that a user's own selector takes from the scored pool.

    The selector sees id, cluster, score, length and tags.
    """
    lengths = tables["samples"].scan().select("id", "length")
    tags = tables["canonical_tags"].scan()
    pool = (
        scores.lazy()
        .join(lengths, on="id")
        .join(tags, on="id", how="left")
        .sort("id", "cluster")
        .collect()
    )
    ids = selector.choose(
        pool.select("id", "cluster", "score", "length", "tags"),
        n,
    )
    by_score = scores.sort("score", descending=True)
    best = by_score.unique("id", keep="first").select("id", "cluster", "score")
    chosen = pl.DataFrame({"id": ids}, schema={"id": pl.String})
    ranked = chosen.join(
        best,
        on="id",
        maintain_order="left",
    ).with_row_index("rank", offset=1)
    return ranked.with_columns(pl.lit(selector.name).alias("rule"))


def _rank_selection(selection: pl.DataFrame) -> pl.DataFrame:
    """A selection with ranks from 1, best score first, rows without a score last."""
    unranked = selection.drop("rank")
    ordered = unranked.sort(
        "score",
        "id",
        descending=[True, False],
        nulls_last=True,
    )
    return ordered.with_row_index("rank", offset=1)
