"""The transport through a proxy: aiohttp, slower per request, with all that proxies ask for."""

from __future__ import annotations

import asyncio

import aiohttp

from tacos.config import LLMSettings
from tacos.errors import ConfigError
from tacos.llm.transport.endpoint import Endpoint
from tacos.llm.transport.protocol import MAX_BODY, HttpResponse, OnEnd, TransportError


class AiohttpTransport:
    """Posts through an HTTP proxy (CONNECT for https); a `Transport`.

    An endpoint without a proxy is reached directly. Raises `ConfigError` for a proxy that is not
    an HTTP proxy.
    """

    def __init__(self, endpoint: Endpoint, path: str, settings: LLMSettings) -> None:
        proxy = endpoint.proxy
        if proxy and not proxy.startswith(("http://", "https://")):
            raise ConfigError("llm.proxy must be an http:// or https:// URL")
        self._url = endpoint.url(path)
        self._proxy = proxy or None
        self._session = open_session(endpoint, settings)
        self._exchanges: set[asyncio.Task[None]] = set()

    def post(self, body: bytes, on_end: OnEnd) -> None:
        """Send a request; see `Transport.post`."""
        task = asyncio.get_running_loop().create_task(self._exchange(body, on_end))
        self._exchanges.add(task)
        task.add_done_callback(self._exchanges.discard)

    def sweep(self) -> None:
        """Nothing to do: aiohttp watches the time itself."""

    async def close(self) -> None:
        """Drop every connection; see `Transport.close`."""
        exchanges = list(self._exchanges)
        for task in exchanges:
            task.cancel()
        if exchanges:
            await asyncio.wait(exchanges)
        await self._session.close()
        await asyncio.sleep(0)

    async def _exchange(self, body: bytes, on_end: OnEnd) -> None:
        try:
            result: HttpResponse | TransportError = await self._fetch(body)
        except asyncio.CancelledError:  # only `close` cancels
            result = TransportError("reset", "the client was closed")
        except TransportError as error:
            result = error
        except Exception as error:  # whatever it is, somebody waits for the result
            result = TransportError("reset", repr(error))
        on_end(result)

    async def _fetch(self, body: bytes) -> HttpResponse:
        """The server's answer, with aiohttp's errors as `TransportError`."""
        try:
            return await self._read_answer(body)
        except aiohttp.ClientHttpProxyError as error:
            message = f"the proxy answered {error.status} {error.message}"
            raise TransportError("connect", message) from None
        except aiohttp.ClientConnectorError as error:
            raise TransportError("connect", str(error)) from None
        # A kind of ServerTimeoutError, though no server has been reached.
        except aiohttp.ConnectionTimeoutError as error:
            message = str(error) or "no connection in time"
            raise TransportError("connect", message) from None
        except (aiohttp.ServerTimeoutError, TimeoutError) as error:
            raise TransportError("timeout", str(error) or "timed out") from None
        except aiohttp.ClientPayloadError as error:
            raise TransportError("cut", str(error)) from None
        except (aiohttp.ClientError, OSError) as error:
            raise TransportError("reset", str(error) or type(error).__name__) from None

    async def _read_answer(self, body: bytes) -> HttpResponse:
        post = self._session.post(
            self._url, data=body, proxy=self._proxy, allow_redirects=False
        )
        async with post as response:
            headers = [(name.lower(), value) for name, value in response.raw_headers]
            has_quota = any(name.startswith(b"x-ratelimit") for name, _ in headers)
            answer = b""
            async for piece in response.content.iter_any():
                answer += piece
                if len(answer) > MAX_BODY:
                    raise TransportError(
                        "cut", f"an answer of more than {MAX_BODY} bytes"
                    )
            return HttpResponse(response.status, headers, answer, has_quota)


def open_session(endpoint: Endpoint, settings: LLMSettings) -> aiohttp.ClientSession:
    """A session with the endpoint's headers and certificates and the settings' time-outs.

    Call it in a running event loop.
    """
    timeout = aiohttp.ClientTimeout(
        total=settings.total_timeout,
        sock_connect=settings.connect_timeout,
        sock_read=settings.read_timeout,
    )
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=endpoint.tls() or True),
        timeout=timeout,
        headers={
            "Content-Type": "application/json",
            "User-Agent": "tacos",
            "Accept-Encoding": "identity",
            **endpoint.headers,
        },
        cookie_jar=aiohttp.DummyCookieJar(),
    )
