"""Other selections from a finished run: every strategy, every kind of size, and no question to any
model.
"""

from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from tests.small_world import (
    MODELS,
    judge_by_instruction,
    make_rows,
    run_command,
)

import tacos
from tacos.errors import ConfigError, InputError
from tacos.methods.selecting.strategies import STRATEGIES
from tacos.workflows.strategy_pool import find_run_scores

ROWS = make_rows()
ALL = {"shortlist": {"rule": "all"}, "normalise": {"alpha": 1}}


def run(folder: Path, **changes: Any) -> tacos.Selection:
    given: dict[str, Any] = {
        "n": 20,
        **MODELS,
        "judge": judge_by_instruction,
        **changes,
    }
    return tacos.select(ROWS, run=folder / "run", **given)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tacos.Selection:
    """A finished run in which every row was judged."""
    return run(tmp_path_factory.mktemp("done"), settings=ALL)


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> tacos.Selection:
    """A finished run with a shortlist: every row has a grade, few have a score."""
    return run(
        tmp_path_factory.mktemp("graded"),
        settings={"shortlist": {"factor": 2.0}, "judge": {"mode": "comparative"}},
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_selects_n_rows_of_the_pool_and_says_so(
    graded: tacos.Selection, strategy: Any
) -> None:
    found = graded.reselect(12, strategy)
    assert found.table["id"].n_unique() == found.table.height == 12
    assert found.table["rank"].to_list() == list(range(1, 13))
    assert set(found.table["rule"]) == {strategy}
    assert all(row in ROWS for row in found.rows)


@pytest.mark.parametrize("preset", ["robust", "paper"])
def test_the_runs_own_strategy_size_and_seed_give_the_runs_own_selection(
    tmp_path: Path, preset: str
) -> None:
    lists = {"select": {"keep": ["data:0", "data:9"], "exclude": ["data:16"]}}
    first = run(tmp_path, settings=lists, preset=preset, n=12)
    assert set(first.reselect(12, "tacos").table["id"]) == set(first.table["id"])


def test_a_second_call_finds_the_first_and_the_run_keeps_its_own_selection(
    done: tacos.Selection,
) -> None:
    before = (
        (done.run / "run.json").read_bytes(),
        (done.run / "report.html").read_bytes(),
    )
    first, again = (done.reselect(15, "mig", seed=3) for _ in range(2))
    assert (first.made, again.made) == (["reselected"], [])
    assert first.table.equals(again.table)
    assert (
        (done.run / "run.json").read_bytes(),
        (done.run / "report.html").read_bytes(),
    ) == before
    assert set(tacos.load(done.run).table["id"]) == set(done.table["id"])


def test_the_newest_scores_are_those_of_the_last_round_also_after_the_tenth(
    tmp_path: Path,
) -> None:
    run(tmp_path, settings={"pair": {"rounds": 11}, "judge": {"mode": "comparative"}})
    assert find_run_scores(tacos.load(tmp_path / "run").artifacts) == "scores/10"


def test_another_seed_is_another_random_selection(done: tacos.Selection) -> None:
    one, same, two = (done.reselect("10%", "random", seed=seed) for seed in (1, 1, 2))
    assert one.table.height == 16
    assert one.table.equals(same.table)
    assert set(one.table["id"]) != set(two.table["id"])


def n_tokens(selection: tacos.Selection) -> int:
    texts = (pl.col("instruction") + pl.col("response")).str.len_chars()
    return int(selection.table.select((texts / 4).ceil().sum()).item())


@pytest.mark.parametrize("strategy", ["tacos", "longest", "mig", "random"])
def test_a_token_budget_is_kept_and_nearly_used_up(
    done: tacos.Selection, strategy: Any
) -> None:
    found = done.reselect("0.5ktokens", strategy)
    one_more = done.reselect(found.table.height + 1, strategy)
    assert n_tokens(found) <= 500 < n_tokens(one_more)


def test_a_budget_larger_than_the_pool_takes_all_that_the_strategy_can(
    done: tacos.Selection,
) -> None:
    assert done.reselect("1Gtokens", "longest").table.height == len(ROWS)


def test_the_limit_turns_near_duplicates_away(done: tacos.Selection) -> None:
    free, guarded = (done.reselect(10, "longest", limit=limit) for limit in (1.0, 0.8))
    assert set(free.table["id"]) != set(guarded.table["id"])
    with pytest.raises(InputError, match="can select only"):
        done.reselect(len(ROWS), "longest", limit=0.8)


def test_rows_without_a_score_are_taken_only_by_grade(graded: tacos.Selection) -> None:
    n_judged = graded.artifacts["scores/3"].manifest["n_rows"]
    assert n_judged < 100
    with pytest.raises(InputError, match="can select only"):
        graded.reselect(n_judged + 1, "deita")
    assert (
        graded.reselect(n_judged + 1, "mig", by="grade").table["score"].null_count()
        == 0
    )


def test_must_keep_and_exclude_of_the_run_hold(tmp_path: Path) -> None:
    lists = {"select": {"keep": ["data:0"], "exclude": ["data:16"]}}
    ids = [
        run(tmp_path, settings=lists).reselect(9, name).table["id"].to_list()
        for name in ("longest", "mig")
    ]
    assert all("data:0" in found and "data:16" not in found for found in ids)


def test_what_is_no_size_is_refused(done: tacos.Selection) -> None:
    for wrong in ("many", "0", "101%", "2.5", "-3", "5kg", "0tokens"):
        with pytest.raises(ConfigError, match="size"):
            done.reselect(wrong, "random")
    with pytest.raises(InputError, match="too small"):
        done.reselect("1tokens", "longest")


def test_the_command_writes_rows_and_sidecar(
    done: tacos.Selection, tmp_path: Path
) -> None:
    output = tmp_path / "mig.jsonl"
    code, printed = run_command(
        "reselect", done.run, "-n", "5%", "--strategy", "mig", "-o", output
    )
    assert code == 0, printed
    assert "8 rows" in printed
    assert len(output.read_text("utf-8").splitlines()) == 8
    sidecar = pl.read_ndjson(output.with_name("mig.jsonl.scores.jsonl"))
    assert sidecar["rule"].unique().to_list() == ["mig"]
    assert (
        "Nothing to do"
        in run_command("reselect", done.run, "-n", "5%", "--strategy", "mig")[1]
    )


def test_the_command_names_the_strategies_where_it_knows_none(
    done: tacos.Selection, tmp_path: Path
) -> None:
    code, printed = run_command("reselect", done.run, "--strategy", "magic")
    assert code == 2
    assert "k-center" in printed
    assert run_command("reselect", tmp_path, "-n", 5)[0] == 2


def test_the_runs_own_seed_and_fill_hold(tmp_path: Path) -> None:
    wished = {"shortlist": {"cap": 8}, "select": {"fill": True}}
    first = run(tmp_path, settings=wished, n=90, seed=7)
    assert "fill" in set(first.table["rule"])
    again = first.reselect(90)
    assert set(again.table["id"]) == set(first.table["id"])
    assert again.settings.seed == 7
    code, out = run_command(
        "reselect", tmp_path / "run", "-n", 90, "--json", "-o", tmp_path / "again.jsonl"
    )
    assert code == 0, out
    assert {
        row["id"]
        for row in map(
            orjson.loads,
            (tmp_path / "again.jsonl.scores.jsonl").read_bytes().splitlines(),
        )
    } == (set(first.table["id"]))


def test_rows_that_only_lack_a_score_are_named_where_too_few_are_found(
    graded: tacos.Selection,
) -> None:
    with pytest.raises(
        InputError,
        match=r"of 160 rows have a score; more have a grade: try by='grade', or --by grade",
    ):
        graded.reselect(150)
    assert graded.reselect(150, by="grade").table.height == 150
    with pytest.raises(InputError, match=r"ask for fewer$"):
        graded.reselect(200, "random")
