"""Plan active rounds: ask where an answer can still change who is selected.

Every pair is asked in one order first. Where clusters have quotas, a cluster's quota sets its top
k, and the threshold lies midway between the scores of places k and k + 1 (`plan_active_round`).
Where one objective selects from all clusters, each sample has a threshold of its own: the score at
which it would enter or leave the selection (`plan_open_round`). One more verdict takes a sample's
error variance from v to 1 / (1/v + 1/r), where r is the variance of one verdict, so its score will
move by a Gaussian step of variance v - 1 / (1/v + 1/r). The gain of asking is the expected gain of
crossing the threshold

    step * (z Phi(z) + phi(z)),    z = -|score - threshold| / step

(the knowledge gradient of Frazier, Powell and Dayanik 2008, for a threshold). Requests go one by
one to where the gain is largest, and variances are reduced as if the answers were there already.

A pair's second order (like any further question) is asked only while the gain of one of its samples
is above 0. The gain is taken as 0 where the threshold is more than 3 steps away, so that no answer
can be expected to change the outcome.

A plan's `orders` are "both", or the one order ("ab", "ba") to be asked. A second order keeps the
number of its pair.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

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
"""The places of a pair's samples in their cluster."""
AskedOrders = dict[tuple[str, str], tuple[int, set[str]]]
"""(left, right) -> number of the pair, orders asked."""
Belief = tuple[float, float, int]
"""Score, error, number of verdicts asked for."""
Row = tuple[int, int, str, str, bool, str]
Floats = npt.NDArray[np.float64]
N_STEPS = 3.0
"""Standard deviations beyond which a verdict is taken to be unable to change the outcome."""
NEW_PAIR = -1
"""Stands for the number of a pair that has none yet."""


@dataclass(slots=True)
class ClusterState:
    """The state of one cluster of n samples, in points.

    `score`, `variance` and `threshold` have shape (n,); `noise` is the variance of one verdict.
    """

    ids: list[str]
    score: Floats
    variance: Floats
    noise: float
    threshold: Floats

    def gain(self) -> Floats:
        """The expected gain of one more verdict of each sample, shape (n,)."""
        # v - 1 / (1/v + 1/r) = v^2 / (v + r), written so that nothing is subtracted.
        observed_variance = self.variance + self.noise
        step_variance = self.variance**2 / observed_variance
        step = np.sqrt(np.maximum(step_variance, 1e-18))
        distance = np.abs(self.score - self.threshold)
        z = -distance / step
        # The normal density at z, and its integral from minus infinity.
        density = np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
        probability = ndtr(z)
        value = step * (z * probability + density)
        cannot_cross = z < -N_STEPS
        return np.where(cannot_cross, 0.0, value)

    def count(
        self,
        place: int,
    ) -> None:
        """Reduce a sample's variance as if one more verdict were there."""
        self.variance[place] = 1 / (1 / self.variance[place] + 1 / self.noise)


def plan_first_round(
    shortlist: pl.DataFrame,
    seed: int,
    linked: bool = True,
    pilot: int = 10,
    first: int = 0,
) -> pl.DataFrame:
    """The first round: every sample once or twice in one order, every `pilot`-th pair in both.

    `linked` makes a chain of each cluster: n - 1 pairs, so that the graph is connected and each
    sample is seen in either place. Otherwise samples are paired once: n / 2 pairs, and in an odd
    cluster the last one meets the first. The pilot pairs reveal the judge's position bias and
    noise. Returns a table PAIRS, numbered from `first`.
    """
    links: list[Link] = []
    for cluster, ids in index_members(shortlist).items():
        shuffled = shuffle_by_seed(ids, seed, cluster)
        for left, right in _link_samples(shuffled, linked):
            # A cluster of one sample would meet itself.
            if left != right:
                link = (cluster, left, right)
                links.append(link)

    rows: list[Row] = []
    for place, (cluster, left, right) in enumerate(links):
        is_pilot = place % pilot == 0
        orders = "both" if is_pilot else "ab"
        number = first + place
        rows.append((number, cluster, left, right, False, orders))
    return pl.DataFrame(
        rows,
        schema=PAIRS,
        orient="row",
    )


