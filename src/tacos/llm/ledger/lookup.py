"""From the ledger to replies: what an entry says to a question, or which question is still open."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from tacos.llm.chat import envelope, reply_parsing
from tacos.llm.chat.body_json import EnvelopeError
from tacos.llm.chat.messages import RenderedRequest, render_reask
from tacos.llm.ledger.ledger import Ledger
from tacos.llm.ledger.reply_rules import ReplyRules
from tacos.llm.ledger.schema import LedgerEntry
from tacos.records import PaidReply, Reply, asks_for_text

FILTERED = re.compile(
    r"content_filter|safety|prohibited|blocklist|recitation|sensitive", re.IGNORECASE
)
"""Reasons to finish that say that a filter took the answer away."""
MISPLACED = (
    "all text is in the reasoning: switch the model's thinking, or the server's reasoning "
    "parser, off"
)


class ReadEntry(NamedTuple):
    """What an entry says to a question."""

    reply: Reply
    is_usable: bool = True
    """Whether it is an answer, if only a refusal: the same question would get it again."""
    is_refusal: bool = False
    """Whether the model, or a filter, gave no answer."""
    is_worth_reask: bool = False
    """Whether the model may do better once it is told what is wrong."""
    hint: str = ""
    """What people should know of it besides. The model is not told: its words make a key."""

    def is_to_be_renewed(self, rules: ReplyRules, *entries: LedgerEntry) -> bool:
        """Whether a question with these entries, of which this is the last, is to be asked anew."""
        is_answer = self.is_usable and not (self.is_refusal and rules.asks_refused)
        return not is_answer and rules.is_stale(*entries)

    @property
    def told(self) -> Reply:
        """The reply as people hear of it."""
        if not self.hint:
            return self.reply
        return replace(self.reply, failure=f"{self.reply.failure}; {self.hint}")


def interpret_entry(
    asked: RenderedRequest,
    entry: LedgerEntry,
    said: envelope.ChatReply | None = None,
) -> ReadEntry:
    """What an entry says to the question `asked`. `said` is its envelope, if that has been read."""
    try:
        said = said or envelope.read_chat_reply(entry.raw)
    except EnvelopeError as error:
        return ReadEntry(_fail(entry, entry.raw, str(error)), is_usable=False)
    return _interpret_envelope(said, asked.schema, entry)


def holds_answer(entry: LedgerEntry, schemas: Iterable[dict[str, Any]]) -> bool:
    """Whether an entry holds an answer by any of `schemas`, as a run reads it; no refusal."""
    try:
        said = envelope.read_chat_reply(entry.raw)
    except EnvelopeError:
        return False
    reads = (_interpret_envelope(said, schema, entry) for schema in schemas)
    return any(read.reply.text is not None for read in reads)


def _interpret_envelope(
    said: envelope.ChatReply,
    schema: dict[str, Any],
    entry: LedgerEntry,
) -> ReadEntry:
    """What an entry, whose envelope is `said`, says to a question with a schema."""
    if said.refusal or FILTERED.search(said.finish):
        reason = said.refusal or "content filter"
        reply = _fail(entry, said.text or said.refusal, f"refused: {reason}")
        return ReadEntry(reply, is_refusal=True)
    try:
        text, raw = _parse_answer(said, schema)
    except reply_parsing.UnusableReplyError as error:
        failure = str(error)
        # These words go into the re-ask, and so into its key: keep them.
        if said.finish == "length":
            failure = f"it was cut off at the limit of tokens; {failure}"
        reply = replace(_fail(entry, said.text, failure), finish=said.finish)
        hint = MISPLACED if said.reasoning and not said.text else ""
        return ReadEntry(reply, is_usable=False, is_worth_reask=True, hint=hint)
    reply = Reply(
        text=text,
        raw=raw,
        key=entry.key,
        model=entry.model,
        finish=said.finish,
        alternatives=said.alternatives,
    )
    return ReadEntry(reply)


def _parse_answer(
    said: envelope.ChatReply,
    schema: dict[str, Any],
) -> tuple[str, str]:
    """The answer as JSON by `schema`, and the text that it was read from.

    Raises `UnusableReplyError`.
    """
    if not said.text and said.reasoning and asks_for_text(schema):
        # Thoughts are no answer, and nothing tells them from a text.
        raise reply_parsing.UnusableReplyError("it is empty")
    if not said.text:
        misplaced = reply_parsing.find_misplaced_answer(said.reasoning)
        # What is no answer is no reason either: the content is empty, as it ever was.
        with suppress(reply_parsing.UnusableReplyError):
            return reply_parsing.parse_reply_json(misplaced, schema), misplaced
    return reply_parsing.parse_reply_json(said.text, schema), said.text


def _fail(entry: LedgerEntry, raw: str, failure: str) -> Reply:
    return Reply(
        text=None,
        raw=raw,
        failure=failure,
        key=entry.key,
        model=entry.model,
    )


def resolve_questions(
    questions: Sequence[RenderedRequest],
    ledger: Ledger,
    rules: ReplyRules,
) -> list[Reply | RenderedRequest]:
    """For each question its reply, or the question that is still open: itself, or the re-ask after
    an unusable reply.

    Raises `OtherEndpointError` where a reply is another endpoint's and the rules forbid that.
    """
    firsts = ledger.get([question.key for question in questions])
    reads: dict[str, ReadEntry] = {}
    reasks: dict[str, RenderedRequest] = {}  # by the key of the first question
    for question in questions:
        entry = firsts.get(question.key)
        if entry is None:
            continue
        read = interpret_entry(question, entry)
        reads[question.key] = read
        if read.is_worth_reask:
            reask = render_reask(question, read.reply.raw, read.reply.failure)
            reasks[question.key] = reask

    # A re-ask is a question with a key of its own.
    seconds = ledger.get([reask.key for reask in reasks.values()])
    results: list[Reply | RenderedRequest] = []
    used: list[LedgerEntry] = []
    for question in questions:
        key = question.key
        if key not in firsts:
            results.append(question)
            continue
        answers = [_Answer(firsts[key], reads[key])]
        second_question = reasks.get(key)
        if second_question is not None and second_question.key in seconds:
            second = seconds[second_question.key]
            read = interpret_entry(second_question, second)
            answers.append(_Answer(second, read))
        result = _resolve_question(question, second_question, answers, rules)
        results.append(result)
        if isinstance(result, Reply):
            used.append(answers[-1].entry)
    rules.check_endpoints(used)
    return results


def list_open_requests(
    results: Sequence[Reply | RenderedRequest],
) -> dict[str, RenderedRequest]:
    """Key -> request, for all that have no reply."""
    return {
        result.key: result for result in results if isinstance(result, RenderedRequest)
    }


class _Answer(NamedTuple):
    """An entry of a question or of its re-ask, and what it says."""

    entry: LedgerEntry
    read: ReadEntry


def _resolve_question(
    question: RenderedRequest,
    reask: RenderedRequest | None,
    answers: Sequence[_Answer],
    rules: ReplyRules,
) -> Reply | RenderedRequest:
    """The reply by the answers to a question and to its re-ask, or which of the two is open."""
    is_reask_open = reask is not None and len(answers) == 1
    if reask is not None and is_reask_open and rules.asks_again:
        return reask
    entry, read = answers[-1]
    before = tuple(read_payment(answer.entry) for answer in answers[:-1])
    entries = [answer.entry for answer in answers]
    if read.is_to_be_renewed(rules, *entries):
        return question
    reply = note_origin(read.told, entry, rules)
    return replace(reply, paid=(*before, *reply.paid))


def note_origin(reply: Reply, entry: LedgerEntry, rules: ReplyRules) -> Reply:
    """A reply with what was paid for it, and with the endpoint that gave it, where it is another
    one or not known.
    """
    other = rules.name_origin(entry)
    return replace(reply, other_endpoint=other, paid=(read_payment(entry),))


def read_payment(entry: LedgerEntry) -> PaidReply:
    """What an entry says about money."""
    request = entry.key
    if entry.way == "grouped":
        request = str(orjson.loads(entry.raw).get("group", entry.key))
    # Replies to a question that was asked anew share its key, but did not come at once.
    return PaidReply(
        f"{entry.key} {entry.at}",
        f"{request} {entry.at}",
        entry.asked,
        entry.way,
        entry.prompt_tokens,
        entry.answer_tokens,
    )
