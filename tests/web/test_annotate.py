"""Annotation and edits by hand through the page's server: two people at once, undo, agreement,
export, and files that `--edits` takes.
"""

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.small_world import run_command
from tests.web.conftest import Page, serve

import tacos

KINDS = ("pair", "precision", "consistency")


@pytest.fixture
def own_page(finished: tacos.Selection, tmp_path: Path) -> Iterator[Page]:
    """The page of a copy of the run, which may be written to."""
    run = tmp_path / "selected.jsonl.run"
    shutil.copytree(finished.run, run)
    with serve(tacos.ui(run)) as page:
        yield page


def draw(page: Page, **wanted: Any) -> Any:
    answer = page.post("/api/annotate/draw", {"n_pairs": 12, **wanted})
    assert answer.status == 200, answer.body
    return answer.json()


def decide(shown: dict[str, Any]) -> dict[str, str]:
    """The answers of a person who likes long responses and knows the words."""
    if shown["kind"] == "pair":
        first, second = (len(shown[name]["response"]) for name in ("first", "second"))
        winner = "tie" if first == second else "first" if first > second else "second"
        return dict.fromkeys(shown["questions"], winner)
    has_it = all(shown["tag"].lower() in text.lower() for text in shown["texts"])
    return {shown["questions"][0]: "yes" if has_it else "no"}


def work(
    page: Page, person: str, faults: list[str], kinds: tuple[str, ...] = KINDS
) -> None:
    """Answer all tasks of a person, each answer followed by the next task."""
    for kind in kinds:
        answer = page.get("/api/annotate/task", person=person, kind=kind).json()
        while "error" not in answer and answer["shown"] is not None:
            shown = answer["shown"]
            given = {"person": person, "kind": kind, "task": shown["task"]}
            answer = page.post(
                "/api/annotate/label", given | {"answers": decide(shown)}
            ).json()
        if "error" in answer:
            faults.append(answer["error"])


def test_two_people_at_once_answer_agree_and_export(own_page: Page) -> None:
    known = draw(own_page)
    assert known["n_tasks"]["pair"] == 12
    faults: list[str] = []
    people = [
        threading.Thread(target=work, args=(own_page, person, faults))
        for person in ("ann", "bea")
    ]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert faults == []
    known = own_page.get("/api/annotate").json()
    assert known["people"] == ["ann", "bea"]
    assert {each["n_left"] for each in known["progress"]} == {0}
    status = own_page.get("/api/annotate/agreement").json()
    among = [each for each in status["agreement"] if each["between"] == "2 people"]
    assert among[0]["question"] == "better"
    assert (among[0]["value"], among[0]["n"]) == (1.0, 12)
    assert sum(status["pairs"].values()) == 12
    [judge] = [
        each for each in status["judges"] if each["judge"] == "the scores of the run"
    ]
    assert judge["n_judged"] == 12
    # The export is what the commands read.
    exported = own_page.post("/api/annotate/export", {}).json()
    folder = Path(exported["folder"])
    assert folder.parent == own_page.view.selection.run.parent
    assert [Path(sheet).name for sheet in exported["sheets"]] == ["ann.csv", "bea.csv"]
    code, calibrated = run_command("calibrate", folder / "pairs.jsonl", "--json")
    assert code == 0, calibrated
    assert json.loads(calibrated)[0]["n_labels"] == 12
    sheets = [f"--answers={sheet}" for sheet in exported["sheets"]]
    run = own_page.view.selection.run
    code, checked = run_command("check-tags", run, "--json", *sheets)
    assert code == 0, checked
    assert json.loads(checked)["shares"] == status["tag_shares"]


def test_tasks_that_not_everybody_answers_are_shared_out(own_page: Page) -> None:
    draw(own_page, n_pairs=30, n_shared=4)
    faults: list[str] = []
    people = [
        threading.Thread(target=work, args=(own_page, person, faults, ("pair",)))
        for person in ("ann", "bea")
    ]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert faults == []
    progress = own_page.get("/api/annotate").json()["progress"]
    n_done = [each["n_done"] for each in progress if each["kind"] == "pair"]
    # 4 twice and 26 once; two who begin at once may take the same one now and then.
    assert 34 <= sum(n_done) <= 44


