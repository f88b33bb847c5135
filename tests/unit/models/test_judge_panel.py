"""A panel hands each request to the judge that it names."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import pytest

from tacos.models.judge_panel import JudgePanel
from tacos.records import Reply, Request


@dataclass(frozen=True)
class Parrot:
    """Answers with its name and what it was asked."""

    name: str
    pointwise: bool = False
    where: Literal["process", "thread", "here"] = "thread"
    asked: list[int] = field(default_factory=list)

    @property
    def fingerprint(self) -> str:
        return f"parrot {self.name}"

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        self.asked.append(len(requests))
        return [Reply(f"{self.name} {request.fields['n']}") for request in requests]


def request(model: str, n: int) -> Request:
    return Request("judge", {"n": n}, "judge", "", {}, model=model)


def test_replies_come_in_the_order_of_the_requests_each_from_its_judge() -> None:
    panel = JudgePanel({"a": Parrot("a"), "b": Parrot("b")})
    replies = panel.answer([request("b", 0), request("a", 1), request("b", 2)])
    assert [reply.text for reply in replies] == ["b 0", "a 1", "b 2"]
    assert panel.answer([]) == []


def test_a_judge_that_is_asked_nothing_is_not_called_and_an_unknown_one_is_an_error() -> (
    None
):
    silent = Parrot("b")
    panel = JudgePanel({"a": Parrot("a"), "b": silent})
    panel.answer([request("a", 0)])
    assert silent.asked == []
    with pytest.raises(KeyError):
        panel.answer([request("c", 0)])


def test_it_sees_order_if_one_does_and_runs_where_all_may() -> None:
    mixed = JudgePanel(
        {"a": Parrot("a"), "b": Parrot("b", pointwise=True, where="process")}
    )
    assert not mixed.pointwise
    assert mixed.pointwise_members == ["b"]
    assert mixed.where == "thread"
    assert (
        JudgePanel({"a": Parrot("a", pointwise=True, where="process")}).where
        == "process"
    )
    assert (
        JudgePanel({"a": Parrot("a"), "b": Parrot("b", where="here")}).where == "here"
    )


def test_another_member_or_another_name_is_another_panel() -> None:
    one = JudgePanel({"a": Parrot("a")}).fingerprint
    assert one == JudgePanel({"a": Parrot("a")}).fingerprint
    assert (
        len(
            {
                one,
                JudgePanel({"a": Parrot("b")}).fingerprint,
                JudgePanel({"b": Parrot("a")}).fingerprint,
            }
        )
        == 3
    )
