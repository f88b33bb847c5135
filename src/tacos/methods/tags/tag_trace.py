"""The way of every raw tag through the steps: its name now, the step that moved it last, and why,
move by move.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import polars as pl

from tacos.methods.tags.overrides import Move
from tacos.records import VOCABULARY


@dataclass(frozen=True, slots=True)
class StepCounts:
    """How many distinct tags a step met and left: n_in = n_out + n_merged + n_dropped."""

    name: str
    n_in: int
    n_out: int
    n_merged: int
    n_dropped: int


@dataclass(frozen=True, slots=True)
class TagTrace:
    """Where each raw tag stands: `name` (None: dropped), `step` and `reason` ("" while it is
    itself).
    """

    counts: Mapping[str, int]
    name: Mapping[str, str | None]
    step: Mapping[str, str]
    reason: Mapping[str, str]

    def names(self) -> list[str]:
        """The distinct names now, sorted."""
        return sorted({name for name in self.name.values() if name is not None})

    def totals(self) -> dict[str, int]:
        """For each name the count of all its raw tags."""
        totals: Counter[str] = Counter()
        for raw, name in self.name.items():
            if name is not None:
                totals[name] += self.counts[raw]
        return dict(totals)


def start_vocabulary(counts: pl.DataFrame) -> pl.DataFrame:
    """A vocabulary in which every raw tag is its own name; `counts` has tag, count (a tag's rows
    are added up).
    """
    each = counts.group_by(pl.col("tag").alias("raw")).agg(pl.col("count").sum()).sort("raw")
    itself = each.with_columns(
        pl.col("raw").alias("canonical"), pl.lit("").alias("step"), pl.lit("").alias("reason")
    )
    return itself.select(VOCABULARY.names()).cast(VOCABULARY)


def read_trace(vocabulary: pl.DataFrame) -> TagTrace:
    """The trace that a table by `VOCABULARY` holds."""
    raws = vocabulary["raw"].to_list()
    columns = (
        dict(zip(raws, vocabulary[column].to_list(), strict=True))
        for column in VOCABULARY.names()[1:]
    )
    return TagTrace(*columns)


def tabulate_trace(trace: TagTrace) -> pl.DataFrame:
    """The trace by `VOCABULARY`."""
    raws = list(trace.counts)
    columns = (trace.counts, trace.name, trace.step, trace.reason)
    named = zip(VOCABULARY.names()[1:], columns, strict=True)
    return pl.DataFrame(
        {"raw": raws} | {key: [column[raw] for raw in raws] for key, column in named}, VOCABULARY
    )


def apply_moves(
    trace: TagTrace, step: str, moves: Mapping[str, Move]
) -> tuple[TagTrace, StepCounts]:
    """The trace after every name in `moves` went where its move says, and what that came to."""
    before = trace.names()
    if not moves:
        return trace, StepCounts(step, len(before), len(before), 0, 0)
    names, steps, reasons = dict(trace.name), dict(trace.step), dict(trace.reason)
    for raw, now in trace.name.items():
        if now is not None and now in moves:
            target, why = moves[now]
            names[raw], steps[raw] = target, step
            reasons[raw] = "; ".join(part for part in (reasons[raw], f"{step}: {why}") if part)
    after = TagTrace(trace.counts, names, steps, reasons)
    n_dropped = sum(moves[tag].target is None for tag in before if tag in moves)
    n_out = len(after.names())
    return after, StepCounts(step, len(before), n_out, len(before) - n_out - n_dropped, n_dropped)


def assign_own_names(trace: TagTrace, step: str, names: Collection[str | None]) -> TagTrace:
    """The trace after every raw tag spelt like one of `names` bears that name, whatever became of
    it before.
    """
    name, steps, reasons = dict(trace.name), dict(trace.step), dict(trace.reason)
    for raw in trace.counts:
        if raw in names and name[raw] != raw:
            name[raw], steps[raw] = raw, step
            reasons[raw] = "; ".join(
                part for part in (reasons[raw], f"{step}: spelt like the new name") if part
            )
    return TagTrace(trace.counts, name, steps, reasons)
