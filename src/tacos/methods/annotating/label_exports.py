"""Labels in the forms that other commands read: pairs for `tacos calibrate`, sheets for
`tacos check-tags`, and every label by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from tacos.methods.annotating.labels import Standing
from tacos.methods.annotating.people_agreement import find_majorities
from tacos.methods.annotating.tasks import (
    BETTER,
    NUMBERS,
    PAIR,
    TAG_ANSWERS,
    Side,
    Task,
)
from tacos.methods.tags import annotation_sheets
from tacos.methods.tags.annotation_sheets import SHEET
from tacos.methods.tags.tag_checks import CASES, JUDGEMENTS
from tacos.records import LABELS
from tacos.visible_text import escape_formula

LEFT = "a"
RIGHT = "b"


def build_labelled_pairs(
    tasks: Sequence[Task],
    standing: Standing,
) -> list[dict[str, Any]]:
    """Pairs as `tacos calibrate` reads them, with the preference of most people.

    Pairs without a majority are left out. What people say of value and correctness apart stands
    beside it, where they were asked.
    """
    better = find_majorities(tasks, standing, BETTER)
    apart = {number: find_majorities(tasks, standing, number) for number in NUMBERS}
    rows = []
    for task in tasks:
        majority = better.get(task.id)
        if majority is None or majority.answer is None:
            continue
        left, right = _get_sides(task)
        row = {
            "instruction_a": left.instruction,
            "response_a": left.response,
            "instruction_b": right.instruction,
            "response_b": right.response,
            "preferred": majority.answer,
            "n_people": majority.n_people,
            "n_agree": majority.n_agree,
            "task": task.id,
            "id_a": left.id,
            "id_b": right.id,
        }
        for number, majorities in apart.items():
            if task.id in majorities:
                row[number] = majorities[task.id].answer
        rows.append(row)
    return rows


def build_label_table(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Rows of `build_labelled_pairs` by `records.LABELS`; ids are those of the tasks."""
    named = [{**row, "id": row["task"]} for row in rows]
    return pl.DataFrame(named, LABELS, orient="row")


def build_case_table(tasks: Sequence[Task]) -> pl.DataFrame:
    """The cases of tag tasks by `tag_checks.CASES`."""
    rows = []
    for task in tasks:
        if task.kind == PAIR:
            continue
        row = {
            "case": task.case,
            "task": task.kind,
            "tag": task.tag,
            "ids": list(task.ids),
            "planted": task.planted,
            "odd": task.odd,
        }
        rows.append(row)
    return pl.DataFrame(rows, CASES).sort("case")


def build_judgement_table(
    tasks: Sequence[Task],
    standing: Standing,
) -> pl.DataFrame:
    """People's answers to tag tasks by `tag_checks.JUDGEMENTS`; an unclear one is null."""
    rows: list[dict[str, Any]] = []
    for task in tasks:
        if task.kind == PAIR:
            continue
        for person in standing.people:
            label = standing.find(person, task.id)
            if label is None:
                continue
            answer = label.answers[task.questions[0]]
            is_yes = answer == TAG_ANSWERS[1] if answer in TAG_ANSWERS else None
            row = {
                "case": task.case,
                "judge": person,
                "person": True,
                "answer": is_yes,
                "reason": label.comment,
                "reply": "",
            }
            rows.append(row)
    return pl.DataFrame(rows, JUDGEMENTS)


def build_filled_sheet(
    tasks: Sequence[Task],
    standing: Standing,
    person: str,
) -> pl.DataFrame | None:
    """A person's sheet as `tacos check-tags --answers` reads it; None without a clear answer."""
    texts: dict[str, str] = {}
    answers: dict[int, tuple[str, str]] = {}
    for task in tasks:
        if task.kind == PAIR:
            continue
        texts.update(zip(task.ids, task.texts, strict=True))
        label = standing.find(person, task.id)
        if label is None:
            continue
        answer = label.answers[task.questions[0]]
        clear = answer if answer in TAG_ANSWERS else ""
        answers[task.case] = (clear, label.comment)
    if not any(answer for answer, _ in answers.values()):
        return None
    sheet = annotation_sheets.build_annotation_sheet(
        build_case_table(tasks),
        texts,
        # They are cut already, as the case shows them.
        max_chars=max(map(len, texts.values())),
    )
    given = [answers.get(case, ("", "")) for case in sheet["case"]]
    comments = [escape_formula(comment) for _, comment in given]
    filled = sheet.with_columns(
        answer=pl.Series([answer for answer, _ in given], dtype=pl.String),
        comment=pl.Series(comments, dtype=pl.String),
    )
    return filled.select(list(SHEET))


def list_single_labels(
    tasks: Sequence[Task],
    standing: Standing,
) -> Iterator[dict[str, Any]]:
    """Every label that counts, one row per person and task."""
    by_id = {task.id: task for task in tasks}
    for label in standing.list_labels():
        task = by_id.get(label.task)
        if task is None:
            continue
        yield {**label.as_dict(), "kind": task.kind, "case": task.case or None}


def _get_sides(task: Task) -> tuple[Side, Side]:
    """The two rows of a pair."""
    assert task.left is not None
    assert task.right is not None
    return task.left, task.right
