"""Other selections from the annotated pool of a finished run, with no further question to any
model.

All that a strategy needs is in the run: tags, clusters, scores, grades, lengths. Embeddings are
made when one asks for them, by the static encoder, batch by batch: of the samples (instruction and
response) for deita, car, k-center and the near-duplicate guard, of the tags for MIG's graph.
Vectors of a million samples take 1 GB.

Tokens are characters of instruction and response / 4. A selection is an artifact of the run,
`reselected/<key>`; the run's own selection stays what it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos import amounts
from tacos.errors import InputError
from tacos.methods.judging import comparisons
from tacos.methods.selecting import mig, sizes, strategies
from tacos.methods.selecting.limits import Limits
from tacos.methods.selecting.strategies import NONE, Strategy, StrategyInputs
from tacos.models import encoder
from tacos.pipeline.manifest import Manifest
from tacos.pipeline.steps import pool as pool_tables
from tacos.pipeline.steps.pool import AnnotatedPool, find_newest_scores
from tacos.records import SELECTION, Encoder, build_reject_frame, canonical_hash, conform_table
from tacos.store.artifacts import LAYOUT, Artifact, Store

NAME = "reselected"
VERSION = 4
WITH_VECTORS = frozenset({"deita", "car", "k-center"})
By = Literal["score", "grade"]


@dataclass(frozen=True)
class SelectionRequest:
    """What is asked for: a size ("500", "10%", "2Mtokens"), a strategy, and its settings.

    `limits` are quotas, length matching and near duplicates; those of the run itself are not taken
    over. Its must-keep and exclude lists are, and whether unjudged rows may fill up (`select.fill`,
    strategy tacos). `by="grade"` reads the cheap grades, which every row has, in place of scores,
    which only compared rows have.
    """

    n: str | float
    strategy: Strategy = "tacos"
    seed: int = 1
    limits: Limits = NONE
    by: By = "score"


@dataclass(frozen=True)
class Pool(AnnotatedPool):
    """The annotated pool of a run, with all that any strategy reads."""

    tables: Mapping[str, Artifact]
    """The artifacts of the run, under their full names."""
    by: By = "score"

    @cached_property
    def table(self) -> pl.DataFrame:
        """A row per sample, by id: id, length, source, tags, cluster, score (null: not judged),
        tokens.
        """
        tokens = pool_tables.estimate_row_tokens(self.tables["samples"])
        return self.build_table().join(tokens, on="id", how="left", maintain_order="left")

    @cached_property
    def scores(self) -> pl.DataFrame:
        """id, cluster, score: the newest scores, or the grades where these are asked for."""
        if self.by == "score":
            newest = self.tables[find_run_scores(self.tables)]
            return newest.scan().select("id", "cluster", "score").collect()
        if self.grades is None:
            raise InputError("this run has no grades; its shortlist did not ask for any")
        homes = self.ordered_memberships.unique("id", keep="first", maintain_order=True)
        return homes.join(self.grades, on="id").rename({"grade": "score"})

    @cached_property
    def grades(self) -> pl.DataFrame | None:
        """id, grade; None where the run made none."""
        grades = self.tables.get("grades")
        if grades is None:
            return None
        means = comparisons.average_grades(grades.scan().collect())
        return means.cast({"grade": pl.Float64})

    @cached_property
    def encoder(self) -> Encoder:
        """The static encoder."""
        return encoder.load("static")

    @cached_property
    def vectors(self) -> tuple[list[str], npt.NDArray[np.float32]]:
        """The samples' ids and unit vectors, shape (rows, dim), in the order of the input."""
        return pool_tables.encode_samples(self.tables["samples"], self.encoder)

    @cached_property
    def tag_names(self) -> list[str]:
        """All canonical tags of the pool, sorted."""
        return sorted(set(self.table["tags"].explode().drop_nulls()))

    @cached_property
    def spread(self) -> Any:
        """MIG's graph of tags."""
        if not self.tag_names:
            return None
        return mig.propagation_matrix(self.encoder.encode(self.tag_names))

    def build_strategy_inputs(self, wish: SelectionRequest) -> StrategyInputs:
        """What the strategy needs beside the table."""
        config = self.settings.select
        ids: list[str] = []
        vectors = None
        if wish.strategy in WITH_VECTORS or wish.limits.cosine < 1:
            ids, vectors = self.vectors
        graph = wish.strategy == "mig"
        quotas = wish.strategy == "tacos"
        return StrategyInputs(
            ids=ids,
            vectors=vectors,
            tag_names=self.tag_names if graph else (),
            spread=self.spread if graph else None,
            grades=self.grades,
            scores=self.scores if quotas else None,
            sizes=self.cluster_sizes if quotas else {},
            quota=config.quota,
            coverage=config.coverage,
            fill=self._draw_fill_ids(wish.seed) if quotas else [],
        )

    def _draw_fill_ids(self, seed: int) -> list[str]:
        """Unjudged rows that may come last, where the run's own settings let them."""
        fill = self.draw_fill(seed)
        return [] if fill is None else self.remove_excluded(fill["id"].to_list())


