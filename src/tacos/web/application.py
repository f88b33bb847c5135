"""The page's answers by path: its own static files, and JSON by screen."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from tacos.errors import TacosError
from tacos.web import answers
from tacos.web.guard import Door, Guard
from tacos.web.screens import annotate, comparisons, diff, edits, rows, run, what_if
from tacos.workflows.ui import RunView

STATIC = Path(__file__).parent / "static"
AGAIN = "start tacos ui with the run where it is now"
SCREENS = (run, rows, comparisons, what_if, diff, edits, annotate)
"""Modules with a function `build_routes`. A screen is one of them and, of the same name, a module
in `static/screens/`; `static/app.js` lists these.
"""


def build_application(view: RunView, door: Door) -> ASGIApp:
    """The page of a run behind its door."""
    # Browsers run no module of another type, and some systems give it one.
    mimetypes.add_type("text/javascript", ".js")
    routes = [
        Route("/", _send_page),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    for screen in SCREENS:
        routes += screen.build_routes(view)

    def answer_gone() -> Response:
        name = view.selection.run.absolute().name
        return answers.write_error(f"the run {name} is gone: {AGAIN}", 410)

    async def answer_fault(request: Request, error: Exception) -> Response:
        if not view.is_there:
            return answer_gone()
        return answers.write_error("tacos failed here; the terminal says how", 500)

    application = Starlette(
        routes=routes,
        exception_handlers={
            TacosError: answers.answer_error,
            HTTPException: answers.answer_refusal,
            Exception: answer_fault,
        },
        max_body_size=answers.MAX_BODY,
    )

    async def check_run(scope: Scope, receive: Receive, send: Send) -> None:
        # A run that was moved away must not look like one without tasks or edits.
        answering: ASGIApp = application
        if scope["type"] == "http" and scope["path"].startswith("/api/"):
            answering = application if view.is_there else answer_gone()
        await answering(scope, receive, send)

    return Guard(check_run, door)


async def _send_page(request: Request) -> Response:
    """The one page, which holds no data."""
    return FileResponse(STATIC / "page.html")
