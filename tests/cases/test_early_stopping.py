"""A stage stops before it has asked every row for nothing: issue 13, A1.

Case `llm_all_unusable_1500`: 1,500 rows, a model whose every reply is of no use. Before: 3,000
requests (and 6,000 of 3,000 rows), then the gate; a server that answers 500 to everything got 2,390
requests in 23 s. After: some dozens. The bars: nothing usable, 40 requests and those in flight; a
tenth unusable, 400 and those in flight; a hundredth, never (`test_sequential_test` has 200 seeded
runs). The server is the tests' own, the model's questions are those of tagging and judging.
"""

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.server.fault_server import Behaviour, FaultServer, Scripted
from tests.server.questions import judge_requests, tag_requests
from tests.server.support import book, connect, environment

import tacos
from tacos.config import load_settings
from tacos.errors import FailureRateError, LLMError
from tacos.llm.chat.grouped_model import GroupedModel
from tacos.llm.client import Client
from tacos.models import judge
from tacos.models.judge_panel import JudgePanel
from tacos.pipeline.answer_watch import StageWatch
from tacos.pipeline.stages import find_stage
from tacos.records import Model, Reply, Request, WatchableModel

__all__ = ["book", "connect", "environment"]

Connect = Callable[..., Client]
N_NOTHING = 40
N_TENTH = 400


def watch(model: Model, name: str = "tag", **settings: Any) -> StageWatch:
    """Begin a stage with a model."""
    watching = StageWatch(find_stage(name), load_settings(**settings))
    assert isinstance(model, WatchableModel)
    assert model.watch(watching)
    return watching


def line_up(requests: Sequence[Request]) -> list[Request]:
    """Requests as the first ones of a stage, in this order."""
    return [replace(request, place=place) for place, request in enumerate(requests)]


def content(text: str | None, **more: object) -> Callable[[str], str]:
    """What turns every good reply into one with this text."""

    def change(body: str) -> str:
        reply = orjson.loads(body)
        reply["choices"][0]["message"] = {"role": "assistant", "content": text, **more}
        return orjson.dumps(reply).decode()

    return change


@pytest.mark.parametrize(
    "change",
    [
        content("OK"),
        content(""),
        content('{"tags": 2}'),
        content(None, refusal="I cannot help with that."),
        content('{"labels": [{"tag": "cooking"}]}'),
    ],
    ids=["OK", "empty", "a number", "refusal", "another schema"],
)
def test_case_llm_all_unusable_1500(
    change: Callable[[str], str], connect: Connect
) -> None:
    """Before 3,000 requests; after 40 and those in flight."""
    with FaultServer(Behaviour(change=change)) as server:
        client = connect(server.url)
        watch(client)
        with pytest.raises(FailureRateError, match="stage tag: stopped early") as error:
            client.answer(line_up(tag_requests(1500)))
        assert server.asked.total() <= N_NOTHING + server.most_in_flight
    assert "15 of the 15 answers so far" in str(error.value)
    assert "llm.stop_early=false" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_tenth_unusable_stops_within_400_requests(connect: Connect) -> None:
    """At the gate of tagging, 2%; at 5% see `test_sequential_test`."""
    with FaultServer(Behaviour({"invalid-json!": 0.1}, latency=0.01)) as server:
        client = connect(server.url)
        watch(client)
        with pytest.raises(FailureRateError, match="it is not JSON"):
            client.answer(line_up(tag_requests(3000)))
        assert server.asked.total() <= N_TENTH + server.most_in_flight


def test_a_hundredth_unusable_stops_nothing(connect: Connect) -> None:
    with FaultServer(Behaviour({"empty!": 0.01})) as server:
        client = connect(server.url)
        watch(client)
        replies = client.answer(line_up(tag_requests(1000)))
    n_unusable = sum(reply.text is None for reply in replies)
    assert 1 <= n_unusable <= 20


