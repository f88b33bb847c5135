"""Select by any strategy from one annotated pool, without further questions to a model.

A pool is a table with a row per sample: `id`, `cluster` (its home, may be null), `score` (null:
unjudged), `length`, `tags` (list of canonical tags). A strategy gives an order of preference;
`preference_walk.walk_preference` takes from it what the limits allow. `tacos` also has scores per
(sample, cluster), which its quotas need.

| strategy         | needs                | prefers                                            |
|------------------|----------------------|----------------------------------------------------|
| tacos            | score, cluster, tags | quality to expect and new tags, within quotas      |
| complexity-first | tags                 | many tags, every tag covered                       |
| mig              | score, tags          | score spread over tags that have little yet        |
| deita            | score, tags, vectors | tags x score, no near-duplicates                   |
| car              | score, vectors       | the best of each embedding cluster, then the best  |
| k-center         | vectors              | rows far from all others taken                     |
| singleton        | grade                | the best by their own grade                        |
| longest          | length               | long responses                                     |
| random           |                      | nothing                                            |

What it does not know: what a good selection is. That is why random and longest stand beside every
other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, NoReturn, get_args

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import csr_array

from tacos.counts import count_words
from tacos.errors import ConfigError, InputError, hint_at_nearest
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
from tacos.methods.selecting.gain_picks import RowId
from tacos.methods.selecting.left_out_rows import list_left_out, list_passed_by
from tacos.methods.selecting.limits import (
    Limits,
    build_bounds,
    check_floor,
    check_must_keep,
    describe_shortfall,
    is_below_floor,
    move_first_served,
)
from tacos.methods.selecting.objective_choice import (
    choose_by_gain,
    count_by_cluster,
    list_judged_rows,
)
from tacos.methods.selecting.preference_walk import walk_preference
from tacos.methods.selecting.strategy_inputs import (
    LimitSet,
    StrategyInputs,
    align_vectors,
)
from tacos.records import SELECTION

Strategy = Literal[
    "tacos",
    "complexity-first",
    "mig",
    "deita",
    "car",
    "k-center",
    "singleton",
    "longest",
    "random",
]
STRATEGIES: tuple[str, ...] = get_args(Strategy)
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
NONE = Limits()
BY_SCORE = frozenset({"tacos", "mig", "deita", "car"})


@dataclass(frozen=True)
class RankingTask:
    """What a strategy ranks: `table` is a settled pool, and row numbers are places in it.

    The ranking has at least `n` rows if there are that many. `n_selected` of them will be taken,
    where that is known to be less. `start` are must-keep rows, which are in already.
    """

    table: pl.DataFrame
    n: int
    seed: int
    extras: StrategyInputs
    start: Sequence[int] = ()
    n_selected: int | None = None


# Selecting


class Choice(NamedTuple):
    """A selection (a table SELECTION), the rows that limits left out (id, reason, raw), the price
    that a tag had, how many rows came in although a limit speaks against them, since there were no
    others, and the rows that an order of preference was to take, but for a full quota or band
    (id, reason, raw; None where there was no such order).
    """

    selection: pl.DataFrame
    left_out: pl.DataFrame
    tag_price: float
    n_given_way: int = 0
    passed_by: pl.DataFrame | None = None


def choose_by_strategy(
    pool: pl.DataFrame,
    strategy: Strategy,
    n: int,
    seed: int = 1,
    extras: StrategyInputs | None = None,
    keep: Collection[RowId] = (),
    exclude: Collection[RowId] = (),
    limits: Limits = NONE,
) -> Choice:
    """A selection of n rows, in the order taken; must-keep rows first, excluded ones never.

    `limits` are quotas, length matching, near-duplicates, conversations and a floor of correctness
    (`Limits`): quotas of sources need a column `source`, near-duplicates need vectors,
    conversations a column `conversation`, the floor a column `correctness`. The order of the pool
    does not matter. Raises
    `InputError` if there are fewer than n rows to take, or if the strategy lacks what it needs, and
    `ConfigError` for an unknown strategy.
    """
    quotas.check_keep_and_exclude(n, keep, exclude)
    table = _settle_pool(
        pool,
        exclude,
        keep,
        limits.min_correctness,
    )
    bounds = build_bounds(table, n, limits)
    inputs = extras or StrategyInputs()
    kept = _find_rows(table, sorted(set(keep)))
    check_must_keep(bounds, kept)
    if limits.match_length and strategy in BY_SCORE and not inputs.partial:
        _check_scored_lengths(table, n, {*keep, *inputs.fill})
    limit_set = LimitSet(
        table,
        inputs,
        bounds,
        _cosine_limit(strategy, limits.cosine),
        limits.questions,
    )
    if strategy == "tacos" and inputs.tag_price > 0:
        picked = choose_by_gain(table, n, seed, inputs, keep, limit_set)
        selection = picked.selection
        choice = Choice(
            selection,
            list_left_out(
                table, picked.admission, bounds, selection["id"], inputs.name_id
            ),
            picked.tag_price,
            picked.n_given_way,
        )
    else:
        choice = _choose_in_order(
            table,
            strategy,
            n,
            seed,
            kept,
            keep,
            limit_set,
        )
    if choice.selection.height < n:
        rows = _find_rows(table, choice.selection["id"].to_list())
        shortfall = describe_shortfall(bounds, rows)
        if shortfall or not inputs.partial:
            _raise_too_few(table, strategy, n, len(rows), shortfall, limits)
    return choice


def _check_scored_lengths(
    table: pl.DataFrame, n: int, others: Collection[RowId]
) -> None:
    """Raise `InputError` if rows with a score, and `others`, cannot have the lengths of the pool.

    A shortlist that was made for the best scores may hold no row of some tenths by length.
    """
    can_be_taken = pl.col("score").is_not_null() | pl.col("id").is_in(list(others))
    takeable = table.with_row_index("row").filter(can_be_taken)["row"].to_numpy()
    (bands,) = build_bounds(table.select("length"), n, Limits(match_length=True))
    counts = np.bincount(bands.groups[takeable], minlength=max(bands.room) + 1)
    n_most = sum(min(room, int(counts[band])) for band, room in bands.room.items())
    if n_most >= n:
        return
    raise InputError(
        f"--match-length (select.match_length) can be met by {count_words(n_most, 'row')} "
        f"of the {n:,} asked for: {len(takeable):,} of {table.height:,} rows have a score, too few "
        "of them of some lengths; choose by grade (by='grade', or --by grade), or run tacos "
        "select again with --match-length, which gives rows of every length a score"
    )


def _raise_too_few(
    table: pl.DataFrame,
    strategy: str,
    n: int,
    n_rows: int,
    shortfall: str,
    limits: Limits,
) -> NoReturn:
    """Raise `InputError`: the strategy can select only so many rows."""
    problem = f"you asked for {count_words(n, 'row')}, but {strategy} can select only {n_rows}"
    if shortfall:
        problem += f"; not filled: {shortfall}"
    unscored = _explain_unscored(table, strategy)
    ways_out = [f"ask for fewer{unscored}", *_name_ways_out(limits, shortfall)]
    raise InputError(f"{problem}; {', or '.join(ways_out)}")


def _name_ways_out(limits: Limits, shortfall: str) -> list[str]:
    """What else would help where limits leave too few rows."""
    ways = []
    if limits.min_correctness:
        ways.append("lower select.min_correctness")
    if not shortfall:
        return ways
    # Only exact bounds can be left unfilled.
    if limits.match_length:
        ways.append("leave out --match-length (select.match_length)")
    parts = [*limits.per_source.values(), *limits.per_tag.values()]
    if any(not part.at_most for part in parts):
        ways.append("make the quotas upper limits, as in 'NAME<=30%'")
    return ways


def _explain_unscored(
    table: pl.DataFrame,
    strategy: str,
) -> str:
    """What an error adds if rows cannot be taken because they were never compared."""
    n_rows = table.height
    n_scored = table["score"].count()
    if strategy not in BY_SCORE or n_scored == n_rows:
        return ""
    return (
        f" (only {n_scored:,} of {n_rows:,} rows have a score; more have a grade: "
        "try by='grade', or --by grade)"
    )


def _choose_in_order(
    table: pl.DataFrame,
    strategy: Strategy,
    n: int,
    seed: int,
    kept: Ints,
    keep: Collection[RowId],
    limits: LimitSet,
) -> Choice:
    """At most n rows of a settled pool: the first ones of an order of preference that limits allow.

    Must-keep rows come first.
    """
    start: list[int] = kept.tolist()
    # Limits pass rows by, so the strategy is asked for more: a quarter more at first, then four
    # times as many, until n rows are left or the pool is exhausted.
    n_ranked = n + n // 4 if limits else n
    while True:
        n_wanted = min(n_ranked, table.height)
        task = RankingTask(
            table,
            n_wanted,
            seed,
            limits.extras,
            start,
            n_selected=n,
        )
        ranked = _rank_by_preference(strategy, task)
        order = move_first_served(ranked, limits.bounds)
        admission = limits.build_admission()
        rows = walk_preference(order, n, admission, start)
        if len(rows) >= n or n_ranked >= table.height:
            break
        n_ranked *= 4
    n_within = len(rows)
    spare = limits.build_spare()
    if n_within < n and spare is not None:
        rows = walk_preference(order, n, spare, rows.tolist())
    selection = _build_selection(table, rows, strategy, keep)
    left_out = list_left_out(
        table, admission, limits.bounds, selection["id"], limits.extras.name_id
    )
    passed_by = list_passed_by(table, admission, limits.bounds, selection["id"])
    price = limits.extras.tag_price
    return Choice(
        selection,
        left_out,
        price,
        len(rows) - n_within,
        passed_by,
    )


def _cosine_limit(
    strategy: str,
    cosine: float,
) -> float:
    """The largest cosine similarity to a row taken.

    DEITA has a limit of its own. The walk enforces it, not the ranking, so that must-keep rows
    count and rows passed by for a quota do not.
    """
    if strategy == "deita":
        return min(cosine, deita.LIMIT)
    return cosine


def _settle_pool(
    pool: pl.DataFrame,
    exclude: Collection[RowId],
    keep: Collection[RowId],
    min_correctness: float,
) -> pl.DataFrame:
    """The pool sorted by id, without excluded rows: row numbers mean this order.

    Rows below the floor of correctness are left out as well, unless they must be kept.
    """
    settled = pool
    if exclude:
        settled = pool.filter(~pl.col("id").is_in(list(exclude)))
    # A copy of a large pool takes much memory, and most are sorted.
    if not settled["id"].is_sorted():
        settled = settled.sort("id")
    if not min_correctness:
        return settled
    check_floor(settled, min_correctness)
    is_kept = pl.col("id").is_in(list(keep))
    return settled.filter(is_kept | ~is_below_floor(min_correctness))


def _build_selection(
    table: pl.DataFrame,
    rows: Ints,
    strategy: str,
    keep: Collection[RowId],
) -> pl.DataFrame:
    """A table SELECTION of these rows in their order; `rule` is the strategy, or must-keep."""
    is_kept = pl.col("id").is_in(list(keep))
    must_keep = pl.when(is_kept).then(pl.lit("must-keep"))
    rule = must_keep.otherwise(pl.lit(strategy))
    selected: pl.DataFrame = table[rows.tolist()]
    selected = selected.with_columns(rule=rule)
    selected = selected.with_row_index("rank", offset=1)
    schema = {**SELECTION, "id": table["id"].dtype}
    return selected.select(pl.col(name).cast(dtype) for name, dtype in schema.items())


# Orders of preference: row numbers of a settled pool, the best first


def _rank_by_preference(
    strategy: str,
    task: RankingTask,
) -> Ints:
    """The strategy's order of preference. Raises `ConfigError` for an unknown strategy."""
    rank = RANKINGS.get(strategy)
    if rank is None:
        raise ConfigError(
            f"unknown strategy {strategy!r}; choose from {', '.join(STRATEGIES)}"
            f"{hint_at_nearest(strategy, STRATEGIES)}"
        )
    return rank(task)


