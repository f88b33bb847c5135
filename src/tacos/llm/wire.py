"""One HTTP POST after another over connections that stay open: the fast road to an endpoint (HTTP/1.1, with or without
TLS).

A connection is an asyncio protocol around httptools' parser. That costs a tenth of what a general client's objects cost
per request, and this client asks tens of thousands. Proxies take the other road (`proxied.py`); both answer to `Wire`.

It does not follow redirects, keep cookies, unpack compressed bodies (it asks for none) or speak HTTP/2.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, Protocol, cast
from urllib.parse import urlsplit

import httptools

from tacos.config import LLM
from tacos.llm.endpoint import Endpoint

MAX_BODY = 64 * 2**20
MAX_OPENING = 64
REST = 0.01
"""Seconds that a connection rests before its next use: a second answer to one request must not answer the next one."""


class Response(NamedTuple):
    """Status, headers (names in lower case) and body of one answer."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    limited: bool = False
    """Whether there are `x-ratelimit-*` headers among them."""

    def named(self) -> dict[str, str]:
        """The headers by name."""
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in self.headers}


class WireError(Exception):
    """No whole answer came. `stage` says how far it got: connect, timeout, reset or cut."""

    def __init__(self, stage: str, message: str) -> None:
        super().__init__(message)
        self.stage = stage


Done = Callable[[Response | WireError], None]
"""Told how an exchange ended; called once, on the loop's thread."""


class Wire(Protocol):
    """A way to post a body to the endpoint. All methods are called on one event loop's thread."""

    def post(self, body: bytes, done: Done) -> None: ...
    def sweep(self) -> None:
        """Called a few times a second: gives up what has waited too long."""
        ...

    async def close(self) -> None: ...


class DirectWire:
    """Connections to one URL, as many as there are requests at once."""

    def __init__(self, endpoint: Endpoint, path: str, settings: LLM) -> None:
        parts = urlsplit(endpoint.url(path))
        self.settings = settings
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if parts.scheme == "https" else 80)
        self.tls = endpoint.tls()
        self.head = head(parts.path + (f"?{parts.query}" if parts.query else ""), parts.netloc, endpoint.headers)
        self.loop = asyncio.get_running_loop()
        self.idle: deque[Connection] = deque()
        self.busy: set[Connection] = set()
        self.waiting: deque[tuple[bytes, Done]] = deque()
        self.opening: set[asyncio.Task[None]] = set()

    def post(self, body: bytes, done: Done) -> None:
        """Send a request, over a kept connection if one is rested."""
        self.waiting.append((self.head + b"%d\r\n\r\n" % len(body) + body, done))
        self.serve()
        if self.waiting:
            self.open()

    def serve(self) -> None:
        """Give rested connections to those who wait."""
        now = self.loop.time()
        while self.waiting and self.idle:
            if self.idle[0].ended:
                self.idle.popleft()
            elif now - self.idle[0].heard > REST:
                self.start(self.idle.popleft(), *self.waiting.popleft())
            else:
                return

    def start(self, connection: Connection, message: bytes, done: Done) -> None:
        """One exchange on a connection."""
        self.busy.add(connection)
        connection.send(message, partial(self.ended, connection, message, done))

    def ended(self, connection: Connection, message: bytes, done: Done, result: Response | WireError) -> None:
        """An exchange is over; one that a kept connection never began is begun again on another."""
        self.busy.discard(connection)
        if isinstance(result, StaleConnection):
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
        """A connection was opened, or not; then whoever waits takes one of those at work, where there are any."""
        self.opening.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, WireError) and self.waiting and not (self.busy or self.idle):
            self.waiting.popleft()[1](error)
        elif error is None:
            self.open()

    async def connect(self) -> None:
        """Open a connection. Raises `WireError`."""
        name = self.host if self.tls else None
        try:
            async with asyncio.timeout(self.settings.connect_timeout):
                _, connection = await self.loop.create_connection(
                    lambda: Connection(self.loop), self.host, self.port, ssl=self.tls, server_hostname=name
                )
        except TimeoutError:
            raise WireError("connect", f"no connection within {self.settings.connect_timeout:g} s") from None
        except OSError as error:  # TLS errors are OSErrors too
            raise WireError("connect", str(error) or type(error).__name__) from None
        if self.waiting:
            self.start(connection, *self.waiting.popleft())
        else:
            self.idle.append(connection)

    def sweep(self) -> None:
        """Give up connections that were silent, or at work, for too long."""
        self.serve()
        if self.waiting:
            self.open()
        now = self.loop.time()
        for connection in list(self.busy):
            if now - connection.heard > self.settings.read_timeout:
                connection.fail(WireError("timeout", f"silent for {self.settings.read_timeout:g} s"))
            elif now - connection.began > self.settings.total_timeout:
                connection.fail(WireError("timeout", f"not finished within {self.settings.total_timeout:g} s"))

    async def close(self) -> None:
        """Drop every connection."""
        closed = WireError("reset", "the client was closed")
        while self.waiting:
            self.waiting.popleft()[1](closed)
        for task in self.opening:
            task.cancel()
        for connection in (*self.idle, *self.busy):
            connection.fail(closed)
            connection.abort()
        self.idle.clear()
        await asyncio.sleep(0)


