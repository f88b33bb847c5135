"""Why a row was kept, in one sentence: its rank, and what took it with the numbers that decided.

A selection by gain is told as a dropped row is: the score, the points for the tags that no row
taken before had, and their sum. Rows are taken by this sum; ranks are by score alone.
"""

from __future__ import annotations

from typing import Any

from tacos.report.gain_words import describe_gain
from tacos.report.made_selection import MadeSelection
from tacos.report.strategy_words import PREFERENCES

Record = dict[str, Any]


def explain_keep(made: MadeSelection, entry: Record) -> str:
    """The place of a selected row, an entry of a table SELECTION, and what took it."""
    place = made.describe_rank(entry["id"])
    if entry["cluster"] is not None:
        place += f", cluster {entry['cluster']}"
    return f"{place}: {_explain_taking(made, entry)}"


def _explain_taking(made: MadeSelection, entry: Record) -> str:
    """What took a row."""
    request = made.request
    rule = entry["rule"]
    if rule == "must-keep":
        return "kept by hand, it is on the must-keep list"
    if request.selector:
        return f"your selector {request.selector} took it"
    if rule == "uncompared":
        return "it was never compared, and taken as rows with a score ran out"
    if entry["score"] is None:
        return "it was not judged, and taken as judged rows ran out (select.fill)"
    if request.strategy != "tacos":
        return (
            f"the strategy {request.strategy} took it: {PREFERENCES[request.strategy]}"
        )
    taken = _describe_turn(made, entry["id"])
    if rule == "quota":
        return f"{taken}, within the quota of its cluster"
    if rule == "remainder":
        return f"{taken}, {_describe_remainder(made)}"
    if entry["id"] in made.first_served:
        return f"{taken}, for the exact quota of one of its tags"
    return taken


def _describe_remainder(made: MadeSelection) -> str:
    """How a row came in that was not taken by the first choice."""
    if made.request.quota != "none":
        return "after the quotas of the clusters"
    if made.takes_by_sum:
        return "although it repeats a selected row: others ran out"
    return "in the place of a row that a limit left out"


def _describe_turn(made: MadeSelection, row: str) -> str:
    """When a row was taken, and what it added to the rows before it."""
    turns = made.turns
    turn = None if turns is None else turns.find(row)
    if turns is None or turn is None:
        return "taken for its score and new tags"
    gain = describe_gain(turns.turns[turn], names_tags=True)
    if not made.takes_by_sum or made.request.is_reselected:
        return f"taken for {gain}"
    number = len(turns.start) + turn + 1
    return f"taken as row {number:,} of {made.table.height:,} for {gain}"
