"""A chat-completions server that does nothing but wait: it answers every POST with the same reply
after a fixed latency.

As little Python per request as can be, so that a benchmark of a client measures the client.
"""

import asyncio
import sys
from typing import cast

import uvloop

REPLY = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"fast-1-2026-01-01","choices":[{"index":0,'
    b'"finish_reason":"stop","logprobs":null,"message":{"role":"assistant","refusal":null,"content":"{\\"tags\\": '
    b'[{\\"tag\\": \\"spelling check\\", \\"explanation\\": \\"asks to have spelling corrected\\"}, '
    b'{\\"tag\\": \\"email\\", \\"explanation\\": \\"the text is an email\\"}]}"}}],'
    b'"usage":{"prompt_tokens":412,"completion_tokens":48,'
    b'"total_tokens":460}}'
)
MESSAGE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    % len(REPLY)
    + REPLY
)


class Exchange(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # a cast, since uvloop's own class is no subclass of asyncio's
        self.transport = cast(asyncio.Transport, transport)
        self.data = b""

    def data_received(self, data: bytes) -> None:
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            head = self.data[:end].lower()
            start = head.find(b"content-length:") + 15
            size = end + 4 + int(head[start:].split(b"\r\n", 1)[0])
            if len(self.data) < size:
                return
            self.data = self.data[size:]
            asyncio.get_running_loop().call_later(
                LATENCY, self.transport.write, MESSAGE
            )


async def main() -> None:
    """Serve until killed; prints the port."""
    server = await asyncio.get_running_loop().create_server(
        Exchange, "127.0.0.1", 0, backlog=4096
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    LATENCY = float(sys.argv[1])
    uvloop.run(main())