def _rank_by_quota(task: RankingTask) -> Ints:
    """The choice of the quotas by score alone, then all other judged rows by score, then unjudged
    ones.

    The quotas are asked for `n_selected` rows first and for `n` then, as selections of different
    sizes are not nested. Must-keep rows count towards the quotas. Within a choice the best rows
    come first, since the walk may leave the last ones.
    """
    table = task.table
    extras = task.extras
    judged = list_judged_rows(table, extras)
    sizes = extras.sizes or count_by_cluster(table)
    keep = table["id"][list(task.start)].to_list()
    rule = quotas.QuotaRule(extras.quota, seed=task.seed)
    ranked_rows = quotas.rank_judged_rows(judged, task.seed)
    best_first = ranked_rows["id"].to_list()

    # Quotas cannot give more rows than there are judged and must-keep ones.
    n_most = len({*best_first, *keep})
    n_selected = task.n if task.n_selected is None else task.n_selected
    n_first = min(n_selected, n_most)
    n_then = min(task.n, n_most)
    ranking: dict[str, None] = {}
    for n in dict.fromkeys([n_first, n_then]):
        if n == 0:
            continue
        selection = quotas.select_by_quota(
            judged,
            sizes,
            n,
            rule,
            keep,
        )
        ids = _sort_like(selection["id"].to_list(), best_first)
        ranking |= dict.fromkeys(ids)
    ranking |= dict.fromkeys((*best_first, *extras.fill))
    return _find_rows(table, list(ranking))


