"""OpenAI's batch API: the same questions for half the price, answered within a day, and never
submitted twice.

`fetch_batch_replies` brings the answers to all questions into the ledger. It submits files within the limits,
polls, collects, submits again what expired or failed, and goes on after a restart where it stopped:
every submission is in the ledger before it is made, with a mark that the server keeps, so that a
submission whose answer was lost is found again instead of repeated.
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
from tacos.llm.chat import envelope
from tacos.llm.chat.messages import RenderedRequest
from tacos.llm.cost import prices
from tacos.llm.cost.budget import NOTHING, Cost, compute_cost
from tacos.llm.ledger.ledger import Ledger
from tacos.llm.ledger.lookup import resolve_questions
from tacos.llm.ledger.submissions import (
    Submission,
    build_request_files,
    create_submission_table,
    delete_submission,
    keep_open_keys,
    list_submissions,
    record_batch_name,
    record_submission,
)
from tacos.llm.offline import exchange_files
from tacos.llm.offline.api_calls import ApiCaller
from tacos.llm.transport.aiohttp_transport import open_session
from tacos.llm.transport.endpoint import Endpoint, resolve_endpoint

MAX_REQUESTS = 50_000
MAX_TRIES = 3
"""Submissions of one question before it is given up."""
WORKING = frozenset({"validating", "in_progress", "finalizing", "cancelling"})
MARK = "tacos"
Say = Callable[[str], None]


@dataclass(frozen=True)
class BatchOutcome:
    """What `fetch_batch_replies` did: questions answered, given up (with the reason of the last try), submissions
    made.
    """

    n_answered: int
    failed: dict[str, str]
    n_submissions: int


def fetch_batch_replies(
    questions: Sequence[RenderedRequest],
    settings: LLMSettings,
    ledger: Ledger,
    poll: float = 30.0,
    say: Say = lambda text: None,
    max_requests: int = MAX_REQUESTS,
) -> BatchOutcome:
    """Bring the answers to `questions`, and to the re-asks after unusable ones, into the ledger;
    waits until they are there.

    `poll` is the pause between looks, in seconds. Raises `LLMError` where the server refuses,
    `BudgetReachedError` at the cap, `ConfigError` for a budget in dollars without a price.
    """
    return asyncio.run(BatchCollector(questions, settings, ledger, poll, say, max_requests).run())


def cancel_batches(
    questions: Sequence[RenderedRequest],
    settings: LLMSettings,
    ledger: Ledger,
    poll: float = 30.0,
    say: Say = lambda text: None,
) -> int:
    """Cancel the batches that hold any of `questions`; what they had answered by then comes into
    the ledger.

    Waits until they have ended. Returns how many of `questions` have an answer. Raises `LLMError`.
    """
    return asyncio.run(
        BatchCollector(questions, settings, ledger, poll, say, MAX_REQUESTS).give_up()
    )


class BatchCollector:
    """One `fetch_batch_replies`, or one `cancel_batches`."""

    def __init__(
        self,
        questions: Sequence[RenderedRequest],
        settings: LLMSettings,
        ledger: Ledger,
        poll: float,
        say: Say,
        max_requests: int,
    ) -> None:
        self.questions, self.settings, self.ledger = questions, settings, ledger
        self.endpoint: Endpoint = resolve_endpoint(settings)
        self.poll, self.say, self.max_requests = poll, say, max_requests
        for model in dict.fromkeys(asked.model for asked in questions):
            ledger.meter.limit(settings.budget, model, self.price(model))
        self.tries: Counter[str] = Counter()
        self.failed: dict[str, str] = {}
        self.n_submissions = 0

    @asynccontextmanager
    async def calls(self) -> AsyncIterator[None]:
        """With `self.call`, and the table of submissions."""
        create_submission_table(self.ledger)
        async with open_session(self.endpoint, self.settings) as http:
            self.call = ApiCaller(self.endpoint, self.settings, http).call
            yield

    def open_now(self) -> dict[str, RenderedRequest]:
        """The questions without a reply, re-asks among them, by key."""
        return {
            each.key: each
            for each in resolve_questions(self.questions, self.ledger)
            if isinstance(each, RenderedRequest)
        }

    async def give_up(self) -> int:
        """Cancel what is under way, wait until that has ended, collect."""
        async with self.calls():
            waiting, _ = await self.known(self.open_now())
            for submission in waiting:
                batch = await self.call("GET", f"/batches/{submission.batch}")
                if batch["status"] in WORKING - {"cancelling"}:
                    await self.call("POST", f"/batches/{submission.batch}/cancel")
            while waiting:
                await self.collect_some(waiting, self.open_now())
                waiting, _ = await self.known(self.open_now())
            return len(self.questions) - len(self.open_now())

    async def run(self) -> BatchOutcome:
        """Submit, wait, collect, until nothing is open."""
        async with self.calls():
            while True:
                open_now = self.open_now()
                waiting, under_way = await self.known(open_now)
                fresh = [
                    each
                    for key, each in open_now.items()
                    if key not in under_way and key not in self.failed
                ]
                taken = self.ledger.take([each.key for each in fresh])
                flying = [open_now[key] for key in open_now.keys() & under_way]
                waiting += await self.submit_all(
                    [each for each in fresh if each.key in taken.ours], flying
                )
                if waiting:
                    await self.collect_some(waiting, open_now)
                elif fresh or any(key in under_way for key in open_now):
                    await asyncio.sleep(self.poll)  # another process is at it
                else:
                    return BatchOutcome(
                        len(self.questions) - len(open_now), self.failed, self.n_submissions
                    )

    async def known(
        self, questions: Mapping[str, RenderedRequest]
    ) -> tuple[list[Submission], set[str]]:
        """Submissions to wait for, and every key in them and in those that a living process is just
        making.

        Those without any of `questions` are another run's to collect. One that may or may not have
        reached the server is looked for there.
        """
        out: list[Submission] = []
        keys: set[str] = set()
        for submission in list_submissions(self.ledger, self.endpoint.base):
            if questions.keys().isdisjoint(submission.keys):
                continue
            keys.update(submission.keys)
            adopted: Submission | None = submission
            if not submission.batch:
                if self.ledger.take(submission.keys).theirs:
                    continue
                adopted = await self.look_for(submission)
            if adopted is not None:
                out.append(adopted)
            else:
                delete_submission(self.ledger, submission)
                keys.difference_update(submission.keys)
        return out, keys

    async def look_for(self, submission: Submission) -> Submission | None:
        """The submission with the server's name for it, None where it never arrived."""
        after = ""
        while True:
            page = await self.call("GET", f"/batches?limit=100{after}")
            for batch in page.get("data", []):
                if (batch.get("metadata") or {}).get(MARK) == submission.mark:
                    return record_batch_name(self.ledger, submission, batch["id"])
            if not page.get("has_more"):
                return None
            after = f"&after={page['data'][-1]['id']}"

    async def submit_all(
        self, questions: Sequence[RenderedRequest], flying: Sequence[RenderedRequest]
    ) -> list[Submission]:
        """Submit what the budget allows beside what is under way, in files within the limits."""
        affordable = self.affordable(questions, flying)
        out = []
        for lines, keys in build_request_files(affordable, self.settings.omit, self.max_requests):
            out.append(await self.submit(lines, keys))
            self.say(f"submitted {len(keys):,} requests as {out[-1].batch}")
        return out

    def affordable(
        self, questions: Sequence[RenderedRequest], flying: Sequence[RenderedRequest]
    ) -> list[RenderedRequest]:
        """As many questions as the budget surely covers beside those under way."""
        meter = self.ledger.meter
        if meter.cap is None:
            return list(questions)
        spent, out = meter.spent, []
        for asked in flying:
            spent = spent.plus(self.most(asked))
        for asked in questions:
            spent = spent.plus(self.most(asked))
            if spent.of(meter.cap.unit) > meter.cap.amount:
                break
            out.append(asked)
        if questions and not out and not flying:
            raise meter.reached()
        return out

    def most(self, asked: RenderedRequest) -> Cost:
        """The most that a question can cost."""
        n_prompt = sum(len(message["content"]) for message in asked.messages) / 3
        return compute_cost(
            self.price(asked.model), n_prompt, float(asked.sampling.get("max_tokens", 1024))
        )

    def price(self, model: str) -> prices.ModelPrice | None:
        """The batch price of a model."""
        listed = prices.find_price(model, self.settings.price_in, self.settings.price_out)
        if listed is None:
            return None
        return prices.ModelPrice(
            listed.per_million_in * listed.batch, listed.per_million_out * listed.batch
        )

    async def submit(self, lines: bytes, keys: Sequence[str]) -> Submission:
        """Upload a file and make a batch of it; in the ledger before the server can have begun."""
        form = aiohttp.FormData()
        form.add_field("purpose", "batch")
        form.add_field("file", lines, filename="requests.jsonl", content_type="application/jsonl")
        file = await self.call("POST", "/files", form=form)
        submission = Submission(
            secrets.token_hex(8), self.endpoint.base, file["id"], "", tuple(keys)
        )
        record_submission(self.ledger, submission)
        body = {
            "input_file_id": file["id"],
            "endpoint": exchange_files.URL,
            "completion_window": "24h",
            "metadata": {MARK: submission.mark},
        }
        batch = await self.call("POST", "/batches", body=body, once=True)
        self.n_submissions += 1
        self.tries.update(keys)
        return record_batch_name(self.ledger, submission, batch["id"])

    async def collect_some(
        self, waiting: Sequence[Submission], questions: dict[str, RenderedRequest]
    ) -> None:
        """Wait until one submission or more has ended, and take in what came."""
        while True:
            ended = False
            for submission in waiting:
                batch = await self.call("GET", f"/batches/{submission.batch}")
                if batch["status"] not in WORKING:
                    await self.collect(submission, batch, questions)
                    ended = True
            if ended:
                return
            await asyncio.sleep(self.poll)

    async def collect(
        self, submission: Submission, batch: dict[str, Any], questions: dict[str, RenderedRequest]
    ) -> None:
        """Take in a batch that has ended, whole or not."""
        counts = exchange_files.ImportCounts()
        for name in ("output_file_id", "error_file_id"):
            if batch.get(name):
                lines = (await self.download(batch[name])).split(b"\n")
                found = exchange_files.store_replies(
                    lines, questions, self.ledger, "batch", self.endpoint.redact
                )
                counts = exchange_files.ImportCounts(
                    *(a + b for a, b in zip(counts, found, strict=True))
                )
                self.note_errors(lines)
        self.count_spending(submission)
        missing = set(submission.keys) - set(self.ledger.get(submission.keys))
        refused = batch["status"] == "failed" and len(missing) == len(submission.keys)
        keep_open_keys(self.ledger, submission, set() if refused else missing - questions.keys())
        self.say(
            f"{submission.batch} {batch['status']}: {counts.n_new:,} answers, {counts.n_failed:,} errors"
        )
        if refused:
            raise LLMError(
                self.endpoint.redact(f"the batch was refused: {_read_failure_reason(batch)}")
            )
        for key in missing:
            if self.tries[key] >= MAX_TRIES:
                self.failed.setdefault(
                    key,
                    f"no answer in {MAX_TRIES} batches; the last one ended as {batch['status']}",
                )

    def note_errors(self, lines: Iterable[bytes]) -> None:
        """Remember why questions failed that will not be submitted again."""
        for line in lines:
            found = exchange_files.parse_reply_line(line) if line.strip() else None
            if found is not None and not found.body and self.tries[found.key] >= MAX_TRIES:
                self.failed[found.key] = self.endpoint.redact(envelope.read_error_message(line))

    def count_spending(self, submission: Submission) -> None:
        """Count what a batch cost against the budget."""
        for entry in self.ledger.get(submission.keys).values():
            spent = compute_cost(self.price(entry.asked), entry.prompt_tokens, entry.answer_tokens)
            self.ledger.meter.settle(NOTHING, spent)

    async def download(self, file: str) -> bytes:
        """A file's content."""
        return bytes(await self.call("GET", f"/files/{file}/content", raw=True))


def _read_failure_reason(batch: dict[str, Any]) -> str:
    """Why a batch failed, on one line."""
    errors = (batch.get("errors") or {}).get("data") or [{}]
    return str(errors[0].get("message") or "the server does not say why")
