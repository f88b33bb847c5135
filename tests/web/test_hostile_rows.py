"""Rows that are huge, or that try to be more than text, are answered as text of bounded size."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.small_world import judge_by_instruction, tag_by_words
from tests.web.conftest import Page, serve

import tacos
from tacos.web import answers

HUGE = "w" * 3_000_000
MARKUP = "<script>alert(1)</script><img src=x onerror=alert(1)> {{7*7}} ${7*7} \x1b[31m\u202egnp.exe"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("hostile")
    long = [
        {"role": role, "content": f"{number} {role} " + "y" * 150_000}
        for number in range(30)
        for role in ("user", "assistant")
    ]
    rows = [
        {"instruction": HUGE, "output": HUGE},
        {"instruction": MARKUP, "output": MARKUP},
        {"messages": long},
        {"instruction": "\u0000\u0001", "output": "\u2028\u2029 </script>"},
        {"instruction": "plain poem", "output": "plain river"},
        {"instruction": HUGE, "output": ""},
    ]
    data: Path = folder / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    done = tacos.select(
        data,
        n=2,
        run=folder / "run",
        tagger=tag_by_words,
        judge=judge_by_instruction,
        settings={"shortlist": {"rule": "all"}, "normalise": {"alpha": 1}},
        ledger=folder / "ledger.sqlite",
    )
    with serve(tacos.ui(done)) as page:
        yield page


def test_every_row_is_listed_and_told_in_bounded_size(hostile: Page) -> None:
    listed = hostile.get("/api/rows")
    assert len(listed.body) < 50_000
    rows = listed.json()["rows"]
    assert len(rows) == 6
    for row in rows:
        story = hostile.get("/api/row", row=row["id"])
        assert story.status == 200, row["id"]
        assert len(story.body) < answers.MAX_ANSWER
        assert story.headers["Content-Type"] == "application/json"


def test_what_is_cut_says_so(hostile: Page) -> None:
    huge = hostile.get("/api/row", row="data.jsonl:0").json()
    assert huge["turns"][-1]["text"].endswith("[... 2,800,000 more characters]")
    long = hostile.get("/api/row", row="data.jsonl:2").json()["turns"]
    assert long[-1] == {"role": "...", "text": f"[{60 - len(long) + 1} more turns]"}


def test_markup_comes_as_it_is(hostile: Page) -> None:
    story = hostile.get("/api/row", row="data.jsonl:1").json()
    assert [turn["text"] for turn in story["turns"]] == [MARKUP, MARKUP]
    found = hostile.get("/api/rows", text="<script>alert(1)</script>").json()
    assert [row["id"] for row in found["rows"]] == ["data.jsonl:1"]


def test_downloads_have_whole_texts(hostile: Page) -> None:
    lines = hostile.get("/api/rows.jsonl").body.splitlines()
    assert [json.loads(line)["response"] for line in lines][:2] == [HUGE, MARKUP]
