"""Requests and replies as files, in the format of OpenAI's batch API: any tool, or a person, can
answer them.

A request is a line with `custom_id` (its ledger key), `method`, `url` and `body`. A reply is a line
with the same `custom_id` and the server's answer in `response.body` (with `response.status_code`);
written by hand, it may be just `custom_id` and `content`. Lines may be missing, repeated (the first
one counts), shuffled, or answer something else: all of that is counted and harmless.
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
"""Replies that are stored at a time."""


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

    def plus(self, other: ImportCounts) -> ImportCounts:
        """The sum of each count."""
        sums = [mine + theirs for mine, theirs in zip(self, other, strict=True)]
        return ImportCounts(*sums)


class ReplyLine(NamedTuple):
    """A reply line: the ledger key of its question, and the server's answer, "" where it failed."""

    key: str
    body: str


def format_request_line(
    asked: RenderedRequest,
    form: envelope.RequestForm,
    omit: Collection[str],
) -> bytes:
    """One request, without the line end."""
    line = {
        "custom_id": asked.key,
        "method": "POST",
        "url": URL,
        "body": envelope.build_chat_body(asked, form, omit),
    }
    return orjson.dumps(line)


def write_request_file(
    questions: Iterable[RenderedRequest],
    path: Path,
    form: envelope.RequestForm,
    omit: Collection[str] = (),
) -> int:
    """Write each question once; returns how many. The file is written whole or not at all. Raises
    `OutputError`.
    """
    # Renamed at the end, so that nobody answers half a file.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    written_keys: set[str] = set()
    try:
        with temporary.open("wb") as file:
            for question in questions:
                if question.key in written_keys:
                    continue
                written_keys.add(question.key)
                file.write(format_request_line(question, form, omit) + b"\n")
        temporary.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror}; name another file"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)
    return len(written_keys)


def read_exchange_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, without the byte order mark that some editors begin it with. Raises
    `InputError`.
    """
    try:
        with path.open("rb") as file:
            has_mark = file.read(len(BOM_UTF8)) == BOM_UTF8
            if not has_mark:
                file.seek(0)
            yield from file
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}; check the name"
        ) from None


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
    for line in lines:
        if not line.strip():
            continue
        # Repeated lines meet in the ledger, where the first one stays.
        entry = _build_entry(line, questions, way, redact)
        if isinstance(entry, str):
            counts[entry] += 1
        else:
            group.append(entry)
        if len(group) == GROUP:
            _store_entries(group, ledger, counts)
            group = []
    _store_entries(group, ledger, counts)
    return ImportCounts(**counts)


def _store_entries(
    group: list[LedgerEntry],
    ledger: Ledger,
    counts: dict[str, int],
) -> None:
    """Write a group of entries, count the new and the known ones."""
    n_new = ledger.put_all(group)
    counts["n_new"] += n_new
    counts["n_known"] += len(group) - n_new


def _build_entry(
    line: bytes,
    questions: Mapping[str, RenderedRequest],
    way: Way,
    redact: Callable[[str], str],
) -> LedgerEntry | str:
    """A line's ledger entry, or the name of the count it goes into."""
    reply = parse_reply_line(line)
    if reply is None:
        return "n_unreadable"
    question = questions.get(reply.key)
    if question is None:
        return "n_foreign"
    try:
        said = envelope.read_chat_reply(reply.body)
    except envelope.EnvelopeError:
        return "n_failed"
    return LedgerEntry(
        key=reply.key,
        asked=question.model,
        model=said.model,
        task=question.task,
        finish=said.finish,
        prompt_tokens=said.prompt_tokens,
        answer_tokens=said.answer_tokens,
        latency=0.0,
        at=time.time(),
        way=way,
        raw=redact(reply.body),
    )


def parse_reply_line(text: bytes) -> ReplyLine | None:
    """A reply line, None where it is not one.

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
    if value.get("content") is not None:  # written by hand
        return ReplyLine(key, _wrap_handwritten_answer(value["content"]))
    return ReplyLine(key, _extract_response_body(value))


def _extract_response_body(value: dict[str, Any]) -> str:
    """The server's answer in a reply line, as JSON; "" where it failed."""
    response = value.get("response")
    if not isinstance(response, dict) or value.get("error"):
        return ""
    # Some tools leave the status out of good answers.
    status = response.get("status_code", 200)
    body = response.get("body")
    if status != 200 or not isinstance(body, dict):
        return ""
    return orjson.dumps(body).decode()


def _wrap_handwritten_answer(content: Any) -> str:
    """A chat completion around an answer that somebody wrote: text, or the JSON itself."""
    text = content if isinstance(content, str) else orjson.dumps(content).decode()
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": text},
    }
    return orjson.dumps({"model": "by hand", "choices": [choice]}).decode()
