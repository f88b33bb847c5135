"""The rows that limits left out of a selection, each with its reason and the row or limit that it
gave way to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from tacos.counts import count_words
from tacos.methods.selecting.gain_picks import RowId
from tacos.methods.selecting.limits import GroupBound, list_mates
from tacos.methods.selecting.preference_walk import Admission

NEAR_DUPLICATE = "near-duplicate of a selected row"
OF_CONVERSATION = "another row of its conversation is selected"
PASSED_BY = "passed by, as its quota or band of lengths was full"
LEFT_OUT = pl.Schema({"id": pl.String, "reason": pl.String, "raw": pl.String})


def list_none_left_out() -> pl.DataFrame:
    """No row (id, reason, raw)."""
    return pl.DataFrame(schema=LEFT_OUT)


def list_left_out(
    table: pl.DataFrame,
    admission: Admission,
    bounds: Sequence[GroupBound],
    chosen: pl.Series,
    name_id: Callable[[RowId], str] = str,
) -> pl.DataFrame:
    """The rows that the limits left out which give way (id, reason, raw), with the name of the row
    taken instead.
    """
    ids = table["id"]
    taken = set(chosen.to_list())
    is_chosen = ids.is_in(chosen.implode())
    places = is_chosen.arg_true().to_numpy().astype(np.int64)
    entries = {}
    for bound in bounds:
        if bound.gives_way:
            for row, other in list_mates(bound, places):
                entries[ids[row]] = (OF_CONVERSATION, name_id(ids[other]))
    if admission.duplicates is not None:
        for row, nearest in admission.duplicates.refused.items():
            raw = f"{name_id(ids[nearest.row])} (cosine {nearest.cosine:.3f})"
            entries.setdefault(ids[row], (NEAR_DUPLICATE, raw))
    rows = [
        (id_, reason, raw)
        for id_, (reason, raw) in sorted(entries.items())
        if id_ not in taken
    ]
    return pl.DataFrame(rows, schema={**LEFT_OUT, "id": ids.dtype}, orient="row")


def list_passed_by(
    table: pl.DataFrame,
    admission: Admission,
    bounds: Sequence[GroupBound],
    chosen: pl.Series,
) -> pl.DataFrame:
    """The rows whose turn came when a quota or a band was full (id, reason, raw), with its name."""
    ids = table["id"]
    taken = set(chosen.to_list())
    entries = []
    for row, number in sorted(admission.passed.items()):
        bound = bounds[number]
        group = int(bound.groups[row])
        if bound.gives_way or ids[row] in taken:
            continue
        raw = f"{bound.names[group]} was full ({count_words(bound.room[group], 'row')})"
        entries.append((ids[row], PASSED_BY, raw))
    return pl.DataFrame(entries, schema={**LEFT_OUT, "id": ids.dtype}, orient="row")
