"""The texts of a run's rows, found and read where they are: in its Parquet files.

A search reads two columns of every file, as a stream. On a million rows of Alpaca's size that takes
half a second of processor time and 115 MB, less than an index would cost to keep (see
benchmarks/RESULTS.md), so there is none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.errors import InputError
from tacos.store.artifacts import Artifact
from tacos.store.joined_files import scan_batches
from tacos.store.tables import scan_tables

MAX_WORDS = 8
TEXTS = ("instruction", "response")
"""The columns of a sample that are searched; of a rejected row it is `raw`."""


@dataclass(frozen=True)
class RowTexts:
    """Texts by the positions of `tacos.workflows.row_table`."""

    samples: Artifact

    @cached_property
    def of_samples(self) -> list[pl.LazyFrame]:
        """The samples, batch by batch."""
        return [batch for file in self.samples.parts for batch in scan_batches(file)]

    @cached_property
    def batches(self) -> list[pl.LazyFrame]:
        """The batches of samples, then those of rejected rows."""
        rejects = self.samples.reject_parts
        return [
            *self.of_samples,
            *(batch for file in rejects for batch in scan_batches(file)),
        ]

    @cached_property
    def starts(self) -> list[int]:
        """The position of each batch's first row, and the number of all rows."""
        counts = [batch.select(pl.len()) for batch in self.batches]
        heights = [count.item() for count in pl.collect_all(counts)]
        return [0, *np.cumsum(heights).tolist()]

    def find(self, text: str) -> pl.Series:
        """Whether each row has all words of a text, in any order and case; words in quotation marks
        stand together.

        Raises `InputError` for too many words.
        """
        patterns = [f"(?i){pl.escape_regex(word)}" for word in split_words(text)]
        found = [_scan_matches(self.samples.parts, TEXTS, patterns)]
        if self.samples.reject_parts:
            found.append(_scan_matches(self.samples.reject_parts, ("raw",), patterns))
        tables = [scan.collect(engine="streaming") for scan in found]
        return pl.concat(tables)["is_match"]

    def read(self, positions: Sequence[int]) -> list[dict[str, str]]:
        """instruction and response of each row; of a rejected one `raw` as the instruction."""
        wanted = np.asarray(positions, dtype=np.int64)
        numbers = np.searchsorted(self.starts, wanted, side="right") - 1
        places: list[int] = []
        scans = []
        for number in np.unique(numbers).tolist():
            in_batch = np.flatnonzero(numbers == number)
            places += in_batch.tolist()
            scans.append(self._scan_rows(number, wanted[in_batch]))
        tables = pl.collect_all(scans)
        texts: list[dict[str, str]] = [{} for _ in positions]
        rows = (row for table in tables for row in table.to_dicts())
        for place, row in zip(places, rows, strict=True):
            texts[place] = row
        return texts

    def scan_sample(self, position: int) -> pl.LazyFrame | None:
        """All columns of one sample; None for a rejected row."""
        number = int(np.searchsorted(self.starts, position, side="right")) - 1
        if number >= len(self.of_samples):
            return None
        return self.batches[number].slice(position - self.starts[number], 1)

    def _scan_rows(self, number: int, positions: npt.NDArray[np.int64]) -> pl.LazyFrame:
        """The texts of some rows of one batch."""
        offsets = positions - self.starts[number]
        table = self.batches[number]
        if len(offsets) == 1:
            # The rest of the batch need not be read.
            rows = table.slice(offsets[0], 1)
        else:
            rows = table.select(pl.all().gather(offsets))
        if number < len(self.of_samples):
            return rows.select(TEXTS)
        return rows.select(instruction="raw", response=pl.lit(""))


def split_words(text: str) -> list[str]:
    """The words of a search; what stands in quotation marks is one word.

    Raises `InputError` for too many.

    >>> split_words('tea "a cup"'), split_words('5" pipe')
    (['tea', 'a cup'], ['5"', 'pipe'])
    """
    words = [quoted or word for quoted, word in re.findall(r'"([^"]+)"|(\S+)', text)]
    if len(words) > MAX_WORDS:
        raise InputError(
            f"a search takes {MAX_WORDS} words, and these are {len(words)}: "
            "put words that stand together in quotation marks"
        )
    return words


def _scan_matches(
    parts: Sequence[Path],
    columns: Sequence[str],
    patterns: Sequence[str],
) -> pl.LazyFrame:
    """`is_match`: whether each pattern occurs in one of the columns."""
    is_match = pl.lit(True)
    for pattern in patterns:
        occurs = [pl.col(column).str.contains(pattern) for column in columns]
        is_match &= pl.any_horizontal(occurs)
    return scan_tables(parts).select(is_match=is_match.fill_null(False))
