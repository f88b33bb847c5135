"""A judge says how right a row is and how much there is to learn from it: a whole run keeps, shows
and explains both, and selects by the score that `judge.target` makes of them.
"""

from pathlib import Path
from typing import Any

import pytest
from tests.small_world import MODELS, long_response, make_rows, varied_response

import tacos
from tacos.cli.shared import summary
from tacos.config import load_settings
from tacos.errors import ModelError
from tacos.pipeline.stages import find_stage

CALLS: list[int] = []


def judge_both(
    instructions: list[str], responses: list[str]
) -> list[tuple[float, float]]:
    """Value and correctness of each row: the longer the response, the more there is to learn from
    it, and the less it is right.
    """
    CALLS.append(len(responses))
    values = [min(100.0, 1 + len(response) / 2) for response in responses]
    return [(value, 101 - value) for value in values]


def select(run: Path, **options: Any) -> tacos.Selection:
    settings = {"normalise": {"alpha": 1}, "judge": options.pop("judging", {})}
    rows = make_rows(response=options.pop("response", varied_response))
    models = MODELS | {"judge": judge_both}
    return tacos.select(rows, n=20, run=run, settings=settings, **models | options)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tacos.Selection:
    """A finished run that selects by value alone."""
    return select(tmp_path_factory.mktemp("done") / "run", judging={"target": 0.0})


def test_both_numbers_stand_beside_the_score(done: tacos.Selection) -> None:
    scored = done.scores.drop_nulls("score")
    assert scored.height > 0
    assert (scored["value"] + scored["correctness"]).round(3).unique().to_list() == [
        101
    ]
    assert {"value", "correctness"} <= set(done.table.columns)


def test_another_target_selects_other_rows_and_asks_the_judge_nothing(
    tmp_path: Path,
) -> None:
    judging = {"mode": "singleton"}
    by_value = select(tmp_path / "run", judging=judging | {"target": 0.0}).table
    n_asked = sum(CALLS)
    by_correctness = select(tmp_path / "run", judging=judging | {"target": 1.0}).table
    assert sum(CALLS) == n_asked
    assert by_value["length"].mean() > by_correctness["length"].mean()
    assert by_value["value"].mean() > by_correctness["value"].mean()
    assert by_value["correctness"].mean() < by_correctness["correctness"].mean()


def test_the_summary_has_the_means_of_both_and_how_far_each_follows_length(
    done: tacos.Selection,
) -> None:
    found = done.summary.scores
    assert list(found) == ["score", "value", "correctness"]
    assert found["value"]["length_correlation"]["value"] > 0.99
    assert found["correctness"]["length_correlation"]["value"] < -0.99
    assert found["value"]["selected"] > found["value"]["mean"]
    shown = dict(summary.format_summary(done.summary))
    assert "correlation with length 1.00" in shown["value"]


def test_a_row_is_explained_by_both_numbers(done: tacos.Selection) -> None:
    kept = done.table.drop_nulls("score").row(0, named=True)
    numbers = f"(value {kept['value']:.1f}, correctness {kept['correctness']:.1f})"
    trace = done.explain(kept["id"])
    assert numbers in trace["grade"]
    assert numbers in trace["scores"][0]


def test_the_report_has_both_numbers(done: tacos.Selection) -> None:
    html = (done.run / "report.html").read_text("utf-8")
    assert '<th scope="row">correctness</th>' in html
    assert "is it worth imitating, with something to learn?" in html
    best = done.table.row(0, named=True)
    assert f"(value {best['value']:.1f}, correctness" in html


def test_one_score_is_enough_and_has_no_numbers(tmp_path: Path) -> None:
    one = select(
        tmp_path / "run",
        judge=lambda instructions, responses: [float(len(text)) for text in responses],
        response=long_response,
    )
    assert list(one.summary.scores) == ["score"]
    assert one.scores["value"].null_count() == 20
    assert "value" not in one.explain(one.table["id"][0])["scores"][0]


def test_three_numbers_are_an_error_that_says_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"a score from 1 to 100, or a pair \(value, correctness\)"
    ):
        select(
            tmp_path / "run",
            judge=lambda instructions, responses: [(1, 2, 3) for _ in responses],
        )


# Where length decides


def test_scores_that_follow_length_are_warned_of_with_the_figure(
    done: tacos.Selection,
) -> None:
    (warning,) = done.summary.warnings
    assert warning.startswith("length decides: the scores follow the length")
    assert "rank correlation 1.00" in warning
    assert warning in (done.run / "report.html").read_text("utf-8")
    assert ("warning", warning) in summary.format_summary(done.summary)


def test_a_score_that_does_not_follow_length_is_not_warned_of(tmp_path: Path) -> None:
    even = select(tmp_path / "run", judging={"target": 0.5})
    (warning,) = even.summary.warnings
    assert warning.startswith("the value follows the length"), "not the score"


def test_paper_says_how_many_rows_its_heuristic_of_length_left_out(
    tmp_path: Path,
) -> None:
    done = select(tmp_path / "run", preset="paper")
    left_out = done.artifacts["shortlist"].rejects()
    kept = done.artifacts["shortlist"].scan().collect()
    n_lost = len(set(left_out["id"]) - set(kept["id"]))
    assert n_lost > 80
    heuristic = [
        each for each in done.summary.warnings if "longest-per-tag-set" in each
    ]
    assert len(heuristic) == 1
    assert f"left out {n_lost} of 160 rows ({n_lost / 160:.0%})" in heuristic[0]


def test_paper_keeps_its_prompts_of_one_score() -> None:
    stages = [find_stage("judge"), find_stage("grade")]
    for preset, names in (
        ("paper", ["judge_one", "grade_one"]),
        ("robust", ["judge", "grade"]),
    ):
        settings = load_settings(preset)
        assert [stage.choose_template(settings) for stage in stages] == names
