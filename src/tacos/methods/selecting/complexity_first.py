"""Complexity-first diverse sampling (InsTag, Algorithm 1), exact and in time linear in the number
of tag occurrences.

Rows are sorted by their number of distinct tags, descending. Until n are taken: start an empty tag
set; walk the rows that are left in order and take each whose tags add at least one new tag to the
set. Early walks so cover every tag with long rows; each further walk covers every tag that is left
once more.

A row that a walk passes by adds nothing, so after a row, taken or not, all its tags are in the
walk's set. Hence a row is taken if and only if it is the first one left with some tag of its, and a
walk takes exactly the first row left of every tag. Each tag keeps a place in its list of rows, and
every place moves on only, once per walk at least.

InsTag does not say how rows with equally many tags are ordered; here `priority` says it, else their
place in the input. Rows without a tag are never taken. It does not know quality or length: a row
with many tags tends to be a long one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

Ints = npt.NDArray[np.int64]


def take_by_walks(
    offsets: npt.ArrayLike, tags: npt.ArrayLike, n: int, priority: npt.ArrayLike | None = None
) -> tuple[Ints, Ints]:
    """The rows taken, in order, and the walk (from 0) in which each was; fewer than n where fewer
    rows have tags.

    Row i has the tag numbers `tags[offsets[i]:offsets[i + 1]]` (repeats count once). Of rows with
    equally many tags the one with the smaller `priority` comes first, then the one with the smaller
    number.

    >>> rows, walks = take_by_walks([0, 2, 3, 5, 6], [0, 1, 0, 1, 2, 2], 4)
    >>> rows.tolist(), walks.tolist()
    ([0, 2, 1, 3], [0, 0, 1, 1])
    """
    order, by_tag = _index_postings(
        np.asarray(offsets, np.int64), np.asarray(tags, np.int64), priority
    )
    taken: list[int] = []
    walks: list[int] = []
    for walk, found in enumerate(_iterate_walks(by_tag, len(order))):
        rows = found[: n - len(taken)]
        taken += rows
        walks += [walk] * len(rows)
        if len(taken) >= n:
            break
    return order[np.array(taken, np.int64)], np.array(walks, np.int64)


def _index_postings(
    offsets: Ints, tags: Ints, priority: npt.ArrayLike | None
) -> tuple[Ints, list[list[int]]]:
    """The order of rows, and for every tag the places in that order of the rows that carry it,
    ascending.
    """
    n_rows, width = len(offsets) - 1, int(tags.max(initial=-1)) + 1
    x = sparse.csr_array(
        (np.ones(len(tags), bool), tags, offsets), shape=(n_rows, width), copy=True
    )
    x.sum_duplicates()
    ties = np.zeros(n_rows) if priority is None else np.asarray(priority)
    order = np.lexsort((np.arange(n_rows), ties, -np.diff(x.indptr)))
    by_tag = x[order].tocsc()
    return order, [part.tolist() for part in np.split(by_tag.indices, by_tag.indptr[1:-1])]


def _iterate_walks(by_tag: Sequence[list[int]], n_rows: int) -> Iterator[list[int]]:
    """The places that each walk takes, ascending, until no row with a tag is left."""
    gone = bytearray(n_rows)
    left = [places[::-1] for places in by_tag if places]
    while True:
        first = set()
        for places in left:
            while places and gone[places[-1]]:
                places.pop()
            if places:
                first.add(places[-1])
        if not first:
            return
        for place in first:
            gone[place] = 1
        left = [places for places in left if places]
        yield sorted(first)


def select_complex_first(samples: pl.DataFrame, n: int, seed: int = 1) -> pl.DataFrame:
    """n rows of `samples` (id, tags), ties broken by chance, whatever their order: rank from 1, id,
    n_tags, walk.
    """
    rows = samples.select("id", pl.col("tags").fill_null([]).list.unique()).sort("id")
    names = rows["tags"].explode().drop_nulls().unique().sort()
    numbered = (
        rows.explode("tags")
        .select(pl.col("tags").cast(pl.Enum(names)).to_physical())["tags"]
        .drop_nulls()
    )
    offsets = np.concatenate([[0], np.cumsum(rows["tags"].list.len().to_numpy())])
    chance = np.random.default_rng(seed).random(rows.height)
    places, walks = take_by_walks(offsets, numbered.to_numpy(), n, chance)
    found: pl.DataFrame = rows[places.tolist()].with_columns(pl.Series("walk", walks, pl.UInt32))
    return found.with_row_index("rank", offset=1).select(
        "rank", "id", pl.col("tags").list.len().alias("n_tags"), "walk"
    )
