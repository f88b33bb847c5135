"""What judgements come to."""

import polars as pl
import pytest

from tacos.methods.tags import tag_quality
from tacos.methods.tags.tag_checks import CASES, JUDGEMENTS

N_REAL, N_PLANTED = 16, 4


def cases(task: str = "precision") -> pl.DataFrame:
    rows = [
        (i, task, "tag", ["a"], i > N_REAL, None)
        for i in range(1, N_REAL + N_PLANTED + 1)
    ]
    return pl.DataFrame(rows, CASES, orient="row")


def judged(
    judge: str, answers: dict[int, bool | None], *, person: bool = False
) -> pl.DataFrame:
    return pl.DataFrame(
        [(c, judge, person, a, "", "") for c, a in answers.items()],
        JUDGEMENTS,
        orient="row",
    )


def figure(table: pl.DataFrame, **where: str) -> dict[str, object]:
    return table.filter(**where).row(0, named=True)


def test_shares_leave_planted_cases_to_the_detection_rate() -> None:
    answers = {i: i <= 15 for i in range(1, 21)} | {20: True}
    found = tag_quality.assess_tag_quality(cases(), judged("gpt", answers)).shares
    right = figure(found, judge="gpt", measure="right")
    assert (right["n"], right["n_missing"], right["value"]) == (16, 0, 15 / 16)
    detected = figure(found, judge="gpt", measure="detected")
    assert (detected["n"], detected["value"]) == (4, 3 / 4)


def test_a_missing_judgement_is_missing_and_never_wrong() -> None:
    found = tag_quality.assess_tag_quality(cases(), judged("gpt", {1: True, 2: None}))
    right = figure(found.shares, judge="gpt", measure="right")
    assert (right["n"], right["n_missing"], right["value"]) == (1, 15, 1.0)
    detected = figure(found.shares, judge="gpt", measure="detected")
    assert (detected["n"], detected["value"], detected["low"]) == (0, None, None)
    assert found.agreement.is_empty(), "one judge agrees with nobody"


def test_people_agree_with_each_other_and_their_majority_with_the_model() -> None:
    truth = {i: i <= N_REAL for i in range(1, 21)}
    sheets = [judged("gpt", truth)]
    for k, name in enumerate(("Ann", "Bea", "Cem")):
        sheets.append(judged(name, truth | {k + 1: False}, person=True))
    found = tag_quality.assess_tag_quality(cases(), pl.concat(sheets))
    assert (
        figure(found.shares, judge="majority of people", measure="right")["value"] == 1
    )
    among = figure(found.agreement, between="3 people", measure="agreement")
    assert among["value"] == pytest.approx((17 + 3 / 3) / 20)
    assert among["n"] == 20
    with_model = figure(
        found.agreement, between="gpt and majority of people", measure="Cohen kappa"
    )
    assert with_model["value"] == 1
    measures = found.agreement["measure"].to_list()
    assert measures == [
        "agreement",
        "Fleiss kappa",
        "Gwet AC1",
        "agreement",
        "Cohen kappa",
        "Gwet AC1",
    ]


def test_one_person_is_compared_with_the_model_directly() -> None:
    truth = {i: i <= N_REAL for i in range(1, 21)}
    both = pl.concat(
        [judged("gpt", truth), judged("Ann", truth | {1: False}, person=True)]
    )
    found = tag_quality.assess_tag_quality(cases(), both).agreement
    assert set(found["between"]) == {"gpt and Ann"}
    assert figure(found, measure="agreement")["value"] == 19 / 20


def test_a_tie_of_people_is_a_miss_of_their_majority() -> None:
    both = pl.concat(
        [judged("Ann", {1: True}, person=True), judged("Bea", {1: False}, person=True)]
    )
    found = tag_quality.assess_tag_quality(cases(), both).shares
    right = figure(found, judge="majority of people", measure="right")
    assert (right["n"], right["value"]) == (1, 0.0)


def test_tasks_are_kept_apart() -> None:
    two = pl.concat([cases(), cases("consistency").with_columns(pl.col("case") + 100)])
    answers = judged(
        "gpt", dict.fromkeys(range(1, 21), True) | dict.fromkeys(range(101, 121), False)
    )
    found = tag_quality.assess_tag_quality(two, answers).shares
    assert figure(found, task="precision", measure="right")["value"] == 1
    assert figure(found, task="consistency", measure="right")["value"] == 0
    assert figure(found, task="consistency", measure="detected")["value"] == 1
