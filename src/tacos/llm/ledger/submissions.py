"""Submissions to the batch API, as the ledger keeps them, and the files that they are made of."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import orjson

from tacos.llm.chat.messages import RenderedRequest
from tacos.llm.chat.request_form import RequestForm
from tacos.llm.ledger.ledger import Ledger
from tacos.llm.offline import exchange_files

MAX_BYTES = 190_000_000
"""Of one request file; OpenAI accepts 200 MB."""


@dataclass(frozen=True)
class Submission:
    """A batch in the ledger: our mark, the server's names for file and batch ("" until known), and
    the keys of its questions.
    """

    mark: str
    server: str
    file: str
    batch: str
    keys: tuple[str, ...]


def build_request_files(
    questions: Iterable[RenderedRequest],
    omit: Collection[str],
    max_requests: int,
    form: RequestForm,
) -> Iterable[tuple[bytes, list[str]]]:
    """Request files within the limits, each with the keys of its questions; `form` is the one that
    the server accepts.
    """
    lines: list[bytes] = []
    keys: list[str] = []
    n_bytes = 0
    for question in questions:
        request = exchange_files.format_request_line(question, form, omit)
        line = request + b"\n"
        # A line that alone is too long still makes a file: the server says why it refuses it.
        is_full = len(lines) == max_requests or n_bytes + len(line) > MAX_BYTES
        if lines and is_full:
            yield b"".join(lines), keys
            lines = []
            keys = []
            n_bytes = 0
        lines.append(line)
        keys.append(question.key)
        n_bytes += len(line)
    if lines:
        yield b"".join(lines), keys


def create_submission_table(ledger: Ledger) -> None:
    """Create the table of submissions, if it does not exist."""
    ledger.sql(
        "CREATE TABLE IF NOT EXISTS submissions "
        "(mark TEXT PRIMARY KEY, server TEXT, file TEXT, batch TEXT, keys TEXT)"
    )


def list_submissions(ledger: Ledger, server: str) -> list[Submission]:
    """Submissions to a server whose answers are not collected yet."""
    sql = "SELECT mark, server, file, batch, keys FROM submissions WHERE server = ?"
    submissions = []
    for mark, row_server, file, batch, keys in ledger.sql(sql, server):
        submission = Submission(
            mark=mark,
            server=row_server,
            file=file,
            batch=batch,
            keys=tuple(orjson.loads(keys)),
        )
        submissions.append(submission)
    return submissions


def find_keys_in_batches(ledger: Ledger, server: str) -> dict[str, str]:
    """The questions that a batch at this server has yet to answer: key -> batch ("" if unknown)."""
    create_submission_table(ledger)
    batches = {}
    for submission in list_submissions(ledger, server):
        batches.update(dict.fromkeys(submission.keys, submission.batch))
    return batches


def record_submission(ledger: Ledger, submission: Submission) -> None:
    """Record a submission before it is made: the server's name for it is not known yet."""
    ledger.sql(
        "INSERT INTO submissions VALUES (?, ?, ?, ?, ?)",
        submission.mark,
        submission.server,
        submission.file,
        "",
        orjson.dumps(submission.keys).decode(),
    )


def record_batch_name(
    ledger: Ledger,
    submission: Submission,
    batch: str,
) -> Submission:
    """Record the server's name for a submission."""
    ledger.sql(
        "UPDATE submissions SET batch = ? WHERE mark = ?", batch, submission.mark
    )
    return replace(submission, batch=batch)


def keep_open_keys(
    ledger: Ledger,
    submission: Submission,
    keys: Collection[str],
) -> None:
    """Close a submission, except for those of its questions that other runs have yet to collect."""
    if not keys:
        delete_submission(ledger, submission)
        return
    open_keys = [key for key in submission.keys if key in keys]
    ledger.sql(
        "UPDATE submissions SET keys = ? WHERE mark = ?",
        orjson.dumps(open_keys).decode(),
        submission.mark,
    )


def delete_submission(ledger: Ledger, submission: Submission) -> None:
    """Close a submission."""
    ledger.sql("DELETE FROM submissions WHERE mark = ?", submission.mark)
