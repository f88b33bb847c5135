"""The contract of a transport: the same answers and the same errors over both of them.

The server is a bare socket, so that each case decides every byte that is sent and when.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from tacos.config import LLMSettings
from tacos.llm.sending.event_loop import create_event_loop
from tacos.llm.transport.aiohttp_transport import AiohttpTransport
from tacos.llm.transport.connection_pool import ConnectionPool
from tacos.llm.transport.endpoint import resolve_endpoint
from tacos.llm.transport.protocol import (
    MAX_BODY,
    HttpResponse,
    Transport,
    TransportError,
)

Result = HttpResponse | TransportError
Answer = Callable[[socket.socket], None]
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\ntrue"
PATH = "/chat/completions"

pytestmark = pytest.mark.timeout(120)


@dataclass
class ScriptedServer:
    """Reads requests, notes them, and answers each one as `answer` does."""

    answer: Answer = lambda connection: connection.sendall(OK)
    requests: list[bytes] = field(default_factory=list)
    n_connections: int = 0
    listener: socket.socket = field(
        default_factory=lambda: socket.create_server(("127.0.0.1", 0))
    )

    def __post_init__(self) -> None:
        self.connections: list[socket.socket] = []
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}/v1"

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:  # it was closed
                return
            self.n_connections += 1
            self.connections.append(connection)
            threading.Thread(target=self.serve, args=[connection], daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        with suppress(OSError):  # the other side, or the test, has closed it
            while request := read_request(connection):
                self.requests.append(request)
                self.answer(connection)

    def close(self) -> None:
        for each in (self.listener, *self.connections):
            each.close()


def read_request(connection: socket.socket) -> bytes:
    """A request's head and body; b"" at the connection's end."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:])
    while len(body) < int(fields[b"content-length"]):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer()
    yield scripted
    scripted.close()


@pytest.fixture(
    params=[ConnectionPool, AiohttpTransport], ids=["connection pool", "aiohttp"]
)
def kind(
    request: pytest.FixtureRequest,
) -> type[ConnectionPool] | type[AiohttpTransport]:
    return request.param


def exchange(
    kind: Callable[..., Transport],
    url: str,
    bodies: list[bytes] | None = None,
    *,
    before_close: float = 20.0,
    **settings: object,
) -> list[Result]:
    """The results of requests that are sent at the same time; closes after `before_close` seconds
    at the latest.
    """

    async def run() -> list[Result]:
        values = LLMSettings(base_url=url, proxy="none", **settings)  # type: ignore[arg-type]
        transport = kind(resolve_endpoint(values, {}), PATH, values)
        loop = asyncio.get_running_loop()
        answers = []
        for body in [b"{}"] if bodies is None else bodies:
            answer = loop.create_future()
            transport.post(body, answer.set_result)
            assert not answer.done(), "the result comes after `post` has returned"
            answers.append(answer)
        end = loop.time() + before_close
        while loop.time() < end and not all(answer.done() for answer in answers):
            await asyncio.sleep(0.02)
            transport.sweep()
        await transport.close()
        return [answer.result() for answer in answers]

    loop = create_event_loop()
    try:
        return loop.run_until_complete(run())
    finally:
        loop.close()


def test_a_good_answer_is_handed_over(kind, server: ScriptedServer) -> None:
    (result,) = exchange(kind, server.url)
    assert isinstance(result, HttpResponse), result
    assert (result.status, result.body) == (200, b"true")
    assert result.decode_headers()["content-type"] == "application/json"
    assert not result.has_quota


def test_the_request_is_what_the_settings_say(kind, server: ScriptedServer) -> None:
    exchange(
        kind,
        server.url,
        [b'{"a": 1}'],
        headers={"X-Team": "blue"},
        query={"api-version": "1"},
    )
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /v1/chat/completions?api-version=1 HTTP/1.1"
    assert {
        b"X-Team: blue",
        b"User-Agent: tacos",
        b"Content-Type: application/json",
    } <= {*lines}
    assert body == b'{"a": 1}'


@pytest.mark.parametrize("status", [302, 401, 429, 500])
def test_an_error_status_is_an_answer(
    kind, server: ScriptedServer, status: int
) -> None:
    head = (
        b"HTTP/1.1 %d Because\r\nLocation: /elsewhere\r\nContent-Length: 4\r\n\r\n"
        % status
    )
    server.answer = lambda connection: connection.sendall(head + b"busy")
    (result,) = exchange(kind, server.url)
    assert isinstance(result, HttpResponse), result
    assert (result.status, result.body) == (status, b"busy")
    assert result.decode_headers()["location"] == "/elsewhere"
    assert len(server.requests) == 1


