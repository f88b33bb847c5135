"""Submissions to the batch API, as the ledger keeps them, and the files that they are made of."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from tacos.llm.chat.messages import RenderedRequest
from tacos.llm.chat.request_form import RequestForm
from tacos.llm.ledger.ledger import Ledger
from tacos.llm.ledger.schema import Submission
from tacos.llm.offline import exchange_files

MAX_BYTES = 190_000_000
"""Of one request file; OpenAI accepts 200 MB."""


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


def find_keys_in_batches(ledger: Ledger, server: str) -> dict[str, str]:
    """The questions that a batch at this server has yet to answer: key -> batch ("" if unknown)."""
    batches = {}
    for submission in ledger.list_submissions(server):
        batches.update(dict.fromkeys(submission.keys, submission.batch))
    return batches


def record_batch_name(
    ledger: Ledger,
    submission: Submission,
    batch: str,
) -> Submission:
    """Record the server's name for a submission."""
    named = replace(submission, batch=batch)
    ledger.put_submission(named)
    return named


def keep_open_keys(
    ledger: Ledger,
    submission: Submission,
    keys: Collection[str],
) -> None:
    """Close a submission, except for those of its questions that other runs have yet to collect."""
    if not keys:
        ledger.delete_submission(submission.mark)
        return
    open_keys = tuple(key for key in submission.keys if key in keys)
    ledger.put_submission(replace(submission, keys=open_keys))
