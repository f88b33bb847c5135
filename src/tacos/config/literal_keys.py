"""Finds keys and passwords in settings: settings are written into runs and shown, so none may hold
a secret itself. No message here repeats a value that may be one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tacos.config.endpoints import EmbedSettings, LLMSettings
from tacos.errors import ConfigError

VARIABLE = re.compile(r"\$\{(\w+)\}")
"""What stands for an environment variable."""
SECRET_NAME = re.compile(
    r"auth|key|token|secret|passw|passphrase|cookie|signature|subscription|credential|session"
    r"|jwt|bearer|(?<![a-z])(?:sig|sas|pass|pwd?|code)(?![a-z])",
    re.IGNORECASE,
)
"""Names of headers and query fields that hold a secret."""
KEY = re.compile(
    r"(?<![A-Za-z0-9])(?=[\w.-]*\d)"
    r"(?:(?:sk|pk|rk|gsk|xai|hf|ghp|gho|glpat|nvapi|pplx|r8|csk)[-_]|github_pat_|AIza|AKIA|eyJ)"
    r"[\w.-]{6,}"
)
"""What keys of known providers look like."""
SCHEME = re.compile(
    r"\s*(?:(?:basic|bearer|token|api-?key|key|digest|negotiate|oauth|dpop)\s+"
    r"|[a-z_]{1,20}=)?\s*",
    re.IGNORECASE,
)
"""What may stand before the variable in a header: how the secret is sent, or a cookie's name."""
VARIABLE_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
BODY_SECRETS = frozenset(
    {"api_key", "apikey", "access_token", "password", "secret", "authorization"}
)
PLAIN_ADDRESS = re.compile(r"(?:\w+://)?[A-Za-z0-9.-]*(?::\d*)?(?:/[\w./~-]*)?")
MAX_PLAIN = 24
"""Characters of a word without a dot, slash or colon that is shown; a longer one may be a key."""
HOW = "put it into an environment variable NAME, and ${NAME}"


def check_literal_keys(
    settings: LLMSettings | EmbedSettings,
    section: str = "llm",
) -> None:
    """Raise `ConfigError` where a setting of an endpoint would write a secret into the run."""
    check_address(settings.base_url, section)
    _check_key_name(settings.key_env, section)
    for part in ("headers", "query"):
        values: Mapping[str, str] = getattr(settings, part)
        for name, value in values.items():
            if _holds_literal(name, value):
                shown = name if PLAIN_ADDRESS.fullmatch(name) else "..."
                shown = "..." if KEY.search(shown) else shown
                raise ConfigError(
                    f"{section}.{part}.{shown} would write a key into the run: {HOW} here"
                )
    for name, text in _walk_texts(settings.body):
        if KEY.search(text) or name.lower() in BODY_SECRETS:
            raise ConfigError(
                f"{section}.body would write a key into the run: send it as a header, "
                f"{section}.headers, with ${{NAME}} for an environment variable"
            )
    if isinstance(settings, LLMSettings):
        _check_proxy(settings.proxy)


def check_address(address: str, section: str = "llm") -> None:
    """Raise `ConfigError` for the URL of an endpoint that holds more than an address."""
    fix = f"put the key into the environment variable that {section}.key_env names"
    if "@" in address:
        raise ConfigError(f"{section}.base_url holds a user or password: {fix}")
    if "?" in address or "#" in address:
        raise ConfigError(
            f"{section}.base_url holds a query: "
            f"put it into {section}.query, as in --set {section}.query.api-version=..."
        )
    if KEY.search(address):
        raise ConfigError(f"{section}.base_url holds what looks like a key: {fix}")


def describe_address(address: str) -> str:
    """An address as a message may repeat it; what may hold a credential is left out.

    >>> describe_address("localhost:8000"), describe_address("user:pw@host/v1")
    ("'localhost:8000'", '(not shown, since it may hold a key)')
    """
    is_word = not re.search(r"[./:]", address)
    is_plain = PLAIN_ADDRESS.fullmatch(address) and not KEY.search(address)
    if is_plain and not (is_word and len(address) > MAX_PLAIN):
        return repr(address)
    return "(not shown, since it may hold a key)"


def _check_key_name(name: str, section: str) -> None:
    """`key_env` names a variable, and is no key."""
    if not name:
        return
    if not VARIABLE_NAME.fullmatch(name) or KEY.search(name):
        raise ConfigError(
            f"{section}.key_env is the NAME of an environment variable, such as "
            "OPENAI_API_KEY, not the key: put the key into that variable"
        )


def _holds_literal(name: str, value: str) -> bool:
    """Whether a header or a query field holds a secret itself, in whole or in part."""
    if KEY.search(VARIABLE.sub("", value)):
        return True
    if not SECRET_NAME.search(name) or not value:
        return False
    first, *rest = VARIABLE.split(value)[::2]
    return not rest or not SCHEME.fullmatch(first) or any(part.strip() for part in rest)


def _check_proxy(proxy: str) -> None:
    """A proxy's user, password and query come from the environment."""
    plain = VARIABLE.sub("", proxy)
    address = plain.partition("://")[2] or plain
    userinfo, at, _ = address.rpartition("@")
    # A user's name is no secret where a variable follows it.
    password = userinfo.partition(":")[2]
    is_literal = bool(at) and (bool(password) or proxy == plain)
    if is_literal or "?" in plain or "#" in plain or KEY.search(plain):
        raise ConfigError(f"llm.proxy would write a password into the run: {HOW} there")


def _walk_texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a body, with the name of its field."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, Mapping):
        for key, member in value.items():
            yield from _walk_texts(member, str(key))
    elif isinstance(value, list | tuple):
        for member in value:
            yield from _walk_texts(member, name)
