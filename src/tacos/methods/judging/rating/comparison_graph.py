"""Pairs as a graph between numbers: the unknowns, who meets whom, who is tied together, where each
is at home.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from tacos.methods.judging.rating.normal_equations import Floats, Ints, label_components


@dataclass(frozen=True, slots=True)
class ComparisonGraph:
    """Pairs as numbers: samples `a` and `b` of each, `labels` the components of the samples."""

    n: int
    a: Ints
    b: Ints
    labels: Ints
    difference: Floats
    level: Floats
    n_verdicts: Floats
    spread: Floats


def build_comparison_graph(
    pairs: pl.DataFrame, by_cluster: bool
) -> tuple[pl.DataFrame, ComparisonGraph]:
    """The unknowns (`id`, `cluster`; the cluster is null in a global fit) and the pairs between
    them.
    """
    scoped = pairs if by_cluster else pairs.with_columns(cluster=pl.lit(None, pl.UInt32))
    ends = [scoped.select("cluster", id=pl.col(side)) for side in ("low", "high")]
    nodes = pl.concat(ends).unique().sort("cluster", "id")
    index = nodes.with_row_index("node")
    a, b = (
        end.join(index, on=["cluster", "id"], nulls_equal=True, maintain_order="left")["node"]
        .to_numpy()
        .astype(np.int64)
        for end in ends
    )
    numbers = [
        pairs[name].to_numpy().astype(np.float64)
        for name in ("difference", "level", "n_verdicts", "spread")
    ]
    return nodes, ComparisonGraph(
        nodes.height, a, b, label_components(a, b, nodes.height), *numbers
    )


def find_homes(pairs: pl.DataFrame, homes: pl.DataFrame | None) -> pl.DataFrame:
    """`id`, `cluster`: as given, or the cluster of most of a sample's pairs (ties: the lower
    number).
    """
    if homes is not None:
        return homes.select("id", "cluster").unique("id", keep="first", maintain_order=True)
    ends = pl.concat(pairs.select("cluster", id=pl.col(side)) for side in ("low", "high"))
    counts = ends.group_by("id", "cluster").len().sort(["len", "cluster"], descending=[True, False])
    return counts.unique("id", keep="first", maintain_order=True).select("id", "cluster")


def align_grades(nodes: pl.DataFrame, grades: pl.DataFrame | None) -> Floats:
    """The grade of each unknown, NaN where there is none."""
    if grades is None:
        return np.full(nodes.height, np.nan)
    found = nodes.join(
        grades.select("id", "grade").unique("id"), on="id", how="left", maintain_order="left"
    )
    return found["grade"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
