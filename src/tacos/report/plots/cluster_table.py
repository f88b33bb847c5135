"""Clusters as a table: size, what was selected, how scores are spread, best and worst rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
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
    # Names of clusters need not be different; rows in none have no number.
    group = pl.col("cluster").cast(pl.String).fill_null("-1").cast(pl.Categorical)
    labelled = pool.select("id", "score", "is_selected", "cluster_name", group=group)
    standings = measure_representation(labelled.select("group", "is_selected"))
    names = dict(labelled.unique("group").select("group", "cluster_name").iter_rows())
    score = pl.col("score").cast(pl.Float64)
    scored = labelled.select("id", "is_selected", "group", score).drop_nulls("score")
    low = _as_number(scored["score"].min())
    high = _as_number(scored["score"].max())
    means = _average_scores(scored)
    bins = _count_bins(scored, low, high)
    ends = _find_ends(scored)
    clusters = []
    for figures in standings.iter_rows(named=True):
        group_name = figures["group"]
        n_scored, mean_score, mean_selected = means.get(group_name, (0, None, None))
        best, worst = ends[group_name] if n_scored > 1 else (None, None)
        clusters.append(
            ClusterFacts(
                number=None if group_name == "-1" else int(group_name),
                name=names[group_name],
                n_pool=figures["n_pool"],
                n_selected=figures["n_selected"],
                expected=figures["expected"],
                standing=figures["standing"],
                n_scored=n_scored,
                mean_score=mean_score,
                mean_selected=mean_selected,
                bins=tuple(bins[group_name, each][0] for each in range(N_BINS)),
                selected_bins=tuple(
                    bins[group_name, each][1] for each in range(N_BINS)
                ),
                best=best,
                worst=worst,
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


Means = dict[str, tuple[int, float | None, float | None]]
Bins = Mapping[tuple[str, int], tuple[int, int]]
Ends = dict[str, tuple[ExampleRow, ExampleRow]]


def _average_scores(scored: pl.DataFrame) -> Means:
    """Group -> rated rows, their mean score, and that of the selected ones (None: none)."""
    means = scored.group_by("group").agg(
        n=pl.len(),
        mean=pl.col("score").mean(),
        mean_selected=pl.col("score").filter("is_selected").mean(),
    )
    return {
        group: (n, mean, selected) for group, n, mean, selected in means.iter_rows()
    }


def _count_bins(scored: pl.DataFrame, low: float, high: float) -> Bins:
    """Group and bin -> rated rows, and selected ones among them."""
    width = (high - low) / N_BINS or 1.0
    # The largest score belongs to the last bin, not to one of its own.
    number = ((pl.col("score") - low) / width).floor().cast(pl.Int64)
    counts = scored.group_by("group", bin=number.clip(0, N_BINS - 1)).agg(
        n=pl.len(), n_selected=pl.col("is_selected").sum()
    )
    bins: dict[tuple[str, int], tuple[int, int]] = defaultdict(lambda: (0, 0))
    for group, place, n, n_selected in counts.iter_rows():
        bins[group, place] = (n, n_selected)
    return bins


def _find_ends(scored: pl.DataFrame) -> Ends:
    """Group -> its best and its worst row; of equal scores the smaller id is the better one."""
    score = pl.col("score")
    is_best = score == score.max().over("group")
    is_worst = score == score.min().over("group")
    # Sorted in full, a large pool would stand in memory once more.
    candidates = scored.filter(is_best | is_worst)
    ranked = candidates.sort("score", "id", descending=[True, False])
    groups = ranked.partition_by("group", as_dict=True)
    return {
        str(group): (_take_example(rows, 0), _take_example(rows, -1))
        for (group,), rows in groups.items()
    }


def _take_example(ranked: pl.DataFrame, place: int) -> ExampleRow:
    """The row at a place of a ranking."""
    row = ranked.row(place, named=True)
    return ExampleRow(row["id"], row["score"], row["is_selected"])


def _as_number(value: object) -> float:
    """A figure of polars, which is null over no row: then 0."""
    return 0.0 if value is None else float(value)  # type: ignore[arg-type]
