"""Serves the page of one run to this machine alone, until Ctrl-C."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from tacos.errors import ConfigError
from tacos.web.application import build_application
from tacos.web.guard import Door
from tacos.workflows.ui import RunView

HOST = "127.0.0.1"
MAX_HEADERS = 64 * 1024
"""Bytes of the head of a request."""
MAX_CONNECTIONS = 64


def serve_page(
    view: RunView,
    port: int | None,
    announce: Callable[[str], None],
) -> None:
    """Serve the page until Ctrl-C; `announce` is told the URL as soon as it can be opened.

    Without a `port` the system chooses one.

    Raises:
        ConfigError: The port is taken.
    """
    with open_socket(port) as listener:
        door = Door.with_new_token(listener.getsockname()[1])
        server = build_server(build_application(view, door))
        try:
            announce(door.url)
            server.run(sockets=[listener])
        except KeyboardInterrupt:
            # uvicorn has closed all connections, and raises the signal again.
            return


def build_server(application: ASGIApp) -> uvicorn.Server:
    """A server that trusts no header about where a request comes from, and logs nothing but
    errors.
    """
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    config = uvicorn.Config(
        application,
        # Its parser has a limit for heads of requests.
        http="h11",
        h11_max_incomplete_event_size=MAX_HEADERS,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


@contextmanager
def open_socket(port: int | None) -> Iterator[socket.socket]:
    """A socket of this machine alone. Raises `ConfigError` where the port is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # A page that was just closed keeps its port for a minute otherwise.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with listener:
        try:
            listener.bind((HOST, port or 0))
        except OSError as error:
            raise ConfigError(
                f"port {port} cannot be used ({error.strerror}): name another with --port, "
                "or leave it out"
            ) from None
        # A browser that is faster than the server waits here.
        listener.listen()
        yield listener
