"""OpenAI's batch API: the same questions for half the price, answered within a day, and never
submitted twice.

`fetch_batch_replies` brings the answers to all questions into the ledger: it submits files within
the server's limits, polls, collects, and submits again what expired or failed. After a restart it
goes on where it stopped. Every submission is in the ledger before it is made, with a mark that the
server keeps: a submission whose confirmation was lost is found again instead of repeated.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from tacos.config import LLMSettings
from tacos.errors import LLMError
from tacos.llm.chat.messages import RenderedRequest
from tacos.llm.ledger import submissions
from tacos.llm.ledger.ledger import Ledger
from tacos.llm.ledger.lookup import list_open_requests, resolve_questions
from tacos.llm.ledger.noted_forms import recall_form
from tacos.llm.ledger.reply_rules import build_reply_rules
from tacos.llm.ledger.schema import LedgerEntry, Submission
from tacos.llm.offline import exchange_files
from tacos.llm.offline.api_calls import ApiCaller
from tacos.llm.offline.batch_budget import BatchBudget
from tacos.llm.offline.reply_lines import FailureCounts, parse_reply_line
from tacos.llm.transport.aiohttp_transport import open_session
from tacos.llm.transport.endpoint import Endpoint, resolve_endpoint
from tacos.records import Reply

MAX_REQUESTS = 50_000
"""Questions per batch; OpenAI's limit."""
MAX_TRIES = 3
"""Submissions of one question before it is given up."""
WORKING = frozenset({"validating", "in_progress", "finalizing", "cancelling"})
"""States of a batch that has not ended."""
MARK = "tacos"
"""Under this name the server keeps our mark."""

ChooseOpen = Callable[[Sequence[Reply | RenderedRequest]], dict[str, RenderedRequest]]
Say = Callable[[str], None]
"""Told what happens, a line at a time."""


@dataclass(frozen=True)
class BatchOutcome:
    """What `fetch_batch_replies` did."""

    failed: dict[str, str]
    """Key of a question that was given up -> reason of the last try."""


def fetch_batch_replies(
    questions: Sequence[RenderedRequest],
    settings: LLMSettings,
    ledger: Ledger,
    poll: float = 30.0,
    say: Say = lambda text: None,
    max_requests: int = MAX_REQUESTS,
    choose: ChooseOpen | None = None,
) -> BatchOutcome:
    """Bring the answers to `questions`, and to the re-asks after unusable ones, into the ledger;
    returns once they are there.

    `poll` is the pause between looks, in seconds. `choose` is given what is known of each question
    and says which requests to send next, all that are open by default; what it raises ends the
    waiting. Raises `LLMError` where the server refuses,
    `BudgetReachedError` at the cap, `ConfigError` for a budget in dollars without a price.
    """
    collector = BatchCollector(questions, settings, ledger, poll, say, max_requests)
    collector.choose = choose or list_open_requests
    return asyncio.run(collector.run())


def cancel_batches(
    questions: Sequence[RenderedRequest],
    settings: LLMSettings,
    ledger: Ledger,
    poll: float = 30.0,
    say: Say = lambda text: None,
) -> int:
    """Cancel the batches that hold any of `questions`, wait until they have ended, and store what
    they had answered.

    Returns how many of `questions` have an answer. Raises `LLMError`.
    """
    collector = BatchCollector(questions, settings, ledger, poll, say, MAX_REQUESTS)
    return asyncio.run(collector.cancel())


