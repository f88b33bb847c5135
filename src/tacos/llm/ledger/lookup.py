"""From the ledger to replies: what an entry says to a question, or which question is still open."""

from __future__ import annotations

from collections.abc import Sequence

from tacos.llm.chat import envelope, reply_parsing
from tacos.llm.chat.messages import RenderedRequest, render_reask
from tacos.llm.ledger.ledger import Ledger
from tacos.llm.ledger.schema import LedgerEntry
from tacos.records import Reply


def interpret_entry(
    asked: RenderedRequest,
    entry: LedgerEntry,
    *,
    again: bool,
    said: envelope.ChatReply | None = None,
) -> tuple[Reply, bool]:
    """What an entry says to the question `asked`, and whether it is worth a re-ask.

    A refusal is not, nor is the answer to a re-ask (`again`). `said` is the entry's envelope, if it
    has been read already.
    """
    try:
        said = said or envelope.read_chat_reply(entry.raw)
    except envelope.EnvelopeError as error:
        return _fail(entry, entry.raw, str(error)), False
    if said.refusal or said.finish == "content_filter":
        reason = said.refusal or "content filter"
        return _fail(entry, said.text or said.refusal, f"refused: {reason}"), False
    try:
        text = reply_parsing.parse_reply_json(said.text, asked.schema)
    except reply_parsing.UnusableReplyError as error:
        failure = str(error)
        # These words go into the re-ask, and so into its key: keep them.
        if said.finish == "length":
            failure = f"it was cut off at the limit of tokens; {failure}"
        needs_reask = not again
        return _fail(entry, said.text, failure), needs_reask
    reply = Reply(
        text=text,
        raw=said.text,
        key=entry.key,
        model=entry.model,
    )
    return reply, False


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
) -> list[Reply | RenderedRequest]:
    """For each question its reply, or the question still open: itself, or the re-ask after it."""
    results: list[Reply | RenderedRequest] = []
    reasks: dict[int, RenderedRequest] = {}  # by the place of the first question
    entries = ledger.get([question.key for question in questions])
    for place, question in enumerate(questions):
        entry = entries.get(question.key)
        if entry is None:
            results.append(question)
            continue
        reply, needs_reask = interpret_entry(question, entry, again=False)
        results.append(reply)
        if needs_reask:
            reasks[place] = render_reask(question, reply.raw, reply.failure)

    # A re-ask is a question with a key of its own.
    entries = ledger.get([reask.key for reask in reasks.values()])
    for place, reask in reasks.items():
        entry = entries.get(reask.key)
        if entry is None:
            results[place] = reask
            continue
        results[place], _ = interpret_entry(reask, entry, again=True)
    return results