def _sort_like(
    ids: Collection[RowId],
    order: Sequence[str],
) -> list[str]:
    """Those of `order` that are among `ids`, in that order; the others after them."""
    wanted = dict.fromkeys(ids)
    ordered = [id_ for id_ in order if id_ in wanted]
    return list(dict.fromkeys((*ordered, *wanted)))


def _rank_complex_first(task: RankingTask) -> Ints:
    selection = complexity_first.select_complex_first(task.table, task.n, task.seed)
    return _find_rows(task.table, selection["id"].to_list())


def _rank_by_information(task: RankingTask) -> Ints:
    """MIG's order; rows without a score add nothing, and must-keep rows count as taken."""
    table = task.table
    extras = task.extras
    names = extras.tag_names
    if not names:
        occurrences = table["tags"].explode().drop_nulls()
        names = sorted(set(occurrences))
    tags = _tag_matrix(table, names)
    # A missing score counts as 0.
    score = np.nan_to_num(_column_values(table, "score"))
    rows = mig.information_matrix(tags, score, extras.spread)
    # A score of 0 leaves explicit zeros, and MIG takes a row with entries for one with information.
    rows.eliminate_zeros()

    gathered = None
    if len(task.start):
        start = np.asarray(task.start, np.int64)
        # What must-keep rows have gathered already, shape (tags,).
        sums = rows[start].sum(axis=0)
        gathered = np.asarray(sums).ravel()
    return mig.take_informative(rows, task.n, gathered)


