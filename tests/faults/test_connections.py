"""What a kept connection holds when it is used again: bytes that nobody asked for must not answer
the next request.
"""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from tacos.config import LLMSettings
from tacos.llm.sending.event_loop import create_event_loop
from tacos.llm.transport.connection_pool import REST, ConnectionPool
from tacos.llm.transport.endpoint import resolve_endpoint
from tacos.llm.transport.protocol import HttpResponse


def message(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


@dataclass
class Talkative:
    """A server that answers every request with "right" and, when told to `speak`, says more on its
    first connection.
    """

    listener: socket.socket = field(
        default_factory=lambda: socket.create_server(("127.0.0.1", 0))
    )
    connections: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}/v1"

    def accept(self) -> None:
        while True:
            try:
                self.connections.append(self.listener.accept()[0])
            except OSError:  # it was closed
                return
            threading.Thread(
                target=self.answer, args=self.connections[-1:], daemon=True
            ).start()

    def answer(self, connection: socket.socket) -> None:
        with suppress(OSError):  # the other side, or the test, has closed it
            while connection.recv(65536):
                connection.sendall(message(b"right"))

    def speak(self) -> None:
        self.connections[0].sendall(message(b"unasked"))

    def hang_up(self) -> None:
        self.connections[0].shutdown(socket.SHUT_RDWR)


@pytest.fixture
def server() -> Iterator[Talkative]:
    found = Talkative()
    yield found
    for each in (found.listener, *found.connections):
        each.close()


def two_answers(server: Talkative, between) -> tuple[bytes, bytes]:
    """The bodies that two requests get on a rested connection; `between` happens while the loop
    does nothing else.
    """

    async def ask(pool: ConnectionPool) -> bytes:
        answer = asyncio.get_running_loop().create_future()
        pool.post(b"{}", answer.set_result)
        result = await asyncio.wait_for(answer, 20)
        assert isinstance(result, HttpResponse), result
        return result.body

    async def both() -> tuple[bytes, bytes]:
        settings = LLMSettings(base_url=server.url, proxy="none")
        pool = ConnectionPool(
            resolve_endpoint(settings, {}), "/chat/completions", settings
        )
        first = await ask(pool)
        await asyncio.sleep(2 * REST)
        between()
        second = await ask(pool)
        await pool.close()
        return first, second

    loop = create_event_loop()
    try:
        return loop.run_until_complete(both())
    finally:
        loop.close()


@pytest.mark.timeout(120)
def test_a_rested_connection_is_used_again(server: Talkative) -> None:
    assert two_answers(server, lambda: None) == (b"right", b"right")
    assert len(server.connections) == 1


@pytest.mark.timeout(120)
@pytest.mark.parametrize("surprise", [Talkative.speak, Talkative.hang_up])
def test_one_with_something_unread_is_not(surprise, server: Talkative) -> None:
    assert two_answers(server, lambda: surprise(server)) == (b"right", b"right")
    assert len(server.connections) == 2
