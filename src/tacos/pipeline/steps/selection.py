"""The stage select: which rows are taken in the end.

Rows are taken by the objective (preset `robust`) or by the quotas of clusters, and skipped where a
limit has no room for them: quotas of sources or tags, matched lengths, conversations,
near-duplicates. The next best rows come in instead. Rows that repeat a selected one are listed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.config import Settings
from tacos.errors import ConfigError, InputError
from tacos.methods.selecting import quotas, sizes, strategies
from tacos.methods.selecting.gain_picks import RowId
from tacos.methods.selecting.left_out_rows import list_none_left_out
from tacos.methods.selecting.limits import check_floor, is_below_floor
from tacos.methods.selecting.strategies import Choice
from tacos.methods.selecting.strategy_inputs import QuestionVectors, StrategyInputs
from tacos.pipeline.steps import pool as pool_steps
from tacos.pipeline.steps import repeats
from tacos.pipeline.steps.matched_rows import match_rows
from tacos.pipeline.steps.pool import AnnotatedPool, encode_ids
from tacos.pipeline.steps.row_codes import RowCodes, find_codes
from tacos.pipeline.steps.sample_tags import number_sample_tags
from tacos.records import StageOutput, Tables, build_reject_frame


def make_selection(
    tables: Tables, settings: Settings, tool: Any, number: int
) -> StageOutput:
    """The selection; the tool is a user's own selector, the encoder of the near-duplicate limit, or
    None.
    """
    if hasattr(tool, "choose"):
        return _select_by_user(tables, settings, tool)

    config = settings.select
    selector = PoolSelection(tables, settings, tool)
    if config.min_correctness:
        check_floor(selector.pool, config.min_correctness)
    n_rows = sizes.resolve_row_count(config.size, selector.n_samples)
    if n_rows is None:
        fitting = sizes.fit_token_budget(
            config.size.value,
            selector.take,
            pool_steps.estimate_row_tokens(tables["samples"]),
            max(1, len(selector.keep)),
        )
        n_taken = fitting.height
        n_missing = 0
    else:
        # With `fill`, fewer rows than requested are no error.
        n_taken = min(n_rows, selector.n_available) if config.fill else n_rows
    choice = selector.choose(n_taken)
    if n_rows is not None:
        n_missing = n_rows - choice.selection.height
    if choice.selection.is_empty():
        # Reachable only with `fill`, which makes too few rows no error.
        raise InputError(
            "no row can be selected: every row is on the exclude list (--exclude) or in no cluster"
        )
    notes: dict[str, Any] = {
        "reliability": selector.reliability._asdict(),
        "tag_price": choice.tag_price,
    }
    if n_missing > 0:
        notes["n_missing"] = n_missing
    if choice.n_given_way:
        notes["n_given_way"] = choice.n_given_way
    incorrect = reject_incorrect_rows(
        selector.pool,
        config.min_correctness,
        selector.keep_codes,
        selector.exclude_codes,
        selector.codes,
    )
    rejects = pl.concat([incorrect, reject_left_out(choice.left_out)])
    return StageOutput(_rank_selection(choice.selection), rejects, notes)


def reject_left_out(left_out: pl.DataFrame) -> pl.DataFrame:
    """Rows that repeat a selected one (id, reason, raw), as rejects that are no failures."""
    return left_out.select(
        "id",
        pl.lit("select").alias("stage"),
        "reason",
        "raw",
        pl.lit(False).alias("failure"),
    )


@dataclass(frozen=True)
class PoolSelection(AnnotatedPool):
    """The selection from an annotated pool, of any number of rows. Ids are codes in what is chosen
    from, and texts in what is chosen.
    """

    encoder: Any
    """The encoder of near-duplicates: `QuestionEncoder`, `Encoder`, or None."""
    _choices: dict[int, Choice] = field(default_factory=dict)

    @cached_property
    def codes(self) -> RowCodes:
        """How ids are written as numbers here."""
        return RowCodes.of_samples(self.tables["samples"])

    @cached_property
    def samples(self) -> pl.DataFrame:
        """A row per sample, with the columns that the limits read."""
        config = self.settings.select
        is_read = {
            "length": config.match_length,
            "source": config.per_source,
            "tags": not self.has_numbered_tags,
        }
        homes = pool_steps.iterate_homes(self.tables, self.settings)
        return pool_steps.build_sample_rows(
            self.tables,
            homes,
            codes=self.codes,
            columns=[name for name, is_needed in is_read.items() if is_needed],
        )

    @property
    def has_numbered_tags(self) -> bool:
        """Whether tags are read as numbers alone, which takes less memory.

        Quotas of tags read their names, and where rows are left out, those of the others move.
        """
        config = self.settings.select
        reads_names = bool(config.per_tag) or not config.tag_price
        return not (reads_names or config.exclude or config.min_correctness)

    @cached_property
    def keep_codes(self) -> list[int]:
        """The codes of the rows on the must-keep list."""
        return self.codes.encode_list(self.keep)

    @cached_property
    def exclude_codes(self) -> list[int]:
        """The codes of the rows on the exclude list."""
        return self.codes.encode_list(self.exclude)

    @cached_property
    def n_samples(self) -> int:
        """Rows of the pool."""
        return pool_steps.count_rows(self.tables["samples"])

    @property
    def n_available(self) -> int:
        """Rows that can be taken where unjudged ones may fill up."""
        candidates = pl.concat(
            [self.memberships["id"], pl.Series("id", self.keep_codes, pl.Int64)]
        )
        is_excluded = candidates.is_in(self.exclude_codes)
        return candidates.filter(~is_excluded).n_unique()

    @property
    def rule(self) -> quotas.QuotaRule:
        """How rows are divided among clusters, where scores alone count."""
        return quotas.QuotaRule(self.settings.select.quota, seed=self.settings.seed)

    @cached_property
    def fill(self) -> pl.DataFrame | None:
        """Unjudged rows that may come last."""
        return self.draw_fill(self.settings.seed)

    @cached_property
    def fill_rules(self) -> dict[int, str]:
        """Why each of these rows may come in."""
        if self.fill is None:
            return {}
        return dict(self.fill.select("id", "rule").iter_rows())

    @cached_property
    def pool(self) -> pl.DataFrame:
        """Every sample that is not excluded."""
        table = self.rows
        if self.exclude:
            table = table.filter(~pl.col("id").is_in(self.exclude_codes))
        if not self.settings.select.conversations:
            return table
        conversations = repeats.find_conversations(self.tables["samples"])
        if conversations.is_empty():
            return table
        coded = encode_ids(conversations, self.codes)
        return table.hstack(match_rows(table["id"], coded))

    @cached_property
    def strategy_inputs(self) -> StrategyInputs:
        """What the strategy needs beside the pool."""
        config = self.settings.select
        fill_ids: list[int] = []
        if self.fill is not None:
            excluded = set(self.exclude_codes)
            fill_ids = [code for code in self.fill["id"] if code not in excluded]
        vectors = None
        questions = None
        if config.limit == "auto":
            # Not `self`, which keeps what is built here: a circle would stay in memory.
            scores = self.scores
            texts = repeats.QuestionTexts(
                self.tables["samples"],
                self.encoder,
                partial(repeats.list_next_best, scores),
                self.codes,
            )
            questions = QuestionVectors(
                texts.hash_task,
                texts.encode,
                self.encoder.limit,
                texts.foresee,
            )
        elif config.limit < 1:
            compared = [*self.scores["id"].to_list(), *self.keep_codes, *fill_ids]
            vectors = self._encode_rows(set(compared))
        return StrategyInputs(
            ids=() if vectors is None else self.pool["id"].to_list(),
            vectors=vectors,
            scores=self.scores,
            sizes=self.cluster_sizes,
            quota=config.quota,
            tag_price=config.tag_price,
            reliability=self.reliability.weight,
            fill=fill_ids,
            partial=config.fill,
            questions=questions,
            name_id=self.codes.name_one,
            tags=(
                number_sample_tags(self.tables, self.codes).tags
                if self.has_numbered_tags
                else None
            ),
        )

    def take(self, n: int) -> pl.DataFrame:
        """n rows: a table SELECTION."""
        return self.choose(n).selection

    def choose(self, n: int) -> Choice:
        """n rows by the objective or the quotas of the clusters, as far as the limits have room."""
        if n not in self._choices:
            # With the names of rows that it may have in a message.
            quotas.check_keep_and_exclude(n, self.keep, self.exclude)
            choice = self._choose(n)
            self._choices[n] = choice._replace(
                selection=self.codes.name_rows(choice.selection),
                left_out=self.codes.name_rows(choice.left_out),
            )
        return self._choices[n]

    def _choose(self, n: int) -> Choice:
        """The same, chosen anew."""
        config = self.settings.select
        limits = pool_steps.build_limits(config)
        if not config.tag_price and not limits:
            # Quotas of clusters alone take no walk.
            selection = self._select_by_quota(n, self.fill)
            left_out = encode_ids(list_none_left_out(), self.codes)
            return Choice(selection, left_out, tag_price=0.0)
        choice = strategies.choose_by_strategy(
            self.pool,
            "tacos",
            n,
            self.settings.seed,
            self.strategy_inputs,
            self.keep_codes,
            self.exclude_codes,
            limits,
        )
        selection = choice.selection
        if not config.tag_price:
            return choice._replace(selection=self.relabel_rules(selection))
        # Unjudged rows say why they come in.
        own_rule = pl.col("id").replace_strict(
            self.fill_rules,
            default=pl.col("rule"),
            return_dtype=pl.String,
        )
        rule = pl.when(pl.col("rule") == "fill").then(own_rule).otherwise("rule")
        return choice._replace(selection=selection.with_columns(rule=rule))

    def _select_by_quota(
        self, n: int, fill: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """n rows by the quotas of the clusters alone."""
        return quotas.select_by_quota(
            self.scores,
            self.cluster_sizes,
            n,
            self.rule,
            self.keep_codes,
            self.exclude_codes,
            fill,
        )

    def relabel_rules(self, selection: pl.DataFrame) -> pl.DataFrame:
        """A selection within limits, with the rule of each row: rows that the quotas of the
        clusters take by themselves keep their rule.
        """
        is_takeable = pl.col("score").is_finite() | pl.col("id").is_in(self.keep_codes)
        n_takeable = self.pool.select(is_takeable.fill_null(False).sum()).item()
        unlimited = self._select_by_quota(min(selection.height, n_takeable))
        rules = dict(unlimited.select("id", "rule").iter_rows())
        rules = self.fill_rules | rules
        # A row that only came in because of a limit
        otherwise = pl.lit("remainder")
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

    def _encode_rows(self, wanted: set[int]) -> npt.NDArray[np.float32]:
        """Unit vectors, shape (rows of the pool, dim); rows that are not wanted are all 0, which
        takes no memory until it is written to.
        """
        assert self.encoder is not None
        names = self.codes.name(pl.Series("id", list(wanted), pl.Int64))
        ids, encoded = pool_steps.encode_samples(
            self.tables["samples"], self.encoder, names.to_list()
        )
        coded = self.codes.encode(pl.Series("id", ids, pl.String))
        rows = find_codes(self.pool["id"], coded)
        vectors = np.zeros((self.pool.height, self.encoder.dim), np.float32)
        vectors[rows[rows >= 0]] = encoded[rows >= 0]
        return vectors


def reject_incorrect_rows(
    pool: pl.DataFrame,
    floor: float,
    keep: Collection[RowId],
    exclude: Collection[RowId],
    codes: RowCodes | None = None,
) -> pl.DataFrame:
    """Rows below the floor of correctness, as rejects that are no failures; none without a floor.

    `pool` is a table of `pool_steps.build_pool_table`; rows that must be kept or are excluded are
    not among the rejects. With `codes`, all three have numbers for ids.
    """
    if not floor:
        return build_reject_frame()
    is_listed = pl.col("id").is_in([*keep, *exclude])
    incorrect = pool.filter(is_below_floor(floor) & ~is_listed)
    if codes is not None:
        incorrect = codes.name_rows(incorrect)
    reason = f"correctness below select.min_correctness={floor:g}"
    number = pl.col("correctness").round(1)
    return incorrect.select(
        "id",
        pl.lit("select").alias("stage"),
        pl.lit(reason).alias("reason"),
        pl.format("correctness {}", number).alias("raw"),
        pl.lit(False).alias("failure"),
    )


def _select_by_user(tables: Tables, settings: Settings, selector: Any) -> StageOutput:
    """The selection of a user's own selector; `ConfigError` for settings that it would ignore."""
    config = settings.select
    if config.limited:
        raise ConfigError(
            "your own selector decides alone: "
            "remove quotas, select.match_length, select.limit and select.min_correctness from the "
            "settings"
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
