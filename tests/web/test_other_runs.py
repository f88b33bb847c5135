"""A run is compared with another one beside it, and with no other place."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.small_world import (
    encode_letters,
    judge_by_instruction,
    make_rows,
    tag_by_words,
)
from tests.web.conftest import Page, serve

import tacos
from tacos.workflows.run_difference import compare_runs


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Page, Path]]:
    """The page of a run, and another run beside it, by another judge."""
    folder = tmp_path_factory.mktemp("two")
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in make_rows()), "utf-8")
    for name, judge in (
        ("a", judge_by_instruction),
        ("b", lambda texts, _: [50.0] * len(texts)),
    ):
        tacos.select(
            data,
            n=15,
            output=folder / f"{name}.jsonl",
            tagger=tag_by_words,
            judge=judge,
            encoder=encode_letters,
            settings={"shortlist": {"rule": "all"}, "normalise": {"alpha": 1}},
            ledger=folder / "ledger.sqlite",
        )
    (folder / "no-run").mkdir()
    elsewhere = folder / "below"
    elsewhere.mkdir()
    shutil.copytree(folder / "b.jsonl.run", elsewhere / "c.run")
    with serve(tacos.ui(folder / "a.jsonl.run")) as page:
        yield page, folder / "b.jsonl.run"


def test_runs_beside_it_are_named_and_no_others(two: tuple[Page, Path]) -> None:
    page, other = two
    assert page.get("/api/runs").json() == {"names": [other.name]}


def test_it_says_what_runs_compare_says(two: tuple[Page, Path]) -> None:
    page, other = two
    own = page.view.selection
    told = page.get("/api/diff", name=other.name).json()
    difference = compare_runs(own, other)
    expected = json.loads(json.dumps(difference.as_dict()))
    for name in ("figures", "settings", "n_pool", "n_selected", "by_chance", "sources"):
        assert told[name] == expected[name], name
    assert told["n_both"] == len(difference.both)
    assert told["n_only_first"] == len(difference.only_first) > 0
    assert told["n_only_first"] + told["n_both"] == 15
    for rows, hashes, run in (
        ("rows_first", difference.only_first, own),
        ("rows_second", difference.only_second, tacos.load(other)),
    ):
        ids = dict(run.table.select("content_hash", "id").iter_rows())
        assert [row["id"] for row in told[rows]] == [ids[each] for each in hashes]
        assert all(row["question"] for row in told[rows])


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "no-run",
        "below/c.run",
        "a.jsonl.run",
        "/etc",
        "../",
        "b.jsonl.run/",
        "\x00",
    ],
)
def test_no_other_place_is_looked_at(two: tuple[Page, Path], name: str) -> None:
    page, _ = two
    answer = page.get("/api/diff", name=name)
    assert answer.status == 400
    assert answer.json()["error"] == f"there is no run {name!r} beside this one"


def test_a_run_that_is_gone_is_an_error_of_one_line(
    finished: tacos.Selection, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy = tmp_path / "copy.run"
    shutil.copytree(finished.run, copy)
    view = tacos.ui(copy)
    view.prepare()
    with serve(view) as page:
        shutil.rmtree(copy)
        for path in ("/api/rows", "/api/row?row=data.jsonl:1", "/api/rows?text=poem"):
            answer = page.get(path)
            assert answer.status == 410
            error = f"the run {copy.name} is gone: start tacos ui with the run where it is now"
            assert answer.json() == {"error": error}
    assert "Traceback" not in caplog.text