def _rank_by_deita(task: RankingTask) -> Ints:
    n_tags = _count_row_tags(task.table)
    # Scores below 0 count as 0, so that a product with them keeps its order.
    scores = np.maximum(_column_values(task.table, "score"), 0.0)
    return deita.rank_by_deita(n_tags, scores, task.seed)


def _rank_by_car(task: RankingTask) -> Ints:
    scores = _column_values(task.table, "score")
    vectors = align_vectors(task.table, task.extras)
    return car.rank_by_car(scores, vectors, task.seed)


def _rank_by_distance(task: RankingTask) -> Ints:
    vectors = align_vectors(task.table, task.extras)
    return k_center.rank_by_distance(vectors, task.n, task.seed, task.start)


def _rank_by_grade(task: RankingTask) -> Ints:
    grades = _row_grades(task.table, task.extras)
    return singleton.rank_by_grade(grades, task.seed)


def _rank_by_length(task: RankingTask) -> Ints:
    lengths = _column_values(task.table, "length")
    return longest.rank_by_value(lengths, task.seed)


def _rank_by_chance(task: RankingTask) -> Ints:
    return random_rows.shuffle_rows(task.table.height, task.seed)


RANKINGS: Mapping[str, Callable[[RankingTask], Ints]] = {
    "tacos": _rank_by_quota,
    "complexity-first": _rank_complex_first,
    "mig": _rank_by_information,
    "deita": _rank_by_deita,
    "car": _rank_by_car,
    "k-center": _rank_by_distance,
    "singleton": _rank_by_grade,
    "longest": _rank_by_length,
    "random": _rank_by_chance,
}


