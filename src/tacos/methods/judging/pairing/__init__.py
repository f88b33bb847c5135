"""Plan which samples of a cluster are compared with each other.

| plan        | compares                                                                  |
|-------------|---------------------------------------------------------------------------|
| neighbours  | neighbours in the list, each sample in at most one pair (the paper)       |
| chain       | each sample with the next one: connects a cluster with the fewest pairs   |
| bridges     | samples of different clusters: connects the clusters                      |
| swiss       | samples of nearly equal score                                             |
| active      | samples whose membership of the top k, or of the selection, is uncertain  |
| reference   | every sample with one and the same                                        |

The paper's pairing (section 3.3 and its public code) leaves a graph of islands: scores of two pairs
are comparable only through the judge's absolute scale.

A plan is a table PAIRS. No plan holds a pair of one cluster twice, and plans that are given `asked`
(all earlier plans) hold none of its pairs, in either direction. Which sample is `left` carries no
meaning: the judge sees both orders.

What it does not know: the verdicts. `swiss` and `active` read scores, which
`tacos.methods.judging.rating` makes of them.
"""

from tacos.methods.judging.pairing.active_pairs import (
    allot_requests,
    count_requests_left,
    plan_active_round,
    plan_first_round,
    plan_open_round,
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
    "count_requests_left",
    "pair_in_chain",
    "pair_neighbours",
    "pair_with_reference",
    "plan_active_round",
    "plan_first_round",
    "plan_open_round",
    "plan_swiss_round",
]
