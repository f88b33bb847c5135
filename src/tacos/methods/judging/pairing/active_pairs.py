"""Active plans: ask every pair in one order first, then ask only where an answer can still change
who is in the top k.

A cluster's quota sets its top k; the threshold lies midway between the scores of places k and k +
1. One more verdict takes a sample's error variance from v to 1 / (1/v + 1/r), r being the variance
of one verdict, so its score will move by a Gaussian step of variance v - 1 / (1/v + 1/r). The gain
of asking is the expected gain of moving over the threshold

    step * (z Phi(z) + phi(z)),    z = -|score - threshold| / step

(the knowledge gradient of Frazier, Powell & Dayanik 2008, for a threshold). Requests go one by one
to where the gain is largest, the variances being reduced as if the answer were there already.

The rule by which a second order is skipped: a pair's second order (like any further question) is
asked only while the gain of one of its samples is more than 0; it is taken as 0 where the threshold
is more than 3 steps away, so that no answer could be expected to change the outcome.

A plan's `orders` are "both", or the one order ("ab", "ba") that is to be asked. A second order
keeps the number of its pair.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import ndtr

from tacos.methods.judging.pairing.pair_plans import (
    Link,
    index_members,
    next_pair_number,
    shuffle_by_seed,
)
from tacos.records import PAIRS

ORDERS = {"both": ("ab", "ba"), "ab": ("ab",), "ba": ("ba",)}
Places = tuple[int, int]
Stored = dict[tuple[str, str], tuple[int, set[str]]]
Belief = tuple[float, float, int]
Row = tuple[int, int, str, str, bool, str]
Floats = npt.NDArray[np.float64]
N_STEPS = 3.0
"""Standard deviations beyond which a verdict is taken to be unable to change the outcome."""


@dataclass(slots=True)
class ClusterState:
    """One cluster as it stands: `score`, `variance` of shape (n,), `noise` of one verdict,
    `threshold`, in points.
    """

    ids: list[str]
    score: Floats
    variance: Floats
    noise: float
    threshold: float

    def gain(self) -> Floats:
        """The expected gain of one more verdict of each sample, shape (n,)."""
        step = np.sqrt(np.maximum(self.variance**2 / (self.variance + self.noise), 1e-18))
        z = -np.abs(self.score - self.threshold) / step
        value = step * (z * ndtr(z) + np.exp(-z * z / 2) / np.sqrt(2 * np.pi))
        return np.where(z < -N_STEPS, 0.0, value)

    def count(self, place: int) -> None:
        """Take one more verdict of a sample as given."""
        self.variance[place] = 1 / (1 / self.variance[place] + 1 / self.noise)


def plan_first_round(
    shortlist: pl.DataFrame, seed: int, linked: bool = True, pilot: int = 10, first: int = 0
) -> pl.DataFrame:
    """The first round: every sample once or twice in one order, every `pilot`-th pair in both.

    `linked` makes a chain of each cluster (n - 1 pairs: the graph is connected, each sample is seen
    on either place); otherwise samples are paired once (n / 2 pairs; in an odd cluster the last one
    meets the first). The pilot pairs tell the judge's position bias and noise. Returns a table
    PAIRS.
    """
    links: list[Link] = []
    for cluster, ids in index_members(shortlist).items():
        order = shuffle_by_seed(ids, seed, cluster)
        seats = order if linked or len(order) % 2 == 0 else [*order, order[0]]
        step = 1 if linked else 2
        links += [
            (cluster, a, b) for a, b in zip(seats[:-1:step], seats[1::step], strict=True) if a != b
        ]
    rows = [
        (first + i, cluster, left, right, False, "both" if i % pilot == 0 else "ab")
        for i, (cluster, left, right) in enumerate(links)
    ]
    return pl.DataFrame(rows, schema=PAIRS, orient="row")


def plan_active_round(
    shortlist: pl.DataFrame,
    scores: pl.DataFrame,
    asked: pl.DataFrame,
    quotas: Mapping[int, int],
    n_requests: Mapping[int, int],
    seed: int,
    both: bool = True,
) -> pl.DataFrame:
    """A round of at most `n_requests` requests in each cluster (one order of a pair is one
    request).

    `scores` is a table SCORES of the rounds before, with errors; where an error is null, nothing is
    uncertain and nothing is asked. `asked` holds all earlier plans (PAIRS, with or without
    `orders`); `quotas` is the k of each cluster's top k. New pairs are asked in both orders at
    once, or in one first (`both=False`; the other may follow in a later round). No order of a pair
    is asked twice. Fewer requests come back where no more can change the outcome.
    """
    stored = _index_stored_orders(asked)
    beliefs = _index_beliefs(scores, asked)
    number = next_pair_number(asked)
    rows: list[Row] = []
    for cluster, ids in index_members(shortlist).items():
        standing = _build_cluster_state(
            shuffle_by_seed(ids, seed, cluster), beliefs, quotas.get(cluster, 0)
        )
        if standing is not None:
            here = stored.get(cluster, {})
            wanted = _pick_requests(
                standing, _index_orders_within(standing.ids, here), n_requests.get(cluster, 0), both
            )
            rows += [
                (here[a, b][0] if (a, b) in here else -1, cluster, a, b, False, o)
                for a, b, o in wanted
            ]
    fresh = iter(range(number, number + len(rows)))
    numbered = [(next(fresh) if row[0] < 0 else row[0], *row[1:]) for row in rows]
    return pl.DataFrame(numbered, schema=PAIRS, orient="row")


def allot_requests(
    shortlist: pl.DataFrame, asked: pl.DataFrame, budget: float, n_rounds: int
) -> dict[int, int]:
    """What each cluster may ask in the next of `n_rounds` rounds: an even part of `budget` x its
    size not yet spent.

    `budget` is in requests per sample of the shortlist (the paper takes 1); `asked` holds all
    earlier plans.
    """
    plans = asked if "orders" in asked.columns else asked.with_columns(orders=pl.lit("both"))
    cost = pl.when(pl.col("orders") == "both").then(2).otherwise(1)
    spent = dict(plans.group_by("cluster").agg(cost.sum()).iter_rows())
    sizes = shortlist.group_by("cluster").agg(pl.col("id").n_unique()).iter_rows()
    return {c: max(round((budget * size - spent.get(c, 0)) / n_rounds), 0) for c, size in sizes}


def _index_stored_orders(asked: pl.DataFrame) -> dict[int, Stored]:
    """The number and the asked orders of each pair, by cluster, then by (left, right)."""
    plans = asked if "orders" in asked.columns else asked.with_columns(orders=pl.lit("both"))
    stored: dict[int, Stored] = defaultdict(dict)
    columns = plans.select("cluster", "pair", "left", "right", "orders")
    for cluster, number, left, right, orders in columns.iter_rows():
        stored[cluster].setdefault((left, right), (number, set()))[1].update(ORDERS[orders])
    return stored


def _index_beliefs(scores: pl.DataFrame, asked: pl.DataFrame) -> dict[str, Belief]:
    """What is known of each sample: score, error, and the number of verdicts asked for."""
    plans = asked if "orders" in asked.columns else asked.with_columns(orders=pl.lit("both"))
    weight = pl.when(pl.col("orders") == "both").then(2).otherwise(1)
    ends = pl.concat(plans.select(id=pl.col(side), weight=weight) for side in ("left", "right"))
    known = (
        scores.filter(pl.col("error").is_not_null())
        .group_by("id")
        .agg(pl.col("score", "error").mean())
    )
    rows = known.join(ends.group_by("id").agg(pl.col("weight").sum()), on="id").rows()
    return {id_: (score, error, n) for id_, score, error, n in rows}


def _build_cluster_state(
    ids: list[str], beliefs: Mapping[str, Belief], quota: int
) -> ClusterState | None:
    """The standing of a cluster; None where it gives all or nothing, or no error is known.

    The noise of one verdict is the median of error variance times verdicts. A sample without a
    score stands at the mean, as uncertain as the scores are spread.
    """
    known = np.array([beliefs[one] for one in ids if one in beliefs])
    if not 0 < quota < len(ids) or not len(known):
        return None
    unknown = (known[:, 0].mean(), known[:, 0].std(), 0)
    values = np.array([beliefs.get(one, unknown) for one in ids])
    ranking = np.sort(values[:, 0])[::-1]
    noise = float(np.median(known[:, 1] ** 2 * known[:, 2]))
    return ClusterState(
        ids, values[:, 0], values[:, 1] ** 2, noise, float(ranking[quota - 1] + ranking[quota]) / 2
    )


def _index_orders_within(ids: list[str], stored: Stored) -> dict[Places, set[str]]:
    """The asked orders of each pair of these samples, by their places."""
    place = {one: i for i, one in enumerate(ids)}
    return {
        (place[a], place[b]): set(o)
        for (a, b), (_, o) in stored.items()
        if a in place and b in place
    }


def _pick_requests(
    standing: ClusterState, orders: dict[Places, set[str]], n_requests: int, both: bool
) -> Iterator[tuple[str, str, str]]:
    """Left, right and orders of what is to be asked, the largest gain first."""
    closed: dict[int, set[int]] = defaultdict(set)
    for pair, asked in orders.items():
        if len(asked) == 2:
            _close_pair(closed, pair)
    while n_requests > 0:
        found = _pick_next_pair(standing, closed)
        if found is None:
            return
        pair = found[::-1] if found[::-1] in orders else found
        missing = {"ab", "ba"} - orders.setdefault(pair, set())
        wanted = missing if both and n_requests > 1 else {min(missing)}
        orders[pair] |= wanted
        _close_pair(closed, pair)  # what is left of it may follow in a later round
        n_requests -= len(wanted)
        for place in pair * len(wanted):
            standing.count(place)
        yield (
            standing.ids[pair[0]],
            standing.ids[pair[1]],
            "both" if len(wanted) > 1 else min(wanted),
        )


def _close_pair(closed: dict[int, set[int]], pair: Places) -> None:
    """Note that a pair cannot be asked (again)."""
    closed[pair[0]].add(pair[1])
    closed[pair[1]].add(pair[0])


def _pick_next_pair(standing: ClusterState, closed: Mapping[int, set[int]]) -> Places | None:
    """The sample with the largest gain and its best partner: the next largest gain, then the
    nearest score.
    """
    gain = standing.gain()
    for one in np.argsort(-gain, kind="stable"):
        if gain[one] <= 0:
            return None
        appeal = gain - 1e-9 * np.abs(standing.score - standing.score[one])
        appeal[[one, *closed.get(one, ())]] = -np.inf
        if np.isfinite(appeal).any():
            return int(one), int(np.argmax(appeal))
    return None
