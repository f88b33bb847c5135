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

    def fail(raw: str, failure: str) -> Reply:
        return Reply(None, raw, failure, entry.key, entry.model)

    try:
        said = said or envelope.read_chat_reply(entry.raw)
    except envelope.EnvelopeError as error:
        return fail(entry.raw, str(error)), False
    if said.refusal or said.finish == "content_filter":
        reason = f"refused: {said.refusal or 'content filter'}"
        return fail(said.text or said.refusal, reason), False
    try:
        text = reply_parsing.parse_reply_json(said.text, asked.schema)
    except reply_parsing.UnusableReplyError as error:
        # These words go into the re-ask, and so into its key: keep them.
        cut = "it was cut off at the limit of tokens; " if said.finish == "length" else ""
        return fail(said.text, f"{cut}{error}"), not again
    return Reply(text, said.text, "", entry.key, entry.model), False


def resolve_questions(
    questions: Sequence[RenderedRequest], ledger: Ledger
) -> list[Reply | RenderedRequest]:
    """For each question its reply, or the question to answer next: itself, or the re-ask after it."""
    results: list[Reply | RenderedRequest] = []
    reasks: list[tuple[int, RenderedRequest]] = []
    entries = ledger.get([question.key for question in questions])
    for place, question in enumerate(questions):
        entry = entries.get(question.key)
        if entry is None:
            results.append(question)
            continue
        reply, needs_reask = interpret_entry(question, entry, again=False)
        results.append(reply)
        if needs_reask:
            reasks.append((place, render_reask(question, reply.raw, reply.failure)))

    # A re-ask is a question with a key of its own.
    entries = ledger.get([reask.key for _, reask in reasks])
    for place, reask in reasks:
        entry = entries.get(reask.key)
        if entry is None:
            results[place] = reask
        else:
            results[place], _ = interpret_entry(reask, entry, again=True)
    return results
