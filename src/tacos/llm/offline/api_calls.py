"""Calls of an endpoint that are no questions: files and batches."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import orjson

from tacos.config import LLMSettings
from tacos.errors import LLMError
from tacos.llm.chat.error_body import read_error_message
from tacos.llm.sending import pacing, server_waits
from tacos.llm.transport.endpoint import Endpoint


class RetryableError(Exception):
    """A call that may work later: after so many seconds, if the server said when.

    `maybe_done`: the server may have done what was asked, although no answer arrived.
    """

    def __init__(
        self,
        reason: str,
        after: float | None,
        *,
        maybe_done: bool,
    ) -> None:
        super().__init__(reason)
        self.after = after
        self.maybe_done = maybe_done


class ApiCaller:
    """Calls over one session."""

    def __init__(
        self,
        endpoint: Endpoint,
        settings: LLMSettings,
        http: aiohttp.ClientSession,
    ) -> None:
        self.endpoint = endpoint
        self.settings = settings
        self.http = http

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
        """The answer to one call: parsed JSON, or with `raw` its bytes. Raises `LLMError`.

        Repeated where that is harmless: never a form, and with `once` not where the server may have
        done it already.
        """
        n_tries = 0
        while True:
            try:
                return await self._call_once(method, path, body, form, raw)
            except RetryableError as error:
                n_tries += 1
                # A form is used up by sending it.
                is_harmful = (once and error.maybe_done) or form is not None
                if is_harmful or n_tries > self.settings.retries:
                    raise self._failure(method, path, error) from None
                pause = error.after
            if pause is None:
                pause = pacing.backoff_seconds(n_tries)
            await asyncio.sleep(pause)

    async def _call_once(
        self,
        method: str,
        path: str,
        body: Any,
        form: aiohttp.FormData | None,
        raw: bool,
    ) -> Any:
        """One call. Raises `RetryableError` for what may pass, `LLMError` for what will not."""
        data: Any = None
        headers = None
        if form is not None:
            data = form
            # The header must name the boundary that the form makes up.
            headers = {"Content-Type": form().content_type}
        elif body is not None:
            data = orjson.dumps(body)
        try:
            async with self.http.request(
                method,
                _join_url(self.endpoint, path),
                data=data,
                headers=headers,
                proxy=self.endpoint.proxy or None,
            ) as response:
                content = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise RetryableError(reason, None, maybe_done=True) from None

        if response.status == 200:
            return content if raw else orjson.loads(content)
        # 429: nothing was done. After an error of the server nobody knows.
        hidden = self.endpoint.redact_bytes(content)
        reason = f"HTTP {response.status}: {read_error_message(hidden)}"
        is_server_error = response.status >= 500
        if response.status == 429 or is_server_error:
            response_headers = {
                name.lower(): value for name, value in response.headers.items()
            }
            after = server_waits.read_retry_after(response_headers, time.time())
            raise RetryableError(reason, after, maybe_done=is_server_error)
        if response.status in (401, 403):
            reason = f"{reason}; {self.endpoint.key_advice}"
        raise self._failure(method, path, reason)

    def _failure(
        self,
        method: str,
        path: str,
        reason: object,
    ) -> LLMError:
        text = f"{method} {self.endpoint.base}{path}: {reason}"
        return LLMError(self.endpoint.redact(text))


def _join_url(endpoint: Endpoint, path: str) -> str:
    """The URL of a path that may have a query of its own."""
    plain_path, _, query = path.partition("?")
    url = endpoint.url(plain_path)
    if not query:
        return url
    separator = "&" if "?" in url else "?"
    return f"{url}{separator}{query}"
