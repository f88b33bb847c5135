"""A row's full story for the page: its texts, what became of it at each stage, and why."""

from __future__ import annotations

from typing import Any

import polars as pl

from tacos.records import SAMPLES, add_missing_columns
from tacos.report.explain import explain_row
from tacos.workflows.row_search import RowSearch
from tacos.workflows.selection import Selection

MAX_CHARS = 200_000
"""Characters of one text that are shown."""
MAX_TURN_CHARS = 600_000
"""Characters of all turns of one conversation that are shown."""


def tell_row(selection: Selection, search: RowSearch, row: str) -> dict[str, Any]:
    """`row`, `verdict` and `trace` as `tacos explain --json` has them, `entry` as in the list of
    rows, `turns` of the conversation, and `raw`, the row as it was read.

    A text of more than `MAX_CHARS` characters ends there, and says so; so does a conversation.

    Raises `InputError` if the input has no such row.
    """
    trace = explain_row(selection.artifacts, selection.settings, row)
    row_id = trace.pop("row")
    verdict = trace.pop("verdict")
    position = search.table.find_position(row_id)
    entry = None
    if position is not None:
        entry = search.describe_rows([position])[0]
    return {
        "row": row_id,
        "verdict": verdict,
        "trace": trace,
        "entry": entry,
        **_read_texts(selection, search, row_id),
    }


def _read_texts(
    selection: Selection,
    search: RowSearch,
    row_id: str,
) -> dict[str, Any]:
    """The turns of a conversation and the row as it was read."""
    position = search.table.find_position(row_id)
    scan = None if position is None else search.texts.scan_sample(position)
    if scan is None:
        rejected = selection.artifacts["samples"].rejects()
        raw = rejected.filter(pl.col("id") == row_id)["raw"]
        return {"turns": [], "raw": cut_text(raw[0]), "framed": None}
    # Runs of earlier versions know no templates.
    complete = add_missing_columns(scan, SAMPLES)
    row = complete.select("turns", "raw", "framed").collect().row(0, named=True)
    framed = row["framed"]
    return {
        "turns": _cut_turns(row["turns"]),
        "raw": cut_text(row["raw"]),
        "framed": None if framed is None else cut_text(framed),
    }


def _cut_turns(turns: list[dict[str, str]]) -> list[dict[str, str]]:
    """The first turns, and how many more there are."""
    shown: list[dict[str, str]] = []
    n_chars = 0
    for number, turn in enumerate(turns):
        text = cut_text(turn["text"])
        n_chars += len(text)
        if n_chars > MAX_TURN_CHARS and shown:
            n_more = len(turns) - number
            shown.append({"role": "...", "text": f"[{n_more:,} more turns]"})
            break
        shown.append({"role": turn["role"], "text": text})
    return shown


def cut_text(text: str) -> str:
    """The text, or its beginning."""
    if len(text) <= MAX_CHARS:
        return text
    n_more = len(text) - MAX_CHARS
    return f"{text[:MAX_CHARS]}\n[... {n_more:,} more characters]"
