"""Where requests go and what goes with them: URL, headers, key, proxy and certificates.

The key and every header value that came from an environment variable are secrets: `redact` takes
them out of whatever a server says, before it is written or shown anywhere.
"""

from __future__ import annotations

import os
import re
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urlencode, urlsplit

from tacos.config import LLMSettings
from tacos.config.literal_keys import (
    VARIABLE,
    check_address,
    check_literal_keys,
    describe_address,
)
from tacos.errors import ConfigError
from tacos.llm.transport.endpoint_names import name_endpoint
from tacos.llm.transport.redaction import list_secrets, list_url_secrets, redact

OPENAI_HOST = "api.openai.com"
OPENAI = f"https://{OPENAI_HOST}/v1"
KEY_HEADERS = frozenset({"authorization", "api-key", "x-api-key"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server's address and how to talk to it; printing it shows no secret."""

    base: str
    query: str
    proxy: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    ca_file: str = ""
    name: str = ""
    """How the ledger notes it (`endpoint_names`)."""
    has_key: bool = False
    """Whether something that may be a key is sent."""
    key_advice: str = ""
    """What to do where the server refuses the key, or its absence."""

    def check_key(self) -> None:
        """Raise `ConfigError` where no key is sent to a server that surely needs one."""
        if self.host == OPENAI_HOST and not self.has_key:
            raise ConfigError(
                f"no key is sent to {self.base}, which needs one: {self.key_advice}; "
                "for a server of your own, give its URL (--llm)"
            )

    def url(self, path: str) -> str:
        """The full URL of a path below the base, the settings' query added."""
        url = f"{self.base}{path}"
        return f"{url}?{self.query}" if self.query else url

    @property
    def host(self) -> str:
        """The host's name, without the port."""
        return urlsplit(self.base).hostname or ""

    def redact(self, text: str) -> str:
        """`text` without secrets."""
        return redact(text, self.secrets)

    def redact_bytes(self, body: bytes) -> bytes:
        """A body without secrets: the same object where it has none."""
        text = body.decode("utf-8", "replace")
        redacted = self.redact(text)
        return body if redacted == text else redacted.encode()

    def tls(self) -> ssl.SSLContext | None:
        """What to check the server's certificate with; None for plain http."""
        if not self.base.startswith("https:"):
            return None
        try:
            return ssl.create_default_context(cafile=self.ca_file or None)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"llm.ca_file {self.ca_file}: {error}") from None


def resolve_endpoint(
    settings: LLMSettings,
    environment: Mapping[str, str] = os.environ,
    section: Literal["llm", "embed"] = "llm",
) -> Endpoint:
    """The endpoint that the settings and the environment name; `section` is where a user sets its
    key. Raises `ConfigError`.
    """
    check_literal_keys(settings)
    base = resolve_base_url(settings, environment)
    parts = _parse_base_url(base)
    used: list[str] = []  # what was taken from the environment: all of it is secret
    headers = {}
    for name, value in settings.headers.items():
        headers[name] = _fill_variables(value, environment, used)
    query = {}
    for name, value in settings.query.items():
        query[name] = _fill_variables(value, environment, used)
    key = environment.get(settings.key_env, "").strip()
    if key and settings.auth == "bearer":
        headers["Authorization"] = f"Bearer {key}"
    elif key and settings.auth == "api-key":
        headers["api-key"] = key
    _check_headers(headers)
    proxy = _resolve_proxy(settings, parts, environment, used)
    secrets = list_secrets([key, *used])
    names = {name.lower() for name in headers}
    return Endpoint(
        base,
        urlencode(query),
        proxy,
        headers,
        secrets,
        settings.ca_file,
        name_endpoint(base, settings),
        has_key=not KEY_HEADERS.isdisjoint(names),
        key_advice=_advise_on_key(settings, section, is_set=bool(key)),
    )


def _advise_on_key(settings: LLMSettings, section: str, *, is_set: bool) -> str:
    """What to do about a key that a server refuses or lacks."""
    name = settings.key_env
    if settings.auth == "none":
        return f"{section}.auth=none sends no key: set it to bearer or api-key"
    if not name:
        return f"name the environment variable that holds the key in {section}.key_env"
    if not is_set:
        return (
            f"put it into the environment variable {name} ({section}.key_env), which is not set: "
            f"export {name}=..."
        )
    return f"check that the environment variable {name} holds the key for this server"


def resolve_base_url(
    settings: LLMSettings, environment: Mapping[str, str] = os.environ
) -> str:
    """The URL that the settings and the environment name, unchecked."""
    base = settings.base_url or environment.get("OPENAI_BASE_URL", "") or OPENAI
    return base.rstrip("/")


def _parse_base_url(base: str) -> SplitResult:
    """The URL's parts. Raises `ConfigError` for one that cannot be used."""
    if Path(base).is_dir():
        raise ConfigError(
            f"{base} is a folder of models, but a language model is needed here: "
            "give the URL of its endpoint"
        )
    check_address(base)
    try:
        parts = urlsplit(base)
        is_http = parts.scheme in ("http", "https")
        is_usable = is_http and parts.hostname and parts.port != 0
    except ValueError:  # not a valid port or address
        is_usable = False
    if not is_usable:
        raise ConfigError(
            f"--llm {describe_address(base)} (llm.base_url) is neither a folder nor an http(s) "
            "URL like https://api.openai.com/v1"
        )
    return parts


def _fill_variables(value: str, environment: Mapping[str, str], used: list[str]) -> str:
    """`value` with `${NAME}` replaced from the environment; what was put in is added to `used`."""

    def fill(match: re.Match[str]) -> str:
        name = match[1]
        if name not in environment:
            raise ConfigError(
                f"the environment variable {name}, which a setting of llm names, is not set"
            )
        used.append(environment[name])
        return environment[name]

    return VARIABLE.sub(fill, value)


def _check_headers(headers: Mapping[str, str]) -> None:
    """Header names and values must be plain, so that none can smuggle in another."""
    for name, value in headers.items():
        is_plain_name = re.fullmatch(r"[!#$%&'*+.^_`|~\w-]+", name, re.ASCII)
        if not is_plain_name or re.search(r"[\r\n\0]", value):
            raise ConfigError(
                f"the header {name!r} holds characters that no header may hold"
            )
        try:
            value.encode("latin-1")
        except UnicodeEncodeError:
            raise ConfigError(
                f"the header {name!r} (or the key) holds characters that no header may hold"
            ) from None


def _resolve_proxy(
    settings: LLMSettings,
    parts: SplitResult,
    environment: Mapping[str, str],
    used: list[str],
) -> str:
    """The proxy's URL, "" for none."""
    if settings.proxy == "none":
        return ""
    if settings.proxy:
        proxy = _fill_variables(settings.proxy, environment, used)
        used += list_url_secrets(proxy)
        return proxy
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return ""
    proxy = urllib.request.getproxies().get(parts.scheme, "")
    used += list_url_secrets(proxy)
    return proxy