class BatchCollector:
    """One `fetch_batch_replies` (`run`), or one `cancel_batches` (`cancel`)."""

    def __init__(
        self,
        questions: Sequence[RenderedRequest],
        settings: LLMSettings,
        ledger: Ledger,
        poll: float,
        say: Say,
        max_requests: int,
    ) -> None:
        self.questions = questions
        self.settings = settings
        self.ledger = ledger
        self.endpoint: Endpoint = resolve_endpoint(settings)
        self.rules = build_reply_rules(settings, ledger.opened_at)
        self.poll = poll
        self.say = say
        self.max_requests = max_requests
        models = dict.fromkeys(question.model for question in questions)
        self.budget = BatchBudget(settings, ledger.meter, models)
        self.n_tries: Counter[str] = Counter()  # submissions by us, per question
        self.failed: dict[str, str] = {}
        self.choose: ChooseOpen = list_open_requests

    async def run(self) -> BatchOutcome:
        """Submit, wait and collect, until nothing is open."""
        async with self._open_session():
            while True:
                open_questions = self._list_open_questions()
                waiting, keys_under_way = await self._list_batches(open_questions)

                # Submit what is in no batch, unless another process has it in hand.
                settled_keys = keys_under_way | self.failed.keys()
                fresh_keys = [key for key in open_questions if key not in settled_keys]
                # Open, although the ledger has a reply: it cannot be used, so they are asked anew.
                leases = self.ledger.take(fresh_keys, anew=True)
                ours = [open_questions[key] for key in fresh_keys if key in leases.ours]
                under_way = [
                    open_questions[key]
                    for key in open_questions.keys() & keys_under_way
                ]
                waiting += await self._submit_all(ours, under_way)

                if waiting:
                    await self._collect_ended(waiting, open_questions)
                elif fresh_keys or under_way:
                    # Another process is about to submit them: its batch will show up.
                    await asyncio.sleep(self.poll)
                else:
                    return BatchOutcome(self.failed)

    async def cancel(self) -> int:
        """Cancel what is under way, wait until it has ended, collect."""
        async with self._open_session():
            open_questions = self._list_open_questions()
            waiting, _ = await self._list_batches(open_questions)
            for submission in waiting:
                await self._cancel_batch(submission)
            while waiting:
                await self._collect_ended(waiting, open_questions)
                open_questions = self._list_open_questions()
                waiting, _ = await self._list_batches(open_questions)
            return len(self.questions) - len(open_questions)

    async def _cancel_batch(self, submission: Submission) -> None:
        path = f"/batches/{submission.batch}"
        batch = await self.call("GET", path)
        is_cancellable = batch["status"] in WORKING - {"cancelling"}
        if is_cancellable:
            await self.call("POST", f"{path}/cancel")

    @asynccontextmanager
    async def _open_session(self) -> AsyncIterator[None]:
        """Provides `self.call`."""
        self.endpoint.check_key()
        async with open_session(self.endpoint, self.settings) as http:
            self.call = ApiCaller(self.endpoint, self.settings, http).call
            yield

    # What is open, and what is under way

    def _list_open_questions(self) -> dict[str, RenderedRequest]:
        """The questions without a reply, re-asks among them, by key."""
        results = resolve_questions(self.questions, self.ledger, self.rules)
        return self.choose(results)

    async def _list_batches(
        self, questions: Mapping[str, RenderedRequest]
    ) -> tuple[list[Submission], set[str]]:
        """Submissions to wait for, and every key in them and in those that a living process is
        about to make.

        Those without any of `questions` are for other runs to collect.
        """
        waiting: list[Submission] = []
        keys: set[str] = set()
        for submission in self.ledger.list_submissions(self.endpoint.base):
            if questions.keys().isdisjoint(submission.keys):
                continue
            if submission.batch:
                keys.update(submission.keys)
                waiting.append(submission)
                continue

            # It may or may not have reached the server. Whoever is making it has leases on its
            # questions; where nobody has, the server must know.
            keys.update(submission.keys)
            if self.ledger.take(submission.keys, anew=True).theirs:
                continue
            adopted = await self._find_at_server(submission)
            if adopted is not None:
                waiting.append(adopted)
            else:
                self.ledger.delete_submission(submission.mark)
                keys.difference_update(submission.keys)
        return waiting, keys

    async def _find_at_server(self, submission: Submission) -> Submission | None:
        """The submission with the server's name for it, None where it never arrived."""
        after = ""
        while True:
            page = await self.call("GET", f"/batches?limit=100{after}")
            batches = page.get("data", [])
            for batch in batches:
                metadata = batch.get("metadata") or {}
                if metadata.get(MARK) == submission.mark:
                    return submissions.record_batch_name(
                        self.ledger, submission, batch["id"]
                    )
            if not page.get("has_more"):
                return None
            last_id = batches[-1]["id"]
            after = f"&after={last_id}"

    # Submitting

    async def _submit_all(
        self,
        questions: Sequence[RenderedRequest],
        under_way: Sequence[RenderedRequest],
    ) -> list[Submission]:
        """Submit what the budget allows beside what is under way, in files within the limits."""
        affordable = self.budget.select_affordable(questions, under_way)
        submitted = []
        for lines, keys in self._build_files(affordable):
            submission = await self._submit(lines, keys)
            self.say(f"submitted {len(keys):,} requests as {submission.batch}")
            submitted.append(submission)
        return submitted

    def _build_files(
        self, questions: Sequence[RenderedRequest]
    ) -> Iterable[tuple[bytes, list[str]]]:
        """Files of requests in the form that online requests have found, a model after another."""
        by_model: dict[str, list[RenderedRequest]] = {}
        for question in questions:
            by_model.setdefault(question.model, []).append(question)
        for model, group in by_model.items():
            form = recall_form(
                self.ledger, self.endpoint.base, model, self.settings.structured
            )
            # A batch has no stream.
            form = form._replace(streams=False)
            yield from submissions.build_request_files(
                group, self.settings.omit, self.max_requests, form
            )

    async def _submit(self, lines: bytes, keys: Sequence[str]) -> Submission:
        """Upload a file and make a batch of it; in the ledger before the server can have begun."""
        form = aiohttp.FormData()
        form.add_field("purpose", "batch")
        form.add_field(
            "file", lines, filename="requests.jsonl", content_type="application/jsonl"
        )
        file = await self.call("POST", "/files", form=form)

        submission = Submission(
            mark=secrets.token_hex(8),
            server=self.endpoint.base,
            file=file["id"],
            batch="",
            keys=tuple(keys),
        )
        self.ledger.put_submission(submission)

        body = {
            "input_file_id": file["id"],
            "endpoint": exchange_files.URL,
            "completion_window": "24h",
            "metadata": {MARK: submission.mark},
        }
        batch = await self.call("POST", "/batches", body=body, once=True)
        self.n_tries.update(keys)
        return submissions.record_batch_name(self.ledger, submission, batch["id"])

    # Collecting

    async def _collect_ended(
        self,
        waiting: Sequence[Submission],
        questions: dict[str, RenderedRequest],
    ) -> None:
        """Wait until one submission or more has ended, and store their answers."""
        while True:
            has_ended = False
            for submission in waiting:
                batch = await self.call("GET", f"/batches/{submission.batch}")
                if batch["status"] not in WORKING:
                    await self._collect(submission, batch, questions)
                    has_ended = True
            if has_ended:
                return
            await asyncio.sleep(self.poll)

    async def _collect(
        self,
        submission: Submission,
        batch: dict[str, Any],
        questions: dict[str, RenderedRequest],
    ) -> None:
        """Store the answers of a batch that has ended, completely or not. Raises `LLMError` where
        the server refused the batch.
        """
        stored = await self._store_files(batch, questions)
        answered = self._find_answered(submission, questions)
        self.budget.count_spending(answered.values())

        status = batch["status"]
        missing = set(submission.keys) - set(answered)
        is_refused = status == "failed" and not answered

        # Answers to other runs' questions stay at the server until those runs collect them.
        others_keys = missing - questions.keys()
        if is_refused:
            others_keys = set()
        submissions.keep_open_keys(self.ledger, submission, others_keys)

        counts = stored.counts
        reasons = stored.failures.describe()
        self.say(
            f"{submission.batch} {status}: {counts.n_new:,} answers, {counts.n_failed:,} errors"
            + (f" ({reasons})" if reasons else "")
        )
        if is_refused:
            reason = _read_failure_reason(batch)
            raise LLMError(self.endpoint.redact(f"the batch was refused: {reason}"))
        reason = f"no answer in {MAX_TRIES} batches; the last one ended as {status}"
        for key in missing:
            if self.n_tries[key] >= MAX_TRIES:
                self.failed.setdefault(key, reason)

    async def _store_files(
        self,
        batch: dict[str, Any],
        questions: dict[str, RenderedRequest],
    ) -> exchange_files.StoredReplies:
        """Store the replies in a batch's output and error files; counts over both."""
        totals = exchange_files.ImportCounts()
        failures = FailureCounts()
        for name in ("output_file_id", "error_file_id"):
            if not batch.get(name):
                continue
            content = await self.call("GET", f"/files/{batch[name]}/content", raw=True)
            lines = bytes(content).split(b"\n")
            stored = exchange_files.store_replies(
                lines,
                questions,
                self.ledger,
                way="batch",
                redact=self.endpoint.redact_bytes,
                endpoint=self.endpoint.name,
                before=self.ledger.opened_at,
            )
            totals = totals.plus(stored.counts)
            failures.update(stored.failures)
            self._note_errors(lines)
        return exchange_files.StoredReplies(totals, failures)

    def _note_errors(self, lines: Iterable[bytes]) -> None:
        """Remember why questions failed that will not be submitted again."""
        for line in lines:
            if not line.strip():
                continue
            reply = parse_reply_line(self.endpoint.redact_bytes(line))
            if reply is None or reply.body:
                continue
            if self.n_tries[reply.key] >= MAX_TRIES:
                self.failed[reply.key] = reply.failure

    def _find_answered(
        self,
        submission: Submission,
        questions: Mapping[str, RenderedRequest],
    ) -> dict[str, LedgerEntry]:
        """The replies to a submission's questions. An old one to a question that was asked anew is
        none.
        """
        return {
            key: entry
            for key, entry in self.ledger.get(submission.keys).items()
            if key not in questions or entry.at >= self.ledger.opened_at
        }


def _read_failure_reason(batch: dict[str, Any]) -> str:
    """Why a batch failed, on one line."""
    errors = (batch.get("errors") or {}).get("data") or [{}]
    return str(errors[0].get("message") or "the server does not say why")
