"""Finds keys by which programs prove who they are: what those of common providers look like
(after the rules of gitleaks), JSON web tokens and private keys.

A key has at least `MIN_DISTINCT` different characters, so `sk-xxxxxxxx` stands for one and is none.
"""

from __future__ import annotations

import re

from tacos.methods.cleaning.sensitive_texts import (
    SensitivePattern,
    SensitivePlace,
    find_places,
)

MIN_DISTINCT = 5

_HINTS = (
    "sk- AKIA ASIA ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- xox xapp- hooks.slack AIza GOCSPX-"
    " ya29. hf_ npm_ pypi- sk_ rk_ SG. gsk_ xai- nvapi- pplx- r8_ v1_ shp :AA eyJ"
    " PRIVATE aws AWS ecret ECRET"
)
HINTS = _HINTS.split()
"""What keys begin with or stand behind; a text without any of these has none."""

_START = r"(?<![A-Za-z0-9_-])"
_END = r"(?![A-Za-z0-9_-])"


def find_secret_keys(text: str) -> list[SensitivePlace]:
    """The keys of a text.

    >>> [place.kind for place in find_secret_keys("id AKIA2E0A8F3B244C9986 of our account")]
    ['AWS key']
    """
    if not any(hint in text for hint in HINTS):
        return []
    return find_places(text, PATTERNS)


def _is_varied(key: str) -> bool:
    """Whether a key's characters vary, and are no name in words."""
    body = re.split(r"[-_.]", key)[-1]
    return len(set(body)) >= MIN_DISTINCT


def _is_token(key: str) -> bool:
    """Whether a key has a digit, which a name such as `sk-image-processing-helpers` lacks."""
    return _is_varied(key) and any(character.isdigit() for character in key)


def _compile(prefix: str, body: str) -> re.Pattern[str]:
    # Letters and digits are of ASCII, since no space is before a key in Chinese.
    return re.compile(f"{_START}{prefix}{body}{_END}", re.ASCII)


PATTERNS = (
    SensitivePattern(
        "private key",
        re.compile(
            r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
            r"(?:\s|\\n)++(?:[A-Za-z-]+: [^\n]*+\s++)*+[A-Za-z0-9+/=]{10}"
            r"(?:[A-Za-z0-9+/=\s]|\\n)*+(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----)?"
        ),
    ),
    SensitivePattern(
        "JSON web token",
        _compile("eyJ", r"[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"),
    ),
    SensitivePattern(
        "OpenAI or Anthropic key",
        # Long words beside hyphens are no keys: one run has 16 letters and digits.
        _compile("sk-", r"(?=[\w-]*[A-Za-z0-9]{16})[\w-]{20,}"),
        _is_token,
    ),
    SensitivePattern("AWS key", _compile("(?:AKIA|ASIA)", "[A-Z0-9]{16}"), _is_varied),
    SensitivePattern(
        "AWS secret key",
        re.compile(
            r"(?i:aws_?(?:secret_?)?(?:access_?)?key(?:_?id)?|secret_?access_?key)"
            r"[\"']?\s*(?:=>|[:=])\s*[\"']?([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])"
        ),
        _is_token,
    ),
    SensitivePattern(
        "GitHub key", _compile("gh[pousr]_", "[A-Za-z0-9]{30,}"), _is_varied
    ),
    SensitivePattern("GitHub key", _compile("github_pat_", r"\w{22,}"), _is_varied),
    SensitivePattern("GitLab key", _compile("glpat-", r"[\w.-]{20,}"), _is_varied),
    SensitivePattern(
        "Slack key",
        _compile("(?:xox[a-z]|xapp)-", "[A-Za-z0-9-]{10,}"),
        _is_token,
    ),
    SensitivePattern(
        "Slack key",
        re.compile(
            r"hooks\.slack\.com/(?:services|workflows)/([A-Z0-9]+/[A-Z0-9]+/\w{16,})"
        ),
        _is_varied,
    ),
    SensitivePattern("Google key", _compile("AIza", r"[\w-]{35}"), _is_varied),
    SensitivePattern("Google key", _compile("GOCSPX-", r"[\w-]{28}"), _is_varied),
    SensitivePattern("Google key", _compile(r"ya29\.", r"[\w-]{20,}"), _is_varied),
    SensitivePattern("Hugging Face key", _compile("hf_", "[A-Za-z0-9]{30,}")),
    SensitivePattern("npm key", _compile("npm_", "[A-Za-z0-9]{36}"), _is_varied),
    SensitivePattern("PyPI key", _compile("pypi-", r"AgE[\w-]{50,}")),
    SensitivePattern(
        "Stripe key",
        _compile("[sr]k_(?:live|test)_", "[A-Za-z0-9]{16,}"),
        _is_varied,
    ),
    SensitivePattern(
        "SendGrid key", _compile(r"SG\.", r"[\w-]{16,32}\.[\w-]{16,64}"), _is_varied
    ),
    SensitivePattern(
        "key of a model provider",
        _compile("(?:gsk_|xai-|nvapi-|pplx-|r8_)", r"[\w-]{30,}"),
        _is_token,
    ),
    SensitivePattern(
        "DigitalOcean key", _compile("do[opr]_v1_", "[a-f0-9]{64}"), _is_varied
    ),
    SensitivePattern(
        "Shopify key", _compile("shp(?:at|ca|pa|ss)_", "[a-fA-F0-9]{32}"), _is_varied
    ),
    SensitivePattern(
        "Telegram key", re.compile(r"(?<!\d)\d{8,10}:AA[\w-]{33}(?![\w-])"), _is_varied
    ),
)
"""What keys look like, with what tells a key from what stands for one."""
