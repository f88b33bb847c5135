"""What is different in another run."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tacos.web.answers import answer, read_query
from tacos.workflows.ui import RunView


class OtherRun(BaseModel):
    """Which run is meant."""

    model_config = ConfigDict(extra="forbid")

    name: str
    """The directory's name, beside this run."""


def build_routes(view: RunView) -> list[Route]:
    """`/api/runs`: the runs beside this one. `/api/diff`: this run and one of them."""

    async def list_runs(request: Request) -> Response:
        return await answer(lambda: {"names": view.others.list_names()})

    async def compare_runs(request: Request) -> Response:
        query = read_query(request, OtherRun)
        return await answer(lambda: view.others.compare_with(query.name))

    return [
        Route("/api/runs", list_runs),
        Route("/api/diff", compare_runs),
    ]
