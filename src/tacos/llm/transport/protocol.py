"""What every transport does: post a body to the endpoint and hand over the server's answer.

There are two: `connection_pool`, fast and without frills, and `aiohttp_transport`, which can go
through a proxy. `tests/contracts/test_transports.py` holds both to the same behaviour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

MAX_BODY = 8 * 2**20
"""Bytes of the longest answer that is read; an answer to a question has a few thousand."""

Stage = Literal["connect", "timeout", "reset", "cut"]


class HttpResponse(NamedTuple):
    """Status, headers (names in lower case) and body of one answer."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    has_quota: bool = False
    """Whether there are `x-ratelimit-*` headers among them."""

    def decode_headers(self) -> dict[str, str]:
        """The headers by name."""
        return {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in self.headers
        }


class TransportError(Exception):
    """No complete answer arrived. `stage` says how far the exchange got."""

    def __init__(self, stage: Stage, message: str) -> None:
        super().__init__(message)
        self.stage = stage


OnEnd = Callable[[HttpResponse | TransportError], None]
"""Receives the result of an exchange; called once, on the loop's thread."""


class Transport(Protocol):
    """A way to one URL of an endpoint. Everything is called on one event loop's thread."""

    def post(self, body: bytes, on_end: OnEnd) -> None:
        """Send a request and return at once; `on_end` receives the answer, whatever its status.

        Redirects are not followed. Where no complete answer arrives, it receives an error: stage
        "connect" where there is no connection, "timeout" where the settings' time is over, "reset"
        where the connection ends before the answer begins, "cut" where it ends within the answer
        or the answer is too long.
        """
        ...

    def sweep(self) -> None:
        """Give up exchanges that take too long; called a few times a second."""
        ...

    async def close(self) -> None:
        """Drop every connection. What is still on its way ends with an error ("reset")."""
        ...
