"""Requests and replies as files, in the format of OpenAI's batch API: any tool, or a person, can
answer them.

A request is a line with `custom_id` (its ledger key), `method`, `url` and `body`. A reply is a line
with the same `custom_id` and the server's answer in `response.body` (with `response.status_code`);
written by hand, it may be just `custom_id` and `content`. Lines may be missing, repeated (the first
usable one counts), shuffled, or answer something else: all of that is counted and harmless.
"""

from __future__ import annotations

import math
import os
import time
from codecs import BOM_UTF8
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import orjson

from tacos.errors import InputError, OutputError
from tacos.llm.chat import envelope
from tacos.llm.chat.body_json import EnvelopeError
from tacos.llm.chat.messages import RenderedRequest
from tacos.llm.chat.request_form import RequestForm
from tacos.llm.ledger.ledger import Ledger
from tacos.llm.ledger.lookup import ReadEntry, interpret_entry
from tacos.llm.ledger.schema import LedgerEntry, Way
from tacos.llm.offline.reply_lines import FailureCounts, ReplyLine, parse_reply_line

URL = "/v1/chat/completions"
ANSWER = 2
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


class StoredReplies(NamedTuple):
    """What became of the lines of a reply file, and why some of them hold no answer."""

    counts: ImportCounts
    failures: FailureCounts


def format_request_line(
    asked: RenderedRequest,
    form: RequestForm,
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
    form: RequestForm,
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
    redact: Callable[[bytes], bytes] = bytes,
    endpoint: str = "",
    before: float = -math.inf,
) -> StoredReplies:
    """Put the replies to `questions` (ledger key -> question) into the ledger.

    An answer takes the place of a refusal, and either that of a reply that cannot be used. Any
    reply takes that of one without an answer from before a time (seconds since 1970); otherwise the
    first one stays.
    """
    importer = _Importer(questions, ledger, way, redact, endpoint, before)
    for line in lines:
        if line.strip():
            importer.take(line)
    importer.flush()
    return StoredReplies(ImportCounts(**importer.counts), importer.failures)


def _weigh(read: ReadEntry) -> int:
    """What a reply is worth: `ANSWER`, a refusal less, what cannot be used nothing."""
    if not read.is_usable:
        return 0
    return 1 if read.is_refusal else ANSWER


class _Importer:
    """Takes reply lines one by one, and stores their replies in groups."""

    def __init__(
        self,
        questions: Mapping[str, RenderedRequest],
        ledger: Ledger,
        way: Way,
        redact: Callable[[bytes], bytes],
        endpoint: str,
        before: float,
    ) -> None:
        self.questions = questions
        self.ledger = ledger
        self.way: Way = way
        self.redact = redact
        self.endpoint = endpoint
        self.before = before
        self.counts: dict[str, int] = dict.fromkeys(ImportCounts._fields, 0)
        self.failures = FailureCounts()
        self._group: dict[str, LedgerEntry] = {}

    def take(self, line: bytes) -> None:
        """Count a line, and keep its reply for the next group."""
        reply = parse_reply_line(self.redact(line))
        if reply is None:
            self.counts["n_unreadable"] += 1
            return
        question = self.questions.get(reply.key)
        if question is None:
            self.counts["n_foreign"] += 1
            return
        if not reply.body:
            self._count_failure(reply.failure)
            return
        try:
            said = envelope.read_chat_reply(reply.body)
        except EnvelopeError as error:
            self._count_failure(str(error))
            return
        if reply.key in self._group:  # a repeated line: which of the two is better?
            self.flush()
        self._group[reply.key] = self._build_entry(reply, question, said)
        if len(self._group) == GROUP:
            self.flush()

    def flush(self) -> None:
        """Write the group, count the new and the known replies."""
        entries = list(self._group.values())
        self._group = {}
        n_new = self.ledger.put_better(entries, self._is_better)
        self.counts["n_new"] += n_new
        self.counts["n_known"] += len(entries) - n_new

    def _is_better(self, entry: LedgerEntry, known: LedgerEntry) -> bool:
        """Whether a reply says more than the one that the ledger has: an answer more than a
        refusal, and that more than what cannot be used; or that one is none, and too old.
        """
        question = self.questions[entry.key]
        known_worth = _weigh(interpret_entry(question, known))
        if known.at < self.before and known_worth < ANSWER:
            return True
        return _weigh(interpret_entry(question, entry)) > known_worth

    def _count_failure(self, reason: str) -> None:
        self.counts["n_failed"] += 1
        self.failures.add(reason)

    def _build_entry(
        self,
        reply: ReplyLine,
        question: RenderedRequest,
        said: envelope.ChatReply,
    ) -> LedgerEntry:
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
            way=self.way,
            raw=reply.body,
            endpoint=self.endpoint,
            follows=question.follows,
        )
