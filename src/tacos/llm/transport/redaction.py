"""Takes secrets out of what a server says, in every form in which servers repeat them: as they
are, in JSON, in a URL, in HTML, in base64, as Python represents them, in upper case.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

HIDDEN = "[secret]"
MIN_LENGTH = 4
"""Shorter secrets would garble every text."""
MIN_WORD = 8
"""The shortest part of a secret that is a secret by itself."""
RUN = re.compile(r"[a-z0-9]{4,}")
ESCAPED_LETTER = re.compile(r"\\u00[3-7]|\\x[3-7]|%[3-7]|&#")
"""Letters and digits that are written as escapes, which hardly anybody does."""


class HiddenForms(NamedTuple):
    """One secret: `anchor` is in every text that holds it, unless letters are escaped."""

    anchor: str
    pattern: re.Pattern[str]


def list_secrets(values: Iterable[str]) -> tuple[str, ...]:
    """What to hide of these values: they, and what can be read from them; the longest first, since
    one may be part of another.
    """
    secrets: set[str] = set()
    for value in values:
        secrets |= {value, unquote(value)}
        # "Bearer abc", "name=abc; other=def": what follows is a secret too.
        for word in re.split(r"[\s;,=]+", value):
            if len(word) >= MIN_WORD:
                secrets.add(word)
        user_and_password = _decode_basic(value)
        if user_and_password:
            password = user_and_password.partition(":")[2]
            secrets |= {user_and_password, password}
    for secret in list(secrets):
        encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
        secrets |= {encoded, encoded.replace("+", "-").replace("/", "_")}
    long_enough = [secret for secret in secrets if len(secret) >= MIN_LENGTH]
    return tuple(sorted(long_enough, key=lambda secret: (-len(secret), secret)))


def list_url_secrets(url: str) -> list[str]:
    """User and password of a URL, or a token in the user's place."""
    address = url.partition("://")[2] or url
    userinfo, at, _ = address.rpartition("@")
    if not at:
        return []
    user, colon, password = userinfo.partition(":")
    return [userinfo, unquote(userinfo), password if colon else user]


def redact(text: str, secrets: tuple[str, ...]) -> str:
    """`text` without the secrets."""
    lowered = text.lower()
    has_escapes = ESCAPED_LETTER.search(lowered) is not None
    for anchor, pattern in build_hidden_forms(secrets):
        if has_escapes or anchor in lowered:
            text = pattern.sub(HIDDEN, text)
    return text


@lru_cache(maxsize=64)
def build_hidden_forms(secrets: tuple[str, ...]) -> tuple[HiddenForms, ...]:
    """What to look for."""
    forms = []
    for secret in secrets:
        runs = RUN.findall(secret.lower())
        anchor = max(runs, key=len, default="")
        characters = [_build_character_pattern(character) for character in secret]
        pattern = re.compile("".join(characters), re.IGNORECASE)
        forms.append(HiddenForms(anchor, pattern))
    return tuple(forms)


@lru_cache(maxsize=4096)
def _build_character_pattern(character: str) -> str:
    """A pattern of all forms of one character, in either case."""
    forms: set[str] = set()
    for variant in {character, character.lower(), character.upper()}:
        # The upper case of a few letters is two.
        if len(variant) == 1:
            forms |= _list_forms(variant)
    # Escapes before the signs that they begin with, such as %25 before %.
    alternatives = sorted(forms, key=lambda form: (not form[-1].isalnum(), -len(form)))
    return f"(?:{'|'.join(alternatives)})"


def _list_forms(character: str) -> set[str]:
    """Patterns of the ways in which one character is written."""
    code = ord(character)
    utf8 = character.encode("utf-8", "surrogatepass")
    forms = {
        re.escape(html.escape(character, quote=True)),
        "".join(f"%{byte:02x}" for byte in utf8),
        rf"&#0*{code};",
        rf"&#x0*{code:x};",
        "".join(rf"\\+x{byte:02x}" for byte in utf8),
    }
    escaped = json.dumps(character)[1:-1]
    if code < 0x100:
        forms |= {rf"\\+u{code:04x}", rf"\\+x{code:02x}", f"%{code:02x}"}
    else:
        forms.add(escaped.replace("\\", r"\\+"))
    if character == " ":
        forms.add(r"\+")
    if character == "'":
        forms.add("&apos;")
    if not character.isascii():
        # Read as Latin-1, or not at all.
        forms |= {re.escape(utf8.decode("latin-1")), "\ufffd+"}
    if character == "\\":
        forms.add(r"\\+")
    elif character.isalnum():
        forms.add(re.escape(character))
    else:
        # JSON may escape it, once for each time that it is quoted.
        forms.add(r"\\*" + re.escape(character))
    return forms


def _decode_basic(value: str) -> str:
    """`user:password` of the credentials of Basic authentication, "" for anything else."""
    try:
        decoded = base64.b64decode(value.split()[-1], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, IndexError, ValueError):
        return ""
    return decoded if ":" in decoded and decoded.isprintable() else ""
