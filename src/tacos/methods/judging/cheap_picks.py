"""Pick the rows that a costlier judge is to read, by a cheap grade of every row.

`stratified` serves a language model. The cheap grade is often wrong, so it only drops the rows of
which it is sure: with r the share of the variance of quality that it explains, and z a row's normal
score by it, quality is taken to be N(sqrt(r) z, 1 - r), and a row is dropped if its chance to lie
among the rows wanted is less than a tenth of a random row's. Of the others, a share is spread over
strata (cluster x third of length) in proportion to their size, the best of each first, so that no
kind of row is shut out; the rest are the best of all strata.

`objective` serves the slow tier of the same judge: it picks what the selection would take by the
cheap grade, only more of it (`tacos.methods.selecting.objective`).

What it does not know: for which kinds of rows the cheap grade errs most.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.methods.selecting.objective import build_objective
from tacos.methods.selecting.quotas import round_shares
from tacos.methods.selecting.row_tags import number_tags
from tacos.methods.selecting.tag_coverage import GainRows, order_rows, take_rows

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

NO_TAGS = pl.DataFrame(schema={"id": pl.String, "tags": pl.List(pl.String)})
N_BANDS = 3
"""Bands of length in each cluster."""
SURE = 0.1
"""Rows are dropped if their chance is less than this share of a random row's."""


@dataclass(frozen=True)
class CheapGrades:
    """What is known of the cheap grades, and what new tags are worth beside them.

    `reliability` is the share of the variance of quality that they explain; `tags` (id, tags) are
    those of each row, one of which is worth `tag_price` points (rule `objective`).
    """

    reliability: float = 0.0
    tag_price: float = 0.0
    tags: pl.DataFrame = field(default_factory=lambda: NO_TAGS)


def combine_target(target: float) -> float:
    """The share of correctness in the grade that picks, for a selection by `judge.target`.

    Its odds are a third of the target's: most rows are correct and few are valuable, so the best
    rows by both stand out by their value, and a shortlist is to hold the best.

    >>> combine_target(0.0), combine_target(0.5), combine_target(1.0)
    (0.0, 0.25, 1.0)
    """
    return target / (target + 3.0 * (1.0 - target))


def pick_stratified(
    samples: pl.DataFrame,
    n_wanted: int,
    n_selected: int,
    explore: float,
    reliability: float,
) -> list[str]:
    """At most `n_wanted` ids: a share `explore` spread over strata, the rest the best by grade.

    `samples` has a row per sample: `id`, `cluster`, `length`, `grade` (null: in the middle) and
    `chance`, which orders equal grades. `n_selected` is the size of the selection that follows.
    """
    if samples.is_empty():
        return []
    share = min(n_selected / samples.height, 1.0)
    deviation = _score_normally(samples["grade"])
    is_open = _flag_open_rows(deviation, share, reliability)

    # Rows of which the cheap grade is sure come last: they enter only where others run out.
    ranked = (
        samples.with_columns(
            deviation=pl.Series(deviation),
            is_open=pl.Series(is_open),
            stratum=_number_strata(samples),
        )
        .sort(
            ["is_open", "deviation", "chance"],
            descending=[True, True, False],
        )
        .with_columns(place=pl.int_range(pl.len()).over("stratum"))
    )
    n_spread = int(explore * n_wanted)
    seats = _share_seats(ranked.filter("is_open"), n_spread)
    n_seats = pl.col("stratum").replace_strict(
        seats,
        default=0,
        return_dtype=pl.Int64,
    )
    is_spread = pl.col("is_open") & (pl.col("place") < n_seats)
    # A stable sort: behind the spread rows, the others keep their order.
    picked = ranked.sort(
        is_spread,
        descending=True,
        maintain_order=True,
    )
    return picked["id"].head(n_wanted).to_list()


def pick_by_objective(
    samples: pl.DataFrame,
    n_wanted: int,
    grades: CheapGrades,
) -> list[str]:
    """At most `n_wanted` ids, those that a selection of so many rows would take by the cheap grade.

    `samples` is as for `pick_stratified`.
    """
    ordered = samples.sort("grade", "chance", descending=[True, False], nulls_last=True)
    grade = ordered["grade"].cast(pl.Float64)
    mean = float(grade.mean() or 0.0)  # type: ignore[arg-type]
    quality, tag_price = build_objective(
        grade.fill_null(mean).to_numpy(),
        grades.reliability,
        grades.tag_price,
    )
    tags = ordered.select("id").join(
        grades.tags,
        on="id",
        how="left",
        maintain_order="left",
    )
    rows = GainRows(
        np.arange(ordered.height),
        np.zeros(ordered.height, np.int64),
        quality,
        number_tags(tags["tags"]),
    )
    places = take_rows(order_rows(rows), n_wanted, None, tag_price)
    return ordered["id"].gather(places).to_list()


def _score_normally(grade: pl.Series) -> Floats:
    """Normal scores of the grades' ranks, shape (rows,); 0 for a row without a grade."""
    # Takes a while to import, which not every command needs.
    from scipy.special import ndtri

    n_graded = grade.len() - grade.null_count()
    rank = grade.rank("average").cast(pl.Float64)
    quantile = (rank - 0.5) / max(n_graded, 1)
    scores = ndtri(quantile.fill_null(0.5).to_numpy())
    return np.asarray(scores, np.float64)


def _flag_open_rows(
    deviation: Floats,
    share: float,
    reliability: float,
) -> Mask:
    """Whether each row may well be among the best `share`; all of them if the grade is useless."""
    from scipy.special import ndtr, ndtri

    if not 0 < share < 1 or not 0 < reliability < 1:
        return np.ones(len(deviation), np.bool_)
    cut = -ndtri(share)
    expected = np.sqrt(reliability) * deviation
    chance = ndtr((expected - cut) / np.sqrt(1.0 - reliability))
    return np.asarray(chance >= SURE * share)


def _number_strata(samples: pl.DataFrame) -> pl.Series:
    """The stratum of each row: its cluster and its third by length of response."""
    rank = samples["length"].rank("ordinal") - 1
    band = (rank.cast(pl.Int64) * N_BANDS) // samples.height
    return samples["cluster"].cast(pl.Int64) * N_BANDS + band


def _share_seats(
    samples: pl.DataFrame,
    n_seats: int,
) -> dict[int, int]:
    """Seats of each stratum, in proportion to its size."""
    sizes = dict(samples.group_by("stratum").len().sort("stratum").iter_rows())
    total = max(sum(sizes.values()), 1)
    exact = {stratum: n_seats * size / total for stratum, size in sizes.items()}
    return round_shares(exact, n_seats if sizes else 0)
