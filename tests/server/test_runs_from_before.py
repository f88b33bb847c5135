"""Runs and a ledger that an earlier tree wrote (`tests/fixtures/before_0_2`): today's reads them,
explains them, selects from them again, and finds the replies that were paid for then.

Stages have changed since, so the same command makes other artifacts now, beside the old ones.
"""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import tacos
from tacos import prompts
from tacos.config import JudgeSettings
from tacos.llm.chat.messages import render_request
from tacos.methods.judging import comparisons

BEFORE = Path(__file__).parents[1] / "fixtures" / "before_0_2"
NAMES = ("llm", "robust", "paper")
WRITTEN_EACH_TIME = {"run.json", "report.html", ".lock"}
OPTIONS: dict[str, dict[str, Any]] = {
    "robust": {},
    "paper": {
        "preset": "paper",
        "settings": {
            "normalise": {"encoder": "static"},
            "cluster": {"encoder": "static"},
        },
    },
}
"""Run -> the options it was made with; see the fixture's README.md."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of what the earlier tree left."""
    return shutil.copytree(BEFORE, tmp_path / "before")


def artifacts(pool: Path) -> dict[str, bytes]:
    """Every file of a run directory that is written only once."""
    files = {
        str(file.relative_to(pool)): file for file in pool.rglob("*") if file.is_file()
    }
    return {
        name: file.read_bytes()
        for name, file in files.items()
        if file.name not in WRITTEN_EACH_TIME
    }


def sidecar(folder: Path) -> dict[str, dict[str, Any]]:
    """What was said of each selected row then, by id."""
    lines = (folder / "out.jsonl.scores.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return {row["id"]: row for row in rows}


@pytest.mark.parametrize("name", NAMES)
def test_a_run_from_before_says_what_it_said(folder: Path, name: str) -> None:
    done = tacos.load(folder / name / "pool")
    assert done.settings.judge.scores == "one"
    assert done.settings.select.quota != "none"
    then = sidecar(BEFORE / name)
    now = {row["id"]: row for row in done.scores.to_dicts()}
    assert now.keys() == then.keys()
    for row_id, row in then.items():
        assert {key: now[row_id][key] for key in row} == row
        assert (now[row_id]["value"], now[row_id]["correctness"]) == (None, None)
    assert artifacts(folder / name / "pool") == artifacts(BEFORE / name / "pool")


@pytest.mark.parametrize("name", NAMES)
def test_a_run_from_before_is_reported_explained_and_selected_from_again(
    folder: Path, name: str
) -> None:
    pool = folder / name / "pool"
    done = tacos.load(pool)
    page = done.report(folder / "report.html").read_text("utf-8")
    assert "<html" in page
    kept = done.table["id"].to_list()
    assert done.explain(kept[0])["verdict"].startswith("kept, rank 1 of 6")
    everyone = done.artifacts["samples"].scan().select("id").collect()["id"]
    others = [row for row in everyone if row not in kept]
    assert all(done.explain(row)["verdict"].startswith("dropped") for row in others)
    again = tacos.reselect(pool, 4)
    assert again.scores.height == 4
    assert artifacts(pool).items() >= artifacts(BEFORE / name / "pool").items()


@pytest.mark.parametrize("name", list(OPTIONS))
def test_the_same_command_adds_to_a_run_from_before_and_overwrites_nothing(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    done = tacos.select(
        "rows.jsonl",
        n=6,
        run=f"{name}/pool",
        output=f"{name}/again.jsonl",
        **OPTIONS[name],
    )
    assert done.scores.height == 6
    pool = folder / name / "pool"
    assert artifacts(pool).items() >= artifacts(BEFORE / name / "pool").items()


def test_questions_for_one_score_find_the_replies_that_were_paid_for(
    folder: Path,
) -> None:
    done = tacos.load(folder / "llm" / "pool")
    rounds = [
        artifact.scan()
        for name, artifact in done.artifacts.items()
        if name.startswith("pairs/")
    ]
    pairs = pl.concat(rounds).collect()
    texts = done.artifacts["samples"].scan().select("id", "instruction", "response")
    questions = comparisons.list_comparison_questions(
        pairs, texts.collect(), ("tiny-1",)
    )
    config = JudgeSettings(scores="one")
    template = "judge_one"
    digest = prompts.hash_template(template)
    keys = set()
    for row in questions.iter_rows(named=True):
        request = comparisons.ask_comparison(row, template, digest, config)
        keys.add(render_request(request, "tiny-1").key)
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as database:
        known = {key for (key,) in database.execute("SELECT key FROM replies")}
    assert len(keys) > 50
    assert keys <= known