def test_a_later_stage_is_careful_again(connect: Connect) -> None:
    """Tags are good, verdicts are not: the first good answers vouch for their own stage only."""
    spoil = content("A")
    with FaultServer() as server:
        client = connect(server.url)
        watch(client)
        assert all(reply.text for reply in client.answer(line_up(tag_requests(300))))
        n_before = server.asked.total()
        server.behaviour.change = spoil
        server.most_in_flight = 0
        watch(client, "judge")
        with pytest.raises(FailureRateError, match="stage judge: stopped early"):
            client.answer(line_up(judge_requests(500)))
        n_asked = server.asked.total() - n_before
        assert n_asked <= N_NOTHING + server.most_in_flight


def test_groups_of_questions_are_watched_too(connect: Connect) -> None:
    """Before: all groups, then every instruction alone, twice."""
    with FaultServer(Behaviour(change=content("OK"))) as server:
        model = GroupedModel(connect(server.url), "tag", 4)
        watch(model)
        with pytest.raises(FailureRateError, match="stopped early"):
            model.answer(line_up(tag_requests(1000)))
        assert server.asked.total() <= N_NOTHING + server.most_in_flight


def test_one_member_of_a_panel_is_enough(connect: Connect) -> None:
    """A third of the verdicts is missing: the good members do not hide the broken one."""
    with (
        FaultServer() as good,
        FaultServer(Behaviour(change=content("?"), model="tiny-2")) as broken,
    ):
        members: dict[str, Model] = {
            "good": connect(good.url),
            "broken": connect(broken.url, "tiny-2"),
        }
        panel = JudgePanel(members)
        watch(panel, "judge")
        requests = [
            replace(request, model=name)
            for request in judge_requests(500)
            for name in members
        ]
        with pytest.raises(
            FailureRateError, match="stage judge: stopped early"
        ) as error:
            panel.answer(line_up(requests))
        assert broken.asked.total() <= N_NOTHING + broken.most_in_flight
    assert re.search(r" used \(.*\), \d+ of \d+ by broken", str(error.value))


def test_a_stop_that_a_group_shows_stops_the_stage(connect: Connect) -> None:
    """The fifteenth answer shows it, and is a good one. Before: the error was thrown away, and the
    watch, which says it once, stopped nothing any more.
    """
    with FaultServer() as server:
        model = GroupedModel(connect(server.url), "tag", 4)
        watching = watch(model)
        for place in range(13):
            reply = Reply("{}") if place < 3 else Reply(None, failure="it is empty")
            assert watching.answer(place, reply) is None
        requests = [
            replace(request, place=13 + number)
            for number, request in enumerate(tag_requests(40))
        ]
        with pytest.raises(FailureRateError, match="stage tag: stopped early"):
            model.answer(requests)


def test_a_panel_with_the_embedded_judge_is_watched(connect: Connect) -> None:
    """The client has tagged before. Before: its failures as a judge stopped "stage tag"."""
    with FaultServer() as server:
        client = connect(server.url)
        watch(client)
        client.answer(line_up(tag_requests(40)))
        n_before = server.asked.total()
        server.behaviour.change = content("?")
        server.most_in_flight = 0
        panel = JudgePanel({"tiny-1": client, "embedded": judge.load()})
        watch(panel, "judge")
        requests = [
            replace(request, model=name)
            for request in judge_requests(200)
            for name in panel.members
        ]
        with pytest.raises(FailureRateError, match="stage judge: stopped early"):
            panel.answer(line_up(requests))
        n_asked = server.asked.total() - n_before
        assert n_asked <= N_NOTHING + server.most_in_flight


def test_answers_that_only_the_stage_refuses_stop_it(tmp_path: Path) -> None:
    """JSON by the schema, but an empty text is no rewrite. Before: every row was asked first."""
    data = [
        {"instruction": f"Name {n} rivers of land {n}.", "output": f"River {n}."}
        for n in range(320)
    ]
    done = tacos.select(data, n=300, run=tmp_path / "run")
    empty = content('{"faults": "It is too short.", "response": " "}')
    with FaultServer(Behaviour(change=empty)) as server:
        settings = {"llm": {"base_url": server.url, "model": "tiny-1"}}
        with pytest.raises(
            FailureRateError, match="stage rewrite: stopped early"
        ) as error:
            tacos.refine(done.run, settings, ledger=tmp_path / "ledger.sqlite")
        assert "x empty response" in str(error.value)
        assert server.asked.total() < 300


