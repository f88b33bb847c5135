"""Submissions to the batch API as the ledger keeps them, and the files that they are made of."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import orjson

from tacos.llm.chat import envelope
from tacos.llm.chat.messages import RenderedRequest
from tacos.llm.ledger.ledger import Ledger
from tacos.llm.offline import exchange_files

MAX_BYTES = 190_000_000


@dataclass(frozen=True)
class Submission:
    """A batch in the ledger: our mark, the server's names for file and batch ("" until known), its
    questions.
    """

    mark: str
    server: str
    file: str
    batch: str
    keys: tuple[str, ...]


def build_request_files(
    questions: Iterable[RenderedRequest], omit: Collection[str], max_requests: int
) -> Iterable[tuple[bytes, list[str]]]:
    """Request files within the limits, each with the keys of its questions."""
    lines: list[bytes] = []
    keys: list[str] = []
    n_bytes = 0
    for asked in questions:
        line = exchange_files.format_request_line(asked, envelope.RequestForm(), omit) + b"\n"
        if lines and (len(lines) == max_requests or n_bytes + len(line) > MAX_BYTES):
            yield b"".join(lines), keys
            lines, keys, n_bytes = [], [], 0
        lines.append(line)
        keys.append(asked.key)
        n_bytes += len(line)
    if lines:
        yield b"".join(lines), keys


def create_submission_table(ledger: Ledger) -> None:
    """Make the table of submissions."""
    ledger.sql(
        "CREATE TABLE IF NOT EXISTS submissions (mark TEXT PRIMARY KEY, server TEXT, file TEXT, batch TEXT, keys TEXT)"
    )


def list_submissions(ledger: Ledger, server: str) -> list[Submission]:
    """Submissions to a server whose answers were not collected yet."""
    rows = ledger.sql(
        "SELECT mark, server, file, batch, keys FROM submissions WHERE server = ?", server
    )
    return [
        Submission(mark, server, file, batch, tuple(orjson.loads(keys)))
        for mark, server, file, batch, keys in rows
    ]


def find_keys_in_batches(ledger: Ledger, server: str) -> dict[str, str]:
    """The questions whose answers a batch at this server still owes: key -> batch ("" if not
    known).
    """
    create_submission_table(ledger)
    return {key: each.batch for each in list_submissions(ledger, server) for key in each.keys}


def record_submission(ledger: Ledger, submission: Submission) -> None:
    """Note a submission before it is made."""
    row = (
        submission.mark,
        submission.server,
        submission.file,
        "",
        orjson.dumps(submission.keys).decode(),
    )
    ledger.sql("INSERT INTO submissions VALUES (?, ?, ?, ?, ?)", *row)


def record_batch_name(ledger: Ledger, submission: Submission, batch: str) -> Submission:
    """Note the server's name for a submission."""
    ledger.sql("UPDATE submissions SET batch = ? WHERE mark = ?", batch, submission.mark)
    return Submission(submission.mark, submission.server, submission.file, batch, submission.keys)


def keep_open_keys(ledger: Ledger, submission: Submission, keys: Collection[str]) -> None:
    """A submission is dealt with, but for these questions: the run that asked them has not
    collected them yet.
    """
    if not keys:
        delete_submission(ledger, submission)
        return
    left = orjson.dumps([key for key in submission.keys if key in keys]).decode()
    ledger.sql("UPDATE submissions SET keys = ? WHERE mark = ?", left, submission.mark)


def delete_submission(ledger: Ledger, submission: Submission) -> None:
    """A submission is dealt with."""
    ledger.sql("DELETE FROM submissions WHERE mark = ?", submission.mark)
