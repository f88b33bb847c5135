"""Drops exact duplicates from a stream of batches, as rejects that name the first occurrence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from tacos.records import Reject, StageOutput, build_reject_frame
from tacos.store.seen_hashes import NONE, FirstOccurrences, Rows, hash_keys

DUPLICATE = "duplicate"
"""The reason of a reject, which names the first occurrence in place of its row."""
ROW_BITS = 40
"""Of a row's number; the bits above are the file's number."""


class RowNumbers:
    """Ids of rows as numbers, (file, row) in one, so that an id takes 8 bytes."""

    def __init__(self) -> None:
        self._files: dict[str, int] = {}

    def number(self, row_id: str) -> int:
        """The id `<file>:<row>` as one number. Files count in order of first appearance."""
        file, _, row = row_id.rpartition(":")
        file_number = self._files.setdefault(file, len(self._files))
        return file_number << ROW_BITS | int(row)

    def number_all(self, row_ids: Iterable[str]) -> Rows:
        """The numbers of ids."""
        numbers = [self.number(row_id) for row_id in row_ids]
        return np.array(numbers, dtype=np.int64)

    def name(self, number: int) -> str:
        """The id behind such a number."""
        file = list(self._files)[number >> ROW_BITS]
        row = number & (1 << ROW_BITS) - 1
        return f"{file}:{row}"


@dataclass
class DuplicateFinder:
    """Finds rows whose value in one column was seen before, across all batches of a stage."""

    column: str
    stage: str
    seen: FirstOccurrences = field(default_factory=FirstOccurrences)
    rows: RowNumbers = field(default_factory=RowNumbers)

    def drop(self, output: StageOutput) -> StageOutput:
        """`output` without the repeated rows, which become rejects that name the first one."""
        table = output.table
        if table.is_empty():
            return output
        first_rows = self._find_first_rows(table)
        is_repeated = first_rows != NONE
        rejects = self._build_rejects(
            table["id"].to_numpy()[is_repeated],
            first_rows[is_repeated],
        )
        return output._replace(
            table=table.filter(pl.Series(~is_repeated)),
            rejects=pl.concat([output.rejects, build_reject_frame(rejects)]),
        )

    def _find_first_rows(self, table: pl.DataFrame) -> Rows:
        """For each row the number of its first occurrence, or -1; of shape (rows,)."""
        hashes = hash_keys(table[self.column].to_list())
        return self.seen.check(hashes, self.rows.number_all(table["id"]))

    def _build_rejects(
        self,
        ids: Iterable[str],
        first_rows: Rows,
    ) -> list[Reject]:
        rejects = []
        for row_id, first_row in zip(ids, first_rows, strict=True):
            reject = Reject(
                id=row_id,
                stage=self.stage,
                reason=DUPLICATE,
                raw=f"the same as {self.rows.name(int(first_row))}",
                failure=False,
            )
            rejects.append(reject)
        return rejects
