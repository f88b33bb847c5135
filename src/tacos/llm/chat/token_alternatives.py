"""Which tokens an answer might have begun with, and how likely each was. Pure.

Servers give log-probabilities in the form of OpenAI's chat completions, or in that of its older
completions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any


def read_first_alternatives(logprobs: Any) -> tuple[tuple[str, float], ...]:
    """The likeliest tokens in the place of the first one that is no white space, the likeliest
    first; empty where the server gave none.

    >>> tops = [{"token": "m", "logprob": -0.1}, {"token": "M", "logprob": -2.5}]
    >>> read_first_alternatives({"content": [{"token": "m", "top_logprobs": tops}]})
    (('m', -0.1), ('M', -2.5))
    """
    if not isinstance(logprobs, dict):
        return ()
    for token, tops in _list_places(logprobs):
        if token.strip():
            return tuple(sorted(tops, key=lambda pair: -pair[1]))
    return ()


def _list_places(
    logprobs: dict[str, Any],
) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    """Each token of the answer, and the likeliest ones in its place."""
    content = logprobs.get("content")
    if isinstance(content, list):
        for place in content:
            if isinstance(place, dict):
                yield str(place.get("token") or ""), _list_chat_tops(place)
        return
    tokens = logprobs.get("tokens")
    tops = logprobs.get("top_logprobs")
    if isinstance(tokens, list) and isinstance(tops, list):
        for token, by_token in zip(tokens, tops, strict=False):
            pairs = by_token.items() if isinstance(by_token, dict) else ()
            yield str(token), [pair for pair in pairs if _is_logprob(pair[1])]


def _list_chat_tops(place: dict[str, Any]) -> list[tuple[str, float]]:
    """The likeliest tokens of one place of a chat completion."""
    tops = place.get("top_logprobs")
    listed = tops if isinstance(tops, list) else []
    return [
        (str(top["token"]), top["logprob"])
        for top in listed
        if isinstance(top, dict) and "token" in top and _is_logprob(top.get("logprob"))
    ]


def _is_logprob(value: Any) -> bool:
    """Whether a value is a finite number (some servers say -9999.0 for none, which is one)."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
    )
