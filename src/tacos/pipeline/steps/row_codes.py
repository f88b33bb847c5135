"""Ids of samples as whole numbers that sort as the texts do: 8 bytes each, where a text takes 45.

An id is `<file>:<row>`. Its code is made of the place of the file among all files, of the row's
digits moved to the left (so that 10 comes before 2, as in text), and of how many digits they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.records import Table

Ints = npt.NDArray[np.int64]
DIGITS = "0123456789"


class RowCodes:
    """The codes of the ids of some files.

    >>> codes = RowCodes(["a.json", "b.json"], n_digits=2)
    >>> numbers = codes.encode(pl.Series(["a.json:2", "a.json:10", "b.json:0"]))
    >>> codes.name(numbers.sort()).to_list()
    ['a.json:10', 'a.json:2', 'b.json:0']
    """

    def __init__(self, files: Iterable[str], n_digits: int) -> None:
        """`n_digits` are those of the largest row number."""
        # What follows the colon decides where one file's name begins with another's.
        self._files = sorted(files, key=lambda file: f"{file}:0")
        self._n_digits = n_digits

    @classmethod
    def of_samples(cls, samples: Table) -> Self:
        """Those of all samples of a run."""
        files: set[str] = set()
        n_digits = 1
        for batch in samples.batches(["id"]):
            parts = _split_ids(batch["id"])
            files.update(parts["file"].unique())
            n_most: int = parts["row"].str.len_bytes().max() or 1  # type: ignore[assignment]
            n_digits = max(n_digits, n_most)
        return cls(files, n_digits)

    def encode(self, ids: pl.Series) -> pl.Series:
        """The code of each id (Int64), null for one of no such file, shape (ids,)."""
        places = {file: place for place, file in enumerate(self._files)}
        file = pl.col("file").replace_strict(
            places, default=None, return_dtype=pl.Int64
        )
        n_digits = pl.col("row").str.len_bytes().cast(pl.Int64)
        scale = pl.lit(10, pl.Int64).pow(self._n_digits - n_digits)
        digits = pl.col("row").cast(pl.Int64, strict=False) * scale
        code = (file * 10**self._n_digits + digits) * (self._n_digits + 1) + n_digits
        is_known = (n_digits > 0) & (n_digits <= self._n_digits)
        coded = _split_ids(ids).select(pl.when(is_known).then(code).alias("id"))
        return coded["id"]

    def encode_list(self, ids: Iterable[str]) -> list[int]:
        """The codes of ids that all are known."""
        codes: list[int] = self.encode(pl.Series("id", list(ids), pl.String)).to_list()
        return codes

    def name(self, codes: pl.Series) -> pl.Series:
        """The ids behind codes, shape (codes,)."""
        rest, n_digits = np.divmod(codes.to_numpy(), self._n_digits + 1)
        place, digits = np.divmod(rest, 10**self._n_digits)
        row = digits // 10 ** (self._n_digits - n_digits)
        names = pl.DataFrame(
            {"file": pl.Series(self._files, dtype=pl.String).gather(place), "row": row}
        )
        return names.select(id=pl.format("{}:{}", "file", "row"))["id"]

    def name_rows(self, table: pl.DataFrame) -> pl.DataFrame:
        """The table with the ids behind the codes in its column `id`."""
        return table.with_columns(id=self.name(table["id"]))

    def name_one(self, code: int) -> str:
        """The id behind one code."""
        return str(self.name(pl.Series([code], dtype=pl.Int64))[0])


def find_codes(codes: pl.Series, wanted: pl.Series) -> Ints:
    """The place of each wanted code among sorted ones, shape (wanted,); -1 for one not there."""
    known = codes.to_numpy()
    if not len(known):
        return np.full(len(wanted), -1, np.int64)
    asked = wanted.fill_null(-1).to_numpy()
    places = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    return np.where(known[places] == asked, places, -1)


def _split_ids(ids: pl.Series) -> pl.DataFrame:
    """file and row (its digits) of each id."""
    head = pl.col("id").str.strip_chars_end(DIGITS)
    return ids.to_frame("id").select(
        file=head.str.head(-1), row=pl.col("id").str.slice(head.str.len_chars())
    )
