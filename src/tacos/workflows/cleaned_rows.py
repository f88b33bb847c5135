"""Writes what `tacos clean` keeps and what it drops: rows with their own fields and types, in the
order of the input, and where rules look for secrets or personal data without what they find.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from tacos.errors import OutputError
from tacos.formats import writing
from tacos.formats.json_rows import decode_row
from tacos.formats.sources import InputSource
from tacos.methods.cleaning.sensitive_rows import mask_row
from tacos.methods.samples.sample_parsing import row_to_json
from tacos.store.artifacts import Artifact
from tacos.store.exact_duplicates import DUPLICATE
from tacos.store.files import name_beside

if TYPE_CHECKING:
    from tacos.formats.original_types import TypedRows

AT_READING = ("unreadable", "empty or repeated")
"""Why rows are dropped before any rule."""


class RowMasking:
    """Masks what rules find in rows, and counts it; without rules rows stay as they are."""

    def __init__(self, rules: Sequence[str]) -> None:
        self._rules = rules
        self.places: Counter[str] = Counter()
        self.n_rows = 0

    @property
    def is_on(self) -> bool:
        """Whether anything is looked for."""
        return bool(self._rules)

    def mask(self, row: str) -> str:
        """A row as JSON, masked."""
        if not self._rules:
            return row
        masked, places = mask_row(row, self._rules)
        self.places += places
        self.n_rows += bool(places)
        return masked


def dropped_path(target: Path) -> Path:
    """`<output>.dropped.jsonl`."""
    return name_beside(target, ".dropped.jsonl")


def write_kept_rows(
    samples: Artifact,
    dropped: pl.DataFrame,
    target: Path,
    masking: RowMasking,
) -> None:
    """Write the rows that stay. Raises `OutputError`."""
    gone = dropped.select("id")
    if writing.has_types(target) and samples.originals:
        # Only rows with types need pyarrow, which takes long to import.
        from tacos.formats.original_types import restore_types

        kept = samples.scan().join(
            gone.lazy(),
            on="id",
            how="anti",
            maintain_order="left",
        )
        typed = restore_types(kept.select("id", "raw"), [*samples.originals.values()])
        if typed is not None:
            if masking.is_on:
                typed = _replace_masked(typed, samples, gone, masking)
            writing.write_typed_rows(typed, target)
            return
    rows = (masking.mask(row) for row in _iterate_kept(samples, gone))
    writing.write_rows(rows, target)


def write_dropped_rows(
    source: InputSource,
    samples: Artifact,
    dropped: pl.DataFrame,
    target: Path,
    masking: RowMasking,
) -> tuple[Path, Counter[str]]:
    """Write what was dropped beside the output; returns the file, and the rows by reason."""
    unreadable, unused = AT_READING
    at_reading = samples.rejects().with_columns(
        stage=pl.when("failure").then(pl.lit(unreadable)).otherwise(pl.lit(unused))
    )
    dropped_file = dropped_path(target)
    rows = _iterate_dropped(source, samples, at_reading, dropped)
    writing.write_rows(
        ({**row, "row": masking.mask(row["row"])} for row in rows),
        dropped_file,
    )
    counts = Counter(at_reading["stage"].to_list() + dropped["stage"].to_list())
    return dropped_file, counts


def _replace_masked(
    typed: TypedRows,
    samples: Artifact,
    gone: pl.DataFrame,
    masking: RowMasking,
) -> TypedRows:
    """The rows with the columns in which something is masked."""
    from tacos.formats.original_types import holds_texts

    names: set[str] = set()
    masked_rows = []
    for before in _iterate_kept(samples, gone):
        after = masking.mask(before)
        masked_rows.append(after)
        if before != after:
            old = decode_row(before)
            new = decode_row(after)
            names.update(name for name in new if new[name] != old[name])
    for name in sorted(names):
        if not holds_texts(typed.schema.field(name).type):
            raise OutputError(
                f"cannot mask the column {name!r}, whose values are not all texts, "
                "and keep its type; write .jsonl, or drop these rows: leave --mask out"
            )
    ordered = [name for name in typed.schema.names if name in names]
    return typed.replace_columns(ordered, masked_rows) if ordered else typed


def _iterate_kept(samples: Artifact, gone: pl.DataFrame) -> Iterator[str]:
    """The rows that stay, as JSON."""
    for batch in samples.batches(("id", "raw")):
        kept = batch.join(gone, on="id", how="anti", maintain_order="left")
        yield from kept["raw"]


def _iterate_dropped(
    source: InputSource,
    samples: Artifact,
    at_reading: pl.DataFrame,
    dropped: pl.DataFrame,
) -> Iterator[dict[str, Any]]:
    """The dropped rows with rule and reason: those that reading dropped, repeated ones last, then
    in the order of the input those that the rules did.
    """
    columns = ("id", pl.col("stage").alias("rule"), "reason")
    is_repeated = pl.col("reason") == DUPLICATE
    unread = at_reading.filter(~is_repeated).select(*columns, row="raw")
    yield from unread.iter_rows(named=True)
    yield from _iterate_repeated(source, at_reading.filter(is_repeated))
    reasons = dropped.select(*columns)
    for batch in samples.batches(("id", "raw")):
        of_rules = batch.join(reasons, on="id", maintain_order="left")
        yield from of_rules.select(
            "id",
            "rule",
            "reason",
            row="raw",
        ).iter_rows(named=True)


def _iterate_repeated(
    source: InputSource,
    repeated: pl.DataFrame,
) -> Iterator[dict[str, Any]]:
    """The rows that repeat an earlier one, read once more: nothing else keeps them."""
    found = {entry["id"]: entry for entry in repeated.iter_rows(named=True)}
    if not found:
        return
    for batch in source.batches():
        for number, row in batch.rows:
            entry = found.get(f"{batch.file}:{number}")
            if entry is None:
                continue
            yield {
                "id": entry["id"],
                "rule": entry["stage"],
                "reason": entry["raw"],
                "row": row_to_json(row),
            }
