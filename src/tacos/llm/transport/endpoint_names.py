"""The name under which a ledger notes an endpoint: its base URL, and what chooses a model besides.

The same address may be written in several ways; and under one address a query or a header may
choose the deployment.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from tacos.config import LLMSettings
from tacos.config.literal_keys import SECRET_NAME

NOT_NOTED = "not noted"
"""How people name the endpoint of replies that came before ledgers noted it, or in files."""
NO_CHOICE = re.compile(r"api[-_]?version", re.IGNORECASE)
"""Query fields that choose no model. Of headers most do not: `CHOOSES` names those that do."""
CHOOSES = re.compile(r"deployment|model|engine|route|provider", re.IGNORECASE)
DEFAULT_PORTS = {"http": 80, "https": 443}


def name_endpoint(base: str, settings: LLMSettings) -> str:
    """The name of the endpoint at a base URL under these settings; it holds no secret."""
    chosen = [
        *(pair for pair in settings.query.items() if not NO_CHOICE.fullmatch(pair[0])),
        *(pair for pair in settings.headers.items() if CHOOSES.search(pair[0])),
    ]
    public = [(name, value) for name, value in chosen if not SECRET_NAME.search(name)]
    address = f"{base}?{urlencode(public)}" if public else base
    return normalise_name(address)


@lru_cache(maxsize=256)
def normalise_name(name: str) -> str:
    """A name as every spelling of it is compared.

    >>> normalise_name("https://API.openai.com:443/v1/")
    'https://api.openai.com/v1'
    >>> normalise_name("http://a/v1?b=2&a=1")
    'http://a/v1?a=1&b=2'
    """
    try:
        parts = urlsplit(name)
        host = _name_host(parts)
    except ValueError:  # no valid port or address
        return name
    if not host:
        return name
    query = urlencode(sorted(parse_qsl(parts.query, keep_blank_values=True)))
    path = parts.path.rstrip("/")
    address = f"{parts.scheme}://{host}{path}"
    return f"{address}?{query}" if query else address


def _name_host(parts: SplitResult) -> str:
    """Host and port, without a port that goes without saying."""
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    if parts.port is None or parts.port == DEFAULT_PORTS.get(parts.scheme):
        return host
    return f"{host}:{parts.port}"
