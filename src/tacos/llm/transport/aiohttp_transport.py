"""The road through a proxy: aiohttp, slower per request and able to do what proxies want."""

from __future__ import annotations

import asyncio

import aiohttp

from tacos.config import LLMSettings
from tacos.errors import ConfigError
from tacos.llm.transport.endpoint import Endpoint
from tacos.llm.transport.http_connection import MAX_BODY, Done, HttpResponse, TransportError


class AiohttpTransport:
    """Posts through an HTTP proxy (CONNECT for https)."""

    def __init__(self, endpoint: Endpoint, path: str, settings: LLMSettings) -> None:
        if not endpoint.proxy.startswith(("http://", "https://")):
            raise ConfigError("llm.proxy must be an http:// or https:// URL")
        self.url, self.proxy = endpoint.url(path), endpoint.proxy
        self.session = open_session(endpoint, settings)
        self.tasks: set[asyncio.Task[None]] = set()

    def post(self, body: bytes, done: Done) -> None:
        """Send a request."""

        async def exchange() -> None:
            try:
                result: HttpResponse | TransportError = await self.exchange(body)
            except TransportError as error:
                result = error
            done(result)

        task = asyncio.get_running_loop().create_task(exchange())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def exchange(self, body: bytes) -> HttpResponse:
        """The server's answer. Raises `TransportError`."""
        try:
            async with self.session.post(
                self.url, data=body, proxy=self.proxy, allow_redirects=False
            ) as response:
                headers = [(name.lower(), value) for name, value in response.raw_headers]
                limited = any(name.startswith(b"x-ratelimit") for name, _ in headers)
                body = b""
                async for piece in response.content.iter_any():
                    body += piece
                    if len(body) > MAX_BODY:
                        raise TransportError("cut", f"an answer of more than {MAX_BODY} bytes")
                return HttpResponse(response.status, headers, body, limited)
        except aiohttp.ClientHttpProxyError as error:
            raise TransportError(
                "connect", f"the proxy says {error.status} {error.message}"
            ) from None
        except aiohttp.ClientConnectorError as error:
            raise TransportError("connect", str(error)) from None
        except (aiohttp.ServerTimeoutError, TimeoutError) as error:
            raise TransportError("timeout", str(error) or "timed out") from None
        except aiohttp.ClientPayloadError as error:
            raise TransportError("cut", str(error)) from None
        except (aiohttp.ClientError, OSError) as error:
            raise TransportError("reset", str(error) or type(error).__name__) from None

    def sweep(self) -> None:
        """aiohttp keeps its own clocks."""

    async def close(self) -> None:
        """Drop every connection."""
        for task in self.tasks:
            task.cancel()
        await self.session.close()
        await asyncio.sleep(0)


def open_session(endpoint: Endpoint, settings: LLMSettings) -> aiohttp.ClientSession:
    """A session with the endpoint's headers and certificates and the settings' time-outs; call it
    in a running loop.
    """
    timeout = aiohttp.ClientTimeout(
        total=settings.total_timeout,
        sock_connect=settings.connect_timeout,
        sock_read=settings.read_timeout,
    )
    connector = aiohttp.TCPConnector(limit=0, ssl=endpoint.tls() or True)
    headers = {"Content-Type": "application/json", "User-Agent": "tacos", **endpoint.headers}
    return aiohttp.ClientSession(
        connector=connector, timeout=timeout, headers=headers, cookie_jar=aiohttp.DummyCookieJar()
    )
