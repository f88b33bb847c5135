"""What a selection would change is what `tacos reselect` changes, and saving writes it."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from tests.small_world import run_command
from tests.web.conftest import Page

import tacos
from tacos.errors import ConfigError
from tacos.store.artifacts import Store

REQUESTS: list[dict[str, Any]] = [
    {},
    {"n": "10"},
    {"n": "25%"},
    {"n": "15", "tag_price": 0},
    {"n": "15", "tag_price": 50},
    {"strategy": "mig"},
    {"strategy": "random", "seed": 7},
    {"strategy": "longest", "by": "grade"},
    {"per_source": {"data.jsonl": "<=100%"}, "match_length": True},
    {"limit": 0.9, "n": "12"},
]


def read_ids(file: Path) -> list[str]:
    """The rows of a file of this data set, by their instructions."""
    return [
        json.loads(line)["instruction"] for line in file.read_text("utf-8").splitlines()
    ]


@pytest.mark.parametrize("request_", REQUESTS, ids=str)
def test_it_says_what_reselect_would_change(
    page: Page, finished: tacos.Selection, request_: dict[str, Any]
) -> None:
    answer = page.post("/api/what-if", request_).json()
    made = tacos.reselect(finished, **request_)
    own = finished.table["id"].to_list()
    chosen = made.table["id"].to_list()
    assert answer["n"] == len(chosen)
    assert answer["n_same"] == len(set(own) & set(chosen))
    came = [row for row in chosen if row not in own]
    went = [row for row in own if row not in chosen]
    assert [row["id"] for row in answer["came"]] == came[:50]
    assert [row["id"] for row in answer["went"]] == went[:50]
    assert (answer["n_came"], answer["n_went"]) == (len(came), len(went))
    figures = {each["name"]: each for each in answer["figures"]}
    assert figures["this"]["n"] == len(chosen)
    assert figures["this"]["mean_score"] == pytest.approx(made.table["score"].mean())
    assert figures["run"]["n"] == 20
    assert answer["sources"] == [
        {"source": "data.jsonl", "pool": 1.0, "run": 1.0, "this": 1.0}
    ]


@pytest.mark.parametrize("request_", REQUESTS, ids=str)
def test_the_command_makes_the_same_selection(
    page: Page, finished: tacos.Selection, request_: dict[str, Any], tmp_path: Path
) -> None:
    command = page.post("/api/what-if", request_).json()["command"]
    output = tmp_path / "again.jsonl"
    words = shlex.split(command.replace("FILE.jsonl", str(output)))
    assert words[0] == "tacos"
    code, text = run_command(*words[1:])
    assert code == 0, text
    made = tacos.reselect(finished, **request_)
    assert read_ids(output) == [row["instruction"] for row in made.rows]


def test_a_selection_is_saved_once(page: Page, finished: tacos.Selection) -> None:
    wanted = {"what_if": {"n": "7", "strategy": "longest"}, "name": "mine.jsonl"}
    file = finished.run.absolute().parent / "mine.jsonl"
    before = finished.run.joinpath("run.json").read_bytes()
    saved = page.post("/api/what-if/save", wanted).json()
    assert (saved["file"], saved["n"]) == (str(file), 7)
    assert len(read_ids(file)) == 7
    # It is explained as any other file of reselect, and the run's own selection stays.
    row = tacos.reselect(finished, 7, "longest").table["id"][0]
    assert "strategy longest took it" in tacos.explain(file, row)["verdict"]
    assert finished.run.joinpath("run.json").read_bytes() == before
    again = page.post("/api/what-if/save", wanted)
    assert again.status == 400
    assert again.json()["error"] == f"{file} exists already: choose another name"


@pytest.mark.parametrize(
    "name",
    [
        "../mine2.jsonl",
        "/tmp/mine2.jsonl",
        "a/b.jsonl",
        "..jsonl",
        ".hidden.jsonl",
        "mine.sh",
        "mine",
        "",
        "mine.jsonl\n",
        "mine\x00.jsonl",
        "mine.jsonl/../x.jsonl",
        "x" * 200 + ".jsonl",
        "-o.jsonl",
        "ü.jsonl",
    ],
)
def test_a_name_that_is_no_file_beside_the_run_is_refused(
    page: Page, finished: tacos.Selection, name: str
) -> None:
    folder = finished.run.absolute().parent
    before = sorted(folder.iterdir())
    answer = page.post("/api/what-if/save", {"what_if": {}, "name": name})
    assert answer.status == 400
    assert answer.json()["error"] == (
        "name: give a name of letters, digits, dots, - and _ without a folder, of 100 characters "
        "at most, that ends in .jsonl, .json, .csv or .parquet, such as what-if.jsonl"
    )
    assert sorted(folder.iterdir()) == before


def test_a_run_in_use_is_not_written_to_but_still_shown(
    page: Page, finished: tacos.Selection
) -> None:
    with Store(finished.run).lock():
        wanted = {"what_if": {"n": "3", "seed": 99}, "name": "locked.jsonl"}
        answer = page.post("/api/what-if/save", wanted)
        assert answer.status == 400
        assert "is in use by another process" in answer.json()["error"]
        assert page.post("/api/what-if", {"n": "3"}).json()["n"] == 3
        assert page.get("/api/rows").status == 200


@pytest.mark.parametrize(
    "request_",
    [
        {"n": "x"},
        {"n": "0"},
        {"n": "1000"},
        {"strategy": "nosuch"},
        {"tag_price": -1},
        {"tag_price": "x"},
        {"per_source": {"nosuch": "30%"}},
        {"per_tag": {"poem": "x"}},
        {"limit": 2},
        {"nosuch": 1},
        [],
        None,
        "x",
    ],
    ids=str,
)
def test_what_cannot_be_selected_is_an_error_of_one_line(
    page: Page, request_: Any
) -> None:
    answer = page.post("/api/what-if", request_)
    assert answer.status == 400
    assert answer.json()["error"]
    assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 60000, b'{"n": NaN}'])
def test_what_is_no_json_is_an_error_of_one_line(page: Page, body: bytes) -> None:
    headers = [
        *page.own_headers,
        ("Origin", page.door.origins[0]),
        ("Content-Type", "application/json"),
    ]
    answer = page.send("POST", "/api/what-if", headers, body)
    assert answer.status == 400
    assert answer.json()["error"] == "the request is no JSON"


def test_a_body_that_is_too_large_is_refused(page: Page) -> None:
    answer = page.post("/api/what-if", {"n": "x" * 70_000})
    assert answer.status == 413
    assert answer.body == b"Content Too Large"


def test_getting_selects_nothing(page: Page) -> None:
    assert page.get("/api/what-if").status == 405
    assert page.get("/api/what-if/save").status == 405


def test_choices_are_those_of_the_run(page: Page) -> None:
    choices = page.get("/api/choices").json()
    assert choices["n"] == 20
    assert choices["tag_price"] == 1.5
    assert "mig" in choices["strategies"]


# `tacos reselect --tag-price`


def test_a_price_changes_the_selection_and_is_told(finished: tacos.Selection) -> None:
    cheap = tacos.reselect(finished, 15, tag_price=0)
    dear = tacos.reselect(finished, 15, tag_price=50.0)
    assert cheap.table["score"].mean() > dear.table["score"].mean()
    assert dear.summary.request["tag_price"] == 50
    assert cheap.summary.request["tag_price"] == 0
    assert tacos.reselect(finished, 15).summary.request["tag_price"] is None
    # What the run itself has set selects the same rows.
    usual = tacos.reselect(finished, 15, tag_price=1.5).table["id"]
    assert usual.equals(tacos.reselect(finished, 15).table["id"])


def test_a_price_below_zero_is_refused(finished: tacos.Selection) -> None:
    with pytest.raises(ConfigError, match="tag_price"):
        tacos.reselect(finished, 15, tag_price=-1)
    with pytest.raises(TypeError, match="tag_price must be a number, not str"):
        tacos.reselect(finished, 15, tag_price="x")  # type: ignore[arg-type]
