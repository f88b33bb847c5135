"""Clusters as a table: size, what was selected, how scores are spread, best and worst rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from tacos.methods.measures.representation import measure_representation

N_BINS = 12
BAR_WIDTH = 8
BAR_GAP = 1
BAR_HEIGHT = 24
"""Of the small histograms, in their own units."""


@dataclass(frozen=True)
class ExampleRow:
    """A row that stands for the best or the worst of its cluster."""

    id: str
    score: float
    is_selected: bool


@dataclass(frozen=True)
class ClusterFacts:
    """A cluster in figures; scores are those that the selection went by."""

    number: int | None
    """None: rows in no cluster."""
    name: str
    n_pool: int
    n_selected: int
    expected: float
    """Rows of as many drawn by chance."""
    standing: str
    """One of `tacos.methods.measures.representation.STANDINGS`."""
    n_scored: int
    mean_score: float | None
    mean_selected: float | None
    bins: tuple[int, ...]
    """Scored rows in each of `N_BINS` bins of equal width over the scores of the whole pool."""
    selected_bins: tuple[int, ...]
    best: ExampleRow | None
    worst: ExampleRow | None
    """None where fewer than two rows have a score."""


@dataclass(frozen=True)
class ClusterTable:
    """The clusters of a pool, the largest first, and the range of their histograms."""

    clusters: Sequence[ClusterFacts]
    low: float
    high: float

    def list_example_ids(self) -> list[str]:
        """The ids of all best and worst rows."""
        examples = [
            example
            for cluster in self.clusters
            for example in (cluster.best, cluster.worst)
        ]
        return [example.id for example in examples if example is not None]


def describe_clusters(pool: pl.DataFrame) -> ClusterTable:
    """The clusters of a pool: id, cluster (null: in none), cluster_name, score (null: not rated),
    is_selected.
    """
    scored = pool.drop_nulls("score").with_columns(pl.col("score").cast(pl.Float64))
    low = _as_number(scored["score"].min())
    high = _as_number(scored["score"].max())
    # Names of clusters need not be different; rows in none have no number.
    labelled = pool.with_columns(group=pl.format("{}", pl.col("cluster").fill_null(-1)))
    standings = measure_representation(labelled.select("group", "is_selected"))
    by_group = {row["group"]: row for row in standings.iter_rows(named=True)}
    names = dict(labelled.unique("group").select("group", "cluster_name").iter_rows())
    ranked = _rank_rows(scored, low, high)
    groups = {
        str(key[0]): rows
        for key, rows in ranked.partition_by("group", as_dict=True).items()
    }
    clusters = []
    for group, figures in by_group.items():
        rows = groups.get(group, ranked.clear())
        chosen = rows.filter("is_selected")
        clusters.append(
            ClusterFacts(
                number=None if group == "-1" else int(group),
                name=names[group],
                n_pool=figures["n_pool"],
                n_selected=figures["n_selected"],
                expected=figures["expected"],
                standing=figures["standing"],
                n_scored=rows.height,
                mean_score=_as_mean(rows),
                mean_selected=_as_mean(chosen),
                bins=_count_bins(rows),
                selected_bins=_count_bins(chosen),
                best=_take_example(rows, 0) if rows.height > 1 else None,
                worst=_take_example(rows, -1) if rows.height > 1 else None,
            )
        )
    return ClusterTable(clusters, low, high)


def build_bar_path(counts: Sequence[int]) -> str:
    """The bars of a small histogram as one SVG path, in a box of `N_BINS` bars and `BAR_HEIGHT`;
    "" where all counts are 0.

    >>> build_bar_path([1, 0, 2])
    'M0,24v-12h8v12zM18,24v-24h8v24z'
    """
    most = max(counts, default=0)
    bars = []
    for place, count in enumerate(counts):
        if count:
            # A single row among thousands is still seen.
            height = max(round(BAR_HEIGHT * count / most, 1), 1)
            left = place * (BAR_WIDTH + BAR_GAP)
            bars.append(f"M{left},{BAR_HEIGHT}v-{height:g}h{BAR_WIDTH}v{height:g}z")
    return "".join(bars)


def _rank_rows(scored: pl.DataFrame, low: float, high: float) -> pl.DataFrame:
    """Rated rows with their group and bin, the best first; equal scores by id."""
    width = (high - low) / N_BINS or 1.0
    # The largest score belongs to the last bin, not to one of its own.
    number = ((pl.col("score") - low) / width).floor().cast(pl.Int64)
    return scored.select(
        "id",
        "score",
        "is_selected",
        group=pl.format("{}", pl.col("cluster").fill_null(-1)),
        bin=number.clip(0, N_BINS - 1),
    ).sort("score", "id", descending=[True, False])


def _count_bins(rows: pl.DataFrame) -> tuple[int, ...]:
    """Rows in each bin."""
    counts = dict(rows["bin"].value_counts().iter_rows())
    return tuple(counts.get(number, 0) for number in range(N_BINS))


def _take_example(ranked: pl.DataFrame, place: int) -> ExampleRow:
    """The row at a place of a ranking."""
    row = ranked.row(place, named=True)
    return ExampleRow(row["id"], row["score"], row["is_selected"])


def _as_mean(rows: pl.DataFrame) -> float | None:
    """The mean score; None over no row."""
    return None if rows.is_empty() else _as_number(rows["score"].mean())


def _as_number(value: object) -> float:
    """A figure of polars, which is null over no row: then 0."""
    return 0.0 if value is None else float(value)  # type: ignore[arg-type]
