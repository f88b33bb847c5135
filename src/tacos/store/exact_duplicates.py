"""Drops exact duplicates from a stream of batches, as rejects that name the first occurrence."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from tacos.records import Reject, StageOutput, build_reject_frame
from tacos.store.seen_hashes import FirstOccurrences, hash_keys

ROW_BITS = 40
"""Of a row's number; the bits above are the file's number."""


@dataclass
class DuplicateFinder:
    """Finds rows whose value in one column was seen before, across all batches of a stage.

    Rows are remembered as (file, row) in one number, so an id takes 8 bytes.
    """

    column: str
    stage: str
    seen: FirstOccurrences = field(default_factory=FirstOccurrences)
    files: dict[str, int] = field(default_factory=dict)
    """The number of each file, in order of first appearance."""

    def drop(self, output: StageOutput) -> StageOutput:
        """`output` without the repeated rows, which become rejects that name the first one."""
        table = output.table
        if table.is_empty():
            return output
        ids = table["id"]
        hashes = hash_keys(table[self.column].to_list())
        rows = np.array([self.number(row_id) for row_id in ids], dtype=np.int64)
        first_rows = self.seen.check(hashes, rows)  # (rows,), -1 for new ones
        is_repeated = first_rows >= 0
        rejects = [
            self._reject(row_id, int(first_row))
            for row_id, first_row in zip(
                ids.to_numpy()[is_repeated], first_rows[is_repeated], strict=True
            )
        ]
        unique_rows = table.filter(pl.Series(~is_repeated))
        all_rejects = pl.concat([output.rejects, build_reject_frame(rejects)])
        return StageOutput(unique_rows, all_rejects, output.notes)

    def _reject(self, row_id: str, first_row: int) -> Reject:
        raw = f"the same as {self.name(first_row)}"
        return Reject(row_id, self.stage, "duplicate", raw, failure=False)

    def number(self, row_id: str) -> int:
        """The id `<file>:<row>` as one number."""
        file, _, row = row_id.rpartition(":")
        file_number = self.files.setdefault(file, len(self.files))
        return file_number << ROW_BITS | int(row)

    def name(self, number: int) -> str:
        """The id behind such a number."""
        file = list(self.files)[number >> ROW_BITS]
        row = number & (1 << ROW_BITS) - 1
        return f"{file}:{row}"
