"""The ledger's notes of the form in which a model of an endpoint takes requests.

A note is read for a day: servers change.
"""

from __future__ import annotations

from typing import Literal

from tacos.llm.chat.request_form import RequestForm, decode_form, encode_form
from tacos.llm.ledger.ledger import Ledger

NOTE_AGE = 86_400.0
"""Seconds for which the ledger remembers what a server accepts."""

Level = Literal["auto", "json_schema", "json_object", "none"]


def note_form(
    ledger: Ledger,
    base_url: str,
    model: str,
    form: RequestForm,
) -> None:
    """Remember the form that a model of an endpoint accepts."""
    ledger.note(_name_server(base_url, model), encode_form(form))


def recall_form(
    ledger: Ledger,
    base_url: str,
    model: str,
    level: Level,
) -> RequestForm:
    """The form that a model of an endpoint was found to accept in the last day, or the strictest;
    `level` (`llm.structured`) takes precedence.
    """
    text = ledger.noted(_name_server(base_url, model), NOTE_AGE)
    form = decode_form(text)
    if level == "auto":
        return form
    return form._replace(level=level)


def _name_server(base_url: str, model: str) -> str:
    """The name of a note."""
    return f"{base_url} {model}"