def test_undo_shows_the_task_again_with_its_comment(own_page: Page) -> None:
    draw(own_page)
    first = own_page.get("/api/annotate/task", person="ann", kind="pair").json()[
        "shown"
    ]
    label = {"person": "ann", "kind": "pair", "task": first["task"], "comment": "hm"}
    label["answers"] = {"better": "first"}
    second = own_page.post("/api/annotate/label", label).json()
    assert second["progress"]["n_done"] == 1
    undone = own_page.post("/api/annotate/undo", {"person": "ann"}).json()
    assert undone["shown"] == first | {"comment": "hm"}
    assert undone["progress"]["n_done"] == 0
    nothing = own_page.post("/api/annotate/undo", {"person": "ann"}).json()
    assert nothing == {"shown": None, "progress": None}


def test_what_is_shown_says_nothing_of_the_judge_or_of_planted_cases(
    own_page: Page,
) -> None:
    draw(own_page)
    for kind in KINDS:
        answer = own_page.get("/api/annotate/task", person="ann", kind=kind)
        words = answer.body.decode().lower()
        for word in (
            "score",
            "planted",
            "odd",
            "verdict",
            "content_hash",
            "judge",
            "jsonl:",
        ):
            assert word not in words


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("label", {"person": "ann", "kind": "pair", "task": "x", "answers": {"better": "tie"}},
         "no such task"),
        ("label", {"person": "../x", "kind": "pair", "task": "x", "answers": {}}, "a name has"),
        ("label", {"person": "ann", "kind": "moon", "task": "x", "answers": {}}, "kind: "),
        ("label", {"person": "ann", "kind": "pair", "task": "x", "answers": {}, "z": 1}, "z: "),
        ("label", {"person": "ann", "kind": "pair", "task": "x", "answers": {}, "comment":
         "x" * 2_001}, "comment: "),
        ("undo", {"person": "a/b"}, "a name has"),
        ("draw", {"n_pairs": -1}, "n_pairs: "),
        ("draw", {"n_pairs": 10**9}, "n_pairs: "),
        ("draw", {"origin": "moon"}, "origin: "),
        ("export", {}, "nobody has answered anything yet"),
    ],
)  # fmt: skip
def test_requests_that_make_no_sense_are_refused_on_one_line(
    own_page: Page, path: str, value: Any, message: str
) -> None:
    draw(own_page)
    answer = own_page.post(f"/api/annotate/{path}", value)
    assert answer.status == 400
    error = answer.json()["error"]
    assert message in error
    assert "\n" not in error
    labels = own_page.view.selection.run / "annotations" / "labels.jsonl"
    assert not labels.exists() or labels.read_bytes() == b""


def test_without_tasks_the_page_says_so(own_page: Page) -> None:
    assert own_page.get("/api/annotate").json()["n_tasks"] == {}
    answer = own_page.get("/api/annotate/task", person="ann", kind="pair")
    assert answer.status == 400
    assert "draw them" in answer.json()["error"]


WRITING = (
    "annotate/label",
    "annotate/undo",
    "annotate/draw",
    "annotate/export",
    "edit/change",
)


@pytest.mark.parametrize("path", WRITING)
def test_nothing_is_written_for_other_sites(own_page: Page, path: str) -> None:
    body = b"{}"
    own = own_page.own_headers
    origin = ("Origin", own_page.door.origins[0])
    kind = ("Content-Type", "application/json")
    attempts = [
        (own[:1], 403),  # no cookie
        ([*own, ("Origin", "http://evil.example"), kind], 403),
        ([*own, kind], 403),  # no origin
        ([*own, origin, ("Content-Type", "text/plain")], 415),
    ]
    for headers, status in attempts:
        assert own_page.send("POST", f"/api/{path}", headers, body).status == status
    assert own_page.get(f"/api/{path}").status == 405
    assert not (own_page.view.selection.run / "annotations").exists()


# Edits


def hashes(page: Page) -> list[str]:
    samples = page.view.selection.artifacts["samples"].scan()
    return samples.select("content_hash").collect()["content_hash"].to_list()


def change(page: Page, content_hash: str, **said: Any) -> Any:
    answer = page.post("/api/edit/change", {"content_hash": content_hash, **said})
    assert answer.status == 200, answer.body
    return answer.json()


