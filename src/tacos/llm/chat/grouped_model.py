"""A model that asks several questions in one request, and asks again alone what the answer leaves
open.

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
from dataclasses import replace
from typing import Literal

from tacos import prompts
from tacos.errors import ConfigError
from tacos.llm.chat import grouped_prompts
from tacos.llm.chat.messages import RenderedRequest
from tacos.llm.client import POLL, Client
from tacos.llm.ledger.lookup import interpret_entry, note_origin
from tacos.llm.ledger.reply_rules import ReplyRules
from tacos.llm.ledger.schema import LedgerEntry
from tacos.llm.sending.decisions import ClientTally
from tacos.records import AnswerWatch, Reply, Request

FIRST_GROUPS = 4
"""Groups that are asked before one answer could be used."""

log = logging.getLogger(__name__)

Member = tuple[RenderedRequest, Request]
"""A question as a member of its group, and alone."""


class GroupedModel:
    """A client's model, asked up to `per_request` questions of one template at a time."""

    where: Literal["here"] = "here"
    pointwise = False

    def __init__(
        self,
        client: Client,
        template: str,
        per_request: int,
    ) -> None:
        """Raises `ConfigError` for a template whose questions cannot be merged."""
        self.client = client
        self.per_request = per_request
        self.wording = prompts.hash_template(
            grouped_prompts.name_grouped_template(template)
        )
        if per_request < 2:
            raise ConfigError("a group has two questions or more: raise per_request")
        self._watch: AnswerWatch | None = None
        self._is_proven = False
        self.n_groups = 0
        self.n_alone = 0
        """Groups and single questions so far, whether asked or known to the ledger."""

    @property
    def name(self) -> str:
        """The model's name."""
        return self.client.name

    @property
    def fingerprint(self) -> str:
        """The client's, and what grouping adds to the question."""
        return (
            f"{self.client.fingerprint} per_request={self.per_request} {self.wording}"
        )

    @property
    def tallies(self) -> tuple[ClientTally, ...]:
        """Those of all clients that answer: its client's."""
        return self.client.tallies

    def watch(self, watch: AnswerWatch) -> bool:
        """See `WatchableModel`."""
        self._watch = watch
        self._is_proven = False
        return self.client.watch(watch)

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply per request, in order. Raises what `Client.answer` raises."""
        n_first = FIRST_GROUPS * self.per_request
        if self._is_proven or len(requests) <= n_first:
            return self._answer_all(requests)
        # A few groups first: where no answer can be used, the rest is asked for nothing.
        first_replies = self._answer_all(requests[:n_first])
        return first_replies + self._answer_all(requests[n_first:])

    def _answer_all(self, requests: Sequence[Request]) -> list[Reply]:
        """Ask in groups, and alone what these leave open."""
        members = [self._build_member(request) for request in requests]
        members_by_key = {}
        for member, request in zip(members, requests, strict=True):
            members_by_key[member.key] = (member, request)
        entries = self._complete(members_by_key)

        replies = []
        open_places = []
        for place, member in enumerate(members):
            entry = entries.get(member.key)
            reply = _read_entry(member, entry, self.client.rules)
            replies.append(reply)
            if reply.text is None:
                open_places.append(place)
            else:
                self._report(requests[place], reply)

        # What the groups left open is asked alone; equal requests share a key, and count once.
        self.n_alone += len({members[place].key for place in open_places})
        if open_places:
            log.info(
                "%s of %s answers are missing from their groups: asked alone",
                len(open_places),
                len(requests),
            )
        open_requests = [requests[place] for place in open_places]
        single_replies = self.client.answer(open_requests)
        for place, reply in zip(open_places, single_replies, strict=True):
            in_group = replies[place].paid
            replies[place] = replace(reply, paid=(*in_group, *reply.paid))
        return replies

    def _report(self, request: Request, reply: Reply) -> None:
        """Tell the watch of an answer that a group gave; the client tells of the others.

        Raises what the watch says: it says it once.
        """
        self._is_proven = True
        if self._watch is None:
            return
        error = self._watch.answer(request.place, reply)
        if error is not None:
            raise error

    def _build_member(self, request: Request) -> RenderedRequest:
        return grouped_prompts.build_group_member(
            request, self.name, self.client.settings.body, self.per_request
        )

    def _complete(self, members: Mapping[str, Member]) -> dict[str, LedgerEntry]:
        """What the ledger has on these questions, once all that were missing have been asked, by us
        or by other processes.
        """
        ledger = self.client.ledger
        keys = list(members)
        groups = grouped_prompts.split_into_groups(keys, self.per_request)
        leased: set[str] = set()
        try:
            while True:
                leases = ledger.take(keys)
                self._check_endpoints(members, leases.known)
                fresh = leases.ours - leased
                leased |= fresh
                # Groups are cut from all keys; what is answered, or asked by others, drops out.
                fresh_members = {key: members[key] for key in keys if key in fresh}
                fresh_groups = [_pick_members(group, fresh_members) for group in groups]
                self._ask(fresh_groups)
                if not leases.theirs:
                    return ledger.get(keys)
                time.sleep(POLL)
        finally:
            ledger.release(leased)

    def _check_endpoints(
        self, members: Mapping[str, Member], known: Mapping[str, LedgerEntry]
    ) -> None:
        """Raise `OtherEndpointError` where answers of another endpoint would be used unasked."""
        rules = self.client.rules
        used = []
        for key, entry in known.items():
            if not rules.name_other_endpoint(entry):
                continue
            member, _ = members[key]
            if interpret_entry(member, entry).is_usable:
                used.append(entry)
        rules.check_endpoints(used)

    def _ask(self, groups: Sequence[Sequence[Member]]) -> None:
        """Ask groups and keep the answer to each question; a group without any reply leaves nothing
        behind.
        """
        groups = [group for group in groups if group]
        if not groups:
            return
        self.n_groups += len(groups)
        merged = []
        for group in groups:
            requests = [request for _, request in group]
            merged.append(grouped_prompts.merge_requests(requests))
        replies = self.client.answer(merged, once=True)

        ledger = self.client.ledger
        keys = [reply.key for reply in replies if reply.key]
        entries = ledger.get(keys)
        parts: list[LedgerEntry] = []
        for group, reply in zip(groups, replies, strict=True):
            entry = entries.get(reply.key)
            if entry is not None:
                members = [member for member, _ in group]
                parts += _split_group(entry, members, reply.raw)
        # One transaction: a kill leaves either the group's entry with its tokens or all its parts.
        ledger.put_all(parts, replaced=list(entries))


def _read_entry(
    member: RenderedRequest,
    entry: LedgerEntry | None,
    rules: ReplyRules,
) -> Reply:
    """What the ledger has on a member of a group; a reply without text for nothing."""
    if entry is None:
        return Reply(None)
    # A group is never re-asked: its open questions are asked alone.
    return note_origin(interpret_entry(member, entry).told, entry, rules)


def _pick_members(
    group: Sequence[str],
    members: Mapping[str, Member],
) -> list[Member]:
    """Those of a group's keys that are in `members`, in the group's order."""
    return [members[key] for key in group if key in members]


def _split_group(
    entry: LedgerEntry,
    members: Sequence[RenderedRequest],
    answer: str,
) -> list[LedgerEntry]:
    """The ledger entry of each member of a group."""
    schema = members[0].schema  # the same for all
    texts = grouped_prompts.read_grouped_answers(answer, schema, len(members))
    return grouped_prompts.split_group_entry(entry, members, texts)
