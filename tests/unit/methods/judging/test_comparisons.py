"""What is asked of judges, and what counts as their answer."""

import orjson
import polars as pl
import pytest

from tacos import prompts
from tacos.config import JudgeSettings
from tacos.llm.chat.messages import render_messages
from tacos.methods.judging import comparisons
from tacos.records import GRADES, PAIRS, VERDICTS, Reject, Reply

PAIR = pl.DataFrame([(7, 2, "x:0", "x:1", False, "both")], schema=PAIRS, orient="row")
TEXTS = pl.DataFrame(
    {
        "id": ["x:0", "x:1"],
        "instruction": ["Add 1 and 2.", "Name a river."],
        "response": ["3", "The Elbe."],
    }
)
CONFIG = JudgeSettings()


def test_each_judge_is_asked_each_pair_in_both_orders_as_often_as_wanted() -> None:
    asked = comparisons.list_comparison_questions(
        PAIR, TEXTS, ("a", "b"), repetitions=3
    )
    assert asked.height == 2 * 2 * 3
    assert asked.select("order", "judge", "repetition").is_unique().all()
    assert asked["instruction_left"].unique().to_list() == ["Add 1 and 2."]


def test_only_the_orders_of_a_plan_are_asked() -> None:
    plan = pl.concat(
        PAIR.with_columns(pair=pl.lit(i, pl.UInt32), orders=pl.lit(o))
        for i, o in enumerate(("ba", "both"))
    )
    asked = comparisons.list_comparison_questions(plan, TEXTS, ("a", "b"))
    assert asked.select("pair", "order").unique(maintain_order=True).rows() == [
        (0, "ba"),
        (1, "ab"),
        (1, "ba"),
    ]
    assert asked.height == 2 * 3


def test_the_order_is_the_order_shown_and_scores_find_back_to_their_sample() -> None:
    forth, back = comparisons.list_comparison_questions(PAIR, TEXTS, ("a",)).iter_rows(
        named=True
    )
    asked = [
        comparisons.ask_comparison(row, "judge", "", CONFIG) for row in (forth, back)
    ]
    assert [request.fields["response_a"] for request in asked] == ["3", "The Elbe."]
    assert [request.fields["response_b"] for request in asked] == ["The Elbe.", "3"]
    reply = Reply(
        orjson.dumps(
            {"analysis": "A is better.", "score_a": 80, "score_b": 30}
        ).decode(),
        key="k",
    )
    found = [comparisons.parse_verdict(row, reply) for row in (forth, back)]
    table = pl.DataFrame(found, schema=VERDICTS, orient="row")
    assert table.select("order", "score_left", "score_right").rows() == [
        ("ab", 80, 30),
        ("ba", 30, 80),
    ]
    assert table["reason"].unique().to_list() == ["A is better."]


def test_a_request_names_its_judge_and_repetition() -> None:
    rows = comparisons.list_comparison_questions(
        PAIR, TEXTS, ("a", "b"), repetitions=2
    ).iter_rows(named=True)
    asked = [comparisons.ask_comparison(row, "judge", "", CONFIG) for row in rows]
    assert {(request.model, request.repetition) for request in asked} == {
        ("a", 0),
        ("a", 1),
        ("b", 0),
        ("b", 1),
    }
    assert len({request.key for request in asked}) == len(asked)


@pytest.mark.parametrize("template", ["judge", "grade"])
def test_own_criteria_are_in_the_prompt_word_for_word_and_without_any_nothing_is(
    template: str,
) -> None:
    texts = {
        "instruction": "i",
        "response": "r",
        "id": "x",
        "repetition": 0,
        "judge": "a",
    }
    row = texts | {
        f"{name}_{side}": name
        for name in ("instruction", "response")
        for side in ("left", "right")
    }
    ask = comparisons.ask_comparison if template == "judge" else comparisons.ask_grade
    criteria = "Metric units only.\n\n90 and more: none of {{instruction}} is left out."

    def system(config: JudgeSettings) -> str:
        digest = prompts.hash_template(template)
        return render_messages(ask({**row, "order": "ab"}, template, digest, config))[
            0
        ]["content"]

    assert criteria in system(JudgeSettings(criteria=criteria))
    assert "add the following" not in system(JudgeSettings())


def test_a_reply_that_failed_is_a_reject_with_its_text() -> None:
    row = next(
        comparisons.list_comparison_questions(PAIR, TEXTS, ("a",)).iter_rows(named=True)
    )
    found = comparisons.parse_verdict(row, Reply(None, "So so.", "no JSON"))
    assert isinstance(found, Reject)
    assert (found.id, found.reason, found.raw, found.failure) == (
        "pair 7 ab by a",
        "no JSON",
        "So so.",
        True,
    )


