"""Combines several judges into one `Model`: each request goes to the judge that it names.

The judges answer at the same time, because most of them wait for a network. The panel counts as
pointwise only if every member is; `pointwise_members` names those that cannot see the order of a
pair, so that their flips and position bias are reported as "n/a".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from tacos.errors import TacosError
from tacos.records import (
    AnswerWatch,
    Model,
    Reply,
    Request,
    WatchableModel,
    canonical_hash,
)


@dataclass(frozen=True)
class JudgePanel:
    """Judges by name; a request's `model` names the one that answers it."""

    members: Mapping[str, Model]

    @property
    def name(self) -> str:
        """The members' names."""
        return " + ".join(self.members)

    @property
    def fingerprint(self) -> str:
        """A hash of all members and the names that requests call them by."""
        parts = [[name, model.fingerprint] for name, model in self.members.items()]
        return f"panel-{canonical_hash(parts)[:16]}"

    @property
    def where(self) -> Literal["process", "thread", "here"]:
        """Where every member may run."""
        places = {model.where for model in self.members.values()}
        if "here" in places:
            return "here"
        if "thread" in places:
            return "thread"
        return "process"

    @property
    def pointwise(self) -> bool:
        """Whether no member sees the order of a pair."""
        return all(model.pointwise for model in self.members.values())

    @property
    def pointwise_members(self) -> list[str]:
        """The names of the members that do not see the order of a pair."""
        return [name for name, model in self.members.items() if model.pointwise]

    @property
    def tallies(self) -> tuple[Any, ...]:
        """Those of the clients among the members: what they have done so far."""
        tallies: list[Any] = []
        for member in self.members.values():
            tallies += getattr(member, "tallies", ())
        return tuple(tallies)

    def watch(self, watch: AnswerWatch) -> bool:
        """Report every question that costs money to `watch`; see `WatchableModel`.

        Members that compute report nothing: what they answer counts as good.
        """
        is_watched = False
        for name, member in self.members.items():
            if isinstance(member, WatchableModel):
                is_watched |= member.watch(_MemberWatch(watch, name))
        return is_watched

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer each request, in order.

        Raises `KeyError` for a request that names no member.
        """
        positions: dict[str, list[int]] = {name: [] for name in self.members}
        for position, request in enumerate(requests):
            own_positions = positions[request.model]
            own_positions.append(position)

        # One thread per member: most of them wait for a network.
        futures: dict[str, Future[list[Reply]]] = {}
        n_threads = len(self.members)
        with ThreadPoolExecutor(n_threads) as threads:
            for name, own_positions in positions.items():
                # A member that no request names is not called.
                if not own_positions:
                    continue
                own_requests = [requests[position] for position in own_positions]
                member = self.members[name]
                futures[name] = threads.submit(
                    member.answer,
                    own_requests,
                )

        # Back into the order of the requests.
        replies: dict[int, Reply] = {}
        for name, future in futures.items():
            numbered = zip(
                positions[name],
                future.result(),
                strict=True,
            )
            replies.update(numbered)
        return [replies[position] for position in sorted(replies)]


@dataclass(frozen=True)
class _MemberWatch:
    """Passes the answers of one member on, with its name."""

    watch: AnswerWatch
    name: str

    def answer(
        self,
        place: int | None,
        reply: Reply,
        judge: str = "",
    ) -> TacosError | None:
        return self.watch.answer(place, reply, judge or self.name)