class StaleConnection(WireError):
    """A kept connection turned out to be closed."""


class Connection(asyncio.Protocol):
    """One connection and at most one exchange on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.parser = httptools.HttpResponseParser(self)
        self.transport: asyncio.Transport | None = None
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

    def send(self, message: bytes, done: Done) -> None:
        """Write a request; `done` is told how it ends."""
        self.done = done
        self.began = self.heard = self.loop.time()
        self.headers, self.body, self.n_bytes = [], [], 0
        self.framed = self.keep = self.limited = False
        self.status = 0
        self.n_sent += 1
        if self.transport is None or self.ended or self.transport.is_closing():
            self.loop.call_soon(self.fail, StaleConnection("reset", "the connection was closed"))
        else:
            self.transport.write(message)

    def finish(self, result: Response | WireError) -> None:
        """Tell who waits."""
        done, self.done = self.done, None
        if done is not None:
            done(result)

    def fail(self, error: WireError) -> None:
        """End the exchange without an answer."""
        self.ended = True
        self.finish(error)

    def abort(self) -> None:
        """Close at once."""
        self.ended = True
        if self.transport is not None:
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own class is none of asyncio's
        self.transport.set_write_buffer_limits(high=0)  # uvloop then writes at once, not at the end of its turn

    def data_received(self, data: bytes) -> None:
        if self.ended:
            return
        self.heard = self.loop.time()
        self.n_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.fail(WireError("cut", f"not HTTP: {error}"))
        if self.status:  # only now, when it is known that nothing unasked for follows in `data`
            self.finish(Response(self.status, self.headers, b"".join(self.body), self.limited))
        elif self.n_bytes > MAX_BODY:
            self.fail(WireError("cut", f"an answer of more than {MAX_BODY} bytes"))

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
            self.fail(StaleConnection("reset", "the server closed a kept connection"))
        elif self.headers and not self.framed and exc is None:  # no length given: the end of the connection is its end
            self.finish(Response(self.parser.get_status_code(), self.headers, b"".join(self.body)))
        elif self.n_bytes:
            self.fail(WireError("cut", f"the answer was cut after {self.n_bytes} bytes"))
        else:
            self.fail(WireError("reset", f"the server closed the connection{f': {exc}' if exc else ''}"))


def head(target: str, netloc: str, headers: Mapping[str, str]) -> bytes:
    """A request's head up to the value of Content-Length."""
    fixed = {"Host": netloc, "User-Agent": "tacos", "Accept": "application/json", "Accept-Encoding": "identity"}
    lines = [f"POST {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in {**fixed, **headers}.items()]
    lines += ["Content-Type: application/json", "Content-Length: "]
    return "\r\n".join(lines).encode("latin-1")