def test_edits_of_the_page_are_a_file_that_select_and_reselect_take(
    own_page: Page,
) -> None:
    done = own_page.view.selection
    selected = done.table["content_hash"].to_list()
    others = [row for row in hashes(own_page) if row not in selected]
    change(own_page, others[0], decision="keep", note="a gem")
    change(own_page, selected[0], decision="drop")
    own = own_page.get("/api/edit", content_hash=others[1]).json()["own_tags"]
    edit = change(own_page, others[1], tags=["Topology", " poem ", "Topology"])
    assert (edit["tags"], edit["own_tags"]) == (["Topology", "poem"], own)
    listed = own_page.get("/api/edits").json()
    assert (listed["n"], listed["n_unknown"]) == (3, 0)
    by_hash = {each["content_hash"]: each for each in listed["edits"]}
    assert by_hash[others[0]]["note"] == "a gem"
    assert by_hash[others[0]]["question"]
    again = done.reselect(20, edits=listed["file"])
    assert others[0] in again.table["content_hash"].to_list()
    assert selected[0] not in again.table["content_hash"].to_list()
    assert again.explain(others[1])["tags_by_hand"] == ["Topology", "poem"]
    assert "--edits" in listed["commands"][0]


def test_an_edit_that_says_nothing_is_gone(own_page: Page) -> None:
    row = hashes(own_page)[3]
    change(own_page, row, decision="keep")
    assert change(own_page, row, decision="drop")["decision"] == "drop"
    assert change(own_page, row)["decision"] is None
    listed = own_page.get("/api/edits").json()
    assert listed["n"] == 0
    assert Path(listed["file"]).read_text() == ""


def test_people_at_once_lose_no_edit(own_page: Page) -> None:
    rows = hashes(own_page)[:40]

    def edit_some(rows: list[str]) -> None:
        for row in rows:
            change(own_page, row, decision="keep")

    people = [threading.Thread(target=edit_some, args=(rows[i::4],)) for i in range(4)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    listed = own_page.get("/api/edits").json()
    assert {each["content_hash"] for each in listed["edits"]} == set(rows)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            {"content_hash": "f00", "decision": "keep"},
            "no usable row of this run has the content hash 'f00'",
        ),
        ({"content_hash": "f00", "decision": "burn"}, "decision: "),
        ({"decision": "keep"}, "content_hash: "),
        ({"content_hash": "", "decision": "keep"}, "content_hash: "),
    ],
)
def test_edits_that_make_no_sense_are_refused(
    own_page: Page, said: Any, message: str
) -> None:
    answer = own_page.post("/api/edit/change", said)
    assert answer.status == 400
    assert message in answer.json()["error"]
    assert own_page.get("/api/edits").json()["n"] == 0


@pytest.mark.parametrize("tags", [[""], ["x" * 201], ["x"] * 51])
def test_tags_that_are_none_are_refused(own_page: Page, tags: list[str]) -> None:
    given = {"content_hash": hashes(own_page)[0], "tags": tags}
    answer = own_page.post("/api/edit/change", given)
    assert answer.status == 400
    assert "up to 50 tags of 1 to 200 characters" in answer.json()["error"]


@pytest.mark.parametrize(
    ("tag", "code"),
    [("Cook\u200bing", "200B"), ("Cook\x1bing", "001B"), ("\u202egnikooC", "202E")],
)
def test_tags_with_characters_that_nobody_sees_are_refused(
    own_page: Page, tag: str, code: str
) -> None:
    given = {"content_hash": hashes(own_page)[0], "tags": ["Cooking", tag]}
    answer = own_page.post("/api/edit/change", given)
    assert answer.status == 400
    assert f"cannot be seen (U+{code})" in answer.json()["error"]
    assert own_page.get("/api/edits").json()["n"] == 0


def test_a_file_that_a_person_has_spoilt_is_named_and_left_alone(
    own_page: Page,
) -> None:
    row = hashes(own_page)[0]
    file = Path(change(own_page, row, decision="keep")["file"])
    file.write_text("spoilt\n")
    answer = own_page.post(
        "/api/edit/change", {"content_hash": row, "decision": "drop"}
    )
    assert answer.status == 400
    assert "line 1" in answer.json()["error"]
    assert file.read_text() == "spoilt\n"