def test_headers_about_quotas_are_noticed(kind, server: ScriptedServer) -> None:
    head = b"HTTP/1.1 200 OK\r\nX-RateLimit-Remaining-Requests: 0\r\nContent-Length: 2\r\n\r\n{}"
    server.answer = lambda connection: connection.sendall(head)
    (result,) = exchange(kind, server.url)
    assert isinstance(result, HttpResponse), result
    assert result.has_quota
    assert result.decode_headers()["x-ratelimit-remaining-requests"] == "0"


def test_a_chunked_answer_is_put_together(kind, server: ScriptedServer) -> None:
    text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ntr\r\n2\r\nue\r\n0\r\n\r\n"
    server.answer = lambda connection: connection.sendall(text)
    (result,) = exchange(kind, server.url)
    assert isinstance(result, HttpResponse), result
    assert result.body == b"true"


def test_a_large_answer_to_a_large_request_arrives(
    kind, server: ScriptedServer
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n"
    server.answer = lambda connection: connection.sendall(head + b"x" * 3_000_000)
    (result,) = exchange(kind, server.url, [b"y" * 1_000_000])
    assert isinstance(result, HttpResponse), result
    assert result.body == b"x" * 3_000_000
    assert server.requests[0].endswith(b"\r\n\r\n" + b"y" * 1_000_000)


def test_an_answer_that_is_too_large_is_cut(kind, server: ScriptedServer) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * MAX_BODY)
    server.answer = lambda connection: connection.sendall(head + b"x" * 2 * MAX_BODY)
    (result,) = exchange(kind, server.url)
    assert isinstance(result, TransportError)
    assert result.stage == "cut"
    assert "more than" in str(result)


def test_a_body_that_ends_early_is_cut(kind, server: ScriptedServer) -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(OK[:-2])
        connection.shutdown(socket.SHUT_RDWR)

    server.answer = answer
    (result,) = exchange(kind, server.url)
    assert isinstance(result, TransportError)
    assert result.stage == "cut"


def test_a_connection_that_ends_without_an_answer_is_reset(
    kind, server: ScriptedServer
) -> None:
    server.answer = lambda connection: connection.shutdown(socket.SHUT_RDWR)
    (result,) = exchange(kind, server.url)
    assert isinstance(result, TransportError)
    assert result.stage == "reset"


def test_no_connection_is_an_error_of_connecting(kind) -> None:
    (result,) = exchange(kind, "http://127.0.0.1:9/v1")
    assert isinstance(result, TransportError)
    assert result.stage == "connect"


def test_a_silent_server_times_out(kind, server: ScriptedServer) -> None:
    server.answer = lambda connection: None
    (result,) = exchange(kind, server.url, read_timeout=0.3)
    assert isinstance(result, TransportError)
    assert result.stage == "timeout"


def test_a_slow_answer_times_out_in_total_only(kind, server: ScriptedServer) -> None:
    """Each piece arrives within the read time-out."""

    def answer(connection: socket.socket) -> None:
        for byte in OK:
            connection.sendall(bytes([byte]))
            threading.Event().wait(0.05)

    server.answer = answer
    (result,) = exchange(kind, server.url, read_timeout=1.0, total_timeout=1.0)
    assert isinstance(result, TransportError)
    assert result.stage == "timeout"
    (result,) = exchange(kind, server.url, read_timeout=1.0, total_timeout=60.0)
    assert isinstance(result, HttpResponse), result


def test_many_requests_at_once_get_an_answer_each(kind, server: ScriptedServer) -> None:
    results = exchange(kind, server.url, [b"%d" % number for number in range(50)])
    assert all(isinstance(result, HttpResponse) for result in results)
    bodies = {request.partition(b"\r\n\r\n")[2] for request in server.requests}
    assert bodies == {b"%d" % number for number in range(50)}


def test_closing_ends_what_is_on_its_way(kind, server: ScriptedServer) -> None:
    server.answer = lambda connection: None
    results = exchange(kind, server.url, [b"{}"] * 3, before_close=0.3)
    for result in results:
        assert isinstance(result, TransportError)
        assert (result.stage, str(result)) == ("reset", "the client was closed")
