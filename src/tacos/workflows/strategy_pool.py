"""The annotated pool of a finished run as selection strategies read it, and choosing rows from it.

All that a strategy needs is in the run: tags, clusters, scores, grades, lengths. Only vectors are
made when a strategy asks for them, by the static encoder, batch by batch: of the samples
(instruction and response) for deita, car, k-center and the limit on near-duplicates, of the tags
for the graph of MIG. The vectors of a million samples take 1 GB.

Tokens are characters of instruction and response / 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from numbers import Integral, Real
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos import amounts
from tacos.config import Settings, load_settings
from tacos.errors import InputError
from tacos.methods.selecting import mig, sizes, strategies
from tacos.methods.selecting.limits import Limits
from tacos.methods.selecting.strategies import NONE, Choice, Strategy
from tacos.methods.selecting.strategy_inputs import QuestionVectors, StrategyInputs
from tacos.models import encoder, question_vectors
from tacos.models.question_vectors import QuestionEncoder
from tacos.pipeline.steps import pool as pool_steps
from tacos.pipeline.steps import repeats
from tacos.pipeline.steps.pool import AnnotatedPool, find_newest_scores
from tacos.pipeline.steps.reliability import Reliability, find_reliability
from tacos.records import SCORES, Encoder, add_missing_columns
from tacos.store.artifacts import Artifact
from tacos.workflows import arguments

WITH_VECTORS = frozenset({"deita", "car", "k-center"})
"""Strategies that read the vectors of the samples."""

By = Literal["score", "grade"]


@dataclass(frozen=True)
class SelectionRequest:
    """A size ("500", "10%", "2Mtokens"), a strategy, and its settings.

    `limits` are quotas, length matching and near-duplicates, in place of those of the run. The
    run's must-keep and exclude lists hold, and, for the strategy tacos, whether unjudged rows may
    fill up (`select.fill`). `by="grade"` ranks by the cheap grades, which every row has, instead of
    scores, which only compared rows have.
    """

    n: str | float
    strategy: Strategy = "tacos"
    seed: int = 1
    limits: Limits = NONE
    by: By = "score"
    tag_price: float | None = None
    """What a new tag is worth to the strategy tacos, in place of the run's `select.tag_price`."""

    def __post_init__(self) -> None:
        """Raise `ConfigError` for an unknown strategy or `by` and for a price below 0, `TypeError`
        for a seed or a price that is no number.
        """
        arguments.check_type("seed", self.seed, Integral, "a whole number")
        arguments.check_choice("strategy", self.strategy, strategies.STRATEGIES)
        arguments.check_choice("value of by (--by)", self.by, get_args(By))
        if self.tag_price is not None:
            arguments.check_type("tag_price", self.tag_price, Real, "a number")
            load_settings(select={"tag_price": self.tag_price})


