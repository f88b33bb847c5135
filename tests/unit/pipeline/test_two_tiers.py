"""Judges that see one row at a time: no pairs, and a slow tier for the shortlist alone.

The slow tier is a plain function here, handed to the loop as any model is.
"""

from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.small_world import encode_letters, make_rows, tag_by_words

import tacos
from tacos import config
from tacos.cli.shared.summary import format_summary
from tacos.config import Settings
from tacos.engines.local import LocalEngine
from tacos.errors import ConfigError
from tacos.formats import sources
from tacos.methods.measures.request_counts import count_questions
from tacos.models.user_functions import FunctionJudge, FunctionTagger
from tacos.pipeline.judging_mode import resolve_judging
from tacos.pipeline.model_factory import EndpointClients, UserFunctions, build_tools
from tacos.pipeline.plan import plan_steps
from tacos.pipeline.run_loop import RunResult, StageModels, run_plan
from tacos.store.artifacts import Store
from tacos.workflows.dry_run import StepForecast
from tacos.workflows.reading_time import measure_reading_time
from tacos.workflows.silent_progress import SilentProgress

N = 120
N_WANTED = 12
ROWS = make_rows(N, lambda number: f"{number}")


def grade_roughly(instructions: list[str], responses: list[str]) -> list[float]:
    """The fast tier: right to within twenty points."""
    return [
        min(max(grade_exactly([], [text])[0] + (int(text) * 13 % 41) - 20, 1), 100)
        for text in responses
    ]


def grade_exactly(instructions: list[str], responses: list[str]) -> list[float]:
    """The slow tier: 1 .. 100, in no order of the input."""
    return [1 + 99 * (int(text) * 37 % N) / N for text in responses]


def load(**changes: Any) -> Settings:
    return config.load_settings(
        select={"n": N_WANTED}, normalise={"alpha": 1}, cluster={"k": 3}, **changes
    )


def run(folder: Path, chosen: Settings) -> RunResult:
    own = UserFunctions(encoder=encode_letters)
    models = {
        "tag": FunctionTagger(tag_by_words),
        "grade": FunctionJudge(grade_roughly),
        "reread": FunctionJudge(grade_exactly),
    }
    tools = build_tools(chosen, own, EndpointClients(chosen, None, ExitStack()))
    store = Store(folder)
    with closing(LocalEngine(1)) as engine, store.lock():
        return run_plan(
            sources.open_source(ROWS, folder),
            chosen,
            store,
            engine,
            StageModels(models, tools),
            SilentProgress(),
        )


def stages(settings: Settings) -> set[str]:
    return {step.stage.name for step in plan_steps(settings)}


TWO_TIERS = {"judge": {"close": "on"}}


def test_the_slow_tier_reads_the_shortlist_and_its_grades_are_the_scores(
    tmp_path: Path,
) -> None:
    done = run(tmp_path, resolve_judging(load(**TWO_TIERS)))
    assert not any(name.startswith(("pairs", "verdicts")) for name in done.artifacts)
    shortlist = done.artifacts["shortlist"].scan().collect()
    close = done.artifacts["close_grades"].scan().collect()
    scores = done.artifacts["scores/0"].scan().collect()
    assert done.artifacts["grades"].manifest["n_rows"] == N
    assert 2 * N_WANTED <= close.height <= 3 * N_WANTED
    assert set(close["id"]) == set(shortlist["id"]) == set(scores["id"])
    exact = {
        f"rows:{number}": grade_exactly([], [row["output"]])[0]
        for number, row in enumerate(ROWS)
    }
    assert scores["score"].to_list() == pytest.approx(
        [exact[f"rows:{id_.split(':')[1]}"] for id_ in scores["id"]], abs=1e-4
    )


def test_a_slow_tier_that_was_read_is_not_read_again_for_other_selections(
    tmp_path: Path,
) -> None:
    run(tmp_path, resolve_judging(load(**TWO_TIERS)))
    again = run(
        tmp_path, resolve_judging(load(**TWO_TIERS).model_copy(update={"rate": RATE}))
    )
    assert again.made == ["scores/0"]


RATE = config.load_settings(rate={"scope": "cluster"}).rate


