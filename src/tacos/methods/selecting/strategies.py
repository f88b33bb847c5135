"""Every strategy over one annotated pool, side by side, with no further question to any model.

A pool is a table with a row per sample: `id`, `cluster` (its home, may be null), `score` (null:
unjudged), `length`, `tags` (list of canonical tags). A strategy gives an order of preference;
`walking.walk` takes from it what the limits allow. `tacos` also has scores per (sample, cluster),
as its quotas need them.

| strategy         | needs            | prefers                                            |
|------------------|------------------|----------------------------------------------------|
| tacos            | score, cluster   | the best of each cluster up to its quota           |
| complexity-first | tags             | many tags, every tag covered                       |
| mig              | score, tags      | score spread over tags that have little yet        |
| deita            | score, tags, vectors | tags x score, no near duplicates               |
| car              | score, vectors   | the best of each embedding cluster, then the best  |
| k-center         | vectors          | rows far from all others taken                     |
| singleton        | grade            | the best by their own grade                        |
| longest          | length           | long responses                                     |
| random           |                  | nothing                                            |

What it does not know: what a good selection is. That is why random and longest stand beside every
other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import csr_array

from tacos.errors import ConfigError, InputError
from tacos.methods.selecting import (
    car,
    complexity_first,
    deita,
    k_center,
    longest,
    mig,
    quotas,
    random_rows,
    singleton,
)
from tacos.methods.selecting import limits as limiting
from tacos.methods.selecting.limits import GroupBound, Limits
from tacos.methods.selecting.preference_walk import GroupRoom, TokenBudget, walk_preference
from tacos.records import SELECTION

Strategy = Literal[
    "tacos", "complexity-first", "mig", "deita", "car", "k-center", "singleton", "longest", "random"
]
STRATEGIES: tuple[str, ...] = get_args(Strategy)
Ints = npt.NDArray[np.int64]
NONE = Limits()
BY_SCORE = frozenset({"tacos", "mig", "deita", "car"})


@dataclass(frozen=True)
class StrategyInputs:
    """What some strategies need beside the pool, all by the pool's `id`.

    `vectors` are unit vectors of samples, shape (rows, dim), in the order of `ids`; `spread` is
    MIG's P over the sorted tag names `tag_names` (None: no similar tags); `_row_grades` has `id`,
    `grade`; `scores` is a table SCORES and `sizes` the size of each cluster, for quotas (None: the
    pool's own); `coverage` is what a tag is worth to them. `fill` are unjudged rows that may come
    after all that the strategy `tacos` takes. With `partial` too few rows are an error only where
    they leave an exact quota or a band of lengths short.
    """

    ids: Sequence[str] = ()
    vectors: npt.NDArray[np.float32] | None = None
    tag_names: Sequence[str] = ()
    spread: Any = None
    grades: pl.DataFrame | None = None
    scores: pl.DataFrame | None = None
    sizes: Mapping[int, int] = field(default_factory=dict)
    quota: quotas.Quota = "square-root"
    fill: Sequence[str] = ()
    partial: bool = False
    coverage: float = 0.0


def select_by_strategy(
    pool: pl.DataFrame,
    strategy: Strategy,
    n: int,
    seed: int = 1,
    extras: StrategyInputs | None = None,
    keep: Collection[str] = (),
    exclude: Collection[str] = (),
    limits: Limits = NONE,
) -> pl.DataFrame:
    """A table SELECTION of n rows, in the order taken; must-keep rows first, excluded ones never.

    `limits` are quotas, length matching, near duplicates (`limiting`): quotas of sources need a
    column `source`, near duplicates need vectors. Raises `InputError` where fewer than n rows can
    be had, or where the strategy lacks what it needs. The order of the pool is irrelevant.
    """
    quotas.check_keep_and_exclude(n, keep, exclude)
    table = _settle_pool(pool, exclude)
    bounds = limiting.build_bounds(table, n, limits)
    extras = extras or StrategyInputs()
    found = _choose_rows(table, strategy, n, seed, extras, keep, bounds, limits.cosine)
    if len(found) < n:
        short = limiting.describe_shortfall(bounds, found)
        if short or not extras.partial:
            raise InputError(
                f"{n} rows are asked for, but {strategy} finds only {len(found)} that it can take"
                + (
                    f"; not filled: {short}"
                    if short
                    else f"; ask for fewer{_explain_unscored(table, strategy)}"
                )
            )
    return _build_selection(table, found, strategy, keep)


def _explain_unscored(table: pl.DataFrame, strategy: str) -> str:
    """What an error adds where rows are out of reach because they were never compared."""
    n_scored = table["score"].count()
    if strategy not in BY_SCORE or n_scored == table.height:
        return ""
    return f" ({n_scored:,} of {table.height:,} rows have a score; to select by grade, which more have: --by grade)"


def _choose_rows(
    table: pl.DataFrame,
    strategy: Strategy,
    n: int,
    seed: int,
    extras: StrategyInputs,
    keep: Collection[str],
    bounds: Sequence[GroupBound],
    cosine: float,
) -> Ints:
    """Row numbers of a settled pool: asks the strategy for more until the limits leave n, or it has
    no more.
    """
    kept = _find_rows(table, sorted(set(keep)))
    limiting.check_must_keep(bounds, kept)
    start: list[int] = kept.tolist()
    cosine = _cosine_limit(strategy, cosine)
    vectors = _align_vectors(table, extras) if cosine < 1 else None
    asked = n + (n // 4 if cosine < 1 or bounds else 0)
    while True:
        order = _rank_by_preference(
            table, strategy, min(asked, table.height), seed, extras, start, n
        )
        found = walk_preference(
            limiting.move_first_served(order, bounds),
            n,
            limiting.build_rooms(bounds),
            vectors,
            cosine,
            start,
        )
        if len(found) >= n or asked >= table.height:
            return found
        asked *= 4


def _rank_by_preference(
    table: pl.DataFrame,
    strategy: Strategy,
    n: int,
    seed: int,
    extras: StrategyInputs,
    start: Sequence[int] = (),
    wanted: int | None = None,
) -> Ints:
    """The strategy's order of preference: row numbers of a settled pool, n or more of them where
    there are as many.

    `wanted` is how many will be taken, where that is less than n.
    """
    orders: dict[str, Callable[[], Ints]] = {
        "tacos": lambda: _rank_by_quota(
            table, (n if wanted is None else wanted, n), seed, extras, start
        ),
        "complexity-first": lambda: _find_rows(
            table, complexity_first.select_complex_first(table, n, seed)["id"].to_list()
        ),
        "mig": lambda: _rank_by_information(table, n, extras, start),
        "deita": lambda: deita.rank_by_deita(_count_tags(table), _floor_scores(table), seed),
        "car": lambda: car.rank_by_car(
            _column_values(table, "score"), _align_vectors(table, extras), seed
        ),
        "k-center": lambda: k_center.rank_by_distance(
            _align_vectors(table, extras), n, seed, start
        ),
        "singleton": lambda: singleton.rank_by_grade(_row_grades(table, extras), seed),
        "longest": lambda: longest.rank_by_value(_column_values(table, "length"), seed),
        "random": lambda: random_rows.shuffle_rows(table.height, seed),
    }
    if strategy not in orders:
        raise ConfigError(f"unknown strategy {strategy!r}; there are {', '.join(STRATEGIES)}")
    return orders[strategy]()


def select_within_limits(
    pool: pl.DataFrame,
    strategy: Strategy,
    n: int,
    seed: int,
    extras: StrategyInputs,
    limits: Sequence[GroupRoom | TokenBudget],
) -> pl.DataFrame:
    """A table SELECTION of at most n rows that respects `limits` (per row of the pool sorted by
    id); may be shorter.
    """
    table = _settle_pool(pool)
    cosine = _cosine_limit(strategy, 1.0)
    vectors = _align_vectors(table, extras) if cosine < 1 else None
    found = walk_preference(
        _rank_by_preference(table, strategy, table.height, seed, extras), n, limits, vectors, cosine
    )
    return _build_selection(table, found, strategy)


def _cosine_limit(strategy: str, cosine: float) -> float:
    """The largest cosine to a row taken. That of DEITA is its own, and is kept to in the walk
    itself, so that it counts must-keep rows, and none that a quota passes by.
    """
    return min(cosine, deita.LIMIT) if strategy == "deita" else cosine


def _rank_by_quota(
    table: pl.DataFrame,
    ns: Sequence[int],
    seed: int,
    extras: StrategyInputs,
    start: Sequence[int] = (),
) -> Ints:
    """The quotas' choice for each size of `ns`, one after the other, then all other judged rows by
    score.

    The must-keep rows `start` count towards the quotas and the tags covered. Without coverage the
    rows of a choice come best first, since the walk may pass by the last ones.
    """
    scores = table.select("id", "cluster", "score") if extras.scores is None else extras.scores
    here = scores.filter(pl.col("id").is_in(table["id"].implode()), pl.col("score").is_not_null())
    sizes = extras.sizes or dict(table.drop_nulls("cluster").group_by("cluster").len().rows())
    keep, tags = (
        table["id"][list(start)].to_list(),
        dict(table.select("id", "tags").drop_nulls("tags").iter_rows()),
    )
    rule, best = (
        quotas.QuotaRule(extras.quota, extras.coverage, seed),
        quotas.rank_judged_rows(here, seed)["id"].to_list(),
    )
    n_most = len({*best, *keep})
    order: dict[str, None] = {}
    for n in dict.fromkeys(min(n, n_most) for n in ns):
        chosen = (
            quotas.select_by_quota(here, sizes, n, rule, keep, tags=tags)["id"].to_list()
            if n
            else []
        )
        order |= dict.fromkeys(chosen if extras.coverage else _sort_like(chosen, best))
    return _find_rows(table, list(order | dict.fromkeys((*best, *extras.fill))))


def _sort_like(ids: Collection[str], order: Sequence[str]) -> list[str]:
    """Those of `order` that are among `ids`, in that order; the others after them."""
    wanted = dict.fromkeys(ids)
    return list(dict.fromkeys((*(one for one in order if one in wanted), *wanted)))


def _rank_by_information(
    table: pl.DataFrame, n: int, extras: StrategyInputs, start: Sequence[int]
) -> Ints:
    """MIG's order; rows without a score add nothing, and must-keep rows count as taken."""
    names = extras.tag_names or sorted(set(table["tags"].explode().drop_nulls()))
    tags = _tag_matrix(table, names)
    score = np.nan_to_num(_column_values(table, "score"))
    rows = mig.information_matrix(tags, score, extras.spread)
    rows.eliminate_zeros()
    gathered = (
        np.asarray(rows[np.asarray(start, np.int64)].sum(axis=0)).ravel() if len(start) else None
    )
    return mig.take_informative(rows, n, gathered)


def _tag_matrix(table: pl.DataFrame, names: Sequence[str]) -> csr_array:
    """0/1, shape (rows, tags): which row carries which of the sorted tag names."""
    pairs = (
        table.with_row_index("row")
        .select("row", tag=pl.col("tags").list.unique())
        .explode("tag")
        .drop_nulls()
    )
    known = pl.DataFrame({"tag": names}, schema={"tag": pl.String}).with_row_index("column")
    found = pairs.join(known, on="tag").sort("row", "column")
    places = (found["row"].to_numpy(), found["column"].to_numpy())
    return csr_array((np.ones(found.height), places), shape=(table.height, len(names)))


def _settle_pool(pool: pl.DataFrame, exclude: Collection[str] = ()) -> pl.DataFrame:
    """The pool sorted by id, without excluded rows: row numbers mean this order."""
    return pool.filter(~pl.col("id").is_in(list(exclude))).sort("id")


def _find_rows(table: pl.DataFrame, ids: Collection[str]) -> Ints:
    """The row numbers of `ids`, in their order; `InputError` for one that is not in the pool."""
    place = {one: row for row, one in enumerate(table["id"].to_list())}
    missing = [one for one in ids if one not in place]
    if missing:
        raise InputError(f"{len(missing)} rows asked for are not in the pool, e.g. {missing[0]!r}")
    return np.array([place[one] for one in ids], np.int64)


def _column_values(table: pl.DataFrame, column: str) -> npt.NDArray[np.float64]:
    """A column as numbers, NaN where it is null."""
    return table[column].cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _floor_scores(table: pl.DataFrame) -> npt.NDArray[np.float64]:
    """Scores, those below 0 as 0, so that a product with them keeps its order."""
    return np.maximum(_column_values(table, "score"), 0.0)


def _count_tags(table: pl.DataFrame) -> npt.NDArray[np.float64]:
    """The number of distinct tags of each row."""
    return table["tags"].list.n_unique().fill_null(0).cast(pl.Float64).to_numpy()


def _row_grades(table: pl.DataFrame, extras: StrategyInputs) -> npt.NDArray[np.float64]:
    """The grade of each row, NaN where there is none."""
    if extras.grades is None:
        raise InputError(
            "the strategy singleton needs grades of single rows; judge rows one by one first"
        )
    return _column_values(
        table.join(extras.grades.select("id", "grade"), on="id", how="left", maintain_order="left"),
        "grade",
    )


def _align_vectors(table: pl.DataFrame, extras: StrategyInputs) -> npt.NDArray[np.float32]:
    """The vectors of the pool's rows, in their order."""
    if extras.vectors is None:
        raise InputError(
            "this strategy, or the near-duplicate limit, needs embeddings of the samples"
        )
    if list(extras.ids) == table["id"].to_list():
        return extras.vectors
    place = {one: row for row, one in enumerate(extras.ids)}
    try:
        return np.asarray(extras.vectors[[place[one] for one in table["id"].to_list()]], np.float32)
    except KeyError as error:
        raise InputError(f"row {error.args[0]!r} of the pool has no embedding") from None


def _build_selection(
    table: pl.DataFrame, rows: Ints, strategy: str, keep: Collection[str] = ()
) -> pl.DataFrame:
    """A table SELECTION of these rows in their order; `rule` is the strategy, or must-keep."""
    rule = (
        pl.when(pl.col("id").is_in(list(keep)))
        .then(pl.lit("must-keep"))
        .otherwise(pl.lit(strategy))
    )
    chosen: pl.DataFrame = (
        table[rows.tolist()].with_columns(rule=rule).with_row_index("rank", offset=1)
    )
    return chosen.select(pl.col(name).cast(dtype) for name, dtype in SELECTION.items())
