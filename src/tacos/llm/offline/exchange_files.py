"""Requests and replies as files, in the format of OpenAI's batch API: anyone can answer them, with
any tool or by hand.

A request is a line with `custom_id` (its ledger key), `method`, `url` and `body`; a reply is a line
with the same `custom_id` and the server's answer in `response.body` (with `response.status_code`),
or, written by hand, just `content`. Lines may be missing, repeated (the first one counts),
shuffled, or answer something else: all of that is counted, none of it harms.
"""

from __future__ import annotations

import os
import time
from codecs import BOM_UTF8
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from tacos.errors import InputError, OutputError
from tacos.llm.chat import envelope
from tacos.llm.chat.messages import RenderedRequest
from tacos.llm.ledger.ledger import Ledger
from tacos.llm.ledger.schema import LedgerEntry, Way

URL = "/v1/chat/completions"
GROUP = 500


class ImportCounts(NamedTuple):
    """What became of the lines of a reply file."""

    n_new: int = 0
    n_known: int = 0
    """The ledger had a reply already (repeated lines among them)."""
    n_foreign: int = 0
    """Answers to something that was not asked."""
    n_failed: int = 0
    """An error, or no chat completion: the question stays open."""
    n_unreadable: int = 0


class ReplyLine(NamedTuple):
    """A reply line: whose it is and the server's answer, "" where it failed."""

    key: str
    body: str


def format_request_line(
    asked: RenderedRequest, form: envelope.RequestForm, omit: Collection[str]
) -> bytes:
    """One request, without the line's end."""
    body = envelope.build_chat_body(asked, form, omit)
    return orjson.dumps({"custom_id": asked.key, "method": "POST", "url": URL, "body": body})


def write_request_file(
    questions: Iterable[RenderedRequest],
    path: Path,
    form: envelope.RequestForm,
    omit: Collection[str] = (),
) -> int:
    """Write each question once; how many. The file is there whole or not at all. Raises
    `OutputError`.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    seen: set[str] = set()
    try:
        with temporary.open("wb") as file:
            for asked in questions:
                if asked.key not in seen:
                    seen.add(asked.key)
                    file.write(format_request_line(asked, form, omit) + b"\n")
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        temporary.unlink(missing_ok=True)
    return len(seen)


def read_exchange_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, without the mark that some editors begin one with. Raises `InputError`."""
    try:
        with path.open("rb") as file:
            if file.read(len(BOM_UTF8)) != BOM_UTF8:
                file.seek(0)
            yield from file
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def store_replies(
    lines: Iterable[bytes],
    questions: Mapping[str, RenderedRequest],
    ledger: Ledger,
    way: Way = "exchange",
    redact: Callable[[str], str] = str,
) -> ImportCounts:
    """Put the replies to `questions` (ledger key -> question) into the ledger."""
    counts: dict[str, int] = dict.fromkeys(ImportCounts._fields, 0)
    group: list[LedgerEntry] = []
    for text in lines:
        if not text.strip():
            continue
        found = _build_entry(text, questions, way, redact)
        if isinstance(found, str):
            counts[found] += 1
        else:
            group.append(found)
        if len(group) == GROUP:
            _store_entries(group, ledger, counts)
            group = []
    _store_entries(group, ledger, counts)
    return ImportCounts(**counts)


def _store_entries(group: list[LedgerEntry], ledger: Ledger, counts: dict[str, int]) -> None:
    """Write a group of entries, count the new and the known ones."""
    n_new = ledger.put_all(group)
    counts["n_new"] += n_new
    counts["n_known"] += len(group) - n_new


def _build_entry(
    text: bytes, questions: Mapping[str, RenderedRequest], way: Way, redact: Callable[[str], str]
) -> LedgerEntry | str:
    """A line's ledger entry, or the name of the count it goes into."""
    line = parse_reply_line(text)
    if line is None:
        return "n_unreadable"
    if line.key not in questions:
        return "n_foreign"
    asked = questions[line.key]
    try:
        said = envelope.read_chat_reply(line.body)
    except envelope.EnvelopeError:
        return "n_failed"
    return LedgerEntry(
        line.key,
        asked.model,
        said.model,
        asked.task,
        said.finish,
        said.prompt_tokens,
        said.answer_tokens,
        0.0,
        time.time(),
        way,
        redact(line.body),
    )


def parse_reply_line(text: bytes) -> ReplyLine | None:
    """A reply line; None for what is none.

    >>> parse_reply_line(b'{"custom_id": "a", "response": {"status_code": 500, "body": {}}}')
    ReplyLine(key='a', body='')
    """
    try:
        value = envelope.parse_json_body(text)
        key = value["custom_id"]
    except (envelope.EnvelopeError, KeyError, TypeError):
        return None
    if not isinstance(key, str):
        return None
    if value.get("content") is not None:
        return ReplyLine(key, _wrap_handwritten_answer(value["content"]))
    response = value.get("response")
    good = (
        isinstance(response, dict)
        and response.get("status_code", 200) == 200
        and not value.get("error")
    )
    body = response.get("body") if good else None
    return ReplyLine(key, orjson.dumps(body).decode() if isinstance(body, dict) else "")


def _wrap_handwritten_answer(content: Any) -> str:
    """A chat completion around an answer that somebody wrote: text, or the JSON itself."""
    text = content if isinstance(content, str) else orjson.dumps(content).decode()
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": text},
    }
    return orjson.dumps({"model": "by hand", "choices": [choice]}).decode()
