"""Several instructions in one request, against a server that spoils some of its answers."""

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from tests.server.answering import tags
from tests.server.fault_server import ITEMS, LAZY, Behaviour, FaultServer
from tests.server.questions import tag_requests

from tacos import config
from tacos.config import Settings
from tacos.errors import BudgetReachedError, ConfigError
from tacos.llm.chat.grouped_model import GroupedModel
from tacos.llm.client import Client
from tacos.llm.ledger.ledger import Ledger, open_ledger
from tacos.records import Reply, Request
from tacos.workflows import quote, select
from tacos.workflows.requests import find_pending_requests

Connect = Callable[..., Client]


def forget_times(reply: Reply) -> Reply:
    """The reply without the times of what was paid for."""
    paid = [
        one._replace(key=one.key.split()[0], request=one.request.split()[0])
        for one in reply.paid
    ]
    return replace(reply, paid=tuple(paid))


def ask(client: Client, requests: list[Request], n: int = 4) -> list[Reply]:
    return GroupedModel(client, "tag", n).answer(requests)


def right(requests: list[Request]) -> list[object]:
    return [tags(request.fields["instruction"]) for request in requests]


def said(replies: list[Reply]) -> list[object]:
    return [
        None if reply.text is None else orjson.loads(reply.text) for reply in replies
    ]


def tokens(book: Ledger) -> int:
    return sum(row.prompt_tokens + row.answer_tokens for row in book.spend())


def test_questions_are_put_together_and_every_answer_finds_its_row(
    connect: Connect, book: Ledger
) -> None:
    requests = tag_requests(50)
    with FaultServer() as server:
        client = connect(server.url)
        assert said(ask(client, requests)) == right(requests)
        assert server.asked.total() == 13
    assert tokens(book) == client.tally.prompt_tokens + client.tally.answer_tokens


@pytest.mark.parametrize(
    "fault",
    [*ITEMS, "invalid-json", "wrong-schema", "refusal", "wrong-envelope", "empty"],
)
def test_what_a_group_leaves_open_is_asked_alone(
    fault: str, connect: Connect, book: Ledger
) -> None:
    requests = tag_requests(60)
    with FaultServer(
        Behaviour({fault: 1.0} if fault in ITEMS else {f"{fault}!": 0.6})
    ) as server:
        client = connect(server.url, retries=0)
        model = GroupedModel(client, "tag", 4)
        replies = model.answer(requests)
        assert model.n_groups == 15
        if fault in ITEMS:
            assert said(replies) == right(requests)
            assert model.n_alone == 15
            assert server.asked.total() == model.n_groups + model.n_alone
        else:
            answered = [
                place for place, reply in enumerate(replies) if reply.text is not None
            ]
            assert [said(replies)[place] for place in answered] == [
                right(requests)[place] for place in answered
            ]
            assert all(reply.failure for reply in replies if reply.text is None)
            assert 60 > len(answered) > 15
        n_asked = server.asked.total()
        if fault != "wrong-envelope":  # which brings no reply that could be kept
            assert ask(client, requests) == replies
            assert server.asked.total() == n_asked
    assert tokens(book) == client.tally.prompt_tokens + client.tally.answer_tokens


def test_an_answer_is_not_bought_again_in_another_grouping(connect: Connect) -> None:
    requests = tag_requests(40)
    with FaultServer() as server:
        client = connect(server.url)
        first = ask(client, requests)
        n_asked = server.asked.total()
        assert ask(client, requests[::-1]) == first[::-1]
        assert ask(client, requests[3:21]) == first[3:21]
        assert server.asked.total() == n_asked
        ask(client, requests, 8)  # a question with more neighbours is another question
        assert server.asked.total() == n_asked + 5
        assert all(
            reply.text for reply in client.answer(requests)
        )  # and so is one without any
        assert server.asked.total() == n_asked + 45


def test_a_question_that_comes_twice_is_asked_once(connect: Connect) -> None:
    requests = tag_requests(6)
    with FaultServer() as server:
        replies = ask(connect(server.url), [*requests, *requests])
        assert server.asked.total() == 2
    assert replies[:6] == replies[6:]


def test_after_a_stop_in_the_middle_the_same_groups_are_found_again(
    connect: Connect, tmp_path: Path
) -> None:
    requests = tag_requests(400)
    with FaultServer(Behaviour({"item-missing": 0.2}, latency=0.005)) as server:
        with open_ledger(tmp_path / "whole.sqlite") as book:
            client = connect(server.url, ledger=book)
            whole = ask(client, requests)
            client.close()
        n_asked, questions = server.asked.total(), set(server.asked)
    with FaultServer(Behaviour({"item-missing": 0.2}, latency=0.005)) as server:
        for n_requests in (30, 40):
            with open_ledger(tmp_path / "parts.sqlite") as book:
                client = connect(
                    server.url,
                    ledger=book,
                    budget=f"{n_requests}requests",
                    concurrency=4,
                )
                with pytest.raises(BudgetReachedError):
                    ask(client, requests)
                client.close()
        with open_ledger(tmp_path / "parts.sqlite") as book:
            client = connect(server.url, ledger=book)
            again = ask(client, requests)
            client.close()
        assert [forget_times(reply) for reply in again] == [
            forget_times(reply) for reply in whole
        ]
        assert set(server.asked) == questions
        assert server.asked.total() == n_asked


