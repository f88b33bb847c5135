"""Exact duplicates: rows whose content was seen before, found batch by batch, as rejects that name
the first one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from tacos.records import Reject, StageOutput, build_reject_frame
from tacos.store.seen_hashes import FirstOccurrences, hash_keys


@dataclass
class DuplicateFinder:
    """Finds rows whose value in one column was seen before, across all batches of a stage.

    Rows are remembered as (file, row) in one number, so an id comes back from 8 bytes.
    """

    column: str
    stage: str
    seen: FirstOccurrences = field(default_factory=FirstOccurrences)
    files: dict[str, int] = field(default_factory=dict)

    def drop(self, made: StageOutput) -> StageOutput:
        """`made` without the repeated rows, which become rejects that name the first one."""
        table = made.table
        if table.is_empty():
            return made
        hashes = hash_keys(table[self.column].to_list())
        first = self.seen.check(
            hashes, np.array([self.number(each) for each in table["id"]], dtype=np.int64)
        )
        repeated = first >= 0
        rejects = [
            Reject(
                row, self.stage, "duplicate", f"the same as {self.name(int(number))}", failure=False
            )
            for row, number in zip(table["id"].to_numpy()[repeated], first[repeated], strict=True)
        ]
        kept = table.filter(pl.Series(~repeated))
        return StageOutput(kept, pl.concat([made.rejects, build_reject_frame(rejects)]), made.notes)

    def number(self, row: str) -> int:
        """`<file>:<row>` as one number."""
        name, _, place = row.rpartition(":")
        return self.files.setdefault(name, len(self.files)) << 40 | int(place)

    def name(self, number: int) -> str:
        """The id behind such a number."""
        return f"{list(self.files)[number >> 40]}:{number & (1 << 40) - 1}"