def _link_samples(
    shuffled: list[str],
    linked: bool,
) -> Iterator[tuple[str, str]]:
    """Pairs of neighbours: all of them, or every second one."""
    if linked:
        return pairwise(shuffled)
    seats = list(shuffled)
    is_odd = len(seats) % 2 == 1
    if is_odd:
        seats.append(seats[0])
    left = seats[::2]
    right = seats[1::2]
    return zip(left, right, strict=True)


def plan_active_round(
    shortlist: pl.DataFrame,
    scores: pl.DataFrame,
    asked: pl.DataFrame,
    quotas: Mapping[int, int],
    n_requests: Mapping[int, int],
    seed: int,
    both: bool = True,
) -> pl.DataFrame:
    """A round of at most `n_requests` requests per cluster (one order of a pair is one request).

    `scores` is a table SCORES of the rounds before, with errors; a sample whose error is null is
    not uncertain, and is not asked about. `asked` holds all earlier plans (PAIRS, with or without
    `orders`); `quotas` is the k of each cluster's top k. New pairs are asked in both orders at
    once, or with `both=False` in one first (the other may follow in a later round). No order of a
    pair is asked twice. The plan is shorter where no more answers can change the outcome.
    """
    asked_orders = _index_asked_orders(asked)
    beliefs = _index_beliefs(scores, asked)
    rows: list[Row] = []
    for cluster, ids in index_members(shortlist).items():
        quota = quotas.get(cluster, 0)
        # A cluster that gives all or nothing is decided.
        if not 0 < quota < len(ids):
            continue
        shuffled = shuffle_by_seed(ids, seed, cluster)
        state = _build_cluster_state(shuffled, beliefs)
        if state is None:
            continue
        ranking = np.sort(state.score)[::-1]
        state.threshold[:] = (ranking[quota - 1] + ranking[quota]) / 2
        of_cluster = asked_orders.get(cluster, {})
        orders = _index_orders_within(state.ids, of_cluster)
        n_here = n_requests.get(cluster, 0)
        for left, right, wanted in _pick_requests(state, orders, n_here, both):
            number, _ = of_cluster.get((left, right), (NEW_PAIR, set()))
            rows.append((number, cluster, left, right, False, wanted))
    numbered = _number_new_pairs(rows, next_pair_number(asked))
    return pl.DataFrame(
        numbered,
        schema=PAIRS,
        orient="row",
    )


def plan_open_round(
    shortlist: pl.DataFrame,
    scores: pl.DataFrame,
    asked: pl.DataFrame,
    cuts: Mapping[str, float],
    n_requests: int,
    seed: int,
) -> pl.DataFrame:
    """A round of at most `n_requests` requests in whichever clusters the selection is open.

    `cuts` is the score at which each sample would enter or leave the selection
    (`tacos.methods.selecting.cut_scores`); samples without one are not asked about. The other
    arguments are those of `plan_active_round`; new pairs are asked in both orders at once.
    """
    asked_orders = _index_asked_orders(asked)
    beliefs = _index_beliefs(scores, asked)
    states: dict[int, ClusterState] = {}
    requests: dict[int, Iterator[tuple[str, str, str]]] = {}
    # The cluster with the largest gain is asked next: a heap yields the smallest item.
    waiting: list[tuple[float, int]] = []
    for cluster, ids in index_members(shortlist).items():
        open_ids = [id_ for id_ in ids if id_ in cuts]
        shuffled = shuffle_by_seed(open_ids, seed, cluster)
        state = _build_cluster_state(shuffled, beliefs)
        if state is None:
            continue
        state.threshold[:] = [cuts[id_] for id_ in state.ids]
        of_cluster = asked_orders.get(cluster, {})
        orders = _index_orders_within(state.ids, of_cluster)
        states[cluster] = state
        requests[cluster] = _pick_requests(state, orders, n_requests, both=True)
        heapq.heappush(waiting, (-float(state.gain().max()), cluster))

    rows: list[Row] = []
    n_left = n_requests
    while waiting and n_left > 0:
        _, cluster = heapq.heappop(waiting)
        picked = next(requests[cluster], None)
        if picked is None:
            continue
        left, right, wanted = picked
        if len(ORDERS[wanted]) > n_left:
            wanted = "ab"
        n_left -= len(ORDERS[wanted])
        of_cluster = asked_orders.get(cluster, {})
        number, _ = of_cluster.get((left, right), (NEW_PAIR, set()))
        rows.append((number, cluster, left, right, False, wanted))
        gain = float(states[cluster].gain().max())
        heapq.heappush(waiting, (-gain, cluster))
    numbered = _number_new_pairs(rows, next_pair_number(asked))
    return pl.DataFrame(
        numbered,
        schema=PAIRS,
        orient="row",
    )


