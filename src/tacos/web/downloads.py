"""Files that the page makes: sent piece by piece, however large."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from tacos.web.answers import PageError
from tacos.workflows.row_files import write_csv, write_jsonl
from tacos.workflows.row_search import PageQuery, RowSearch

MAX_ROWS = 200_000
"""Rows of one download."""
WRITERS = {
    "csv": ("text/csv", write_csv),
    "jsonl": ("application/jsonl", write_jsonl),
}
"""Ending -> media type, and what writes it."""


def send_rows(search: RowSearch, query: PageQuery, ending: str) -> Response:
    """All rows found, in order, with their texts. Raises `PageError` for too many."""
    if ending not in WRITERS:
        raise HTTPException(404)
    n_rows = len(search.find_sorted(query))
    if n_rows > MAX_ROWS:
        raise PageError(
            f"{n_rows:,} rows are more than one download takes ({MAX_ROWS:,}): "
            "narrow them, for example by source"
        )
    media_type, write = WRITERS[ending]
    headers = {"Content-Disposition": f'attachment; filename="rows.{ending}"'}
    return StreamingResponse(
        write(search.iterate_rows(query)),
        headers=headers,
        media_type=media_type,
    )
