"""What the ledger says to a question: a reply, or which question is still open."""

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
    """What an entry says to a question, and whether it is worth asking again: a refusal, or a
    re-ask, is not.

    `said` is the entry's envelope where it was read already.
    """
    try:
        said = said or envelope.read_chat_reply(entry.raw)
    except envelope.EnvelopeError as error:
        return Reply(None, entry.raw, str(error), entry.key, entry.model), False
    if said.refusal or said.finish == "content_filter":
        reason = f"refused: {said.refusal or 'content filter'}"
        return Reply(None, said.text or said.refusal, reason, entry.key, entry.model), False
    try:
        text = reply_parsing.parse_reply_json(said.text, asked.schema)
    except reply_parsing.UnusableReplyError as error:
        cut = "it was cut off at the limit of tokens; " if said.finish == "length" else ""
        return Reply(None, said.text, f"{cut}{error}", entry.key, entry.model), not again
    return Reply(text, said.text, "", entry.key, entry.model), False


def resolve_questions(
    questions: Sequence[RenderedRequest], ledger: Ledger
) -> list[Reply | RenderedRequest]:
    """For each question its reply, or the question that has to be answered next: itself, or the
    re-ask after it.
    """
    known = ledger.get([asked.key for asked in questions])
    found: list[Reply | RenderedRequest] = []
    seconds: list[tuple[int, RenderedRequest]] = []
    for place, asked in enumerate(questions):
        if asked.key not in known:
            found.append(asked)
            continue
        reply, retry = interpret_entry(asked, known[asked.key], again=False)
        found.append(reply)
        if retry:
            seconds.append((place, render_reask(asked, reply.raw, reply.failure)))
    entries = ledger.get([second.key for _, second in seconds])
    for place, second in seconds:
        found[place] = (
            interpret_entry(second, entries[second.key], again=True)[0]
            if second.key in entries
            else second
        )
    return found
