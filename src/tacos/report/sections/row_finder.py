"""Any row by its id, or by its text where the page shows it, with the sentence that says why it was
kept or dropped.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from tacos.report.page_parts import Section
from tacos.report.report_input import ReportInput
from tacos.report.row_reasons import RowReasons, collect_reasons
from tacos.report.shown_paths import show_path

MAX_ROWS = 100_000
"""Rows that a page can hold; of larger runs `tacos explain` tells all of them."""
READING = (
    "How to read a reason: rows are taken one after another, each time the one with the most "
    "points, which are its score and some for each tag that no row taken before has (a new tag). "
    "A row was dropped as the last row taken had more. Ranks are by score alone."
)


def build_row_finder(source: ReportInput) -> Section:
    """The reasons of all rows, column by column; none where the run has more than 100,000."""
    n_rows = source.summary.n_read
    first = source.rows["id"][0] if source.rows.height else "data.jsonl:17"
    run = show_path(source.run)
    values: dict[str, Any] = {
        "run": run,
        "reading": READING if source.request.strategy == "tacos" else "",
        "n_rows": n_rows,
        "max_rows": MAX_ROWS,
        "example": first,
        "command": shlex.join(["tacos", "explain", run, first]),
        "table": None,
    }
    if n_rows <= MAX_ROWS:
        reasons = collect_reasons(source.made)
        values["n_rows"] = len(reasons.rows)
        values["table"] = pack_reasons(
            reasons, _read_places(source), source.drawn["id"].to_list()
        )
    return Section("row-finder", "Find a row", values)


def pack_reasons(
    reasons: RowReasons,
    places: dict[str, tuple[int | None, float | None]],
    drawn: Sequence[str] = (),
) -> dict[str, Any]:
    """Columns, a value per row: number of its file and number in it (of `data.jsonl:17`), number of
    its reason, what stands in the reason, cluster and score (null: none); and where among them the
    rows `drawn` are, the dots of the map.
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
    numbers = {row: number for number, row in enumerate(reasons.rows)}
    return {
        "files": list(files),
        "sentences": reasons.sentences,
        "drawn": [numbers[row] for row in drawn],
        **columns,
    }


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
