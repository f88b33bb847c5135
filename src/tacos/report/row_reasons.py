"""Why each row of a run was kept or dropped: what `explain_row` says of one row, for all of them.

A reason is a sentence with places for the numbers of a row, so that a page can hold the reasons of
100,000 rows. Where a sentence cannot be told from columns alone (a limit that was full when the
row's turn came), it is that of `explain_drop` as long as there are few such rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.counts import count_words
from tacos.methods.judging.shortlist import BY_GRADE
from tacos.methods.selecting.gain_turns import ROUNDING, GainTurns
from tacos.methods.selecting.limits import is_below_floor
from tacos.methods.selecting.strategies import BY_SCORE
from tacos.report.drop_reasons import explain_drop
from tacos.report.facts import LEFT_OUT
from tacos.report.full_limits import read_limit_reason
from tacos.report.gain_words import describe_rival
from tacos.report.judge_words import name_judge
from tacos.report.keep_reasons import explain_keep
from tacos.report.made_selection import MadeSelection
from tacos.report.shortlist_places import (
    describe_cut,
    describe_rule,
    describe_weights,
    read_members,
)
from tacos.report.strategy_words import PREFERENCES

MAX_EXACT = 200
"""Rows that are told by `explain_drop`, which looks at one row at a time."""
MAX_KEPT = 10_000
"""Selected rows that are told with the names of their new tags."""
ASK = "tacos explain says more"
PLACE = re.compile(r"\{(\d)(:\.2f)?\}")
"""Where a value stands in a sentence: a count or a text, or a score with two digits."""


@dataclass
class RowReasons:
    """Row -> its reason: a sentence with places {0}, {1:.2f}, ..., and what stands there."""

    sentences: list[str] = field(default_factory=list)
    rows: dict[str, tuple[int, tuple[Any, ...]]] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)

    def add(self, row: str, sentence: str, *values: Any) -> None:
        """Note the reason of a row that has none yet."""
        if row in self.rows:
            return
        number = self._numbers.setdefault(sentence, len(self.sentences))
        if number == len(self.sentences):
            self.sentences.append(sentence)
        self.rows[row] = (number, values)

    def tell(self, row: str) -> str:
        """The reason of a row in full."""
        number, values = self.rows[row]

        def fill(mark: re.Match[str]) -> str:
            place = int(mark[1])
            if place >= len(values):
                return mark[0]
            return format_value(values[place], is_score=mark[2] is not None)

        return PLACE.sub(fill, self.sentences[number])


def format_value(value: Any, *, is_score: bool = False) -> str:
    """A value as it stands in a sentence, at {0} or, for a score, {0:.2f}; the page's script does
    the same.

    >>> format_value(1234), format_value(57, is_score=True)
    ('1,234', '57.00')
    """
    if is_score:
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def collect_reasons(made: MadeSelection) -> RowReasons:
    """The reason of every row that the run read; a row's first reason counts."""
    reasons = RowReasons()
    _add_rejected(reasons, made)
    _add_kept(reasons, made)
    for row in made.exclude:
        reasons.add(row, "dropped: by hand: it is on the exclude list")
    request = made.request
    needs_score = bool(request.selector) or request.strategy in BY_SCORE
    ids = made.artifacts["samples"].scan().select("id").collect()["id"]
    if needs_score:
        _add_unscored(reasons, made, ids)
    _add_below_floor(reasons, made)
    if request.selector:
        for row in ids:
            reasons.add(
                row, f"dropped: your selector {request.selector} did not take it"
            )
        return reasons
    _add_limited(reasons, made)
    if request.strategy == "tacos":
        _add_outdone(reasons, made)
    rest = f"others came first; {ASK}"
    if request.strategy != "tacos":
        n = count_words(made.table.height, "row")
        rest = (
            f"the strategy {request.strategy} did not take it: "
            f"{PREFERENCES[request.strategy]}, and {n} came first"
        )
    for row in ids:
        reasons.add(row, f"dropped: {rest}")
    return reasons


def _add_rejected(reasons: RowReasons, made: MadeSelection) -> None:
    """Rows that did not become samples."""
    rejects = made.artifacts["samples"].rejects().select("id", "reason", "raw")
    for row, reason, raw in rejects.iter_rows():
        # A rule of cleaning, and a duplicate, say what they found.
        if reason.startswith(("duplicate", "clean: ")) and raw:
            reasons.add(row, f"dropped at ingest: {reason} ({{0}})", raw[:120])
        else:
            reasons.add(row, f"dropped at ingest: {reason}")


def _add_kept(reasons: RowReasons, made: MadeSelection) -> None:
    """Selected rows, each with what took it."""
    by_rank = made.table.sort("rank")
    for entry in by_rank.head(MAX_KEPT).iter_rows(named=True):
        reasons.add(entry["id"], "kept, {0}", explain_keep(made, entry))
    others = by_rank.slice(MAX_KEPT).select("id", "rank")
    for row, rank in others.iter_rows():
        reasons.add(row, f"kept, rank {{0}} of {by_rank.height:,}; {ASK}", rank)


# Rows without a score


