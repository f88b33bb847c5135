"""What stands between a browser and the page's answers.

The page shows private data and can write files, and any web site that is open in the same browser
can send requests to this machine. So every request needs the token of this start; `Host` and
`Origin` must be the page's own (DNS rebinding, requests by other sites); and every response forbids
what the page itself does not do.

Sources: OWASP, Cross-Site Request Forgery Prevention; W3C, Content Security Policy Level 3.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

POLICY = (
    # No inline script and no inline style; nothing from, and nothing to, another place.
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    # Not even the page's own script can turn a text into markup.
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
)
HEADERS = {
    "Content-Security-Policy": "; ".join(POLICY),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
METHODS = ("GET", "HEAD", "POST")
JSON = "application/json"
NO_TOKEN = (
    "This page belongs to a run of tacos. Open it by the link that `tacos ui` printed in the "
    "terminal.\n"
)


@dataclass(frozen=True)
class Door:
    """Where the page is, and what opens it."""

    port: int
    token: str

    @classmethod
    def with_new_token(cls, port: int) -> Door:
        """A door that nobody else can know how to open."""
        return cls(port, secrets.token_urlsafe(32))

    @property
    def hosts(self) -> tuple[str, ...]:
        """What a browser may call this machine."""
        return (f"127.0.0.1:{self.port}", f"localhost:{self.port}")

    @property
    def origins(self) -> tuple[str, ...]:
        """Where requests of the page itself come from."""
        return tuple(f"http://{host}" for host in self.hosts)

    @property
    def url(self) -> str:
        """The link to the page, with the token."""
        return f"http://127.0.0.1:{self.port}/?token={self.token}"

    @property
    def cookie(self) -> str:
        """The name of the cookie; browsers send cookies to all ports of a machine."""
        return f"tacos-{self.port}"

    def is_token(self, given: str) -> bool:
        """Whether a text is the token; the time that it takes tells nothing about it."""
        return secrets.compare_digest(given.encode(), self.token.encode())


@dataclass(frozen=True)
class Guard:
    """An application behind a door: an ASGI application, too."""

    application: ASGIApp
    door: Door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it. No exception passes."""
        if scope["type"] != "http":
            return
        has_link = self._has_link(scope)
        refusal = self._find_refusal(scope, has_link=has_link)
        opens = has_link and refusal is None

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                if opens:
                    headers.append("Set-Cookie", self._write_cookie())
            await send(message)

        answering = refusal or self.application
        try:
            await answering(scope, receive, send_guarded)
        except Exception as error:
            # The answer has been sent; what was wrong is for the terminal, on one line.
            log.error("%s %r: %.500r", scope["method"], scope["path"], error)

    def _has_link(self, scope: Scope) -> bool:
        """Whether a request comes by the link with the token, from whatever page or program."""
        if scope["path"] != "/" or scope["method"] not in ("GET", "HEAD"):
            return False
        query = parse_qs(scope["query_string"].decode("latin-1"))
        return self.door.is_token(query.get("token", [""])[-1])

    def _write_cookie(self) -> str:
        """The header that makes the browser keep the token: not for scripts or other sites."""
        return (
            f"{self.door.cookie}={self.door.token}; Path=/; HttpOnly; SameSite=Strict"
        )

    def _find_refusal(self, scope: Scope, *, has_link: bool) -> Response | None:
        """The answer to a request that is not allowed; None for all others."""
        headers = Headers(scope=scope)
        if headers.getlist("host") not in [[host] for host in self.door.hosts]:
            return _refuse(421, "This is not the address of the page.\n")
        if not _are_own(headers.getlist("origin"), self.door.origins):
            return _refuse(403, "Other sites may not ask this page.\n")
        is_from_elsewhere = headers.get("sec-fetch-site", "none") not in (
            "none",
            "same-origin",
        )
        if is_from_elsewhere and not has_link:
            return _refuse(403, "Other sites may not ask this page.\n")
        if not has_link and not self._has_cookie(headers):
            return _refuse(403, NO_TOKEN)
        return self._find_wrong_form(scope, headers)

    def _find_wrong_form(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer to a request of a form that the page never sends."""
        method = scope["method"]
        if method not in METHODS:
            allowed = {"Allow": ", ".join(METHODS)}
            return _refuse(405, "The page does not know this method.\n", allowed)
        if method != "POST":
            return None
        # Browsers name the origin of every POST.
        if not headers.getlist("origin"):
            return _refuse(403, "A request that changes something names its origin.\n")
        # A form of another site cannot send this type.
        content_type = headers.get("content-type", "").partition(";")[0].strip()
        if content_type.lower() != JSON:
            return _refuse(415, "The page takes JSON only.\n")
        return None

    def _has_cookie(self, headers: Headers) -> bool:
        """Whether a request has the cookie with the token."""
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return False
        cookie = cookies.get(self.door.cookie)
        return cookie is not None and self.door.is_token(cookie.value)


def _are_own(given: Iterable[str], own: Iterable[str]) -> bool:
    """Whether all origins that a request names are the page's own."""
    return set(given) <= set(own)


def _refuse(
    status: int,
    text: str,
    headers: dict[str, str] | None = None,
) -> Response:
    """A refusal as plain text."""
    return PlainTextResponse(text, status, headers)
