"""Any row by its id, with the sentence that says why it was kept or dropped."""

from __future__ import annotations

import shlex
from typing import Any

from tacos.report.page_parts import Section
from tacos.report.report_input import ReportInput
from tacos.report.row_reasons import RowReasons, collect_reasons

MAX_ROWS = 100_000
"""Rows that a page can hold; of larger runs `tacos explain` tells all of them."""


def build_row_finder(source: ReportInput) -> Section:
    """The reasons of all rows, column by column; none where the run has more than 100,000."""
    n_rows = source.summary.n_read
    first = source.rows["id"][0] if source.rows.height else "data.jsonl:17"
    values: dict[str, Any] = {
        "n_rows": n_rows,
        "max_rows": MAX_ROWS,
        "example": first,
        "command": shlex.join(["tacos", "explain", str(source.run), first]),
        "table": None,
    }
    if n_rows <= MAX_ROWS:
        reasons = collect_reasons(source.made)
        values["n_rows"] = len(reasons.rows)
        values["table"] = pack_reasons(reasons, _read_places(source))
    return Section("row-finder", "Find a row", values)


def pack_reasons(
    reasons: RowReasons,
    places: dict[str, tuple[int | None, float | None]],
) -> dict[str, Any]:
    """Columns, a value per row: number of its file and number in it (of `data.jsonl:17`), number of
    its reason, what stands in the reason, cluster and score (null: none).
    """
    files: dict[str, int] = {}
    columns: dict[str, list[Any]] = {
        name: [] for name in ("file", "row", "reason", "values", "cluster", "score")
    }
    for row, (reason, given) in reasons.rows.items():
        file, _, number = row.rpartition(":")
        cluster, score = places.get(row, (None, None))
        columns["file"].append(files.setdefault(file, len(files)))
        columns["row"].append(int(number) if number.isdecimal() else number)
        columns["reason"].append(reason)
        columns["values"].append(list(given) or 0)
        columns["cluster"].append(cluster)
        columns["score"].append(None if score is None else round(score, 1))
    return {"files": list(files), "sentences": reasons.sentences, **columns}


def _read_places(source: ReportInput) -> dict[str, tuple[int | None, float | None]]:
    """Row -> cluster and score, of the rows that have any."""
    scores = source.made.scores.sort("score", descending=True).unique(
        "id", keep="first", maintain_order=True
    )
    places = {
        row: (cluster, score)
        for row, cluster, score in scores.select("id", "cluster", "score").iter_rows()
    }
    if "memberships" in source.artifacts:
        homes = source.artifacts["memberships"].scan().select("id", "home").collect()
        for row, home in homes.iter_rows():
            places.setdefault(row, (home, None))
    return places