def test_which_stages_run_depends_on_whether_a_judge_sees_two_rows(
    tmp_path: Path,
) -> None:
    pairs = {"pair", "judge"}
    assert not stages(load()) & {*pairs, "reread"}
    assert stages(load(judge={"mode": "comparative"})) >= pairs
    assert stages(load(judge={"model": "gpt"})) >= pairs
    assert stages(load(judge={"models": ["embedded", "gpt"]})) >= pairs
    assert stages(config.load_settings("paper")) >= pairs
    folder = tmp_path / "mymodel"
    folder.mkdir()
    assert not stages(load(judge={"models": ["embedded", str(folder)]})) & pairs
    assert not stages(load(judge={"model": "gpt", "mode": "singleton"})) & pairs
    assert not stages(load(ingest={"score": "points"}, judge={"model": "gpt"})) & pairs


def test_what_a_run_resolves_stays_resolved() -> None:
    for given in (load(), load(judge={"model": "gpt"}), config.load_settings("paper")):
        resolved = resolve_judging(given)
        assert "auto" not in {resolved.judge.mode, resolved.judge.close}
        assert resolve_judging(resolved) == resolved
    assert resolve_judging(load(judge={"model": "gpt"})).judge.mode == "comparative"
    own = resolve_judging(load(judge={"model": "gpt"}), own_judge=True)
    assert (own.judge.mode, own.judge.close) == ("singleton", "off")
    alone = resolve_judging(load(judge={"mode": "singleton"}))
    assert alone.judge.close == "off"


@pytest.mark.parametrize(
    "changes",
    [
        {"judge": {"close": "on", "model": "gpt"}},
        {"judge": {"close": "on", "mode": "comparative"}},
        {"judge": {"close": "on"}, "ingest": {"score": "points"}},
    ],
)
def test_a_slow_tier_that_no_stage_would_read_is_refused(
    changes: dict[str, Any],
) -> None:
    with pytest.raises(ConfigError, match=r"judge\.close=on"):
        resolve_judging(load(**changes))


def test_a_function_that_judges_makes_no_pairs_and_the_summary_says_why(
    tmp_path: Path,
) -> None:
    done = tacos.select(
        ROWS,
        N_WANTED,
        run=tmp_path / "run",
        settings={"normalise": {"alpha": 1}},
        tagger=tag_by_words,
        encoder=encode_letters,
        judge=grade_exactly,
    )
    assert done.summary.n_graded == {"grade": N}
    assert done.summary.n_pairs == 0
    told = dict(format_summary(done.summary))["judged"]
    assert told.startswith(f"{N} rows, one by one")
    assert "since this judge sees one row at a time" in told
    assert "fast tier" not in told, "this judge is a function, with one tier"
    assert tacos.load(tmp_path / "run").settings.judge.mode == "singleton"


def test_the_time_the_slow_tier_takes_is_told_before(tmp_path: Path) -> None:
    chosen = resolve_judging(load(**TWO_TIERS))
    done = run(tmp_path, chosen)
    model = FunctionJudge(grade_exactly)
    needed = measure_reading_time(done.artifacts["samples"], chosen, model, 2)
    n_read = done.artifacts["close_grades"].manifest["n_rows"]
    n_bound = count_questions(chosen, N, N, N_WANTED)["reread"]
    assert n_read <= needed.n_rows == n_bound <= N
    assert needed.seconds == needed.n_rows / needed.rows_per_second
    assert f"at most {n_bound:,} rows" in needed.text()
    forecast = StepForecast("close_grades", "would run", None, n_bound, (), 754.0)
    assert forecast.text().endswith("an embedded model, free, about 13 min")


def test_a_reserve_for_a_limit_is_read_too(tmp_path: Path) -> None:
    limits = {"n": N_WANTED, "match_length": True}
    chosen = resolve_judging(load(**TWO_TIERS))
    selecting = config.load_settings(select=limits).select
    done = run(tmp_path, chosen.model_copy(update={"select": selecting}))
    assert "reserve" in set(done.artifacts["shortlist"].scan().collect()["rule"])
    assert done.artifacts["selection"].manifest["n_rows"] == N_WANTED
    close = done.artifacts["close_grades"].scan().select(pl.len()).collect().item()
    assert close < N
