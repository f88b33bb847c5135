"""Calls of an endpoint other than questions: files and batches. Slower than the wire, and free to
be.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import orjson

from tacos.config import LLMSettings
from tacos.errors import LLMError
from tacos.llm.chat import envelope
from tacos.llm.sending import pacing
from tacos.llm.transport.endpoint import Endpoint


class ApiCaller:
    """Calls over one session."""

    def __init__(
        self, endpoint: Endpoint, settings: LLMSettings, http: aiohttp.ClientSession
    ) -> None:
        self.endpoint, self.settings, self.http = endpoint, settings, http

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        form: aiohttp.FormData | None = None,
        raw: bool = False,
        once: bool = False,
    ) -> Any:
        """One call, repeated where that is harmless. Raises `LLMError`."""
        tries = 0
        while True:
            try:
                return await self.call_once(method, path, body, form, raw)
            except RetryableError as again:
                tries += 1
                if (once and again.maybe_done) or form is not None or tries > self.settings.retries:
                    raise LLMError(
                        self.endpoint.redact(f"{method} {self.endpoint.base}{path}: {again}")
                    ) from None
                await asyncio.sleep(
                    again.after if again.after is not None else pacing.backoff_seconds(tries)
                )

    async def call_once(
        self, method: str, path: str, body: Any, form: aiohttp.FormData | None, raw: bool
    ) -> Any:
        """One call. Raises `RetryableError` for what may pass, `LLMError` for what will not."""
        headers = None if form is None else {"Content-Type": form().content_type}
        data = form if form is not None else (orjson.dumps(body) if body is not None else None)
        url, proxy = _join_url(self.endpoint, path), self.endpoint.proxy or None
        try:
            async with self.http.request(
                method, url, data=data, headers=headers, proxy=proxy
            ) as response:
                content = await response.read()
                if response.status == 200:
                    return content if raw else orjson.loads(content)
                reason = f"HTTP {response.status}: {envelope.read_error_message(content)}"
                if response.status == 429 or response.status >= 500:
                    named = {name.lower(): value for name, value in response.headers.items()}
                    raise RetryableError(
                        reason,
                        pacing.read_retry_after(named, time.time()),
                        maybe_done=response.status >= 500,
                    )
                raise LLMError(
                    self.endpoint.redact(f"{method} {self.endpoint.base}{path}: {reason}")
                )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RetryableError(
                str(error) or type(error).__name__, None, maybe_done=True
            ) from None


class RetryableError(Exception):
    """A call that may work later."""

    def __init__(self, reason: str, after: float | None, *, maybe_done: bool) -> None:
        super().__init__(reason)
        self.after, self.maybe_done = after, maybe_done


def _join_url(endpoint: Endpoint, path: str) -> str:
    """The URL of a path that may have a query of its own."""
    plain, _, query = path.partition("?")
    url = endpoint.url(plain)
    return url if not query else f"{url}{'&' if '?' in url else '?'}{query}"