def _add_unscored(reasons: RowReasons, made: MadeSelection, ids: pl.Series) -> None:
    """Rows that no judge compared: left out by the shortlist, in no cluster, or failed."""
    has_score = ids.is_in(made.scores["id"].implode())
    unscored = ids.filter(~has_score)
    if "shortlist" in made.artifacts:
        _add_left_out(reasons, made)
    homes = made.artifacts["memberships"].scan().filter(pl.col("home").is_null())
    for row in homes.select("id").collect()["id"]:
        reasons.add(
            row,
            "dropped: it is in no cluster: nothing of its text and none of its tags is known",
        )
    for row in unscored:
        reasons.add(
            row,
            "dropped: it was shortlisted but never compared (the odd one out of its cluster, "
            "or its judgements failed)",
        )


def _add_left_out(reasons: RowReasons, made: MadeSelection) -> None:
    """Rows that a rule of the shortlist left out, with their rank by grade in the cluster."""
    shortlist = made.artifacts["shortlist"]
    kept = shortlist.scan().select("id").collect()["id"]
    left_out = shortlist.rejects().filter(~pl.col("id").is_in(kept.implode()))
    for (reason,), rejects in left_out.group_by("reason", maintain_order=True):
        rule = str(reason).removeprefix(LEFT_OUT)
        if not str(reason).startswith(LEFT_OUT) or rule not in BY_GRADE:
            for row, raw in rejects.select("id", "raw").iter_rows():
                reasons.add(row, f"dropped: not shortlisted: {reason} ({{0}})", raw)
            continue
        _add_left_out_by_grade(reasons, made, rejects["id"], rule)


def _add_left_out_by_grade(
    reasons: RowReasons,
    made: MadeSelection,
    rows: pl.Series,
    rule: str,
) -> None:
    """Rows that others of their clusters outdid by the cheap grade."""
    members = read_members(made.artifacts, made.settings, rule)
    rank = pl.col("grade").rank("min", descending=True).over("cluster")
    ranked = members.with_columns(
        rank=rank,
        n_rows=pl.len().over("cluster"),
        n_kept=pl.col("is_kept").sum().over("cluster"),
    )
    judge = name_judge(made.artifacts["grades"].model)
    weights = describe_weights(made.artifacts, made.settings, rows[0], rule)
    start = f"dropped: {describe_rule(rule)}"
    graded = (
        f"{start}: {judge} grades it {{3}}{weights}, rank {{0}} of the {{1}} rows of cluster "
        "{2}, of which {4} were shortlisted"
    )
    ungraded = (
        f"{start}: it has no grade by {judge}; of the {{2}} rows of cluster {{0}}, {{1}} were "
        "shortlisted"
    )
    cuts = {}
    for (cluster,), own_cluster in ranked.group_by("cluster"):
        cut = describe_cut(made.settings, members, own_cluster, rows[0], rule)
        cuts[cluster] = f"; {cut}" if cut else ""
    chosen = ranked.filter(pl.col("id").is_in(rows.implode()))
    for entry in chosen.iter_rows(named=True):
        cluster, grade = entry["cluster"], entry["grade"]
        n_rows, n_kept = entry["n_rows"], entry["n_kept"]
        if grade is None:
            sentence = ungraded + cuts[cluster]
            reasons.add(entry["id"], sentence, cluster, n_kept, n_rows)
        else:
            sentence = graded + cuts[cluster]
            values = (entry["rank"], n_rows, cluster, f"{grade:.2f}", n_kept)
            reasons.add(entry["id"], sentence, *values)


# Rows with a score


def _add_below_floor(reasons: RowReasons, made: MadeSelection) -> None:
    """Rows below the floor of correctness."""
    floor = made.request.limits.min_correctness
    if not floor or "correctness" not in made.scores.columns:
        return
    below = made.scores.filter(is_below_floor(floor)).select("id", "correctness")
    sentence = f"dropped: its correctness ({{0:.2f}}) is below the floor ({floor:g})"
    for row, correctness in below.iter_rows():
        reasons.add(row, sentence, round(correctness, 2))


def _add_limited(reasons: RowReasons, made: MadeSelection) -> None:
    """Rows that the selection itself lists as left out for a limit."""
    rejects = made.artifacts["selection"].rejects()
    for row in rejects["id"].head(MAX_EXACT):
        reason = read_limit_reason(made.artifacts, row)
        if reason:
            reasons.add(row, f"dropped: {reason}")
    later = rejects.slice(MAX_EXACT).select("id", "reason", "raw")
    for row, reason, raw in later.iter_rows():
        reasons.add(row, f"dropped: {reason} ({{0}})", raw)


