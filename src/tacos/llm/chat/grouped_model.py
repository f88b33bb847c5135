"""A model that asks several questions in one request, and alone again what the answer leaves open.

Groups are neighbours in the order in which the stage asks. They are cut before the ledger is looked
up, and what it knows is left out of them, so a killed run finds the same groups again. All answers
of a group, the missing ones included, are kept under keys of their own in one transaction, and with
them the group's tokens: its own entry keeps the text and counts no token any more.

Batches of one run are answered one after another, not side by side as a client's are: a question
that comes up in two of them is part of the first one's group, whatever the number of workers.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Literal

from tacos import prompts
from tacos.errors import ConfigError
from tacos.llm.chat import grouped_prompts
from tacos.llm.chat.messages import RenderedRequest
from tacos.llm.client import POLL, Client
from tacos.llm.ledger.lookup import interpret_entry
from tacos.llm.ledger.schema import LedgerEntry
from tacos.records import Reply, Request

log = logging.getLogger(__name__)


class GroupedModel:
    """A client's model, asked up to `per_request` questions of one template at a time."""

    where: Literal["here"] = "here"
    pointwise = False

    def __init__(self, client: Client, template: str, per_request: int) -> None:
        """Raises `ConfigError` for a template whose questions cannot be put together."""
        self.client, self.per_request = client, per_request
        self.wording = prompts.hash_template(grouped_prompts.name_grouped_template(template))
        if per_request < 2:
            raise ConfigError("a group has two questions or more")
        self.n_groups = self.n_alone = 0
        """Groups and single questions that were asked, or found in the ledger, so far."""

    @property
    def name(self) -> str:
        """The model's name."""
        return self.client.name

    @property
    def fingerprint(self) -> str:
        """The client's, with what being asked in groups adds to the question."""
        return f"{self.client.fingerprint} per_request={self.per_request} {self.wording}"

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply per request, in order; raises what `Client.answer` raises."""
        body = self.client.settings.body
        members = [
            grouped_prompts.build_group_member(request, self.name, body, self.per_request)
            for request in requests
        ]
        by_key = {
            asked.key: (asked, request) for asked, request in zip(members, requests, strict=True)
        }
        known = self._complete(by_key)
        replies = [
            interpret_entry(asked, known[asked.key], again=True)[0]
            if asked.key in known
            else Reply(None)
            for asked in members
        ]
        alone = [place for place, reply in enumerate(replies) if reply.text is None]
        self.n_alone += len({members[place].key for place in alone})
        if alone:
            log.info(
                "%s of %s answers are missing from their groups: asked alone",
                len(alone),
                len(requests),
            )
        for place, reply in zip(
            alone, self.client.answer([requests[place] for place in alone]), strict=True
        ):
            replies[place] = reply
        return replies

    def _complete(
        self, by_key: Mapping[str, tuple[RenderedRequest, Request]]
    ) -> dict[str, LedgerEntry]:
        """What the ledger has on these questions once all that were missing are asked, by us or by
        other processes.
        """
        ledger, keys, ours = self.client.ledger, list(by_key), set[str]()
        groups = grouped_prompts.split_into_groups(keys, self.per_request)
        try:
            while True:
                taken = ledger.take(keys)
                fresh = taken.ours - ours
                ours |= fresh
                self._ask([[by_key[key] for key in group if key in fresh] for group in groups])
                if not taken.theirs:
                    return ledger.get(keys)
                time.sleep(POLL)
        finally:
            ledger.release(ours)

    def _ask(self, groups: Sequence[Sequence[tuple[RenderedRequest, Request]]]) -> None:
        """Ask groups and keep what is said to each question; a group without any reply leaves
        nothing behind.
        """
        groups = [group for group in groups if group]
        requests = [
            grouped_prompts.merge_requests([request for _, request in group]) for group in groups
        ]
        self.n_groups += len(groups)
        replies = self.client.answer(requests, once=True) if requests else []
        entries = self.client.ledger.get([reply.key for reply in replies if reply.key])
        parts: list[LedgerEntry] = []
        for group, reply in zip(groups, replies, strict=True):
            if reply.key in entries:
                members = [asked for asked, _ in group]
                texts = grouped_prompts.read_grouped_answers(
                    reply.raw, members[0].schema, len(members)
                )
                parts += grouped_prompts.split_group_entry(entries[reply.key], members, texts)
        self.client.ledger.put_all(parts, replaced=list(entries))