def _number_new_pairs(
    rows: list[Row],
    first: int,
) -> list[Row]:
    """The rows with numbers from `first` for new pairs."""
    numbered: list[Row] = []
    next_number = first
    for row in rows:
        if row[0] == NEW_PAIR:
            row = (next_number, *row[1:])
            next_number += 1
        numbered.append(row)
    return numbered


def allot_requests(
    shortlist: pl.DataFrame,
    asked: pl.DataFrame,
    budget: float,
    n_rounds: int,
) -> dict[int, int]:
    """What each cluster may ask in the next of `n_rounds` rounds, in requests.

    That is an even part of `budget` x its size, less what it has spent. `budget` is in requests per
    sample of the shortlist (the paper takes 1); `asked` holds all earlier plans.
    """
    plans = _with_request_counts(asked)
    spent_by_cluster = plans.group_by("cluster").agg(pl.col("n_requests").sum())
    spent = dict(spent_by_cluster.iter_rows())
    sizes = shortlist.group_by("cluster").agg(pl.col("id").n_unique())
    allotted = {}
    for cluster, size in sizes.iter_rows():
        left = budget * size - spent.get(cluster, 0)
        allotted[cluster] = max(round(left / n_rounds), 0)
    return allotted


def count_requests_left(
    shortlist: pl.DataFrame,
    asked: pl.DataFrame,
    budget: float,
    n_rounds: int,
) -> int:
    """What may be asked in the next of `n_rounds` rounds, in any cluster, in requests.

    The arguments are those of `allot_requests`.
    """
    n_samples = shortlist["id"].n_unique()
    spent = int(_with_request_counts(asked)["n_requests"].sum())
    return max(round((budget * n_samples - spent) / n_rounds), 0)


# What is known so far


def _with_orders(asked: pl.DataFrame) -> pl.DataFrame:
    """Earlier plans with `orders`; plans without that column ask both."""
    if "orders" in asked.columns:
        return asked
    return asked.with_columns(orders=pl.lit("both"))


def _with_request_counts(asked: pl.DataFrame) -> pl.DataFrame:
    """Earlier plans with `n_requests`: 2 for both orders, else 1."""
    is_both = pl.col("orders") == "both"
    n_requests = pl.when(is_both).then(2).otherwise(1)
    return _with_orders(asked).with_columns(n_requests=n_requests)


def _index_asked_orders(asked: pl.DataFrame) -> dict[int, AskedOrders]:
    """The number and the asked orders of each pair, by cluster, then by (left, right)."""
    plans = _with_orders(asked)
    columns = plans.select(
        "cluster",
        "pair",
        "left",
        "right",
        "orders",
    )
    by_cluster: dict[int, AskedOrders] = defaultdict(dict)
    for cluster, number, left, right, orders in columns.iter_rows():
        pairs = by_cluster[cluster]
        pair = (left, right)
        # The first number stays: a second order stands under the number of its pair.
        _, asked_here = pairs.setdefault(pair, (number, set()))
        new_orders = ORDERS[orders]
        asked_here.update(new_orders)
    return by_cluster


