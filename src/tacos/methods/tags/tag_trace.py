"""Traces every raw tag through the steps: its current name, the last step that moved it, and why.

Reasons add up, move by move.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from tacos.methods.tags.overrides import Move
from tacos.records import VOCABULARY

TRACE = pl.Schema(
    {name: VOCABULARY[name] for name in VOCABULARY.names() if name != "parents"}
)
"""A vocabulary while it is made; the parents of tags come last (`tacos.methods.tags.tag_links`)."""


@dataclass(frozen=True, slots=True)
class StepCounts:
    """Distinct tags before and after a step: n_in = n_out + n_merged + n_dropped."""

    name: str
    n_in: int
    n_out: int
    n_merged: int
    n_dropped: int


@dataclass(frozen=True, slots=True)
class TagTrace:
    """Where each raw tag stands: `name` (None: dropped), `step` and `reason` ("" if not moved)."""

    counts: Mapping[str, int]
    name: Mapping[str, str | None]
    step: Mapping[str, str]
    reason: Mapping[str, str]

    def names(self) -> list[str]:
        """The distinct current names, sorted."""
        return sorted({name for name in self.name.values() if name is not None})

    def totals(self) -> dict[str, int]:
        """For each name the count of all its raw tags."""
        totals: Counter[str] = Counter()
        for raw, name in self.name.items():
            if name is not None:
                totals[name] += self.counts[raw]
        return dict(totals)


def start_vocabulary(counts: pl.DataFrame) -> pl.DataFrame:
    """A vocabulary in which every raw tag is its own name.

    `counts` has tag and count; several rows of one tag are added up.
    """
    raw = pl.col("tag").alias("raw")
    count = pl.col("count").sum()
    # Sorted, so that the vocabulary does not depend on the order of the input.
    totals = counts.group_by(raw).agg(count)
    vocabulary = totals.sort("raw").with_columns(
        canonical=pl.col("raw"),
        step=pl.lit(""),
        reason=pl.lit(""),
    )
    return vocabulary.select(TRACE.names()).cast(TRACE)


def read_trace(vocabulary: pl.DataFrame) -> TagTrace:
    """The trace that a table by `TRACE` or `VOCABULARY` holds."""

    def map_raw_tags(column: str) -> dict[str, Any]:
        return dict(vocabulary.select("raw", column).iter_rows())

    return TagTrace(
        counts=map_raw_tags("count"),
        name=map_raw_tags("canonical"),
        step=map_raw_tags("step"),
        reason=map_raw_tags("reason"),
    )


def tabulate_trace(trace: TagTrace) -> pl.DataFrame:
    """The trace as a table by `TRACE`."""
    raws = list(trace.counts)
    columns = {
        "raw": raws,
        "count": [trace.counts[raw] for raw in raws],
        "canonical": [trace.name[raw] for raw in raws],
        "step": [trace.step[raw] for raw in raws],
        "reason": [trace.reason[raw] for raw in raws],
    }
    return pl.DataFrame(columns, TRACE)


def apply_moves(
    trace: TagTrace,
    step: str,
    moves: Mapping[str, Move],
) -> tuple[TagTrace, StepCounts]:
    """The trace after each name in `moves` went where its move says, and the counts of the step."""
    # Moves are of names; several raw tags may share one.
    before = trace.names()
    raw_moves: dict[str, Move] = {}
    for raw, name in trace.name.items():
        if name is not None and name in moves:
            raw_moves[raw] = moves[name]
    after = _move_raw_tags(trace, step, raw_moves)

    n_in = len(before)
    n_out = len(after.names())
    n_dropped = 0
    for name in before:
        if name in moves and moves[name].target is None:
            n_dropped += 1
    counts = StepCounts(
        step,
        n_in=n_in,
        n_out=n_out,
        n_merged=n_in - n_out - n_dropped,
        n_dropped=n_dropped,
    )
    return after, counts


def assign_own_names(
    trace: TagTrace,
    step: str,
    names: Collection[str | None],
) -> TagTrace:
    """The trace after every raw tag spelt like one of `names` bears that name, wherever it was."""
    raw_moves: dict[str, Move] = {}
    for raw, name in trace.name.items():
        if raw in names and name != raw:
            raw_moves[raw] = Move(
                target=raw,
                reason="spelt like the new name",
            )
    return _move_raw_tags(trace, step, raw_moves)


def _move_raw_tags(
    trace: TagTrace,
    step: str,
    raw_moves: Mapping[str, Move],
) -> TagTrace:
    """The trace after moves of raw tags, with the step and reason of each noted."""
    if not raw_moves:
        return trace
    # Copies: earlier traces stay valid.
    name = dict(trace.name)
    steps = dict(trace.step)
    reasons = dict(trace.reason)
    for raw, move in raw_moves.items():
        name[raw] = move.target
        steps[raw] = step
        reason = f"{step}: {move.reason}"
        # The reasons of earlier steps stay in front.
        reasons[raw] = f"{reasons[raw]}; {reason}" if reasons[raw] else reason
    return replace(
        trace,
        name=name,
        step=steps,
        reason=reasons,
    )