# The pool as arrays


def _find_rows(
    table: pl.DataFrame,
    ids: Collection[RowId],
) -> Ints:
    """The row numbers of `ids`, in their order; `InputError` for one that is not in the pool."""
    wanted = pl.DataFrame({"id": list(ids)}, schema={"id": table["id"].dtype})
    is_wanted = pl.col("id").is_in(wanted["id"].implode())
    numbered = table.lazy().select("id").with_row_index("row").filter(is_wanted)
    found = wanted.join(numbered.collect(), on="id", how="left", maintain_order="left")
    missing = found.filter(pl.col("row").is_null())
    if missing.height:
        raise InputError(
            f"{missing.height} of the given ids are not in the pool, "
            f"e.g. {missing['id'][0]!r}"
        )
    return found["row"].cast(pl.Int64).to_numpy()


def _column_values(
    table: pl.DataFrame,
    column: str,
) -> Floats:
    """A column as numbers, shape (rows,), NaN where it is null."""
    values = table[column].cast(pl.Float64)
    return values.fill_null(float("nan")).to_numpy()


def _count_row_tags(table: pl.DataFrame) -> Floats:
    """The number of distinct tags of each row, shape (rows,)."""
    n_tags = table["tags"].list.n_unique()
    return n_tags.fill_null(0).cast(pl.Float64).to_numpy()


def _tag_matrix(
    table: pl.DataFrame,
    names: Sequence[str],
) -> csr_array:
    """0/1, sparse, shape (rows, tags): which row carries which of the sorted tag names."""
    distinct_tags = pl.col("tags").cast(pl.List(pl.String)).list.unique()
    numbered = table.with_row_index("row").select("row", tag=distinct_tags)
    occurrences = numbered.explode("tag").drop_nulls()
    columns = pl.DataFrame({"tag": names}, schema={"tag": pl.String})
    columns = columns.with_row_index("column")
    # A tag that has no name in `names` has no column, and is left out.
    placed = occurrences.join(columns, on="tag")
    placed = placed.sort("row", "column")

    ones = np.ones(placed.height)
    row = placed["row"].to_numpy()
    column = placed["column"].to_numpy()
    shape = (table.height, len(names))
    return csr_array((ones, (row, column)), shape=shape)


def _row_grades(
    table: pl.DataFrame,
    extras: StrategyInputs,
) -> Floats:
    """The grade of each row, shape (rows,), NaN where there is none."""
    if extras.grades is None:
        raise InputError(
            "the strategy singleton needs grades of single rows; judge rows one by one first"
        )
    grades = extras.grades.select("id", "grade")
    with_grade = table.join(
        grades,
        on="id",
        how="left",
        maintain_order="left",
    )
    return _column_values(with_grade, "grade")
