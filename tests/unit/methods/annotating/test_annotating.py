"""Tasks for people: pairs that are drawn, labels with their history, who does what, agreement."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import cohen_kappa_score

from tacos.methods.annotating import judge_agreement, label_exports, labels
from tacos.methods.annotating.labels import Label, Standing
from tacos.methods.annotating.people_agreement import (
    AgreementFigure,
    find_majorities,
    measure_agreement,
)
from tacos.methods.annotating.preference_pairs import (
    draw_cluster_pairs,
    draw_compared_pairs,
    is_right_first,
)
from tacos.methods.annotating.tasks import Side, Task, find_fault
from tacos.methods.judging import calibration
from tacos.records import VERDICTS

MEMBERS = pl.DataFrame(
    {
        "id": [f"r{i:03d}" for i in range(60)],
        "cluster": [0] * 40 + [1] * 19 + [2],
    }
)


def side(row: str) -> Side:
    return Side(row, f"hash of {row}", f"do {row}", f"done {row}" * (len(row) % 3 + 1))


def pair_task(number: int, *, shared: bool = True) -> Task:
    left, right = side(f"l{number}"), side(f"r{number}")
    questions = ("better", "value", "correctness")
    return Task(f"t{number}", "pair", shared, questions, left=left, right=right)


def label(person: str, task: str, answer: str, **others: str) -> dict[str, Any]:
    return Label(person, task, {"better": answer, **others}).as_dict()


def standing_of(answers: dict[str, Sequence[str]]) -> tuple[list[Task], Standing]:
    """Tasks and labels from a row of answers per person; "" is no answer."""
    n = len(next(iter(answers.values())))
    tasks = [pair_task(number) for number in range(n)]
    entries = [
        label(person, task.id, answer)
        for person, row in answers.items()
        for task, answer in zip(tasks, row, strict=True)
        if answer
    ]
    return tasks, labels.replay_history(entries)


# Pairs


def test_more_pairs_are_added_to_fewer() -> None:
    few = draw_cluster_pairs(MEMBERS, 20, seed=3)
    many = draw_cluster_pairs(MEMBERS, 50, seed=3)
    assert len(few) == 20
    assert many[:20] == few
    compared = [(f"a{i}", f"b{i}") for i in range(50)]
    shuffled = random.Random(1).sample(compared, 50)
    assert draw_compared_pairs(compared, 30, 1)[:9] == draw_compared_pairs(
        shuffled, 9, 1
    )
    assert draw_compared_pairs(compared, 9, 1) != draw_compared_pairs(compared, 9, 2)


def test_pairs_are_of_one_cluster_and_come_once() -> None:
    pairs = draw_cluster_pairs(MEMBERS, 200, seed=1)
    home = dict(MEMBERS.iter_rows())
    assert all(home[pair.left] == home[pair.right] for pair in pairs)
    assert all(pair.left != pair.right for pair in pairs)
    assert len({frozenset(pair) for pair in pairs}) == len(pairs) == 200
    # A cluster comes up as often as it has rows; a lonely row never does.
    n_first = sum(home[pair.left] == 0 for pair in pairs)
    assert 110 < n_first < 160
    assert all(home[pair.left] != 2 for pair in pairs)


def test_every_pair_of_a_cluster_can_be_drawn_and_then_drawing_ends() -> None:
    three = pl.DataFrame({"id": list("abc"), "cluster": [0] * 3})
    pairs = draw_cluster_pairs(three, 10, seed=1)
    assert {frozenset(pair) for pair in pairs} == {
        frozenset("ab"),
        frozenset("ac"),
        frozenset("bc"),
    }
    assert draw_cluster_pairs(three.head(1), 10, seed=1) == []
    assert draw_cluster_pairs(three.head(0), 10, seed=1) == []
    assert draw_cluster_pairs(three, 0, seed=1) == []


def test_the_side_shown_first_is_even_and_differs_between_people() -> None:
    tasks = [f"t{i}" for i in range(400)]
    ann = [is_right_first(task, "ann", 1) for task in tasks]
    bea = [is_right_first(task, "bea", 1) for task in tasks]
    assert 160 < sum(ann) < 240
    assert 160 < sum(a != b for a, b in zip(ann, bea, strict=True)) < 240
    assert ann == [is_right_first(task, "ann", 1) for task in tasks]


# Labels


def test_the_last_label_counts_and_undo_brings_the_one_before_back() -> None:
    entries = [
        label("ann", "t1", "a"),
        label("ann", "t2", "tie"),
        label("ann", "t1", "b"),
    ]
    undo = {"person": "ann", "undo": True, "task": "t1"}

    def answers(entries: list[dict[str, Any]]) -> dict[str, str]:
        own = labels.replay_history(entries).by_person["ann"]
        return {task: each.answers["better"] for task, each in own.items()}

    assert answers(entries) == {"t1": "b", "t2": "tie"}
    last = labels.find_last_label(entries, "ann")
    assert last is not None
    assert (last.task, last.answers["better"]) == ("t1", "b")
    assert answers([*entries, undo]) == {"t1": "a", "t2": "tie"}
    assert answers([*entries, undo, undo]) == {"t1": "a"}
    assert answers([*entries, undo, undo, undo, undo]) == {}
    # Another person's labels stay.
    others = labels.replay_history(
        [*entries, label("bea", "t1", "a"), undo, undo, undo]
    )
    assert others.people == ["bea"]


def test_what_is_no_answer_is_refused() -> None:
    task = pair_task(1)
    assert find_fault(task, {"better": "a"}) is None
    assert find_fault(task, {"better": "unclear", "value": "tie"}) is None
    assert "no answer to the question" in str(find_fault(task, {"better": "yes"}))
    assert "has no answer" in str(find_fault(task, {"value": "a"}))
    assert "no question 'price'" in str(find_fault(task, {"better": "a", "price": "a"}))


def test_everybody_answers_shared_tasks_and_each_other_one_once() -> None:
    tasks = [pair_task(number, shared=number < 5) for number in range(45)]
    entries: list[dict[str, Any]] = []
    people = ("ann", "bea", "cyd")
    busy = set(people)
    while busy:
        for person in people:
            standing = labels.replay_history(entries)
            task = labels.find_next_task(tasks, "pair", person, standing, 1)
            if task is None:
                busy.discard(person)
                continue
            entries.append(label(person, task.id, "a"))
    standing = labels.replay_history(entries)
    n_people = {
        task.id: sum(standing.find(person, task.id) is not None for person in people)
        for task in tasks
    }
    assert [n_people[task.id] for task in tasks] == [3] * 5 + [1] * 40
    for person in people:
        found = labels.measure_progress(tasks, "pair", person, standing, 1)
        assert found.n_left == 0
        assert 17 <= found.n_done <= 19
    # Two people who begin at once seldom take the same one.
    nobody = labels.replay_history([])
    own = [
        labels.list_own_tasks(tasks, "pair", person, nobody, 1)[5:] for person in people
    ]
    assert own[0] != own[1]
    assert {task.id for task in own[0]} == {task.id for task in own[1]}


def test_progress_counts_what_is_done_unclear_and_left() -> None:
    tasks, standing = standing_of(
        {"ann": ["a", "unclear", "", ""], "bea": ["b"] + [""] * 3}
    )
    ann = labels.measure_progress(tasks, "pair", "ann", standing, 1)
    assert (ann.n_done, ann.n_unclear, ann.n_left) == (2, 1, 2)
    cyd = labels.measure_progress(tasks, "pair", "cyd", standing, 1)
    assert (cyd.n_done, cyd.n_unclear, cyd.n_left) == (0, 0, 4)


# Agreement


def figure_of(
    figures: list[AgreementFigure], between: str, measure: str
) -> AgreementFigure:
    [found] = [
        figure
        for figure in figures
        if (figure.question, figure.between, figure.measure)
        == ("better", between, measure)
    ]
    return found


def test_cohens_kappa_of_two_people_is_scikit_learns_and_lies_in_its_interval() -> None:
    rng = np.random.default_rng(5)
    codes = rng.integers(3, size=80)
    noisy = np.where(rng.random(80) < 0.7, codes, rng.integers(3, size=80))
    names = np.array(["a", "b", "tie"])
    tasks, standing = standing_of(
        {"ann": names[codes].tolist(), "bea": names[noisy].tolist()}
    )
    figures = measure_agreement(tasks, standing)
    kappa = figure_of(figures, "ann and bea", "Cohen kappa")
    assert kappa.value == pytest.approx(cohen_kappa_score(codes, noisy))
    assert kappa.n == 80
    assert kappa.low is not None
    assert kappa.value is not None
    assert kappa.high is not None
    assert kappa.low < kappa.value < kappa.high
    share = figure_of(figures, "2 people", "agreement")
    assert share.value == pytest.approx((codes == noisy).mean())
    assert figures == measure_agreement(tasks, standing), "the same by the same seed"


def test_fleiss_kappa_of_three_people_by_hand() -> None:
    # P = (1 + 1/3 + 1 + 1/3) / 4 = 2/3; shares a 6/12, b 4/12, tie 2/12: chance = 56/144
    tasks, standing = standing_of(
        {
            "ann": ["a", "a", "b", "tie"],
            "bea": ["a", "a", "b", "tie"],
            "cyd": ["a", "b", "b", "a"],
        }
    )
    figures = measure_agreement(tasks, standing)
    chance = (6 / 12) ** 2 + (4 / 12) ** 2 + (2 / 12) ** 2
    kappa = figure_of(figures, "3 people", "Fleiss kappa")
    assert kappa.value == pytest.approx((2 / 3 - chance) / (1 - chance))
    # AC1: chance is the sum of p (1 - p) over q categories, divided by q - 1.
    ac1_chance = (0.5 * 0.5 + 1 / 3 * 2 / 3 + 1 / 6 * 5 / 6) / 2
    ac1 = figure_of(figures, "3 people", "Gwet AC1")
    assert ac1.value == pytest.approx((2 / 3 - ac1_chance) / (1 - ac1_chance))
    # bea and cyd: 2 of 4 agree; by chance 2/4 * 2/4 + 1/4 * 2/4
    kappa = figure_of(figures, "bea and cyd", "Cohen kappa")
    assert kappa.value == pytest.approx((0.5 - 0.375) / (1 - 0.375))


def test_missing_and_unclear_answers_are_no_category() -> None:
    answers = {
        "ann": ["a", "b", "unclear", "a", "b"],
        "bea": ["a", "b", "a", "", "b"],
    }
    tasks, standing = standing_of(answers)
    share = figure_of(measure_agreement(tasks, standing), "2 people", "agreement")
    assert (share.n, share.value) == (3, 1.0)


def test_with_one_category_kappa_is_not_defined_and_ac1_is() -> None:
    tasks, standing = standing_of({"ann": ["a"] * 6, "bea": ["a"] * 6})
    figures = measure_agreement(tasks, standing)
    assert figure_of(figures, "2 people", "Fleiss kappa").value is None
    assert figure_of(figures, "ann and bea", "Cohen kappa").value is None
    assert figure_of(figures, "2 people", "Gwet AC1").value == 1


def test_without_common_tasks_nothing_is_defined_and_one_person_agrees_with_nobody() -> (
    None
):
    tasks, standing = standing_of({"ann": ["a", "", "b"], "bea": ["", "b", ""]})
    figures = measure_agreement(tasks, standing)
    assert {(figure.value, figure.n) for figure in figures} == {(None, 0)}
    tasks, alone = standing_of({"ann": ["a", "b"]})
    assert measure_agreement(tasks, alone) == []


def test_a_majority_is_more_than_half_of_those_who_answered() -> None:
    answers = {
        "ann": ["a", "a", "tie", "unclear", "a"],
        "bea": ["a", "b", "b", "b", "unclear"],
        "cyd": ["b", "", "a", "b", ""],
    }
    tasks, standing = standing_of(answers)
    found = find_majorities(tasks, standing, "better")
    assert [found[task.id] for task in tasks] == [
        ("a", 3, 2),
        (None, 2, 1),
        (None, 3, 1),
        ("b", 2, 2),
        ("a", 1, 1),
    ]


# The judge against people


def verdict(
    left: str, right: str, order: str, scores: tuple[float, float]
) -> dict[str, Any]:
    known = {
        "pair": 0,
        "cluster": 0,
        "judge": "j",
        "repetition": 0,
        "reason": "",
        "reply": "",
    }
    return known | {
        "left": left,
        "right": right,
        "order": order,
        "score_left": scores[0],
        "score_right": scores[1],
    }


def both_orders(
    left: str, right: str, scores: tuple[float, float]
) -> list[dict[str, Any]]:
    return [verdict(left, right, order, scores) for order in ("ab", "ba")]


def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=VERDICTS, orient="row")


NO_SCORES = pl.DataFrame(
    schema={"id": pl.String, "score": pl.Float64, "component": pl.Int64}
)


def test_a_judge_is_measured_on_the_pairs_of_people_whichever_way_round_it_saw_them() -> (
    None
):
    tasks, standing = standing_of({"ann": ["a", "a", "b", "b", "tie", "a", "unclear"]})
    verdicts = frame(
        [
            *both_orders("l0", "r0", (80, 20)),  # as ann
            *both_orders("r1", "l1", (20, 80)),  # as ann, the other way round
            *both_orders("l2", "r2", (80, 20)),  # not as ann
            *both_orders("r3", "l3", (80, 20)),  # as ann
            *both_orders("l4", "r4", (50, 50)),  # a tie, as ann
            verdict("l5", "r5", "ab", (80, 20)),  # one order only: missing
            *both_orders("l6", "r6", (80, 20)),  # no majority of people
            *both_orders("x", "y", (80, 20)),
        ]
    )
    [found] = judge_agreement.compare_judges_with_people(
        tasks, standing, verdicts, NO_SCORES, keys=("component",)
    )
    assert (found.judge, found.n_labels, found.n_judged) == ("j", 6, 5)
    assert (found.agreement.value, found.agreement.n) == (0.75, 4)
    assert found.agreement.low is not None
    assert found.agreement.low < 0.75
    # The position is turned along with the pair: a judge for the first place stays one.
    first = frame(
        [
            verdict("r0", "l0", "ab", (80, 20)),
            verdict("r0", "l0", "ba", (20, 80)),
        ]
    )
    placed = judge_agreement.place_verdicts(
        pl.DataFrame({"left": ["l0"], "right": ["r0"], "task": ["t0"]}), first
    )
    assert placed.select(
        "left", "right", "order", "score_left", "score_right"
    ).rows() == [
        ("t0/a", "t0/b", "ba", 20.0, 80.0),
        ("t0/a", "t0/b", "ab", 80.0, 20.0),
    ]


def test_scores_are_one_more_answer_where_they_are_comparable() -> None:
    tasks, standing = standing_of({"ann": ["a", "b", "a"]})
    scores = pl.DataFrame(
        {
            "id": ["l0", "r0", "l1", "r1", "l2", "r2"],
            "score": [70.0, 30.0, 60.0, 40.0, 90.0, 10.0],
            "component": [0, 0, 0, 0, 1, 2],
        }
    )
    [found] = judge_agreement.compare_judges_with_people(
        tasks, standing, frame([]), scores, keys=("component",)
    )
    assert found.judge == judge_agreement.SCORES
    assert (found.n_judged, found.agreement.value) == (2, 0.5)
    assert found.flip_rate.value is None, "scores know no order"


def test_without_labels_no_judge_is_measured() -> None:
    tasks = [pair_task(1)]
    nobody = labels.replay_history([])
    assert (
        judge_agreement.compare_judges_with_people(tasks, nobody, frame([]), NO_SCORES)
        == []
    )


# Exports


def test_exported_pairs_are_read_by_calibrate_without_a_reject() -> None:
    answers = {
        "ann": ["a", "b", "tie", "unclear", "a"],
        "bea": ["a", "a", "tie", "b", ""],
    }
    tasks, standing = standing_of(answers)
    rows = label_exports.build_labelled_pairs(tasks, standing)
    assert [row["task"] for row in rows] == ["t0", "t2", "t3", "t4"]
    parsed = [calibration.parse_label(row, f"x:{i}") for i, row in enumerate(rows)]
    preferred = [each["preferred"] for each in parsed if isinstance(each, dict)]
    assert preferred == ["a", "tie", "b", "a"]
    assert rows[0]["response_a"] == side("l0").response
    assert [(row["n_people"], row["n_agree"]) for row in rows] == [
        (2, 2),
        (2, 2),
        (1, 1),
        (1, 1),
    ]


def test_value_and_correctness_are_exported_apart() -> None:
    tasks = [pair_task(0), pair_task(1)]
    entries = [
        label("ann", "t0", "a", value="a", correctness="b"),
        label("bea", "t0", "a", value="a", correctness="tie"),
        label("ann", "t1", "b"),
    ]
    standing = labels.replay_history(entries)
    first, second = label_exports.build_labelled_pairs(tasks, standing)
    assert (first["value"], first["correctness"]) == ("a", None)
    assert "value" not in second
    questions = {figure.question for figure in measure_agreement(tasks, standing)}
    assert questions == {"better", "value", "correctness"}


def test_a_task_is_the_same_after_json() -> None:
    tag = Task(
        "t9", "consistency", False, ("consistent",), case=4, tag="x", ids=("a", "b"),
        texts=("A", "B"), planted=True, odd=1,
    )  # fmt: skip
    for task in (pair_task(1), tag):
        assert Task.from_dict(task.as_dict()) == task
