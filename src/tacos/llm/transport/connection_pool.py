"""Connections to an endpoint that stay open, one request after another: the fast road (HTTP/1.1,
with or without TLS).

Proxies take the other road (`proxied.py`); both answer to `HttpTransport`. It does not follow redirects,
keep cookies, unpack compressed bodies (it asks for none) or speak HTTP/2.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from functools import partial
from typing import Protocol
from urllib.parse import urlsplit

from tacos.config import LLMSettings
from tacos.llm.transport.endpoint import Endpoint
from tacos.llm.transport.http_connection import (
    Done,
    HttpConnection,
    HttpResponse,
    StaleConnectionError,
    TransportError,
)

MAX_OPENING = 64
REST = 0.01
"""Seconds that a connection rests before its next use: a second answer to one request must not
answer the next one.
"""


class HttpTransport(Protocol):
    """A way to post a body to the endpoint. All methods are called on one event loop's thread."""

    def post(self, body: bytes, done: Done) -> None: ...
    def sweep(self) -> None:
        """Called a few times a second: gives up what has waited too long."""
        ...

    async def close(self) -> None: ...


class ConnectionPool:
    """Connections to one URL, as many as there are requests at once."""

    def __init__(self, endpoint: Endpoint, path: str, settings: LLMSettings) -> None:
        parts = urlsplit(endpoint.url(path))
        self.settings = settings
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if parts.scheme == "https" else 80)
        self.tls = endpoint.tls()
        self.head = _build_request_head(
            parts.path + (f"?{parts.query}" if parts.query else ""), parts.netloc, endpoint.headers
        )
        self.loop = asyncio.get_running_loop()
        self.idle: deque[HttpConnection] = deque()
        self.busy: set[HttpConnection] = set()
        self.waiting: deque[tuple[bytes, Done]] = deque()
        self.opening: set[asyncio.Task[None]] = set()

    def post(self, body: bytes, done: Done) -> None:
        """Send a request, over a kept connection if one is rested."""
        self.waiting.append((self.head + b"%d\r\n\r\n" % len(body) + body, done))
        self.serve()
        if self.waiting:
            self.open()

    def serve(self) -> None:
        """Give rested connections to those who wait; open one where none is left, not where some
        still rest.
        """
        while self.waiting and self.idle and time.monotonic() - self.idle[0].heard > REST:
            connection = self.idle.popleft()
            if connection.ended or connection.unread():
                connection.abort()
            else:
                self.start(connection, *self.waiting.popleft())
        if self.waiting and not self.idle:
            self.open()

    def start(self, connection: HttpConnection, message: bytes, done: Done) -> None:
        """One exchange on a connection."""
        self.busy.add(connection)
        connection.send(message, partial(self.ended, connection, message, done))

    def ended(
        self,
        connection: HttpConnection,
        message: bytes,
        done: Done,
        result: HttpResponse | TransportError,
    ) -> None:
        """An exchange is over; one that a kept connection never began is begun again on another."""
        self.busy.discard(connection)
        if isinstance(result, StaleConnectionError):
            self.waiting.appendleft((message, done))
            self.open()
            return
        if connection.reusable:
            self.idle.append(connection)
            if self.waiting:
                self.loop.call_later(REST + 0.001, self.serve)
        else:
            connection.abort()
            if self.waiting:
                self.open()
        done(result)

    def open(self) -> None:
        """Open a connection, unless enough are being opened."""
        if len(self.opening) < min(MAX_OPENING, len(self.waiting)):
            task = self.loop.create_task(self.connect())
            self.opening.add(task)
            task.add_done_callback(self.opened)

    def opened(self, task: asyncio.Task[None]) -> None:
        """A connection was opened, or not; then whoever waits takes one of those at work, where
        there are any.
        """
        self.opening.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, TransportError) and self.waiting and not (self.busy or self.idle):
            self.waiting.popleft()[1](error)
        elif error is None:
            self.open()

    async def connect(self) -> None:
        """Open a connection. Raises `TransportError`."""
        name = self.host if self.tls else None
        try:
            async with asyncio.timeout(self.settings.connect_timeout):
                _, connection = await self.loop.create_connection(
                    lambda: HttpConnection(self.loop),
                    self.host,
                    self.port,
                    ssl=self.tls,
                    server_hostname=name,
                )
        except TimeoutError:
            raise TransportError(
                "connect", f"no connection within {self.settings.connect_timeout:g} s"
            ) from None
        except OSError as error:  # TLS errors are OSErrors too
            raise TransportError("connect", str(error) or type(error).__name__) from None
        if self.waiting:
            self.start(connection, *self.waiting.popleft())
        else:
            self.idle.append(connection)

    def sweep(self) -> None:
        """Give up connections that were silent, or at work, for too long."""
        self.serve()
        if self.waiting:
            self.open()
        now = time.monotonic()
        for connection in list(self.busy):
            if now - connection.heard > self.settings.read_timeout:
                connection.fail(
                    TransportError("timeout", f"silent for {self.settings.read_timeout:g} s")
                )
            elif now - connection.began > self.settings.total_timeout:
                connection.fail(
                    TransportError(
                        "timeout", f"not finished within {self.settings.total_timeout:g} s"
                    )
                )

    async def close(self) -> None:
        """Drop every connection."""
        closed = TransportError("reset", "the client was closed")
        while self.waiting:
            self.waiting.popleft()[1](closed)
        for task in self.opening:
            task.cancel()
        for connection in (*self.idle, *self.busy):
            connection.fail(closed)
            connection.abort()
        self.idle.clear()
        await asyncio.sleep(0)


def _build_request_head(target: str, netloc: str, headers: Mapping[str, str]) -> bytes:
    """A request's head up to the value of Content-Length."""
    fixed = {
        "Host": netloc,
        "User-Agent": "tacos",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
    }
    lines = [f"POST {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in {**fixed, **headers}.items()]
    lines += ["Content-Type: application/json", "Content-Length: "]
    return "\r\n".join(lines).encode("latin-1")
