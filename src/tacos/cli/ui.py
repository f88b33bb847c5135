"""`tacos ui`: look at a run in the browser."""

from __future__ import annotations

import os
import sys
import webbrowser
from types import ModuleType
from typing import Annotated

import typer

from tacos.cli.shared import console, options
from tacos.errors import ConfigError
from tacos.workflows import ui as workflow

MANY_ROWS = 200_000
"""Rows from which on a person waits some seconds."""
INSTALL = "pip install 'tacos-select[ui]'"
Port = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=65535,
        help="the port on this machine [default: a free one]",
        show_default=False,
    ),
]
NoBrowser = Annotated[
    bool,
    typer.Option("--no-browser", help="print the link, but do not open it"),
]


def ui(
    run: options.RunDirectory,
    port: Port = None,
    no_browser: NoBrowser = False,
) -> None:
    """Look at a run in the browser: all its rows, why each was kept or dropped, comparisons,
    other selections.

    The page is served to this machine alone, and only to who has the link. Ctrl-C closes it.

    Example:

      tacos ui selected.jsonl.run
    """
    server = _load_server()
    view = workflow.ui(run)
    n_rows = view.describe()["n_rows"]
    if n_rows >= MANY_ROWS:
        console.print_line(f"Reading what is known of {n_rows:,} rows ...")
    view.prepare()

    def announce(url: str) -> None:
        console.print_line(f"Open {url}")
        console.print_line("Ctrl-C closes the page.")
        if not no_browser and _has_screen():
            webbrowser.open(url)

    server.serve_page(view, port, announce)
    console.print_line("Page closed.")


def _load_server() -> ModuleType:
    """The server. Raises `ConfigError` where what it needs is not installed."""
    try:
        from tacos.web import server
    except ModuleNotFoundError as error:
        if error.name not in {"starlette", "uvicorn"}:
            raise
        raise ConfigError(
            f"the page needs {error.name}: {INSTALL}, and run the same command again"
        ) from None
    return server


def _has_screen() -> bool:
    """Whether a browser would open in a window, not in this terminal."""
    if not sys.stdout.isatty():
        return False
    if sys.platform == "darwin":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
