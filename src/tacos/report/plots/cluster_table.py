"""Clusters as a table: size, what was selected, how scores are spread, best and worst rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from tacos.methods.measures.representation import measure_representation
from tacos.methods.measures.tag_measures import N_AT_ONCE
from tacos.report.facts import UNCLUSTERED

NO_CLUSTER = -1
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


def describe_clusters(
    pool: pl.DataFrame,
    names: Mapping[int, str],
    name_id: Callable[[Any], str] = str,
) -> ClusterTable:
    """The clusters of a pool: id, cluster (null: in none), score (null: not rated), is_selected.
    `names` are those of the clusters; `name_id` says what a row is called, where ids are numbers.
    """
    # Names of clusters need not be different; rows in none have no number.
    group = pl.col("cluster").cast(pl.Int32).fill_null(NO_CLUSTER)
    labelled = pool.select("id", "score", "is_selected", group=group)
    standings = measure_representation(labelled.select("group", "is_selected"))
    score = pl.col("score").cast(pl.Float64)
    scored = labelled.select("id", "is_selected", "group", score)
    # A copy of a large pool takes much memory, and most have all scores.
    if scored["score"].has_nulls():
        scored = scored.drop_nulls("score")
    low = _as_number(scored["score"].min())
    high = _as_number(scored["score"].max())
    means = _average_scores(scored)
    bins = _count_bins(scored, low, high)
    ends = _find_ends(scored, name_id)
    clusters = []
    for figures in standings.iter_rows(named=True):
        number = int(figures["group"])
        n_scored, mean_score, mean_selected = means.get(number, (0, None, None))
        best, worst = ends[number] if n_scored > 1 else (None, None)
        clusters.append(
            ClusterFacts(
                number=None if number == NO_CLUSTER else number,
                name=names.get(number, UNCLUSTERED),
                n_pool=figures["n_pool"],
                n_selected=figures["n_selected"],
                expected=figures["expected"],
                standing=figures["standing"],
                n_scored=n_scored,
                mean_score=mean_score,
                mean_selected=mean_selected,
                bins=tuple(bins[number, each][0] for each in range(N_BINS)),
                selected_bins=tuple(bins[number, each][1] for each in range(N_BINS)),
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


Means = dict[int, tuple[int, float | None, float | None]]
Bins = Mapping[tuple[int, int], tuple[int, int]]
Ends = dict[int, tuple[ExampleRow, ExampleRow]]


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
    bins: dict[tuple[int, int], tuple[int, int]] = defaultdict(lambda: (0, 0))
    for some in scored.iter_slices(N_AT_ONCE):
        counts = some.group_by("group", bin=number.clip(0, N_BINS - 1)).agg(
            n=pl.len(), n_selected=pl.col("is_selected").sum()
        )
        for group, place, n, n_selected in counts.iter_rows():
            before, selected_before = bins[group, place]
            bins[group, place] = (before + n, selected_before + n_selected)
    return bins


def _find_ends(scored: pl.DataFrame, name_id: Callable[[Any], str]) -> Ends:
    """Group -> its best and its worst row; of equal scores the smaller id is the better one."""
    score = pl.col("score")
    limits = scored.group_by("group").agg(high=score.max(), low=score.min())
    # Sorted or joined in full, a large pool would stand in memory once more.
    parts = [scored.clear()]
    for some in scored.iter_slices(N_AT_ONCE):
        is_end = (score == pl.col("high")) | (score == pl.col("low"))
        found = some.join(limits, on="group").filter(is_end)
        parts.append(found.select(scored.columns))
    candidates = pl.concat(parts)
    ranked = candidates.sort("score", "id", descending=[True, False])
    groups = ranked.partition_by("group", as_dict=True)
    return {
        int(group): (_take_example(rows, 0, name_id), _take_example(rows, -1, name_id))
        for (group,), rows in groups.items()
    }


def _take_example(
    ranked: pl.DataFrame, place: int, name_id: Callable[[Any], str]
) -> ExampleRow:
    """The row at a place of a ranking."""
    row = ranked.row(place, named=True)
    return ExampleRow(name_id(row["id"]), row["score"], row["is_selected"])


def _as_number(value: object) -> float:
    """A figure of polars, which is null over no row: then 0."""
    return 0.0 if value is None else float(value)  # type: ignore[arg-type]