def test_two_ledgers_of_one_file_share_the_work(
    connect: Connect, tmp_path: Path
) -> None:
    requests = tag_requests(200)
    with (
        FaultServer(Behaviour(latency=0.05)) as server,
        ThreadPoolExecutor(2) as threads,
    ):
        with (
            open_ledger(tmp_path / "one.sqlite") as one,
            open_ledger(tmp_path / "one.sqlite") as two,
        ):
            clients = [connect(server.url, ledger=book) for book in (one, two)]
            parts = (
                requests[:150],
                requests[50:],
            )  # other groups over the same questions
            first, second = threads.map(ask, clients, parts)
            for client in clients:
                client.close()
        assert first[50:] == second[:100]
        assert sum(server.asked.values()) <= 38 + 13 + 1


def files(folder: Path) -> list[Path]:
    """Four files of 30 rows, each a shard of its own; a third of the questions is in all."""
    paths = [folder / f"part-{number}.jsonl" for number in range(4)]
    for number, path in enumerate(paths):
        questions = [
            f"Poem {row}?" if row % 3 == 0 else f"Poem {row} of {number}?"
            for row in range(30)
        ]
        rows = [
            {"instruction": text, "output": f"It is {number}."} for text in questions
        ]
        path.write_text("\n".join(map(json.dumps, rows)))
    return paths


def settings(server: FaultServer, **llm: object) -> Settings:
    endpoint = {"base_url": server.url, "model": "tiny-1", "proxy": "none", **llm}
    return config.load_settings(
        llm=endpoint, tag={"model": "llm", "per_request": 4}, select={"n": 10}
    )


def tagged(folder: Path, run: str, chosen: Settings, workers: int = 1) -> bytes:
    targets = select.OutputTargets(run=folder / run)
    ledger = folder / f"{run}.sqlite"
    done = select.run_selection(
        files(folder), chosen, targets, ledger=ledger, workers=workers, until="tag"
    )
    return done.artifacts["tags"].scan().collect().serialize()


def test_a_run_asks_the_same_groups_whatever_the_workers_and_stops(
    tmp_path: Path,
) -> None:
    asked: list[Counter[str]] = []
    tables: list[bytes] = []
    for run, workers, budget in (
        ("one", 1, ""),
        ("two", 2, ""),
        ("stopped", 1, "9requests"),
    ):
        with FaultServer(Behaviour({"item-invalid": 0.3}, latency=0.01)) as server:
            if budget:
                with pytest.raises(BudgetReachedError):
                    tagged(
                        tmp_path, run, settings(server, budget=budget, concurrency=3)
                    )
            tables.append(tagged(tmp_path, run, settings(server), workers))
            asked.append(server.asked)
    assert asked[0] == asked[1] == asked[2]
    assert tables[0] == tables[1] == tables[2]
    assert asked[0].total() < 60  # for 120 rows


def test_a_quote_counts_requests_of_several_instructions(
    tmp_path: Path, book: Ledger
) -> None:
    with FaultServer(Behaviour({"item-invalid": 0.3})) as server:
        chosen = settings(server, price_in=1.0, price_out=2.0)
        with quote.open_samples(files(tmp_path), chosen) as samples:
            found = quote.quote_stages(samples, chosen, book, 5)[0]
        n_pilot = server.asked.total()
    assert found.n_pilot == 5
    assert 30 < found.requests.mid <= 60
    assert found.prompt_tokens.mid > 0
    assert found.usd is not None
    assert found.usd_batch is None  # the batch API takes one instruction per request
    assert 5 <= n_pilot <= 10


@pytest.mark.parametrize(
    ("faults", "cost"), [({}, 0.0), ({LAZY: 1.0}, 0.4)], ids=["careful", "lazy"]
)
def test_what_asking_together_costs_in_quality(
    faults: dict[str, float], cost: float, tmp_path: Path, book: Ledger
) -> None:
    with FaultServer(Behaviour(faults)) as server:
        chosen = settings(server)
        with quote.open_samples(files(tmp_path), chosen) as samples:
            found = quote.quote_quality_cost(samples, chosen, book, 20)
        n_asked = server.asked.total()
    assert (found.per_request, found.n_left_out) == (4, 0)
    assert n_asked == -(-found.n // 4) + 2 * found.n
    assert found.again == (1.0, 1.0, 1.0)
    assert found.cost[0] == pytest.approx(cost, abs=0.1)
    low, high = found.cost[1:]
    assert low <= found.cost[0] <= high
    assert (found.tags_together < found.tags_alone) == bool(faults)


def test_there_is_no_cost_of_asking_together_where_nothing_is(
    tmp_path: Path, book: Ledger
) -> None:
    with FaultServer() as server:
        alone = config.load_settings(
            llm={"base_url": server.url, "model": "tiny-1"},
            tag={"model": "llm"},
            select={"n": 10},
        )
    nothing = pytest.raises(ConfigError, match=r"set tag.per_request to 2 or more")
    with quote.open_samples(files(tmp_path), alone) as samples, nothing:
        quote.quote_quality_cost(samples, alone, book)


def test_what_cannot_be_put_together_says_so(tmp_path: Path, book: Ledger) -> None:
    with FaultServer() as server:
        tagged(tmp_path, "run", settings(server))
        with pytest.raises(ConfigError, match=r"leave out tag.per_request"):
            find_pending_requests(tmp_path / "run", book)
    alone = config.load_settings(tag={"per_request": 4}, select={"n": 10})
    with pytest.raises(ConfigError, match=r"leave out tag.per_request"):
        tagged(tmp_path, "embedded", alone)