def find_run_scores(artifacts: Mapping[str, Artifact]) -> str:
    """The name of the newest scores; `InputError` where the run was stopped before it had any."""
    newest = find_newest_scores(artifacts)
    if newest is None:
        raise InputError(
            "this run has no scores: it stopped before its rows were rated; let it finish first"
        )
    return newest


def choose_rows(pool: Pool, wish: SelectionRequest) -> pl.DataFrame:
    """A table SELECTION. Raises `InputError` where the pool cannot give it, `ConfigError` for what
    cannot be meant.
    """
    size = amounts.parse_size(wish.n)
    inputs = pool.build_strategy_inputs(wish)

    def take(n: int) -> pl.DataFrame:
        return strategies.select_by_strategy(
            pool.table,
            wish.strategy,
            n,
            wish.seed,
            inputs,
            pool.keep,
            pool.exclude,
            wish.limits,
        )

    n = sizes.resolve_row_count(size, pool.table.height)
    if n is not None:
        return take(n)
    return sizes.fit_token_budget(
        size.value, take, pool.table.select("id", "tokens"), max(1, len(pool.keep))
    )


def _selection_key(pool: Pool, wish: SelectionRequest) -> str:
    """16 hex digits that change with anything that can change the selection."""
    config = pool.settings.select
    read = (
        "samples",
        "canonical_tags",
        "memberships",
        "clusters",
        "grades",
        find_run_scores(pool.tables),
    )
    return canonical_hash(
        [
            LAYOUT,
            NAME,
            VERSION,
            asdict(wish) | {"n": asdict(amounts.parse_size(wish.n))},
            [
                config.quota,
                config.coverage,
                config.fill,
                config.keep,
                config.exclude,
                pool.settings.cluster.membership,
            ],
            pool.encoder.fingerprint,
            {name: pool.tables[name].digest for name in read if name in pool.tables},
        ]
    )[:16]


def reselect(run: Path, pool: Pool, wish: SelectionRequest) -> tuple[Artifact, bool]:
    """The selection as an artifact of the run, and whether it was made now (else it was there)."""
    store, key = Store(run), _selection_key(pool, wish)
    found = store.find(NAME, key)
    if found is not None:
        return found, False
    made = conform_table(choose_rows(pool, wish), SELECTION)
    with store.lock():
        draft = store.begin(NAME, key, resume=False)
        draft.write(0, made, build_reject_frame())
        manifest = Manifest(
            stage="reselect",
            version=VERSION,
            round=None,
            key=key,
            settings=asdict(wish),
            notes={"rules": dict(Counter(made["rule"].to_list()))},
        )
        return draft.commit(manifest.as_dict()), True
