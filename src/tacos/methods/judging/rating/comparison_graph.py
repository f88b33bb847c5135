"""Build a comparison graph: numbered samples, the pairs between them, and home clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from tacos.methods.judging.rating.normal_equations import Floats, Ints, label_components
from tacos.methods.judging.rating.presentation_orders import PAIR


@dataclass(frozen=True, slots=True)
class ComparisonGraph:
    """Pairs as numbers, shape (pairs,) each, but for `labels`.

    `a` and `b` are the samples of a pair (low and high id), `labels` the component of each of the
    `n` samples, shape (n,). The others are the columns of `summarise_pairs`, in points.
    """

    n: int
    a: Ints
    b: Ints
    labels: Ints
    difference: Floats
    level: Floats
    n_verdicts: Floats
    spread: Floats


def build_comparison_graph(
    pairs: pl.DataFrame,
    by_cluster: bool,
) -> tuple[pl.DataFrame, ComparisonGraph]:
    """The unknowns (`id`, `cluster`; null cluster in a global fit) and the pairs between them."""
    scoped = pairs
    if not by_cluster:
        scoped = pairs.with_columns(cluster=pl.lit(None, pl.UInt32))
    low_end, high_end = (scoped.select("cluster", id=pl.col(side)) for side in PAIR)
    both_ends = pl.concat([low_end, high_end])
    # Sorted, so that the numbers of the unknowns do not depend on the order of the pairs.
    nodes = both_ends.unique().sort("cluster", "id")
    n = nodes.height
    a = _number_ends(low_end, nodes)
    b = _number_ends(high_end, nodes)
    labels = label_components(a, b, n)
    graph = ComparisonGraph(
        n=n,
        a=a,
        b=b,
        labels=labels,
        difference=_read_floats(pairs, "difference"),
        level=_read_floats(pairs, "level"),
        n_verdicts=_read_floats(pairs, "n_verdicts"),
        spread=_read_floats(pairs, "spread"),
    )
    return nodes, graph


def _number_ends(
    ends: pl.DataFrame,
    nodes: pl.DataFrame,
) -> Ints:
    """The row number in `nodes` of each (cluster, id), shape (pairs,)."""
    numbered = ends.join(
        nodes.with_row_index("node"),
        on=["cluster", "id"],
        nulls_equal=True,
        maintain_order="left",
    )
    return numbered["node"].to_numpy().astype(np.int64)


def _read_floats(
    pairs: pl.DataFrame,
    column: str,
) -> Floats:
    """A column as floats, shape (pairs,)."""
    return pairs[column].to_numpy().astype(np.float64)


def find_homes(
    pairs: pl.DataFrame,
    homes: pl.DataFrame | None,
) -> pl.DataFrame:
    """`id`, `cluster`: as given, or the cluster of most of a sample's pairs (ties: the lower)."""
    if homes is not None:
        given = homes.select("id", "cluster")
        return given.unique(
            "id",
            keep="first",
            maintain_order=True,
        )
    ends = pl.concat(pairs.select("cluster", id=pl.col(side)) for side in PAIR)
    counts = ends.group_by("id", "cluster").len()
    ranked = counts.sort(["len", "cluster"], descending=[True, False])
    most_common = ranked.unique(
        "id",
        keep="first",
        maintain_order=True,
    )
    return most_common.select("id", "cluster")


def align_grades(
    nodes: pl.DataFrame,
    grades: pl.DataFrame | None,
) -> Floats:
    """The grade of each unknown, shape (n,), NaN where there is none."""
    if grades is None:
        return np.full(nodes.height, np.nan)
    joined = nodes.join(
        grades.select("id", "grade").unique("id"),
        on="id",
        how="left",
        maintain_order="left",
    )
    aligned = joined["grade"].cast(pl.Float64)
    return aligned.fill_null(float("nan")).to_numpy()
