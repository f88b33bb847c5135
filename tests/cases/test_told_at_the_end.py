"""What is left and said when a command is done: another selection names what was asked of it, a
Python call leaves no folder behind, and a folder with many files is listed without a long wait.
"""

import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from tests.small_world import MODELS, long_response, make_rows, run_command

import tacos
from tacos.errors import ConfigError

ROWS = make_rows(80, long_response)
SAMPLE = Path(__file__).parents[2] / "demo" / "sample.jsonl"


def judge_twice(
    instructions: list[str], responses: list[str]
) -> list[tuple[float, float]]:
    return [(1 + len(text), 1 + len(text)) for text in responses]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tacos.Selection:
    models: dict[str, Any] = {**MODELS, "judge": judge_twice}
    return tacos.select(ROWS, 20, run=tmp_path_factory.mktemp("told") / "run", **models)


# Another selection says what it is


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--strategy", "mig"), ["strategy mig, by score"]),
        (("--by", "grade"), ["strategy tacos, by grade"]),
        (("--limit", "0.9"), ["no near-duplicates above a cosine of 0.9"]),
        (("--match-length",), ["lengths as in the pool"]),
        (("--quota-tag", "poem<=10%"), ["tag poem: <=10%"]),
        (("--quota-source", "data=1.0"), ["source data: 100%"]),
        (
            ("--min-correctness", "30"),
            ["correctness at least 30", "28 x correctness below"],
        ),
    ],
)
def test_another_selection_names_what_was_asked_of_it(
    done: tacos.Selection, tmp_path: Path, options: tuple[str, ...], words: list[str]
) -> None:
    report = tmp_path / "report.html"
    asked = ("reselect", done.run, "-n", 10, *options, "--report", report)
    code, printed = run_command(*asked)
    assert code == 0, printed
    table = " ".join(printed.replace("│", " ").split())
    for each in words:
        assert each in table
    assert "selected by" in table
    page = report.read_text("utf-8").replace("&lt;", "<")
    assert words[0] in page
    # Again, from what the run keeps of it
    assert run_command(*asked)[1].count("selected by") == 1


def test_another_selection_says_what_the_judge_is_worth(done: tacos.Selection) -> None:
    for strategy in ("tacos", "mig"):
        assert done.reselect(10, strategy).summary.worth["reliability"] is None
    # Scores decide nothing there.
    assert done.reselect(10, "random").summary.worth == {}


def test_a_plain_run_has_no_such_line(done: tacos.Selection) -> None:
    assert "selected by" not in run_command("runs", "show", done.run)[1]
    assert done.summary.request["strategy"] == "tacos"


# What the judge's numbers are


def test_the_embedded_judge_s_numbers_say_what_they_are(tmp_path: Path) -> None:
    """Correctness sounds like a check of facts, one reliability like a law; value follows length."""
    asked = ("select", SAMPLE, "-n", 20, "-o", tmp_path / "out.jsonl")
    code, printed = run_command(*asked, "--set", "judge.scores=one")
    assert code == 0, printed
    table = " ".join(printed.replace("│", " ").split())
    assert "the embedded judge checks no facts: correctness says how right" in table
    assert table.count("checks no facts") == 1
    page = (tmp_path / "out.jsonl.run" / "report.html").read_text("utf-8")
    assert page.count("the embedded judge checks no facts") == 1
    assert "than as many random ones, going by the judge's reliability" in table
    assert "had not seen: 4% to 24% by data set" in table
    assert "the value follows the length of the response (rank correlation 0.8" in table
    assert "judge.scores=one changed nothing" in table
    assert "judge.scores=one" not in run_command(*asked)[1]


def test_a_judge_that_is_not_embedded_is_not_told_what_that_one_lacks(
    done: tacos.Selection,
) -> None:
    assert "checks no facts" not in run_command("runs", "show", done.run)[1]


# A run of a later version


@pytest.mark.parametrize("later", [{"later": {"x": 1}}, {"seed": {"of": "all"}}])
def test_a_run_of_a_later_version_is_one_clear_error(
    done: tacos.Selection, tmp_path: Path, later: dict[str, Any]
) -> None:
    run = tmp_path / "later.run"
    shutil.copytree(done.run, run)
    state = json.loads((run / "run.json").read_text())
    state["settings"] |= later
    (run / "run.json").write_text(json.dumps(state))
    for command in (("explain", run, "data:0"), ("runs", "show", run)):
        code, printed = run_command(*command)
        assert code == 2
        name = next(iter(later))
        assert f"a setting that this version of tacos does not know ({name}" in printed
        assert "\n" not in printed.strip()


# Nothing is left behind


def list_temporary_folders(place: Path) -> list[Path]:
    return list(place.glob("tacos-*"))


def test_a_python_call_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    chosen = tacos.select(ROWS, 5, **MODELS)
    other = chosen.reselect(4, "random")
    assert len(list_temporary_folders(tmp_path)) == 1
    # The other selection reads from the same tables.
    del chosen
    gc.collect()
    assert other.table.height == 4
    assert other.summary.n_selected == 4
    del other
    gc.collect()
    assert list_temporary_folders(tmp_path) == []


def test_neither_does_one_that_fails(tmp_path: Path) -> None:
    program = (
        "import tacos\n"
        "rows = [{'instruction': f'Add {i}.', 'output': f'{i}.'} for i in range(9)]\n"
        "kept = tacos.select(rows, 3)\n"
        "try:\n    tacos.select(rows, 99)\n"
        "except tacos.TacosError:\n    print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "refused\n"
    assert list_temporary_folders(tmp_path) == []


# A large folder


def test_a_large_folder_is_listed_soon(done: tacos.Selection, tmp_path: Path) -> None:
    """What makes a folder large: artifacts of a run, and hidden folders such as .git and .venv."""
    for hidden in (".venv", ".git"):
        for number in range(300):
            (tmp_path / hidden / f"{number}" / "deep").mkdir(parents=True)
    (tmp_path / ".venv" / "1" / "run.json").write_text("not a run")
    copy = tmp_path / "below" / "here.run"
    copy.mkdir(parents=True)
    (copy / "run.json").write_bytes((done.run / "run.json").read_bytes())
    (copy / "inner").mkdir()
    (copy / "inner" / "run.json").write_text("{}")
    started = time.monotonic()
    (found,) = tacos.runs(tmp_path)
    assert time.monotonic() - started < 1
    assert found.run == copy
    assert found.n_bytes == (copy / "run.json").stat().st_size + 2


# Given twice


def test_a_size_that_is_given_twice_is_refused_not_overruled() -> None:
    for given, name in (({"select": {"n": 9}}, "n"), ({"seed": 9}, "seed")):
        with pytest.raises(
            ConfigError, match=rf"{name}=5 and settings .*: give one of them"
        ):
            tacos.select(ROWS, settings=given, **{"n": 5, "seed": 5, **MODELS})
    both = {"select": {"n": "5"}, "seed": 1}
    assert tacos.select(ROWS, 5, settings=both, **MODELS).table.height == 5