def _index_beliefs(
    scores: pl.DataFrame,
    asked: pl.DataFrame,
) -> dict[str, Belief]:
    """What is known of each sample: score, error, and the number of verdicts asked for."""
    plans = _with_request_counts(asked)
    left = plans.select("n_requests", id="left")
    right = plans.select("n_requests", id="right")
    by_id = pl.concat([left, right]).group_by("id")
    n_requests = by_id.agg(pl.col("n_requests").sum())

    with_error = scores.filter(pl.col("error").is_not_null())
    mean = pl.col("score", "error").mean()
    means = with_error.group_by("id").agg(mean)
    counted = means.join(n_requests, on="id")
    beliefs: dict[str, Belief] = {}
    for id_, score, error, n in counted.iter_rows():
        beliefs[id_] = (score, error, n)
    return beliefs


def _build_cluster_state(
    ids: list[str],
    beliefs: Mapping[str, Belief],
) -> ClusterState | None:
    """The state of a cluster, with thresholds still to be set; None where no error is known.

    The noise of one verdict is the median of error variance times verdicts. A sample without a
    score stands at the mean, as uncertain as the scores are spread.
    """
    # Columns: score, error, number of verdicts; shape (samples with an error, 3).
    known = np.array([beliefs[id_] for id_ in ids if id_ in beliefs])
    if not len(known):
        return None
    known_score, known_error, n_verdicts = known.T
    verdict_variance = known_error**2 * n_verdicts

    unknown = (known_score.mean(), known_score.std(), 0)
    values = np.array([beliefs.get(id_, unknown) for id_ in ids])
    score = values[:, 0]
    variance = values[:, 1] ** 2

    return ClusterState(
        ids=ids,
        score=score,
        variance=variance,
        noise=float(np.median(verdict_variance)),
        threshold=np.zeros(len(ids)),
    )


def _index_orders_within(
    ids: list[str],
    asked_orders: AskedOrders,
) -> dict[Places, set[str]]:
    """The asked orders of each pair of these samples, by their places."""
    place = {id_: number for number, id_ in enumerate(ids)}
    orders = {}
    for (left, right), (_, asked_here) in asked_orders.items():
        if left in place and right in place:
            places = (place[left], place[right])
            # A copy: the planner adds to it.
            orders[places] = set(asked_here)
    return orders


# Choosing requests


def _pick_requests(
    state: ClusterState,
    orders: dict[Places, set[str]],
    n_requests: int,
    both: bool,
) -> Iterator[tuple[str, str, str]]:
    """Left, right and orders of what is to be asked, the largest gain first."""
    closed: dict[int, set[int]] = defaultdict(set)
    for pair, asked_here in orders.items():
        if len(asked_here) == 2:
            _close_pair(closed, pair)

    while n_requests > 0:
        picked = _pick_next_pair(state, closed)
        if picked is None:
            return
        # A pair asked before keeps its direction, for its second order stands under its number.
        first, second = picked
        reverse = (second, first)
        pair = reverse if reverse in orders else picked
        missing = {"ab", "ba"} - orders.setdefault(pair, set())
        wanted = missing if both and n_requests > 1 else {min(missing)}
        orders[pair] |= wanted
        # An order of the pair that is left open may follow in a later round.
        _close_pair(closed, pair)
        n_requests -= len(wanted)
        for place in pair * len(wanted):
            state.count(place)
        left, right = pair
        wanted_orders = "both" if len(wanted) > 1 else min(wanted)
        yield state.ids[left], state.ids[right], wanted_orders


def _close_pair(
    closed: dict[int, set[int]],
    pair: Places,
) -> None:
    """Note that a pair cannot be asked (again) in this round."""
    left, right = pair
    closed[left].add(right)
    closed[right].add(left)


def _pick_next_pair(
    state: ClusterState,
    closed: Mapping[int, set[int]],
) -> Places | None:
    """The sample with the largest gain and its best partner; None if no gain is left.

    The best partner has the next largest gain; of equal gains it has the nearest score.
    """
    gain = state.gain()
    for sample in np.argsort(-gain, kind="stable"):
        if gain[sample] <= 0:
            return None
        # The weight is far below any gain that matters: distance decides between equals only.
        distance = np.abs(state.score - state.score[sample])
        appeal = gain - 1e-9 * distance
        unavailable = [sample, *closed.get(sample, ())]
        appeal[unavailable] = -np.inf
        if np.isfinite(appeal).any():
            return int(sample), int(np.argmax(appeal))
    return None
