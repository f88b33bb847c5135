"""One connection of HTTP/1.1, one exchange at a time: an asyncio protocol around httptools' parser.

It costs a tenth of the CPU time per request that a general HTTP client takes, and tacos sends tens
of thousands of requests.
"""

from __future__ import annotations

import asyncio
import select
import time
from typing import cast

import httptools

from tacos.llm.transport.content_encoding import unpack_body
from tacos.llm.transport.protocol import MAX_BODY, HttpResponse, OnEnd, TransportError


class StaleConnectionError(TransportError):
    """A connection that was kept open turns out to be closed, before the exchange began."""


class HttpConnection(asyncio.Protocol):
    """One connection and at most one exchange on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.parser = httptools.HttpResponseParser(self)
        self.transport: asyncio.Transport | None = None
        self.poller = select.poll()
        self.on_end: OnEnd | None = None
        # times of `time.monotonic()`: a loop's own clock stands still during a turn
        self.began_at = 0.0
        self.heard_at = 0.0
        self.n_sent = 0
        self.is_closed = False
        self._reset_answer()

    def _reset_answer(self) -> None:
        """Forget the last answer."""
        self.status = 0  # set when the answer is complete
        self.headers: list[tuple[bytes, bytes]] = []
        self.body: list[bytes] = []
        self.n_bytes = 0
        self.has_length = False
        self.has_quota = False
        self.encoding = ""
        self.keep_alive = False

    def is_reusable(self) -> bool:
        """Whether another request may follow."""
        return self.keep_alive and not self.is_closed

    def has_unread_input(self) -> bool:
        """Whether the socket holds something that the loop has not read yet: an answer that nobody
        asked for, or the connection's end.
        """
        return bool(self.poller.poll(0))

    def send(self, message: bytes, on_end: OnEnd) -> None:
        """Write a request; `on_end` receives the result."""
        self.on_end = on_end
        self._reset_answer()
        self.began_at = self.heard_at = time.monotonic()
        self.n_sent += 1
        transport = self.transport
        if transport is None or self.is_closed or transport.is_closing():
            error = StaleConnectionError("reset", "the connection was closed")
            self.loop.call_soon(self.fail, error)
        else:
            transport.write(message)

    def fail(self, error: TransportError) -> None:
        """End the exchange without an answer."""
        self.is_closed = True
        self._finish(error)

    def abort(self) -> None:
        """Close at once."""
        self.is_closed = True
        if self.transport is not None:
            self.transport.abort()

    def _build_response(self) -> HttpResponse | TransportError:
        """The answer, its body unpacked; an error where that fails."""
        try:
            body = unpack_body(b"".join(self.body), self.encoding)
        except TransportError as error:
            return error
        return HttpResponse(self.status, self.headers, body, self.has_quota)

    def _finish(self, result: HttpResponse | TransportError) -> None:
        # forgotten first: `on_end` may start the next exchange on this connection
        on_end = self.on_end
        self.on_end = None
        if on_end is not None:
            on_end(result)

    # called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # a cast, since uvloop's own class is no subclass of asyncio's
        self.transport = cast(asyncio.Transport, transport)
        self.poller.register(transport.get_extra_info("socket"), select.POLLIN)
        # makes uvloop write at once, not at the end of its turn
        self.transport.set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        if self.is_closed:
            return
        self.heard_at = time.monotonic()
        self.n_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.fail(TransportError("cut", f"not HTTP: {error}"))
        # The answer is handed over only now, when all of `data` is parsed: if a second message
        # followed in it, `on_message_begin` has closed the connection.
        if self.status:
            self._finish(self._build_response())
        elif self.n_bytes > MAX_BODY:
            self.fail(TransportError("cut", f"an answer of more than {MAX_BODY} bytes"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        if self.on_end is None:
            return
        if self.n_bytes == 0 and self.n_sent > 1:
            self.fail(
                StaleConnectionError("reset", "the server closed an idle connection")
            )
            return
        # without a length, the end of the connection is the end of the answer
        if self.headers and not self.has_length and exc is None:
            self.status = self.parser.get_status_code()
            self._finish(self._build_response())
            return
        if self.n_bytes:
            message = f"the answer was cut after {self.n_bytes} bytes"
            self.fail(TransportError("cut", message))
            return
        cause = f": {exc}" if exc else ""
        self.fail(TransportError("reset", f"the server closed the connection{cause}"))

    # called by the parser

    def on_message_begin(self) -> None:
        """Close where nobody asked: such a message must never answer the next request."""
        if self.on_end is None or self.status:
            self.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header."""
        if self.status:
            return
        key = name.lower()
        self.headers.append((key, value))
        if key in (b"content-length", b"transfer-encoding"):
            self.has_length = True
        elif key.startswith(b"x-ratelimit"):
            self.has_quota = True
        elif key == b"content-encoding":
            self.encoding = value.decode("latin-1").strip().lower()

    def on_body(self, data: bytes) -> None:
        """Note a piece of the body."""
        if not self.status:
            self.body.append(data)

    def on_message_complete(self) -> None:
        """Note that the answer is complete."""
        status = self.parser.get_status_code()
        if status < 200:  # "continue" and the like: the answer is still to come
            self.headers = []
            self.body = []
        elif not self.status:
            self.status = status
            self.keep_alive = self.has_length and bool(self.parser.should_keep_alive())
