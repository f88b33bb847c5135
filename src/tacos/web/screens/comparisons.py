"""Comparisons: which there are, and both sides of one with the judges' words."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tacos.web.answers import answer, read_query
from tacos.workflows.ui import RunView
from tacos.workflows.verdict_search import VerdictQuery


class PairName(BaseModel):
    """Which comparison is meant."""

    model_config = ConfigDict(extra="forbid")

    round: int
    pair: int


def build_routes(view: RunView) -> list[Route]:
    """`/api/comparisons`: a page of them. `/api/comparison`: one."""

    async def find_comparisons(request: Request) -> Response:
        query = read_query(request, VerdictQuery)
        return await answer(lambda: view.verdicts.find_page(query))

    async def show_pair(request: Request) -> Response:
        query = read_query(request, PairName)
        return await answer(view.show_pair, query.round, query.pair)

    return [
        Route("/api/comparisons", find_comparisons),
        Route("/api/comparison", show_pair),
    ]
