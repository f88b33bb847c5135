"""The selection of TACOS: a quota of each cluster, best scores first.

`ascending-size` is the paper's rule (its section 3.4 and public code): clusters from the smallest
to the largest, the q = ceil(n / clusters) best of each, rows already taken skipped and the next
best one taken. `equal`, `square-root` and `proportional` share n out by the sizes of the clusters
instead; what a small cluster cannot give goes to the others.

With `coverage` above 0 a row's gain is its score and, for each of its tags that no row taken has,
`coverage` standard deviations of all scores; rows are then taken by gain, from whatever cluster has
room (`covering`). Best scores alone take much the same tags again and again: fewer than as many
random rows have.

Must-keep rows are always in and count towards n (and towards the quota of the cluster where they
were judged); excluded rows never are. Equal scores are ordered by chance, drawn from `seed`, never
by their place in the input.

What it does not know: what a score means or how certain it is. A row without a score is unjudged;
it is taken only from `fill`, and listed as such.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from tacos.errors import ConfigError, InputError
from tacos.methods.selecting import tag_coverage
from tacos.records import SELECTION

Quota = Literal["ascending-size", "square-root", "proportional", "equal"]
Pick = tuple[str, int | None, float | None, str]
"""What SELECTION holds of a row: id, cluster, score, rule."""


class QuotaRule(NamedTuple):
    """How many rows a cluster gives, what one more tag covered is worth (in standard deviations),
    the seed of ties.
    """

    quota: Quota = "square-root"
    coverage: float = 0.0
    seed: int = 1


def compute_quotas(sizes: Mapping[int, int], n: int, quota: Quota) -> dict[int, int]:
    """How many rows each cluster may give: at most its size; together n, or all there is.

    `ascending-size` gives each ceil(n / clusters), so together up to one row per cluster more than
    n.

    >>> compute_quotas({0: 100, 1: 400, 2: 2}, 30, "square-root")
    {0: 10, 1: 19, 2: 1}
    """
    if quota == "ascending-size":
        each = math.ceil(n / max(len(sizes), 1))
        return {cluster: min(each, size) for cluster, size in sorted(sizes.items())}
    powers = {"square-root": 0.5, "proportional": 1.0, "equal": 0.0}
    if quota not in powers:
        raise ConfigError(
            f"unknown select.quota {quota!r}; there are ascending-size, {', '.join(powers)}"
        )
    return _split_by_weights(
        n, {c: size ** powers[quota] if size else 0.0 for c, size in sizes.items()}, sizes
    )


def _split_by_weights(
    n: int, weights: Mapping[int, float], limits: Mapping[int, int]
) -> dict[int, int]:
    """n split by `weights`, at most `limits` each: what is over a limit goes to the others."""
    share = dict.fromkeys(sorted(weights), 0)
    open_, left = [c for c in share if limits[c] > 0 and weights[c] > 0], n
    while left > 0 and open_:
        total = sum(weights[c] for c in open_)
        full = [c for c in open_ if left * weights[c] / total >= limits[c]]
        if not full:
            return share | round_shares({c: left * weights[c] / total for c in open_}, left)
        for c in full:
            share[c] = limits[c]
        left -= sum(limits[c] for c in full)
        open_ = [c for c in open_ if c not in full]
    return share


def round_shares(exact: Mapping[int, float], n: int) -> dict[int, int]:
    """Whole numbers that sum to n, each the exact share or the next whole number: the largest rests
    are rounded up.
    """
    whole = {c: math.floor(x) for c, x in exact.items()}
    rest = sorted(exact, key=lambda c: (whole[c] - exact[c], c))
    for c in rest[: n - sum(whole.values())]:
        whole[c] += 1
    return whole


def select_by_quota(
    scores: pl.DataFrame,
    sizes: Mapping[int, int],
    n: int,
    rule: QuotaRule | None = None,
    keep: Collection[str] = (),
    exclude: Collection[str] = (),
    fill: pl.DataFrame | None = None,
    tags: Mapping[str, Collection[str]] | None = None,
) -> pl.DataFrame:
    """n rows: must-keep ones, each cluster's quota by score, a remainder by score over all, then
    `fill` if given.

    `scores` is a table SCORES (a row per sample, or per sample and cluster; null scores are
    unjudged rows). `sizes` is the number of members of each cluster, which sets the quotas; what a
    cluster has too few judged rows for goes to the best rows left, wherever they are. `tags` are
    the canonical tags of each id, for `coverage`. `fill` lists unjudged rows (`id`, `cluster`, in
    the order wanted) that may stand in where judged ones run out. Raises `InputError` where fewer
    than n rows can be had, and where a row is both must-keep and excluded.
    """
    check_keep_and_exclude(n, keep, exclude)
    quota, coverage, seed = rule or QuotaRule()
    ranked = rank_judged_rows(scores, seed).filter(~pl.col("id").is_in(list(exclude)))
    picks = _pick_must_keep(ranked, keep)
    share = compute_quotas(sizes, n, quota)
    if coverage > 0:
        picks = _pick_by_gain(picks, ranked, share, n, tags or {}, coverage)
    else:
        picks = _pick_by_quota(picks, ranked, share, _order_by_size(sizes))
        picks = _pick_by_score(_cut_to_size(picks, n), ranked, n)
    if len(picks) < n and fill is not None:
        picks = _pick_from_fill(picks, fill, n, exclude)
    if len(picks) < n:
        raise InputError(
            f"{n} rows are asked for, but only {len(picks)} have a score; ask for fewer, judge more, "
            "or take unjudged rows with --fill"
        )
    rows = [(place + 1, *pick) for place, pick in enumerate(picks.values())]
    return pl.DataFrame(rows, schema=SELECTION, orient="row")


def check_keep_and_exclude(n: int, keep: Collection[str], exclude: Collection[str]) -> None:
    """Raise `InputError` where the wishes contradict each other."""
    both = sorted(set(keep) & set(exclude))
    if both:
        raise InputError(f"{both[0]} is both on the must-keep list and on the exclude list")
    if len(set(keep)) > n:
        raise InputError(
            f"the must-keep list has {len(set(keep))} rows, more than the {n} asked for"
        )


def rank_judged_rows(scores: pl.DataFrame, seed: int) -> pl.DataFrame:
    """The judged rows, best first; equal scores by chance, whatever the order of the table."""
    judged = scores.filter(pl.col("score").is_not_null() & pl.col("score").is_not_nan()).sort(
        "id", "cluster"
    )
    chance = pl.Series(
        "chance", np.random.default_rng(seed).random(judged.height), dtype=pl.Float64
    )
    return judged.with_columns(chance).sort(["score", "chance"], descending=[True, False])


def _order_by_size(sizes: Mapping[int, int]) -> list[int]:
    """The clusters from the smallest to the largest."""
    return sorted(sizes, key=lambda cluster: (sizes[cluster], cluster))


def _pick_must_keep(ranked: pl.DataFrame, keep: Iterable[str]) -> dict[str, Pick]:
    """The must-keep rows, with their best score where they were judged."""
    best = {row[0]: row for row in reversed(ranked.select("id", "cluster", "score").rows())}
    return {id_: (*best.get(id_, (id_, None, None)), "must-keep") for id_ in sorted(set(keep))}


def _pick_by_quota(
    picks: dict[str, Pick], ranked: pl.DataFrame, share: Mapping[int, int], order: Iterable[int]
) -> dict[str, Pick]:
    """`picks` and the best rows of each cluster, cluster by cluster, skipping what was taken
    before.
    """
    taken = dict(picks)
    groups = {c: rows for c, *rows in ranked.group_by("cluster").agg("id", "score").rows()}
    for cluster in order:
        room = share[cluster] - sum(pick[1] == cluster for pick in picks.values())
        ids, values = groups.get(cluster, ([], []))
        free = ((i, s) for i, s in zip(ids, values, strict=True) if i not in taken)
        for _, (id_, score) in zip(range(room), free, strict=False):
            taken[id_] = (id_, cluster, score, "quota")
    return taken


def _cut_to_size(picks: dict[str, Pick], n: int) -> dict[str, Pick]:
    """`picks` without the lowest-scoring quota rows beyond n (where ceil(n / clusters) each is more
    than n).
    """
    last_first = [pick for pick in reversed(picks.values()) if pick[3] == "quota"]
    over = sorted(last_first, key=lambda pick: pick[2] or 0.0)[: max(len(picks) - n, 0)]
    dropped = {pick[0] for pick in over}
    return {id_: pick for id_, pick in picks.items() if id_ not in dropped}


def _pick_by_score(picks: dict[str, Pick], ranked: pl.DataFrame, n: int) -> dict[str, Pick]:
    """`picks` and, up to n, the best of all rows that are left, whatever their cluster."""
    taken = dict(picks)
    if len(taken) < n:
        for id_, cluster, score in ranked.select("id", "cluster", "score").iter_rows():
            if id_ not in taken:
                taken[id_] = (id_, cluster, score, "remainder")
            if len(taken) == n:
                break
    return taken


def _pick_by_gain(
    picks: dict[str, Pick],
    ranked: pl.DataFrame,
    share: Mapping[int, int],
    n: int,
    tags: Mapping[str, Collection[str]],
    coverage: float,
) -> dict[str, Pick]:
    """`picks` and, up to n, the rows with the largest gains: first within the quotas, then from
    wherever they are.
    """
    rows = ranked.select("id", "cluster", "score").rows()
    worth = coverage * float(np.std(ranked["score"].to_numpy())) if rows else 0.0
    room = {c: limit - sum(pick[1] == c for pick in picks.values()) for c, limit in share.items()}
    taken = dict(picks)
    limits: tuple[tuple[str, Mapping[int, int] | None], ...] = (
        ("quota", room),
        ("remainder", None),
    )
    for rule, limit in limits:
        found = tag_coverage.take_covering(rows, n - len(taken), limit, tags, worth, taken)
        taken |= {rows[place][0]: (*rows[place], rule) for place in found}
    return taken


def _pick_from_fill(
    picks: dict[str, Pick], fill: pl.DataFrame, n: int, exclude: Collection[str]
) -> dict[str, Pick]:
    """`picks` and, up to n, unjudged rows in the order of `fill`."""
    free = (
        row
        for row in fill.select("id", "cluster").iter_rows()
        if row[0] not in picks and row[0] not in exclude
    )
    taken = dict(picks)
    for id_, cluster in free:
        if len(taken) == n:
            break
        taken.setdefault(id_, (id_, cluster, None, "fill"))
    return taken
