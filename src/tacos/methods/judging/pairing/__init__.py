"""Which samples of a cluster are compared with each other.

`neighbour` is the paper's pairing (section 3.3 and its public code): list neighbours, each sample
in at most one pair. Its graph is a heap of islands: scores of two pairs are comparable only through
the judge's absolute scale. `chain` connects a cluster with as few pairs as possible, `bridges`
connects the clusters, `swiss` compares equals with equals, `active` asks where membership of the
top k is uncertain, `reference` compares everything with one sample.

A plan is a table PAIRS. No plan holds a pair of one cluster twice, and those that are given `asked`
(all earlier plans) hold none of it, in either direction. Which sample is `left` says nothing: the
judge sees both orders.

What it does not know: the verdicts. `swiss` and `active` read scores that
`tacos.methods.judging.rating` made of them.
"""

from tacos.methods.judging.pairing.active_pairs import (
    allot_requests,
    plan_active_round,
    plan_first_round,
)
from tacos.methods.judging.pairing.fixed_pairs import (
    bridge_clusters,
    pair_in_chain,
    pair_neighbours,
    pair_with_reference,
)
from tacos.methods.judging.pairing.swiss_rounds import plan_swiss_round

__all__ = [
    "allot_requests",
    "bridge_clusters",
    "pair_in_chain",
    "pair_neighbours",
    "pair_with_reference",
    "plan_active_round",
    "plan_first_round",
    "plan_swiss_round",
]
