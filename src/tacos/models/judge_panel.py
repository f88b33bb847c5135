"""Several judges behind one `Model`: each request goes to the member that it names.

Members are asked at the same time, since most of them wait for a network. The panel sees order if
any member does; `pointwise_members` says which do not, so that their flips and position bias are
"n/a".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from tacos.records import Model, Reply, Request, canonical_hash


@dataclass(frozen=True)
class JudgePanel:
    """Judges by name; a request's `model` says which of them is asked."""

    members: Mapping[str, Model]

    @property
    def name(self) -> str:
        """The members' names."""
        return " + ".join(self.members)

    @property
    def fingerprint(self) -> str:
        """Of all members, with the names under which they are asked."""
        return f"panel-{canonical_hash([[name, model.fingerprint] for name, model in self.members.items()])[:16]}"

    @property
    def where(self) -> Literal["process", "thread", "here"]:
        """Where every member may run."""
        wanted = {model.where for model in self.members.values()}
        return "here" if "here" in wanted else "thread" if "thread" in wanted else "process"

    @property
    def pointwise(self) -> bool:
        """Whether no member sees the order of a pair."""
        return all(model.pointwise for model in self.members.values())

    @property
    def pointwise_members(self) -> list[str]:
        """The names of those that do not see it."""
        return [name for name, model in self.members.items() if model.pointwise]

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply per request, in order; `KeyError` for a request that names no member."""
        places: dict[str, list[int]] = {name: [] for name in self.members}
        for place, request in enumerate(requests):
            places[request.model].append(place)
        with ThreadPoolExecutor(len(self.members)) as threads:
            asked = {
                name: threads.submit(self.members[name].answer, [requests[place] for place in mine])
                for name, mine in places.items()
                if mine
            }
        replies = {
            place: reply
            for name, answers in asked.items()
            for place, reply in zip(places[name], answers.result(), strict=True)
        }
        return [replies[place] for place in range(len(requests))]
