"""`tacos select --clean`: rows are left out as `tacos clean` leaves them out, each with its reason."""

import json
from pathlib import Path
from typing import Any

import pytest
from benchmarks.row_generator import generate_rows
from tests.small_world import run_command

import tacos
from tacos.config import load_settings
from tacos.errors import ConfigError

PROMPT = "Which three rivers of the old north meet below the ruined bridge?"


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Sixty rows, four of them unfit."""
    rows = [
        {"instruction": made.row["instruction"], "output": made.row["output"]}
        for made in generate_rows(60, seed=3)
    ]
    rows[5]["output"] = "As an AI language model, I cannot do that."
    rows[7]["output"] += " \ufffd"
    rows[9] = {"instruction": f"{PROMPT} Answer briefly.", "output": "I do not know."}
    rows[11] = {key: text.upper() for key, text in rows[10].items()}
    return write_lines(tmp_path / "rows.jsonl", rows)


@pytest.fixture
def evaluation(tmp_path: Path) -> Path:
    """An evaluation set of one prompt."""
    return write_lines(tmp_path / "eval.jsonl", [{"prompt": PROMPT}])


def test_the_pool_is_what_clean_leaves(
    data: Path, evaluation: Path, tmp_path: Path
) -> None:
    cleaning = tacos.clean(
        data, tmp_path / "clean.jsonl", preset="strict", against=[evaluation]
    )
    done = tacos.select(
        data,
        n=10,
        settings={"clean": {"preset": "strict", "against": [str(evaluation)]}},
    )
    kept = done.artifacts["samples"].scan().collect()["raw"].to_list()
    lines = (tmp_path / "clean.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(row) for row in kept] == [json.loads(line) for line in lines]
    assert cleaning.n_kept == len(kept) <= 56


def test_each_row_has_its_reason_and_none_counts_as_a_failure(
    data: Path, evaluation: Path, tmp_path: Path
) -> None:
    output = tmp_path / "selected.jsonl"
    arguments = (data, "-n", 10, "--clean", "light", "--against", evaluation)
    code, printed = run_command("select", *arguments, "-o", output)
    assert code == 0, printed
    rejects = tacos.load(f"{output}.run").artifacts["samples"].rejects()
    found = {
        int(id_.rpartition(":")[2]): reason
        for id_, reason in rejects.select("id", "reason").iter_rows()
        if reason.startswith("clean: ")
    }
    assert found.items() >= {
        (5, "clean: refusals"),
        (7, "clean: encoding"),
        (9, "clean: contamination"),
        (11, "clean: duplicates"),
    }
    assert not rejects["failure"].any()
    explained = tacos.load(f"{output}.run").explain("rows.jsonl:9")
    assert explained["verdict"] == "dropped at ingest: clean: contamination"
    assert "three rivers of the old north" in explained["found"]


def test_nothing_is_left_out_unless_asked_for(data: Path) -> None:
    done = tacos.select(data, n=10)
    reasons = done.artifacts["samples"].rejects()["reason"].to_list()
    assert not [reason for reason in reasons if reason.startswith("clean")]


def test_a_changed_evaluation_set_is_noticed(data: Path, evaluation: Path) -> None:
    """Settings hold a hash of the file, so a run is never continued with another one."""
    settings = load_settings(select={"n": 10}, clean={"against": [str(evaluation)]})
    write_lines(evaluation, [{"prompt": "Another prompt, quite unlike the first one."}])
    with pytest.raises(ConfigError, match="has changed since"):
        tacos.select(data, n=10, settings=settings)


def test_what_cannot_be_read_is_an_error_of_one_line(data: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"file nowhere\.jsonl does not exist; check the name"
    ):
        tacos.select(data, n=10, settings={"clean": {"against": ["nowhere.jsonl"]}})
    code, printed = run_command("select", data, "-n", 10, "--clean", "harsh")
    assert code == 2
    assert "light" in printed
