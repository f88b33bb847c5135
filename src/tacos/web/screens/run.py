"""What every screen says about the run."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tacos.web.answers import answer
from tacos.workflows.ui import RunView


def build_routes(view: RunView) -> list[Route]:
    """`/api/run`: the run in one line."""

    async def describe_run(request: Request) -> Response:
        return await answer(view.describe)

    return [Route("/api/run", describe_run)]
