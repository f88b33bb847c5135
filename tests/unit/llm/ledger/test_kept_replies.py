"""Ledgers of earlier versions, replies that make room, and replies that are removed."""

import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tacos.config import LLMSettings
from tacos.errors import OtherEndpointError
from tacos.llm.ledger.ledger import LedgerEntry, open_ledger
from tacos.llm.ledger.removal import ReplyFilter
from tacos.llm.ledger.reply_rules import ReplyRules, build_reply_rules

BEFORE = Path(__file__).parents[3] / "fixtures" / "before_0_2" / "ledger.sqlite"
HERE = "http://here/v1"
THERE = "http://there/v1"


def entry(key: str, at: float = 100.0, endpoint: str = HERE) -> LedgerEntry:
    return LedgerEntry(
        key, "m", "m-1", "tag", "stop", 10, 5, 0.2, at, "online", "{}", endpoint
    )


def read_old_rows(path: Path) -> list[tuple[object, ...]]:
    """The replies as a ledger of version 1 has them."""
    columns = "key, asked, model, task, finish, prompt_tokens, answer_tokens, latency, at, way, raw"
    with closing(sqlite3.connect(path)) as database:
        return database.execute(
            f"SELECT {columns} FROM replies ORDER BY key"
        ).fetchall()


def test_an_old_ledger_is_brought_up_to_date_and_loses_nothing(tmp_path: Path) -> None:
    path = Path(shutil.copy(BEFORE, tmp_path / "ledger.sqlite"))
    before = read_old_rows(path)
    # Several processes may open it at once; each of them finds it ready.
    with ThreadPoolExecutor(4) as threads:
        for opened in threads.map(open_ledger, [path] * 8):
            opened.close()
    assert read_old_rows(path) == before
    with open_ledger(path) as opened:
        assert {each.endpoint for each in opened.entries()} == {""}
        opened.put_all([entry("new")])
        assert opened.get(["new"]) == {"new": entry("new")}


def test_another_endpoint_is_one_that_was_noted_and_differs() -> None:
    rules = ReplyRules(HERE, before=150.0)
    assert rules.name_other_endpoint(entry("a")) == ""
    assert rules.name_other_endpoint(entry("a", endpoint="")) == ""
    assert rules.name_other_endpoint(entry("a", endpoint=THERE)) == THERE
    rules.check_endpoints([entry("a"), entry("b", endpoint="")])
    with pytest.raises(OtherEndpointError, match=f"1 by {THERE}"):
        rules.check_endpoints([entry("a"), entry("c", endpoint=THERE)])
    allowed = ReplyRules(HERE, before=150.0, allows_others=True)
    allowed.check_endpoints([entry("c", endpoint=THERE)])


def test_replies_of_earlier_commands_are_stale() -> None:
    rules = ReplyRules(HERE, before=150.0)
    assert rules.is_stale(entry("a", at=100.0))
    assert not rules.is_stale(entry("a", at=100.0), entry("b", at=200.0))
    never = ReplyRules(HERE, before=150.0, asks_again=False)
    assert not never.is_stale(entry("a", at=100.0))


def test_an_endpoint_is_the_same_however_it_is_spelt_and_another_by_its_deployment() -> (
    None
):
    """Item 25: before, the base URL as it was typed was all."""

    def name_other(endpoint: str, **llm: Any) -> str:
        rules = build_reply_rules(LLMSettings(**llm), before=0.0)
        return rules.name_other_endpoint(entry("a", endpoint=endpoint))

    api = "https://api.example.com/v1"
    for spelling in (
        "https://API.example.com/v1",
        "https://api.example.com:443/v1",
        "https://api.example.com/v1/",
    ):
        assert name_other(spelling, base_url=api) == ""
        assert name_other(api, base_url=spelling) == ""
    assert name_other("https://api.example.com:444/v1", base_url=api)
    assert name_other("http://api.example.com/v1", base_url=api)
    assert name_other(api, base_url=api, query={"api-version": "2024-10-21"}) == ""
    assert name_other(api, base_url=api, query={"code": "${CODE}"}) == ""
    assert name_other(api, base_url=api, query={"deployment": "a"}) == api
    deployed = f"{api}?deployment=a"
    assert name_other(deployed, base_url=api, query={"deployment": "a"}) == ""
    assert name_other(deployed, base_url=api, query={"deployment": "b"}) == deployed
    blue = {"azureml-model-deployment": "blue"}
    assert name_other(api, base_url=api, headers=blue) == api
    assert (
        name_other(f"{api}?azureml-model-deployment=blue", base_url=api, headers=blue)
        == ""
    )
    assert name_other(api, base_url=api, headers={"X-Title": "tacos"}) == ""


def test_replies_are_found_however_their_endpoint_is_spelt(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger") as book:
        book.put_all([entry("a", endpoint="http://H:80/v1"), entry("b", endpoint="")])
        wanted = ReplyFilter(endpoint="http://h/v1/")
        assert [found.entry.key for found in book.find(wanted)] == ["a"]
        wanted = ReplyFilter(endpoint="")
        assert [found.entry.key for found in book.find(wanted)] == ["b"]
