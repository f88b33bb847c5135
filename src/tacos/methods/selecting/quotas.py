"""Select as TACOS does: a quota of each cluster, best scores first.

`ascending-size` is the paper's rule (section 3.4 and its public code): clusters from the smallest
to the largest, the q = ceil(n / clusters) best of each; rows already taken are skipped, and the
next best one is taken. `equal`, `square-root` and `proportional` divide n by the sizes of the
clusters instead; what a small cluster cannot give goes to the others.

With `none` clusters have no quota, and rows come from anywhere.

With a `tag_price` above 0 a row's gain is the quality to expect of it plus the price of each of its
tags that no row taken has, weighed by the judge's reliability (`objective`). Rows are then taken by
gain, from any cluster with room (`tag_coverage`). Best scores alone take much the same tags again
and again: fewer than as many random rows have.

Must-keep rows are always in and count towards n (and towards the quota of the cluster where they
were judged); excluded rows never are. Equal scores are ordered by chance, drawn from `seed`, never
by their place in the input.

What it does not know: what a score means or how certain it is. A row without a score is unjudged;
it is taken only from `fill`, and listed as such.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.counts import count_words
from tacos.errors import ConfigError, InputError
from tacos.methods.selecting.gain_picks import (
    GainTask,
    Pick,
    RowId,
    Step,
    pick_by_gain,
)
from tacos.methods.selecting.row_tags import RowTags, number_tags
from tacos.records import SELECTION

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.uint32]
Quota = Literal["none", "ascending-size", "square-root", "proportional", "equal"]
POWERS = {"none": 1.0, "square-root": 0.5, "proportional": 1.0, "equal": 0.0}
"""A cluster's weight is its size to this power. `none` sets no quotas; what its clusters give is
then expected to be proportional."""


class QuotaRule(NamedTuple):
    """How rows are chosen within clusters.

    `quota` sets how many rows a cluster gives, `tag_price` what one more tag covered is worth (in
    points of expected quality), `reliability` how much of quality the scores explain (0..1), `seed`
    the order of ties. Without a price only scores count, however reliable.
    """

    quota: Quota = "none"
    tag_price: float = 0.0
    reliability: float = 1.0
    seed: int = 1


def select_by_quota(
    scores: pl.DataFrame,
    sizes: Mapping[int, int],
    n: int,
    rule: QuotaRule | None = None,
    keep: Collection[RowId] = (),
    exclude: Collection[RowId] = (),
    fill: pl.DataFrame | None = None,
    tags: Mapping[RowId, Collection[str]] | None = None,
) -> pl.DataFrame:
    """A table SELECTION of n rows.

    It has the must-keep rows, each cluster's quota by score, a remainder by score over all
    clusters, then rows of `fill` if given. Without quotas, the best rows follow the must-keep ones.

    `scores` is a table SCORES (a row per sample, or per sample and cluster; rows with null scores
    are unjudged). `sizes` is the number of members of each cluster, which sets the quotas; if a
    cluster has too few judged rows, the best rows left stand in, wherever they are. `tags` are the
    canonical tags of each id, for `tag_price`. `fill` lists unjudged rows (`id`, `cluster`, `rule`,
    in the order wanted) that may stand in when judged ones run out.

    Raises `InputError` if there are fewer than n such rows, and if a row is both must-keep and
    excluded.
    """
    check_keep_and_exclude(n, keep, exclude)
    rule = rule or QuotaRule()
    ranked = rank_judged_rows(scores, rule.seed, keeps_chance=rule.reliability == 0)
    ranked = ranked.filter(~pl.col("id").is_in(list(exclude)))
    share = compute_quotas(sizes, n, rule.quota)

    picks = pick_must_keep(ranked, keep)
    if rule.tag_price > 0:
        picks = _pick_by_gain(picks, n, ranked, share, tags or {}, rule)
    elif rule.quota == "none":
        picks = _pick_by_score(picks, ranked, n, "gain")
    else:
        picks = _pick_by_quota(picks, ranked, share, _order_by_size(sizes))
        picks = _cut_to_size(picks, n)
        picks = _pick_by_score(picks, ranked, n, "remainder")
    if fill is not None:
        picks = _pick_from_fill(picks, fill, n, exclude)
    if len(picks) < n:
        raise InputError(
            f"you asked for {count_words(n, 'row')}, but only {len(picks)} have a score; "
            "ask for fewer, judge more, or take unjudged rows too (select.fill, or --fill)"
        )
    return tabulate_picks(picks.values(), scores["id"].dtype)


def tabulate_picks(picks: Iterable[Pick], id_type: pl.DataType) -> pl.DataFrame:
    """A table SELECTION of picks in their order, with ids as the pool has them."""
    rows = [(rank, *pick) for rank, pick in enumerate(picks, start=1)]
    return pl.DataFrame(rows, schema={**SELECTION, "id": id_type}, orient="row")


def check_keep_and_exclude(
    n: int,
    keep: Collection[RowId],
    exclude: Collection[RowId],
) -> None:
    """Raise `InputError` if a row is on both lists, or more than n rows must be kept."""
    on_both = sorted(set(keep) & set(exclude))
    if on_both:
        raise InputError(
            f"{on_both[0]} is both on the must-keep list and on the exclude list"
        )
    n_keep = len(set(keep))
    if n_keep > n:
        raise InputError(
            f"the must-keep list has {count_words(n_keep, 'row')}, more than the {n} to select"
        )


def rank_judged_rows(
    scores: pl.DataFrame,
    seed: int,
    key: str = "id",
    *,
    keeps_chance: bool = False,
) -> pl.DataFrame:
    """The judged rows, best first; equal scores by chance, whatever the order of the table.

    `key` is the column that sorts samples as their ids do. With `keeps_chance`, the number that
    decides between equal scores is a column, `chance`.
    """
    judged = sort_judged_rows(scores, key)
    chance = draw_chance(judged, seed)
    if keeps_chance:
        judged = judged.with_columns(chance=chance)
    return judged.select(pl.all().gather(order_by_score(judged, chance)))


def sort_judged_rows(scores: pl.DataFrame, key: str = "id") -> pl.DataFrame:
    """The rows with a score, sorted by `key` and cluster."""
    score = pl.col("score")
    has_score = score.is_not_null() & score.is_not_nan()
    is_judged = scores.select(has_score).to_series()
    # A copy of a large table takes much memory, and most need none.
    judged = scores if is_judged.all() else scores.filter(is_judged)
    # Sorted before chance is drawn: it must not depend on the order of the table.
    return judged if _is_ascending(judged[key]) else judged.sort(key, "cluster")


def draw_chance(judged: pl.DataFrame, seed: int) -> Floats:
    """A number for each row of `sort_judged_rows`, shape (rows,)."""
    return np.random.default_rng(seed).random(judged.height)


def order_by_score(judged: pl.DataFrame, chance: Floats) -> Numbers:
    """The places of judged rows, the best first, equal ones by chance, shape (rows,)."""
    places = np.lexsort((chance, -judged["score"].to_numpy()))
    return places.astype(np.uint32)


def _is_ascending(keys: pl.Series) -> bool:
    """Whether each key is larger than the one before."""
    return bool((keys.head(-1) < keys.tail(-1)).all())


# Quotas of clusters


def compute_quotas(
    sizes: Mapping[int, int],
    n: int,
    quota: Quota,
) -> dict[int, int]:
    """How many rows each cluster may give: at most its size; together n, or all there is.

    `ascending-size` gives each ceil(n / clusters), so together up to one row per cluster more than
    n. `none` stands for what clusters give if scores are alike everywhere. Raises `ConfigError` for
    an unknown quota.

    >>> compute_quotas({0: 100, 1: 400, 2: 2}, 30, "square-root")
    {0: 10, 1: 19, 2: 1}
    """
    if quota == "ascending-size":
        n_each = math.ceil(n / max(len(sizes), 1))
        return {cluster: min(n_each, size) for cluster, size in sorted(sizes.items())}
    if quota not in POWERS:
        names = ", ".join(["ascending-size", *POWERS])
        raise ConfigError(f"unknown select.quota {quota!r}; choose from {names}")
    power = POWERS[quota]
    weights = {}
    for cluster, size in sizes.items():
        # 0 ** 0.0 is 1, but an empty cluster has no weight.
        weights[cluster] = size**power if size else 0.0
    return _split_by_weights(n, weights, sizes)


def _split_by_weights(
    n: int,
    weights: Mapping[int, float],
    limits: Mapping[int, int],
) -> dict[int, int]:
    """n split by `weights`, at most `limits` each: what is over a limit goes to the others."""
    share = dict.fromkeys(sorted(weights), 0)
    n_left = n
    is_open = [
        cluster for cluster in share if limits[cluster] > 0 and weights[cluster] > 0
    ]
    while n_left > 0 and is_open:
        total = sum(weights[cluster] for cluster in is_open)
        exact = {}
        full = []
        for cluster in is_open:
            exact[cluster] = n_left * weights[cluster] / total
            if exact[cluster] >= limits[cluster]:
                full.append(cluster)
        if not full:
            return share | round_shares(exact, n_left)
        # Clusters that give all they have drop out, and the rest share what is left.
        for cluster in full:
            share[cluster] = limits[cluster]
            n_left -= limits[cluster]
        is_open = [cluster for cluster in is_open if cluster not in full]
    return share


def round_shares(
    exact: Mapping[int, float],
    n: int,
) -> dict[int, int]:
    """Whole numbers that sum to n, each the exact share rounded down or up.

    The largest remainders are rounded up (Hamilton's method); ties: the smaller key.
    """
    whole = {key: math.floor(share) for key, share in exact.items()}

    def order(key: int) -> tuple[float, int]:
        # The remainder is negated, so that the largest comes first.
        return whole[key] - exact[key], key

    n_left = n - sum(whole.values())
    by_remainder = sorted(exact, key=order)
    for key in by_remainder[:n_left]:
        whole[key] += 1
    return whole


def _order_by_size(sizes: Mapping[int, int]) -> list[int]:
    """The clusters from the smallest to the largest."""
    return sorted(sizes, key=lambda cluster: (sizes[cluster], cluster))


# Picking rows: each step returns the picks before it, and its own after them


def pick_must_keep(
    ranked: pl.DataFrame,
    keep: Collection[RowId],
) -> dict[RowId, Pick]:
    """The must-keep rows, with their best score where they were judged."""
    is_kept = pl.col("id").is_in(list(keep))
    judged = ranked.filter(is_kept).select("id", "cluster", "score")
    best: dict[RowId, tuple[int, float]] = {}
    for id_, cluster, score in judged.iter_rows():
        # The rows are ranked: the first one of an id has its best score.
        best.setdefault(id_, (cluster, score))

    picks = {}
    for id_ in sorted(set(keep)):
        cluster, score = best.get(id_, (None, None))
        picks[id_] = Pick(id_, cluster, score, "must-keep")
    return picks


def _pick_by_quota(
    picks: dict[RowId, Pick],
    ranked: pl.DataFrame,
    share: Mapping[int, int],
    clusters: Iterable[int],
) -> dict[RowId, Pick]:
    """The best rows of each cluster, cluster by cluster, without rows taken before."""
    picked = dict(picks)
    n_kept = _count_by_cluster(picks)
    rows_by_cluster = ranked.group_by("cluster").agg("id", "score").rows()
    ranked_of = {cluster: (ids, scores) for cluster, ids, scores in rows_by_cluster}
    for cluster in clusters:
        n_left = share[cluster] - n_kept[cluster]
        ids, scores = ranked_of.get(cluster, ([], []))
        for id_, score in zip(ids, scores, strict=True):
            if n_left <= 0:
                break
            if id_ in picked:
                continue
            picked[id_] = Pick(id_, cluster, score, "quota")
            n_left -= 1
    return picked


def _count_by_cluster(picks: Mapping[RowId, Pick]) -> Counter[int | None]:
    """How many picks each cluster has."""
    return Counter(pick.cluster for pick in picks.values())


def _cut_to_size(
    picks: dict[RowId, Pick],
    n: int,
) -> dict[RowId, Pick]:
    """The picks less the lowest-scoring quota rows beyond n.

    There are more than n where ceil(n / clusters) of each add up to more. Of equal scores the last
    pick goes first.
    """
    n_over = max(len(picks) - n, 0)
    last_first = reversed(picks.values())
    of_quotas = [pick for pick in last_first if pick.rule == "quota"]
    # The sort is stable, so of equal scores the last pick stays first.
    by_score = sorted(of_quotas, key=lambda pick: pick.score or 0.0)
    kept = dict(picks)
    for pick in by_score[:n_over]:
        del kept[pick.id]
    return kept


def _pick_by_score(
    picks: dict[RowId, Pick],
    ranked: pl.DataFrame,
    n: int,
    label: str,
) -> dict[RowId, Pick]:
    """Up to n, the best of all rows that are left, in any cluster; `label` is their rule."""
    picked = dict(picks)
    rows = ranked.select("id", "cluster", "score")
    for id_, cluster, score in rows.iter_rows():
        if len(picked) >= n:
            break
        if id_ not in picked:
            picked[id_] = Pick(id_, cluster, score, label)
    return picked


def build_gain_task(
    ids: pl.Series,
    tags: RowTags,
    judged: pl.DataFrame,
    order: Numbers,
    share: Mapping[int, int],
    rule: QuotaRule,
) -> GainTask:
    """What the objective takes from: rows within the quotas, then from any cluster.

    `ids` and `tags` are those of the pool, whose row numbers `judged` has (row, cluster, score);
    `order` are the places of judged rows, the better of equal gains first.
    """
    steps = [Step("gain", None)]
    if rule.quota != "none":
        steps = [Step("quota", share), Step("remainder", None)]
    return GainTask(
        ids,
        tags,
        _leave_out_places(judged.select("row", "cluster", "score")),
        order,
        rule.reliability,
        rule.tag_price,
        steps,
    )


def _leave_out_places(judged: pl.DataFrame) -> pl.DataFrame:
    """The table without rows that are the places in it, as where each row of a pool is judged."""
    rows = judged["row"].to_numpy()
    is_whole = len(rows) > 0 and int(rows[-1]) == len(rows) - 1
    if is_whole and (rows[1:] > rows[:-1]).all():
        return judged.drop("row")
    return judged


def _pick_by_gain(
    picks: dict[RowId, Pick],
    n: int,
    ranked: pl.DataFrame,
    share: Mapping[int, int],
    tags: Mapping[RowId, Collection[str]],
    rule: QuotaRule,
) -> dict[RowId, Pick]:
    """Up to n, the rows with the largest gains, after those that are in."""
    own = pl.Series("id", list(picks), ranked["id"].dtype)
    ids = pl.concat([own, ranked["id"]])
    pool = pl.DataFrame({"id": ids.unique(maintain_order=True)}).with_row_index("row")
    own_tags = [list(tags.get(id_, ())) for id_ in pool["id"]]
    numbered = ranked.join(pool, on="id", how="left", maintain_order="left")
    # Of equal gains the earlier row is taken. Where scores say nothing, none may come first.
    order = np.arange(numbered.height, dtype=np.uint32)
    if rule.reliability == 0:
        order = numbered["chance"].arg_sort().to_numpy()
    task = build_gain_task(
        pool["id"],
        number_tags(pl.Series("tags", own_tags, pl.List(pl.String))),
        numbered,
        order,
        share,
        rule,
    )
    # The rows that are in come first in this pool, in their order.
    done = pick_by_gain(dict(enumerate(picks.values())), n, task)
    return {pick.id: pick for pick in done.picks.values()}


def _pick_from_fill(
    picks: dict[RowId, Pick],
    fill: pl.DataFrame,
    n: int,
    exclude: Collection[RowId],
) -> dict[RowId, Pick]:
    """Up to n, unjudged rows in the order of `fill`."""
    picked = dict(picks)
    for id_, cluster, rule in fill.select("id", "cluster", "rule").iter_rows():
        if len(picked) >= n:
            break
        if id_ in picked or id_ in exclude:
            continue
        picked[id_] = Pick(id_, cluster, None, rule)
    return picked
