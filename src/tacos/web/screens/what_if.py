"""What if: another selection, tried, and saved if it pleases."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tacos.web.answers import answer, read_body
from tacos.workflows.ui import RunView
from tacos.workflows.what_if import SaveRequest, WhatIf


def build_routes(view: RunView) -> list[Route]:
    """`/api/choices`: what can be asked for. `/api/what-if`: tries it. `/api/what-if/save`: writes
    it beside the run.
    """

    async def list_choices(request: Request) -> Response:
        return await answer(view.list_choices)

    async def try_selection(request: Request) -> Response:
        wanted = await read_body(request, WhatIf)
        return await answer(lambda: view.trials.try_selection(wanted))

    async def save(request: Request) -> Response:
        wanted = await read_body(request, SaveRequest)
        return await answer(lambda: view.trials.save(wanted))

    return [
        Route("/api/choices", list_choices),
        Route("/api/what-if", try_selection, methods=["POST"]),
        Route("/api/what-if/save", save, methods=["POST"]),
    ]