def test_grades_of_several_sittings_are_averaged_per_sample_in_order() -> None:
    samples = pl.DataFrame({"id": ["x:1", "x:0"], "given_score": [None, None]})
    asked = comparisons.list_grade_questions(samples, ("a", "b"), 2)
    assert asked.height == 8
    grades = asked.with_columns(grade=pl.Series([10.0, 20, 30, 40, 50, 50, 50, 50]))
    means = comparisons.average_grades(grades, target=0.5)
    assert means.rows() == [("x:1", 25.0, None, None), ("x:0", 50.0, None, None)]


# Two numbers, and the score that is made of them

GRADE_ROW = {"id": "x:0", "judge": "a", "repetition": 0, "given_score": None}


def reply(**content: object) -> Reply:
    return Reply(orjson.dumps({"analysis": "So.", **content}).decode(), key="k")


def test_the_target_is_the_share_of_correctness() -> None:
    combine = comparisons.combine_scores
    assert combine(40.0, 90.0, target=0) == 40
    assert combine(40.0, 90.0, target=1) == 90
    assert combine(40.0, 90.0, target=0.25) == 52.5
    table = pl.DataFrame({"value": [40.0, None], "correctness": [90.0, 80.0]})
    both = combine(pl.col("value"), pl.col("correctness"), target=0.25)
    assert table.select(both).to_series().to_list() == [52.5, None]


def test_a_verdict_keeps_both_numbers_of_each_sample_and_their_score() -> None:
    rows = comparisons.list_comparison_questions(PAIR, TEXTS, ("a",)).iter_rows(
        named=True
    )
    said = reply(correctness_a=90, value_a=40, correctness_b=20, value_b=10)
    forth, back = (comparisons.parse_verdict(row, said) for row in rows)
    assert (forth["value_left"], forth["correctness_left"]) == (40, 90)
    assert (back["value_right"], back["correctness_right"]) == (40, 90)
    assert (forth["score_left"], forth["score_right"]) == (60, 14)
    assert (back["score_left"], back["score_right"]) == (14, 60)


def test_a_grade_is_two_numbers_or_one_score_never_both() -> None:
    two = comparisons.parse_grade(GRADE_ROW, reply(correctness=90, value=40))
    one = comparisons.parse_grade(GRADE_ROW, reply(score=70))
    names = ("grade", "value", "correctness")
    assert [two[name] for name in names] == [None, 40, 90]
    assert [one[name] for name in names] == [70, None, None]


@pytest.mark.parametrize(
    ("scores", "wanted"), [("two", ["correctness", "value"]), ("one", ["score"])]
)
def test_a_judge_is_asked_for_the_scores_of_the_settings(
    scores: str, wanted: list[str]
) -> None:
    config = JudgeSettings(scores=scores)
    row = GRADE_ROW | {"instruction": "i", "response": "r"}
    asked = comparisons.ask_grade(row, "grade", "", config)
    assert asked.schema["required"] == ["analysis", *wanted]


def test_another_target_makes_other_scores_of_the_same_answers() -> None:
    rows = comparisons.list_comparison_questions(PAIR, TEXTS, ("a",)).to_dicts()
    said = reply(correctness_a=90, value_a=40, correctness_b=20, value_b=10)
    verdict = comparisons.parse_verdict(rows[0], said)
    table = pl.DataFrame([verdict], schema=VERDICTS, orient="row")
    by_value = comparisons.combine_verdicts(table, target=0)
    assert by_value.select("score_left", "score_right").row(0) == (40, 10)
    grade = comparisons.parse_grade(GRADE_ROW, reply(correctness=90, value=40))
    grades = pl.DataFrame([grade], schema=GRADES, orient="row")
    means = comparisons.average_grades(grades, target=1)
    assert means.rows() == [("x:0", 90.0, 40.0, 90.0)]


def test_tables_of_earlier_versions_have_one_score_and_keep_it() -> None:
    old = pl.DataFrame(
        {"left": ["a"], "right": ["b"], "score_left": [70.0], "score_right": [30.0]}
    )
    now = comparisons.combine_verdicts(old, target=0.9)
    assert now.select("score_left", "score_right").row(0) == (70, 30)
    assert now["value_left"].to_list() == [None]
    assert comparisons.average_verdict_numbers(old).is_empty()


def test_a_sample_s_numbers_are_means_over_all_its_verdicts() -> None:
    rows = comparisons.list_comparison_questions(PAIR, TEXTS, ("a",)).to_dicts()
    first = reply(correctness_a=90, value_a=40, correctness_b=20, value_b=10)
    second = reply(correctness_a=30, value_a=20, correctness_b=80, value_b=60)
    found = [
        comparisons.parse_verdict(row, said)
        for row, said in zip(rows, (first, second), strict=True)
    ]
    table = pl.DataFrame(found, schema=VERDICTS, orient="row")
    means = comparisons.average_verdict_numbers(table)
    assert means.rows() == [("x:0", 50.0, 85.0), ("x:1", 15.0, 25.0)]