def _add_outdone(reasons: RowReasons, made: MadeSelection) -> None:
    """Rows that added less than the last row taken, or that a full limit kept out."""
    turns = made.turns
    if turns is None or not turns.turns:
        return
    by_cluster = made.request.quota != "none"
    ranked = made.ranked.sort("score", "id", descending=[True, False])
    last_turns = _find_last_turns(made, turns)
    totals = [gain.total for gain in turns.turns]
    lowest = _build_range_minima(totals)
    # Turns that went to rows of an exact quota were open to no other row.
    is_first = [gain.id in made.first_served for gain in turns.turns]
    open_totals = [
        inf if first else total for total, first in zip(totals, is_first, strict=True)
    ]
    lowest_open = _build_range_minima(open_totals)
    first_cover = _find_first_covers(turns)
    n_exact = 0
    for row, score, cluster in ranked.select("id", "score", "cluster").iter_rows():
        if row in reasons.rows:
            continue
        last = last_turns.get(cluster if by_cluster else None)
        open_to_it = lowest_open
        if not by_cluster and row in made.first_served:
            last = len(turns.turns) - 1
            open_to_it = lowest
        if last is None:
            continue
        covers = sorted(
            first_cover.get(tag, len(turns.turns)) for tag in _tags(turns, row)
        )
        if not by_cluster and _is_overtaken(score, covers, turns, open_to_it, last):
            # A limit may have kept it out; that is looked at row by row.
            n_exact += 1
            if n_exact <= MAX_EXACT:
                reasons.add(row, "dropped: {0}", explain_drop(made, row))
            else:
                reasons.add(row, f"dropped: a limit was full when its turn came; {ASK}")
            continue
        n_new = sum(place >= last for place in covers)
        _add_comparison(reasons, made, turns, row, score, n_new, last, by_cluster)


def _add_comparison(
    reasons: RowReasons,
    made: MadeSelection,
    turns: GainTurns,
    row: str,
    score: float,
    n_new: int,
    last: int,
    by_cluster: bool,
) -> None:
    """What a row would have added when the last row was taken, and what that row added."""
    taken = turns.turns[last]
    points = turns.points_per_tag
    what = "the last row taken"
    if by_cluster:
        # In `paper` a row has a score in each of its clusters.
        what += f" of cluster {made.cluster_of[taken.id]}"
    place = made.describe_rank(taken.id)
    other = describe_rival(taken, what, place)
    if points is None:
        reasons.add(row, f"dropped: {{0}} new tags, no more than {other}", n_new)
        return
    total = score + points * n_new
    sign = "less than"
    if total > taken.total + ROUNDING:
        sign = "against"
    elif total > taken.total - ROUNDING:
        sign = "no more than"
    score = round(score, 2)
    if not n_new or not points:
        reasons.add(row, f"dropped: score {{0:.2f}}, {sign} {other}", score)
        return
    worth = round(round(total, 2) - score, 2)
    tags = "1 new tag" if n_new == 1 else f"{n_new} new tags"
    reasons.add(
        row,
        f"dropped: score {{0:.2f}} + {{1:.2f}} for {tags} = {{2:.2f}}, {sign} {other}",
        score,
        worth,
        round(total, 2),
    )


def _tags(turns: GainTurns, row: str) -> Iterable[str]:
    """The distinct tags of a row."""
    return set(turns.tags.get(row, ()))


def _find_last_turns(made: MadeSelection, turns: GainTurns) -> dict[Any, int]:
    """Cluster -> the last turn at which one of its rows was taken; None -> the last of all that
    did not go to rows of an exact quota.
    """
    last: dict[Any, int] = {None: len(turns.turns) - 1}
    for place, gain in enumerate(turns.turns):
        last[made.cluster_of[gain.id]] = place
        if gain.id not in made.first_served:
            last[None] = place
    return last


def _find_first_covers(turns: GainTurns) -> Mapping[str, int]:
    """Tag -> the turn whose row brought it; -1 for the tags of the rows before the first turn."""
    first: dict[str, int] = {}
    for row in turns.start:
        first.update(dict.fromkeys(turns.tags.get(row, ()), -1))
    for place, gain in enumerate(turns.turns):
        for tag in turns.tags.get(gain.id, ()):
            first.setdefault(tag, place)
    return first


def _is_overtaken(
    score: float,
    covers: list[int],
    turns: GainTurns,
    lowest: list[npt.NDArray[np.float64]],
    last: int,
) -> bool:
    """Whether a row added more than the row that was taken, at a turn up to the last one.

    Between two turns that cover one of its tags, what it adds is the same.
    """
    points = turns.points_per_tag
    start = 0
    n_new = sum(place >= 0 for place in covers)
    for end in [*(place for place in covers if 0 <= place < last), last]:
        own = float(n_new) if points is None else score + points * n_new
        if start <= end and own > _find_lowest(lowest, start, end) + ROUNDING:
            return True
        start, n_new = end + 1, n_new - 1
    return False


def _build_range_minima(values: list[float]) -> list[npt.NDArray[np.float64]]:
    """A sparse table: in level k, the lowest of 2^k values from each place on."""
    levels = [np.array(values, dtype=np.float64)]
    width = 1
    while 2 * width <= len(values):
        before = levels[-1]
        levels.append(np.minimum(before[:-width], before[width:]))
        width *= 2
    return levels


def _find_lowest(levels: list[npt.NDArray[np.float64]], start: int, end: int) -> float:
    """The lowest value from `start` to `end`, both included."""
    level = (end - start + 1).bit_length() - 1
    row = levels[level]
    return float(min(row[start], row[end - (1 << level) + 1]))
