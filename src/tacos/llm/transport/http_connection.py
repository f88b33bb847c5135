"""One connection of HTTP/1.1 and one exchange at a time on it: an asyncio protocol around
httptools' parser.

That costs a tenth of what a general client's objects cost per request, and this client asks tens of
thousands.
"""

from __future__ import annotations

import asyncio
import select
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import httptools

MAX_BODY = 8 * 2**20
"""Bytes; an answer to one of our questions has some thousands."""


class HttpResponse(NamedTuple):
    """Status, headers (names in lower case) and body of one answer."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    limited: bool = False
    """Whether there are `x-ratelimit-*` headers among them."""

    def named(self) -> dict[str, str]:
        """The headers by name."""
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in self.headers}


class TransportError(Exception):
    """No whole answer came. `stage` says how far it got: connect, timeout, reset or cut."""

    def __init__(self, stage: str, message: str) -> None:
        super().__init__(message)
        self.stage = stage


Done = Callable[[HttpResponse | TransportError], None]
"""Told how an exchange ended; called once, on the loop's thread."""


class StaleConnectionError(TransportError):
    """A kept connection turned out to be closed."""


class HttpConnection(asyncio.Protocol):
    """One connection and at most one exchange on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.parser = httptools.HttpResponseParser(self)
        self.transport: asyncio.Transport | None = None
        self.poller = select.poll()
        self.done: Done | None = None
        self.began = self.heard = 0.0
        self.n_sent = self.n_bytes = 0
        self.framed = self.ended = self.keep = self.limited = False
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body: list[bytes] = []

    @property
    def reusable(self) -> bool:
        """Whether another request may follow."""
        return self.keep and not self.ended

    def unread(self) -> bool:
        """Whether something came that the loop has not read yet: what nobody asked for, or the
        connection's end.
        """
        return bool(self.poller.poll(0))

    def send(self, message: bytes, done: Done) -> None:
        """Write a request; `done` is told how it ends."""
        self.done = done
        self.began = self.heard = (
            time.monotonic()
        )  # a loop's own time is that of the beginning of its turn
        self.headers, self.body, self.n_bytes = [], [], 0
        self.framed = self.keep = self.limited = False
        self.status = 0
        self.n_sent += 1
        if self.transport is None or self.ended or self.transport.is_closing():
            self.loop.call_soon(
                self.fail, StaleConnectionError("reset", "the connection was closed")
            )
        else:
            self.transport.write(message)

    def finish(self, result: HttpResponse | TransportError) -> None:
        """Tell who waits."""
        done, self.done = self.done, None
        if done is not None:
            done(result)

    def fail(self, error: TransportError) -> None:
        """End the exchange without an answer."""
        self.ended = True
        self.finish(error)

    def abort(self) -> None:
        """Close at once."""
        self.ended = True
        if self.transport is not None:
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(
            asyncio.Transport, transport
        )  # uvloop's own class is none of asyncio's
        self.poller.register(transport.get_extra_info("socket"), select.POLLIN)
        self.transport.set_write_buffer_limits(
            high=0
        )  # uvloop then writes at once, not at the end of its turn

    def data_received(self, data: bytes) -> None:
        if self.ended:
            return
        self.heard = time.monotonic()
        self.n_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.fail(TransportError("cut", f"not HTTP: {error}"))
        if self.status:  # only now, when it is known that nothing unasked for follows in `data`
            self.finish(HttpResponse(self.status, self.headers, b"".join(self.body), self.limited))
        elif self.n_bytes > MAX_BODY:
            self.fail(TransportError("cut", f"an answer of more than {MAX_BODY} bytes"))

    def on_message_begin(self) -> None:
        """The parser met a message; one that nobody asked for must never answer the next request."""
        if self.done is None or self.status:
            self.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser read a header."""
        if self.status:
            return
        key = name.lower()
        self.headers.append((key, value))
        if key in (b"content-length", b"transfer-encoding"):
            self.framed = True
        elif key.startswith(b"x-ratelimit"):
            self.limited = True

    def on_body(self, data: bytes) -> None:
        """The parser read a piece of the body."""
        if not self.status:
            self.body.append(data)

    def on_message_complete(self) -> None:
        """The parser read a whole message."""
        status = self.parser.get_status_code()
        if status < 200:  # "continue" and the like: the answer is still to come
            self.headers, self.body = [], []
        elif not self.status:
            self.status = status
            self.keep = self.framed and bool(self.parser.should_keep_alive())

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        if self.done is None:
            return
        if self.n_bytes == 0 and self.n_sent > 1:
            self.fail(StaleConnectionError("reset", "the server closed a kept connection"))
        elif (
            self.headers and not self.framed and exc is None
        ):  # no length given: the end of the connection is its end
            self.finish(
                HttpResponse(self.parser.get_status_code(), self.headers, b"".join(self.body))
            )
        elif self.n_bytes:
            self.fail(TransportError("cut", f"the answer was cut after {self.n_bytes} bytes"))
        else:
            self.fail(
                TransportError(
                    "reset", f"the server closed the connection{f': {exc}' if exc else ''}"
                )
            )
