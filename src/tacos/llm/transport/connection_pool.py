"""The fast transport: HTTP/1.1 connections that stay open, with or without TLS.

It does not follow redirects, keep cookies, ask for compressed bodies (those that come are unpacked)
or speak HTTP/2. Proxies need the other transport, `aiohttp_transport`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from functools import partial
from urllib.parse import urlsplit

from tacos.config import LLMSettings
from tacos.llm.transport.endpoint import Endpoint
from tacos.llm.transport.http_connection import HttpConnection, StaleConnectionError
from tacos.llm.transport.protocol import HttpResponse, OnEnd, TransportError

MAX_OPENING = 64
"""Connections that may be opening at the same time."""
REST = 0.01
"""Seconds that a connection rests before its next use, so that a second answer to one request
cannot answer the next one.
"""


_Exchange = tuple[bytes, OnEnd]
"""A request's message, and who receives its result."""


class ConnectionPool:
    """Connections to one URL, as many as there are requests in flight; a `Transport`."""

    def __init__(self, endpoint: Endpoint, path: str, settings: LLMSettings) -> None:
        url = urlsplit(endpoint.url(path))
        target = f"{url.path}?{url.query}" if url.query else url.path
        self._settings = settings
        self._host = url.hostname or ""
        self._port = url.port or (443 if url.scheme == "https" else 80)
        self._tls = endpoint.tls()
        self._head = _build_request_head(target, url.netloc, endpoint.headers)
        self._loop = asyncio.get_running_loop()
        self._idle: deque[HttpConnection] = (
            deque()
        )  # the one that has rested longest first
        self._busy: set[HttpConnection] = set()
        self._waiting: deque[_Exchange] = deque()
        self._opening: set[asyncio.Task[None]] = set()

    def post(self, body: bytes, on_end: OnEnd) -> None:
        """Send a request, over an open connection if one is rested; see `Transport.post`."""
        message = self._head + b"%d\r\n\r\n" % len(body) + body
        self._waiting.append((message, on_end))
        self._serve()
        if self._waiting:
            self._open()

    def sweep(self) -> None:
        """Give up connections that have been silent, or at work, for too long."""
        self._serve()
        if self._waiting:
            self._open()
        read_timeout = self._settings.read_timeout
        total_timeout = self._settings.total_timeout
        now = time.monotonic()
        for connection in list(self._busy):
            if now - connection.heard_at > read_timeout:
                error = TransportError("timeout", f"silent for {read_timeout:g} s")
                connection.fail(error)
            elif now - connection.began_at > total_timeout:
                error = TransportError(
                    "timeout", f"not finished within {total_timeout:g} s"
                )
                connection.fail(error)

    async def close(self) -> None:
        """Drop every connection; see `Transport.close`."""
        error = TransportError("reset", "the client was closed")
        while self._waiting:
            _, on_end = self._waiting.popleft()
            on_end(error)
        opening = list(self._opening)
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
        for connection in (*self._idle, *self._busy):
            connection.fail(error)
            connection.abort()
        self._idle.clear()
        await asyncio.sleep(0)

    def _serve(self) -> None:
        """Give rested connections to those who wait.

        A new connection is opened where none is idle, but not where some are still resting.
        """
        while (
            self._waiting
            and self._idle
            and time.monotonic() - self._idle[0].heard_at > REST
        ):
            connection = self._idle.popleft()
            if connection.is_closed or connection.has_unread_input():
                connection.abort()
            else:
                self._start(connection, self._waiting.popleft())
        if self._waiting and not self._idle:
            self._open()

    def _start(self, connection: HttpConnection, exchange: _Exchange) -> None:
        """Begin an exchange on a connection."""
        self._busy.add(connection)
        message, _ = exchange
        connection.send(message, partial(self._end, connection, exchange))

    def _end(
        self,
        connection: HttpConnection,
        exchange: _Exchange,
        result: HttpResponse | TransportError,
    ) -> None:
        """Take the connection back and hand the result over."""
        self._busy.discard(connection)
        # the server has closed the connection before the exchange began: use another one
        if isinstance(result, StaleConnectionError):
            self._waiting.appendleft(exchange)
            self._open()
            return
        if connection.is_reusable():
            self._idle.append(connection)
            if self._waiting:
                self._loop.call_later(REST + 0.001, self._serve)
        else:
            connection.abort()
            if self._waiting:
                self._open()
        _, on_end = exchange
        on_end(result)

    def _open(self) -> None:
        """Start to open a connection, unless enough are opening."""
        if len(self._opening) < min(MAX_OPENING, len(self._waiting)):
            task = self._loop.create_task(self._connect())
            self._opening.add(task)
            task.add_done_callback(self._on_opened)

    def _on_opened(self, task: asyncio.Task[None]) -> None:
        """Open the next connection, or report that none can be opened.

        As long as other connections work, whoever waits gets one of those instead of the error.
        """
        self._opening.discard(task)
        error = None if task.cancelled() else task.exception()
        has_others = bool(self._busy or self._idle)
        if isinstance(error, TransportError) and self._waiting and not has_others:
            _, on_end = self._waiting.popleft()
            on_end(error)
        elif error is None:
            self._open()

    async def _connect(self) -> None:
        """Open a connection and use it. Raises `TransportError`."""
        timeout = self._settings.connect_timeout
        try:
            async with asyncio.timeout(timeout):
                _, connection = await self._loop.create_connection(
                    lambda: HttpConnection(self._loop),
                    self._host,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls else None,
                )
        except TimeoutError:
            message = f"no connection within {timeout:g} s"
            raise TransportError("connect", message) from None
        except OSError as error:  # TLS errors are OSErrors too
            raise TransportError(
                "connect", str(error) or type(error).__name__
            ) from None
        if self._waiting:
            self._start(connection, self._waiting.popleft())
        else:
            self._idle.append(connection)


def _build_request_head(target: str, netloc: str, headers: Mapping[str, str]) -> bytes:
    """A request's head, up to the value of Content-Length."""
    common = {
        "Host": netloc,
        "User-Agent": "tacos",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
    }
    lines = [f"POST {target} HTTP/1.1"]
    for name, value in {**common, **headers}.items():
        lines.append(f"{name}: {value}")
    lines.append("Content-Type: application/json")
    lines.append("Content-Length: ")
    return "\r\n".join(lines).encode("latin-1")
