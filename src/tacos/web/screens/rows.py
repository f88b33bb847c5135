"""All rows: searched, filtered, sorted, page by page."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tacos.web.answers import answer, read_query
from tacos.web.downloads import send_rows
from tacos.workflows.row_search import PageQuery
from tacos.workflows.ui import RunView


class RowName(BaseModel):
    """Which row is meant."""

    model_config = ConfigDict(extra="forbid")

    row: str
    """An id or a content hash."""


def build_routes(view: RunView) -> list[Route]:
    """`/api/rows`: a page of rows. `/api/filters`: what they can be narrowed by. `/api/row`: the
    full story of one. `/api/rows.csv` and `/api/rows.jsonl`: all rows found, with their texts.
    """

    async def find_rows(request: Request) -> Response:
        query = read_query(request, PageQuery)
        return await answer(lambda: view.search.find_page(query))

    async def list_filters(request: Request) -> Response:
        return await answer(lambda: view.search.list_filters())

    async def tell_row(request: Request) -> Response:
        query = read_query(request, RowName)
        return await answer(view.tell_row, query.row)

    async def download_rows(request: Request) -> Response:
        query = read_query(request, PageQuery)
        ending = request.path_params["ending"]
        return await run_in_threadpool(send_rows, view.search, query, ending)

    return [
        Route("/api/rows.{ending}", download_rows),
        Route("/api/row", tell_row),
        Route("/api/rows", find_rows),
        Route("/api/filters", list_filters),
    ]
