"""The one loop: skip, run, commit, and stop at a gate. Models are a user's own functions."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.small_world import (
    MODELS,
    encode_letters,
    judge_by_length,
    long_response,
    make_rows,
    tag_by_words,
)

import tacos
from tacos.config import Settings, load_settings
from tacos.errors import ConfigError, FailureRateError, InputError, ModelError
from tacos.models import minilm_encoder
from tacos.pipeline.failure_gate import check_failure_rate
from tacos.pipeline.model_factory import resolve_editor_model
from tacos.pipeline.plan import plan_steps

ROWS = [{**row, "no": i} for i, row in enumerate(make_rows(240, long_response))]


def run(tmp_path: Path, **changes: Any) -> tacos.Selection:
    given: dict[str, Any] = {"n": 20, **MODELS, **changes}
    return tacos.select(given.pop("data", ROWS), run=tmp_path / "run", **given)


def test_an_argument_that_select_does_not_have_is_refused() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'llm'"):
        tacos.select(ROWS, n=5, llm="mymodel/")


@pytest.mark.parametrize("preset", ["robust", "paper"])
def test_it_selects_what_was_asked_from_the_input(tmp_path: Path, preset: str) -> None:
    done = run(tmp_path, preset=preset, n=8)
    numbers = [row["no"] for row in done.rows]
    assert len(set(numbers)) == 8
    assert all(row == ROWS[row["no"]] for row in done.rows)
    assert numbers == sorted(numbers)


def test_a_second_call_does_nothing_and_a_changed_setting_reruns_what_depends_on_it(
    tmp_path: Path,
) -> None:
    first = run(tmp_path)
    assert first.made[0] == "samples"
    assert run(tmp_path).made == []
    assert run(tmp_path, n=21).made[0] == "shortlist"
    assert run(tmp_path, settings={"cluster": {"k": 3}}).made[0] == "clusters"
    assert (
        run(
            tmp_path,
            settings={"select": {"quota": "equal"}, "shortlist": {"rule": "all"}},
        ).made[0]
        == "shortlist"
    )
    assert run(tmp_path).made == []
    assert run(tmp_path).table.equals(first.table)


def test_a_run_holds_no_weights_that_it_needs_no_more(tmp_path: Path) -> None:
    given = {name: model for name, model in MODELS.items() if name != "encoder"}
    done = tacos.select(ROWS, n=20, run=tmp_path / "run", **given)
    assert "vocabulary" in done.made
    assert not minilm_encoder.load_session.cache_info().currsize


def test_a_changed_function_of_the_user_reruns_its_stage(tmp_path: Path) -> None:
    run(tmp_path)
    made = run(
        tmp_path, judge=lambda instructions, responses: [50.0 for _ in responses]
    ).made
    assert made[0] == "grades"


def test_the_same_seed_gives_the_same_selection_and_another_one_differs(
    tmp_path: Path,
) -> None:
    chance = {
        "shortlist": {"rule": "random", "factor": 2.0},
        "judge": {"mode": "comparative"},
    }
    runs = (("a", 1), ("b", 1), ("c", 2))
    first, again, other = (
        run(tmp_path / name, seed=seed, settings=chance) for name, seed in runs
    )
    assert first.table.equals(again.table)
    assert set(first.table["id"]) != set(other.table["id"])


def test_until_stops_after_a_stage(tmp_path: Path) -> None:
    from tacos import config
    from tacos.workflows import select

    settings = config.load_settings(select={"n": 20})
    own = select.UserFunctions(
        tagger=tag_by_words, judge=judge_by_length, encoder=encode_letters
    )
    done = select.run_selection(
        ROWS, settings, select.OutputTargets(run=tmp_path / "run"), own=own, until="tag"
    )
    assert list(done.artifacts) == ["samples", "tags"]
    with pytest.raises(InputError, match="stopped after stage tags"):
        _ = done.rows
    with pytest.raises(ConfigError, match="unknown stage 'tagg'"):
        select.run_selection(
            ROWS,
            settings,
            select.OutputTargets(run=tmp_path / "run"),
            own=own,
            until="tagg",
        )


def test_a_pool_smaller_than_n_is_an_error_that_names_fill(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--fill"):
        run(tmp_path, n=1000)
    assert len(run(tmp_path, n=1000, settings={"select": {"fill": True}}).rows) == len(
        ROWS
    )


def test_failures_over_the_gate_stop_the_run_and_those_under_it_are_left_out(
    tmp_path: Path,
) -> None:
    def sometimes(instructions: list[str], responses: list[str]) -> list[float]:
        return [
            float("nan") if len(response) == bad else 50.0 for response in responses
        ]

    bad = 3
    done = run(
        tmp_path / "few", judge=sometimes, settings={"judge": {"max_failure_rate": 0.1}}
    )
    assert done.summary.rejects["grades"] == {"score outside 1..100": 3}
    unjudged = [f"data:{row['no']}" for row in ROWS if len(row["output"]) == bad]
    assert not set(unjudged) & set(done.artifacts["scores/0"].scan().collect()["id"])

    def never(instructions: list[str], responses: list[str]) -> list[float]:
        return [0.0 for _ in responses]

    with pytest.raises(FailureRateError, match=r"score outside 1\.\.100") as caught:
        run(tmp_path / "many", judge=never)
    assert "\n" not in str(caught.value)


def test_a_gate_says_what_can_be_done_about_it() -> None:
    rejects = pl.DataFrame(
        {
            "id": ["a"],
            "reason": ["cut off at the limit of tokens"],
            "raw": [""],
            "failure": [True],
        }
    )
    compared = load_settings(judge={"mode": "comparative"})
    stages = {step.stage.name: step.stage for step in plan_steps(compared)}
    for name, advice in (
        ("judge", r"--set judge\.max_tokens"),
        ("ingest", "Fix the input, or continue without"),
    ):
        with pytest.raises(FailureRateError, match=advice):
            check_failure_rate(stages[name], rejects.height, rejects, 0.02)


def test_a_gate_names_a_reason_once_and_then_the_rows() -> None:
    rejects = pl.DataFrame(
        {
            "id": ["a", "b"],
            "reason": ["malformed"] * 2,
            "raw": ["line 3: {", "line 7: {"],
            "failure": [True, True],
        }
    )
    stages = {step.stage.name: step.stage for step in plan_steps(Settings())}
    with pytest.raises(
        FailureRateError, match=r": 2 x malformed \(a, line 3; b, line 7\)\. Fix"
    ):
        check_failure_rate(stages["ingest"], rejects.height, rejects, 0.02)


def test_rewriting_needs_the_name_of_a_model() -> None:
    with pytest.raises(ConfigError, match=r"no model given: .*--model"):
        resolve_editor_model(Settings.model_validate({"refine": {"model": "llm"}}))


def test_a_column_of_scores_is_an_entry_point(tmp_path: Path) -> None:
    rows = [{**row, "quality": row["no"]} for row in ROWS]
    done = run(tmp_path, data=rows, settings={"ingest": {"score": "quality"}}, n=10)
    assert not any(name.startswith(("pairs", "verdicts")) for name in done.artifacts)
    assert set(done.table["score"]) <= set(range(240))
    assert done.table["score"].min() > 100  # type: ignore[operator]


def test_a_column_of_tags_is_an_entry_point(tmp_path: Path) -> None:
    rows = [
        {**row, "labels": ["even" if row["no"] % 2 == 0 else "odd"]} for row in ROWS
    ]

    def fails(instructions: list[str]) -> list[list[str]]:
        raise AssertionError("no row needs tagging")

    done = run(
        tmp_path,
        data=rows,
        tagger=fails,
        settings={"ingest": {"tags": "labels"}, "normalise": {"alpha": 1}},
    )
    assert set(done.artifacts["vocabulary"].scan().collect()["raw"]) == {"even", "odd"}


def test_must_keep_and_exclude_are_honoured(tmp_path: Path) -> None:
    lists = {"select": {"keep": ["data:0", "data:1"], "exclude": ["data:96"]}}
    done = run(tmp_path, settings=lists)
    ids = set(done.table["id"])
    assert {"data:0", "data:1"} <= ids
    assert "data:96" not in ids
    assert len(ids) == 20
    with pytest.raises(InputError, match="not in the data"):
        run(tmp_path, settings={"select": {"keep": ["data:999"]}})


def test_a_selector_of_the_users_own_has_the_last_word(tmp_path: Path) -> None:
    def shortest(pool: pl.DataFrame, n: int) -> list[str]:
        return pool.sort("length", "id")["id"].to_list()[:n]

    everything = {"shortlist": {"rule": "all"}}
    done = run(tmp_path, selector=shortest, n=5, settings=everything)
    assert sorted(len(row["output"]) for row in done.rows) == [1, 1, 1, 2, 2]
    with pytest.raises(ModelError, match="distinct ids of the pool"):
        run(tmp_path, selector=lambda pool, n: ["nobody"], settings=everything)


def test_explain_says_why(tmp_path: Path) -> None:
    done = run(
        tmp_path, data=[*ROWS, ROWS[0], {"instruction": "Say nothing.", "output": ""}]
    )
    kept = done.table["id"][0]
    assert done.explain(kept)["verdict"].startswith("kept, rank 1 of 20")
    assert done.explain("data:240")["verdict"] == "dropped at ingest: duplicate"
    assert done.explain("data:241")["verdict"] == "dropped at ingest: empty response"
    dropped = next(
        f"data:{i}" for i in range(240) if f"data:{i}" not in set(done.table["id"])
    )
    assert done.explain(dropped)["verdict"].startswith("dropped")
    with pytest.raises(InputError, match="no row"):
        done.explain("elsewhere:3")