def test_the_setting_turns_it_off(connect: Connect) -> None:
    with FaultServer(Behaviour(change=content("OK"))) as server:
        client = connect(server.url)
        watch(client, llm={"stop_early": False})
        replies = client.answer(line_up(tag_requests(60)))
        assert server.asked.total() == 120
    assert all(reply.text is None for reply in replies)


def test_answers_that_the_ledger_knows_count_too(connect: Connect) -> None:
    """The same command again asks no more than before."""
    with FaultServer(Behaviour(change=content("OK"))) as server:
        for _ in range(2):
            client = connect(server.url)
            watch(client)
            with pytest.raises(FailureRateError, match="stopped early"):
                client.answer(line_up(tag_requests(500)))
            client.close()
        assert server.asked.total() <= 2 * (N_NOTHING + server.most_in_flight)


@pytest.mark.parametrize("fault", ["500!", "html!", "reset!", "wrong-envelope!"])
def test_a_server_that_only_fails_is_probed(fault: str, connect: Connect) -> None:
    """Before 2,390 requests in 23 s; after: 16 rows once, then one request at a time."""
    with FaultServer(Behaviour({fault: 1.0})) as server:
        client = connect(server.url, retries=2)
        watch(client)
        with pytest.raises(LLMError):
            client.answer(line_up(tag_requests(1500)))
        assert server.asked.total() <= N_NOTHING + server.most_in_flight


def test_a_server_that_recovers_loses_no_row(connect: Connect) -> None:
    """An outage in the middle: the probes cost no row its own tries."""
    with FaultServer(Behaviour(latency=0.005)) as server:
        client = connect(server.url, retries=3)
        client.answer(line_up(tag_requests(50)))
        server.behaviour.faults = {"500!": 1.0}
        healing = threading.Timer(1.0, server.behaviour.faults.clear)
        healing.start()
        replies = client.answer(line_up(tag_requests(200, start=50)))
        healing.join()
        assert server.met["500"] >= 16
    assert all(reply.text for reply in replies)


def test_the_command_stops_early(tmp_path: Path) -> None:
    """From the data to the error: 800 rows, a model that says nothing."""
    rows = [
        {"instruction": f"Name {n} rivers of land {n}.", "output": f"River {n}."}
        for n in range(800)
    ]
    with FaultServer(Behaviour(change=content("OK"))) as server:
        settings = {
            "tag": {"model": "llm"},
            "llm": {"base_url": server.url, "model": "tiny-1"},
        }
        with pytest.raises(FailureRateError, match="stage tag: stopped early"):
            tacos.select(
                rows,
                n=5,
                run=tmp_path / "run",
                ledger=tmp_path / "ledger.sqlite",
                settings=settings,
            )
        assert server.asked.total() <= N_NOTHING + server.most_in_flight


def answer_junk(body: dict[str, Any]) -> Scripted | None:
    """No answer to questions about junk."""
    if "junk" not in str(body["messages"]):
        return None
    message = {"role": "assistant", "content": "?"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return Scripted(body={"model": "tiny-1", "choices": [choice], "usage": {}})


def test_junk_at_the_head_of_a_sorted_file_stops_nothing(tmp_path: Path) -> None:
    """Item 17: 1% of the rows is junk, all at the head. Before: 5 of the first 5 stopped the stage.

    Asking in random order changes nothing that is made.
    """
    rows = []
    for number in range(500):
        junk = " junk" if number < 5 else ""
        instruction = f"Name {number} rivers of land {number}.{junk}"
        rows.append({"instruction": instruction, "output": f"River {number}."})
    selected = {}
    with FaultServer(Behaviour(script=answer_junk)) as server:
        for stop_early in (True, False):
            llm = {
                "base_url": server.url,
                "model": "tiny-1",
                "stop_early": stop_early,
            }
            before = server.asked.total()
            selection = tacos.select(
                rows,
                n=50,
                run=tmp_path / f"run-{stop_early}",
                ledger=tmp_path / f"ledger-{stop_early}.sqlite",
                settings={"tag": {"model": "llm"}, "llm": llm},
            )
            selected[stop_early] = selection.table.drop("tags").rows()
            assert server.asked.total() - before == 500 + 5
    assert selected[True] == selected[False]
