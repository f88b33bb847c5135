"""What a ledger holds, whichever database keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import orjson

Way = Literal["online", "batch", "exchange", "grouped"]
"""How a reply came; `grouped`: as part of a reply to several questions."""


class LedgerEntry(NamedTuple):
    """One paid reply.

    `asked` is the requested model, `model` the snapshot that the server says answered; `latency` is
    in seconds, `at` in seconds since 1970. `raw` is the server's whole answer as it came, or the
    part of it that belongs to this question where one request asked several
    (`chat.grouped_prompts`, `embedding.envelope`). `endpoint` is the base URL that was
    asked, "" where it was not noted: in version 1 of the tables, and for replies from files.
    `follows` is the key of the unusable reply after which the question was asked again.
    """

    key: str
    asked: str
    model: str
    task: str
    finish: str
    prompt_tokens: int
    answer_tokens: int
    latency: float
    at: float
    way: Way
    raw: str
    endpoint: str = ""
    follows: str = ""


COLUMNS = LedgerEntry._fields


@dataclass(frozen=True)
class Submission:
    """A batch that a server still owes: our mark, the server's names for file and batch ("" until
    known), and the keys of its questions.
    """

    mark: str
    server: str
    file: str
    batch: str
    keys: tuple[str, ...]


class DailySpend(NamedTuple):
    """Paid replies of one model on one day (UTC)."""

    model: str
    day: str
    way: str
    n_replies: int
    prompt_tokens: int
    answer_tokens: int
    endpoint: str
    """The base URL that was asked; "" where it was not noted."""


class KeyLeases(NamedTuple):
    """What became of keys: already answered, ours to ask, or being asked by another process."""

    known: dict[str, LedgerEntry]
    ours: set[str]
    theirs: set[str]


class LedgerSize(NamedTuple):
    """What a ledger holds."""

    path: str
    """The file, or the address of the database without its login."""
    n_replies: int
    n_bytes: int


def encode_submission(submission: Submission) -> tuple[str, ...]:
    """A submission as a row of texts."""
    keys = orjson.dumps(submission.keys).decode()
    return (
        submission.mark,
        submission.server,
        submission.file,
        submission.batch,
        keys,
    )


def decode_submission(row: Sequence[str]) -> Submission:
    """A submission from its row."""
    mark, server, file, batch, keys = row
    return Submission(mark, server, file, batch, tuple(orjson.loads(keys)))


def check_entry(entry: LedgerEntry) -> LedgerEntry:
    """The entry, if its fields have the types of the tables' columns. Raises `TypeError`."""
    texts = (
        entry.key,
        entry.asked,
        entry.model,
        entry.task,
        entry.finish,
        entry.way,
        entry.raw,
        entry.endpoint,
        entry.follows,
    )
    counts = (entry.prompt_tokens, entry.answer_tokens)
    numbers = (*counts, entry.latency, entry.at)
    is_valid = (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(count, int) for count in counts)
        and all(_is_number(number) for number in numbers)
    )
    if not is_valid:
        raise TypeError("not a line of a ledger")
    return entry


def _is_number(value: object) -> bool:
    """Whether a value is a plain number that SQLite can hold."""
    return isinstance(value, int | float) and abs(value) < 1e15
