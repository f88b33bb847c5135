"""Sample complexity-first (InsTag, arXiv 2308.07074, Algorithm 1), in linear time.

Rows are sorted by their number of distinct tags, descending. Until n are taken: start with an empty
set of tags, walk the rows that are left in order, and take each row that adds at least one tag to
the set. So early walks cover every tag with rows of many tags, and each further walk covers every
tag that is left once more.

A row that a walk passes by adds nothing, so after each row, taken or not, all its tags are in the
set. Hence a row is taken if and only if it is the first one left for one of its tags, and a walk
takes exactly the first row left of every tag. Each tag keeps a place in its list of rows, and every
place only moves on, at least once per walk: the time is linear in the number of tag occurrences.

InsTag does not say how rows with equally many tags are ordered; here `priority` decides, else their
place in the input. Rows without a tag are never taken.

What it does not know: quality, or length. A row with many tags tends to be a long one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

Ints = npt.NDArray[np.int64]


def select_complex_first(
    samples: pl.DataFrame,
    n: int,
    seed: int = 1,
) -> pl.DataFrame:
    """n rows of `samples` (id, tags): `rank` from 1, `id`, `n_tags`, `walk` from 0.

    Ties are broken by chance; the order of `samples` does not matter.
    """
    rows = _sort_tagged_rows(samples)
    n_tags = rows["tags"].list.len().to_numpy()
    # The tags of row i are numbers[offsets[i] : offsets[i + 1]].
    offsets = np.concatenate([[0], np.cumsum(n_tags)])
    numbers = _number_tags(rows)
    chance = np.random.default_rng(seed).random(rows.height)
    places, walks = take_by_walks(offsets, numbers, n, chance)

    taken: pl.DataFrame = rows[places.tolist()]
    taken = taken.with_columns(
        pl.col("tags").list.len().alias("n_tags"),
        pl.Series("walk", walks, pl.UInt32),
    )
    ranked = taken.with_row_index("rank", offset=1)
    return ranked.select(
        "rank",
        "id",
        "n_tags",
        "walk",
    )


def _sort_tagged_rows(samples: pl.DataFrame) -> pl.DataFrame:
    """`id` and distinct `tags` by id, so that the order of `samples` does not matter."""
    distinct_tags = pl.col("tags").fill_null([]).list.unique()
    rows = samples.select("id", distinct_tags)
    return rows.sort("id")


def _number_tags(rows: pl.DataFrame) -> Ints:
    """The number of each tag occurrence, row after row; tags are numbered in sorted order."""
    texts = rows.select(pl.col("tags").cast(pl.List(pl.String)).explode())["tags"]
    texts = texts.drop_nulls()
    names = texts.unique().sort()
    numbered = texts.cast(pl.Enum(names)).to_physical().to_frame()
    return numbered["tags"].drop_nulls().to_numpy()


def take_by_walks(
    offsets: npt.ArrayLike,
    tags: npt.ArrayLike,
    n: int,
    priority: npt.ArrayLike | None = None,
) -> tuple[Ints, Ints]:
    """The rows taken, in order, and the walk (from 0) in which each was taken.

    There are fewer than n if fewer rows have tags. Row i has the tag numbers
    `tags[offsets[i]:offsets[i + 1]]` (repeats count once). Of rows with equally many tags the one
    with the smaller `priority` comes first, then the one with the smaller number.

    >>> rows, walks = take_by_walks([0, 2, 3, 5, 6], [0, 1, 0, 1, 2, 2], 4)
    >>> rows.tolist(), walks.tolist()
    ([0, 2, 1, 3], [0, 0, 1, 1])
    """
    offset_array = np.asarray(offsets, np.int64)
    tag_array = np.asarray(tags, np.int64)
    order, places_by_tag = _index_postings(
        offset_array,
        tag_array,
        priority,
    )
    taken: list[int] = []
    walks: list[int] = []
    all_walks = _iterate_walks(places_by_tag, len(order))
    for walk, places in enumerate(all_walks):
        n_left = n - len(taken)
        fitting = places[:n_left]
        n_fitting = len(fitting)
        taken += fitting
        walks += [walk] * n_fitting
        if len(taken) >= n:
            break
    taken_places = np.array(taken, np.int64)
    rows = order[taken_places]
    walk_numbers = np.array(walks, np.int64)
    return rows, walk_numbers


def _index_postings(
    offsets: Ints,
    tags: Ints,
    priority: npt.ArrayLike | None,
) -> tuple[Ints, list[list[int]]]:
    """The order of rows, shape (rows,), and for every tag the places in it of the rows that carry
    it, ascending.
    """
    n_rows = len(offsets) - 1
    n_tags = int(tags.max(initial=-1)) + 1
    # Rows by tags, 0/1; duplicates are summed to count a repeated tag once.
    carries = sparse.csr_array(
        (np.ones(len(tags), bool), tags, offsets),
        shape=(n_rows, n_tags),
        copy=True,
    )
    carries.sum_duplicates()

    row_numbers = np.arange(n_rows)
    tie_breaks = np.zeros(n_rows)
    if priority is not None:
        tie_breaks = np.asarray(priority)
    tags_of_row = np.diff(carries.indptr)
    # lexsort takes the last key first: most tags, then priority, then row number.
    order = np.lexsort((row_numbers, tie_breaks, -tags_of_row))

    by_tag = carries[order].tocsc()
    ends = by_tag.indptr[1:-1]
    postings = np.split(by_tag.indices, ends)
    return order, [places.tolist() for places in postings]


def _iterate_walks(
    places_by_tag: Sequence[list[int]],
    n_rows: int,
) -> Iterator[list[int]]:
    """The places that each walk takes, ascending, until no row with a tag is left."""
    gone = bytearray(n_rows)
    # Reversed, so that the first place is at the end, where pop() is cheap.
    remaining = [places[::-1] for places in places_by_tag if places]
    while True:
        first_places = set()
        for places in remaining:
            while places and gone[places[-1]]:
                places.pop()
            if places:
                first_places.add(places[-1])
        if not first_places:
            return
        for place in first_places:
            gone[place] = 1
        remaining = [places for places in remaining if places]
        yield sorted(first_places)