@dataclass(frozen=True)
class Pool(AnnotatedPool):
    """The annotated pool of a run; each part is read when first needed, then kept."""

    tables: Mapping[str, Artifact]
    """The artifacts of the run, under their full names."""
    by: By = "score"

    @cached_property
    def table(self) -> pl.DataFrame:
        """A row per sample, sorted by id: id, length, source, tags, cluster, score (null: not
        judged), tokens.
        """
        tokens = pool_steps.estimate_row_tokens(self.tables["samples"])
        return self.rows.join(tokens, on="id", how="left", maintain_order="left")

    @cached_property
    def scores(self) -> pl.DataFrame:
        """id, cluster, score, correctness: the newest scores, with their errors and components, or
        the grades if `by` asks for them.
        """
        if self.by == "score":
            newest = self.tables[find_run_scores(self.tables)].scan().collect()
            return add_missing_columns(newest, SCORES)
        if self.grades is None:
            raise InputError("this run has no grades: its shortlist rule needs none")
        # Every row has one grade; it counts in the row's home cluster.
        homes = pl.concat(pool_steps.iterate_homes(self.tables, self.settings))
        in_cluster = homes.drop_nulls("cluster").sort("id")
        return in_cluster.join(self.grades, on="id").rename({"grade": "score"})

    @cached_property
    def reliability(self) -> Reliability:
        """How far the scores, or the grades, can be trusted."""
        if self.by == "score":
            return find_reliability(self.tables, self.settings, self.scores.lazy())
        # Grades are those of the judge that graded, whoever compared.
        grading = {name: self.tables[name] for name in ("grades",)}
        return find_reliability(grading, self.settings, self.scores.lazy())

    @cached_property
    def encoder(self) -> Encoder:
        """The static encoder."""
        return encoder.load("static")

    @cached_property
    def vectors(self) -> tuple[list[str], npt.NDArray[np.float32]]:
        """The samples' ids and unit vectors, shape (rows, dim), in the order of the input."""
        return pool_steps.encode_samples(self.tables["samples"], self.encoder)

    @cached_property
    def table_with_conversations(self) -> pl.DataFrame:
        """`table`, with the column `conversation`."""
        conversations = repeats.find_conversations(self.tables["samples"])
        return self.table.join(
            conversations, on="id", how="left", maintain_order="left"
        )

    @cached_property
    def question_encoder(self) -> QuestionEncoder:
        """The encoder by which rows ask nearly the same."""
        return question_vectors.load()

    @cached_property
    def questions(self) -> QuestionVectors:
        """What rows ask, as vectors."""
        # Not `self`, which keeps what is built here: a circle would stay in memory.
        table = self.table
        texts = repeats.QuestionTexts(
            self.tables["samples"],
            self.question_encoder,
            partial(repeats.list_next_best, table),
        )
        return QuestionVectors(
            texts.hash_task,
            texts.encode,
            self.question_encoder.limit,
            texts.foresee,
        )

    @cached_property
    def tag_names(self) -> list[str]:
        """All canonical tags of the pool, sorted."""
        return sorted(set(self.table["tags"].explode().drop_nulls()))

    @cached_property
    def spread(self) -> Any:
        """MIG's graph: a sparse matrix, shape (tags, tags); None if the pool has no tag."""
        if not self.tag_names:
            return None
        return mig.propagation_matrix(self.encoder.encode(self.tag_names))

    def build_strategy_inputs(self, request: SelectionRequest) -> StrategyInputs:
        """What a strategy reads beside the table."""
        config = self.settings.select
        ids: list[str] = []
        vectors = None
        # Encoding takes a while: only what reads vectors waits for it.
        if request.strategy in WITH_VECTORS or request.limits.cosine < 1:
            ids, vectors = self.vectors
        # The properties below are computed when they are read, so each strategy pays for its own.
        needs_graph = request.strategy == "mig"
        needs_quotas = request.strategy == "tacos"
        tag_price = request.tag_price
        if tag_price is None:
            tag_price = config.tag_price
        return StrategyInputs(
            ids=ids,
            vectors=vectors,
            tag_names=self.tag_names if needs_graph else (),
            spread=self.spread if needs_graph else None,
            grades=self.grades,
            scores=self.scores if needs_quotas else None,
            sizes=self.cluster_sizes if needs_quotas else {},
            quota=config.quota,
            tag_price=tag_price,
            reliability=self.reliability.weight if needs_quotas else 1.0,
            fill=self._draw_fill_ids(request.seed) if needs_quotas else [],
            questions=self.questions if request.limits.questions else None,
        )

    def _draw_fill_ids(self, seed: int) -> list[str]:
        """Unjudged rows that may come last, if the settings of the run let them."""
        fill = self.draw_fill(seed)
        return [] if fill is None else self.remove_excluded(fill["id"].to_list())


def find_run_scores(artifacts: Mapping[str, Artifact]) -> str:
    """The name of the newest scores. Raises `InputError` if the run has none yet."""
    newest = find_newest_scores(artifacts)
    if newest is None:
        raise InputError(
            "this run has no scores: it was stopped before its rows were rated; finish it first"
        )
    return newest


def choose_rows(pool: Pool, request: SelectionRequest) -> pl.DataFrame:
    """Select rows of a pool: a table by `tacos.records.SELECTION`; see `choose`."""
    return choose(pool, request).selection


def choose(pool: Pool, request: SelectionRequest) -> Choice:
    """Select rows of a pool, and say which ones limits left out.

    Rows that repeat a selected one are skipped if the request says so, by the strategy tacos, if
    the run skipped them.

    Raises:
        ConfigError: The size is not a valid one.
        InputError: The pool cannot meet the request.
    """
    size = amounts.parse_size(request.n)
    request = replace(request, limits=fit_limits(pool.settings, request))
    inputs = pool.build_strategy_inputs(request)
    table = pool.table
    if request.limits.conversations:
        table = pool.table_with_conversations

    def choose_number(n: int) -> Choice:
        return strategies.choose_by_strategy(
            table,
            request.strategy,
            n,
            request.seed,
            inputs,
            pool.keep,
            pool.exclude,
            request.limits,
        )

    n_rows = sizes.resolve_row_count(size, pool.table.height)
    if n_rows is None:
        selection = sizes.fit_token_budget(
            size.value,
            lambda n: choose_number(n).selection,
            pool.table.select("id", "tokens"),
            # Must-keep rows are selected whatever they cost.
            max(1, len(pool.keep)),
        )
        n_rows = selection.height
    choice = choose_number(n_rows)
    # Other selections name the strategy, whatever it took a row for.
    is_listed = pl.col("rule") == "must-keep"
    rule = pl.when(is_listed).then("rule").otherwise(pl.lit(request.strategy))
    return choice._replace(selection=choice.selection.with_columns(rule=rule))


def fit_limits(settings: Settings, request: SelectionRequest) -> Limits:
    """The limits of a request without those that its strategy or its run does not have."""
    config = settings.select
    is_tacos = request.strategy == "tacos"
    limits = request.limits
    return replace(
        limits,
        questions=limits.questions and is_tacos and config.limit == "auto",
        conversations=limits.conversations and is_tacos and config.conversations,
    )
