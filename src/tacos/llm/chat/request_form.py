"""The form of request that a server accepts, and how the ledger notes it. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

LEVELS = ("json_schema", "json_schema without bounds", "json_object", "none")
"""How strictly a request asks for JSON, the strictest first. Where a server refuses one, the next
is tried.
"""


class RequestForm(NamedTuple):
    """The form of request that a server accepts.

    It changes how a question is sent, never the question: the ledger key is the same in every form.
    """

    level: str = LEVELS[0]
    tokens_field: str = "max_tokens"
    dropped: tuple[str, ...] = ()
    """Optional fields that the server refuses, in order of refusal."""
    folds_system: bool = False
    """Whether the system's text goes before the user's, since the server refuses its role."""
    streams: bool = False
    """Whether the server answers only by streaming."""


def encode_form(form: RequestForm) -> str:
    """A form as the ledger notes it."""
    return orjson.dumps(form._asdict()).decode()


def decode_form(text: str) -> RequestForm:
    r"""The form that a note means; the strictest one where it cannot be read.

    >>> decode_form("json_object\nmax_tokens").level  # as earlier versions wrote it
    'json_object'
    >>> decode_form(encode_form(RequestForm(dropped=("top_p",)))).dropped
    ('top_p',)
    """
    if not text.startswith("{"):
        level, _, tokens_field = text.partition("\n")
        values: dict[str, Any] = {"level": level, "tokens_field": tokens_field}
    else:
        values = orjson.loads(text)
        values["dropped"] = tuple(values.get("dropped", ()))
    if values.get("level") not in LEVELS:
        return RequestForm()
    known = {name: values[name] for name in RequestForm._fields if name in values}
    return RequestForm(**known)
