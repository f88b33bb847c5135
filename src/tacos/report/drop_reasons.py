"""Why a row was dropped, in one sentence with the numbers that decided.

A row has one reason: the first of those that kept it out. A limit is the reason only of a row that
would otherwise have been taken: at some turn it added more than the row that was taken, and the
limit was full by then. All other rows are told what they would have added when the last row was
taken, and what that row added.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from tacos.counts import count_words
from tacos.methods.selecting.gain_turns import ROUNDING, GainTurns, RowGain
from tacos.methods.selecting.strategies import BY_SCORE
from tacos.report.full_limits import (
    FullLimit,
    list_full_limits,
    read_floor_reason,
    read_limit_reason,
)
from tacos.report.gain_words import describe_gain, describe_rival
from tacos.report.made_selection import MadeSelection
from tacos.report.shortlist_places import explain_place
from tacos.report.strategy_words import PREFERENCES


def explain_drop(made: MadeSelection, row: str) -> str:
    """Why the sample with the id `row` is not in a selection."""
    if row in made.exclude:
        return "by hand: it is on the exclude list"

    request = made.request
    needs_score = bool(request.selector) or request.strategy in BY_SCORE
    if needs_score and row not in made.scores["id"]:
        return _explain_missing_score(made, row)
    floor_reason = read_floor_reason(made.scores, row, request.limits)
    if floor_reason:
        return floor_reason
    if request.selector:
        return f"your selector {request.selector} did not take it"

    limit_reason = read_limit_reason(made.artifacts, row)
    if limit_reason:
        return limit_reason
    if request.strategy != "tacos":
        preference = PREFERENCES[request.strategy]
        return (
            f"the strategy {request.strategy} did not take it: {preference}, and "
            f"{count_words(made.table.height, 'row')} came first"
        )
    return _explain_gain(made, row)


def _explain_missing_score(made: MadeSelection, row: str) -> str:
    """Why a row has no score."""
    place = explain_place(made.artifacts, made.settings, row)
    if place:
        return place
    memberships = made.artifacts["memberships"].scan().filter(pl.col("id") == row)
    if memberships.select("home").collect()["home"].null_count():
        return "it is in no cluster: nothing of its text and none of its tags is known"
    return (
        "it was shortlisted but never compared "
        "(the odd one out of its cluster, or its judgements failed)"
    )


# Rows that did not add enough


def _explain_gain(made: MadeSelection, row: str) -> str:
    """Why a row with a score was not taken: by what it adds, or by a limit."""
    turns = made.turns
    if turns is None:
        return "rows with more by score and new tags came first"
    score, eligible, what = _find_rivals(made, turns, row)
    gains = turns.follow(row, score)
    overtaken = [
        turn
        for turn in eligible
        if gains[turn].total > turns.turns[turn].total + ROUNDING
    ]
    if overtaken:
        limits = _list_limits_at(made, turns, row, overtaken[0])
        if limits:
            return _explain_limits(made, turns, gains, limits, overtaken[0])
    return _compare_gains(made, gains, turns, eligible[-1], what)


def _find_rivals(
    made: MadeSelection,
    turns: GainTurns,
    row: str,
) -> tuple[float, list[int], str]:
    """The score of the row, the turns at which it could have been taken, and what the last of them
    is called; where clusters have quotas, they are those of its cluster.
    """
    own_scores = made.ranked.filter(pl.col("id") == row)
    own_scores = own_scores.sort("score", descending=True)
    ids = [gain.id for gain in turns.turns]
    if made.request.quota != "none":
        # In `paper` a sample has a score in each of its clusters.
        for entry in own_scores.to_dicts():
            cluster = entry["cluster"]
            places = [
                turn for turn, id_ in enumerate(ids) if made.cluster_of[id_] == cluster
            ]
            if places:
                return (
                    entry["score"],
                    places,
                    f"the last row taken of cluster {cluster}",
                )
    every_turn = list(range(len(ids)))
    open_turns = every_turn
    if row not in made.first_served:
        open_turns = [turn for turn in every_turn if ids[turn] not in made.first_served]
    return own_scores["score"][0], open_turns or every_turn, "the last row taken"


def _list_limits_at(
    made: MadeSelection,
    turns: GainTurns,
    row: str,
    turn: int,
) -> list[FullLimit]:
    """The limits that were full when it was the row's turn."""
    taken = [*turns.start, *(gain.id for gain in turns.turns[:turn])]
    return list_full_limits(
        made.artifacts,
        made.pool,
        made.request.limits,
        row,
        taken,
        made.table.height,
    )


def _explain_limits(
    made: MadeSelection,
    turns: GainTurns,
    gains: Sequence[RowGain],
    limits: Sequence[FullLimit],
    turn: int,
) -> str:
    """Which limits were full at the row's turn, and what the last of the rows in them added."""
    reasons = [limit.text for limit in limits if not limit.is_rest]
    members = frozenset().union(*(limit.ids for limit in limits))
    before = [place for place in range(turn) if turns.turns[place].id in members]
    what = "the last of these rows" if reasons else "the last row taken without it"
    gain = describe_gain(gains[turn], names_tags=True)
    if before:
        gain = _compare_gains(made, gains, turns, before[-1], what)
    if reasons:
        return f"{' and '.join(reasons)}; its {gain}"
    # The back of a quota: among the rows without its tag, this one did not add enough.
    return gain


def _compare_gains(
    made: MadeSelection,
    gains: Sequence[RowGain],
    turns: GainTurns,
    turn: int,
    what: str,
) -> str:
    """What the row would have added at a turn, and what the row taken then added."""
    own = gains[turn]
    taken = turns.turns[turn]
    sign = "less than"
    if own.total > taken.total + ROUNDING:
        sign = "against"
    elif own.total > taken.total - ROUNDING:
        sign = "no more than"
    # Ranks are by score, rows are taken by this sum.
    place = made.describe_rank(taken.id)
    own_gain = describe_gain(own, names_tags=True)
    return f"{own_gain}, {sign} {describe_rival(taken, what, place)}"
