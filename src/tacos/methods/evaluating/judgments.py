"""Grades that judges have given already, as FastChat and tacos write them. Pure.

A row has `question_id`, `turn`, `model`, `score` and `judge`, and mostly the judge's text
(`judgment`). A score of -1 says that the text held no grade: it is missing, and so is every score
that is not from 1 to 10.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tacos.methods.evaluating.mt_bench import HIGHEST, LOWEST, Grades, Item, read_grade

WINNER_FIELDS = ("g1_winner", "g2_winner", "winner")
"""Fields of a comparison of two models, which is no grade."""


MOST = 99
"""Turns of a question, and the last of several judgings."""


class UnusableJudgment(ValueError):
    """Why a row is no grade of an answer."""


@dataclass(frozen=True, slots=True)
class Judgment:
    """One grade, or why there is none."""

    model: str
    item: Item
    grade: float | None
    judge: str
    repetition: int = 0
    text: str = ""
    reason: str = ""
    """Why the grade is missing; "" for a grade."""


def parse_judgment(row: Mapping[str, Any]) -> Judgment:
    """The grade in a row.

    >>> row = {"question_id": 81, "turn": 1, "model": "a", "score": -1, "judge": ["gpt-4", "v1"]}
    >>> judgment = parse_judgment(row)
    >>> judgment.item, judgment.grade, judgment.reason
    (('81', 1), None, 'score -1 is no grade from 1 to 10')

    Raises:
        UnusableJudgment: The row is none, or compares two models.
    """
    if any(name in row for name in WINNER_FIELDS):
        raise UnusableJudgment(
            "it compares two models, and MT-Bench's score is of grades"
        )
    missing = [
        name for name in ("question_id", "turn", "model") if row.get(name) is None
    ]
    # A score of null is a grade that is missing.
    if "score" not in row:
        missing.append("score")
    if missing:
        raise UnusableJudgment(f"it lacks {', '.join(missing)}")
    text = str(row.get("judgment") or "")
    grade = _read_score(row["score"])
    reason = "" if grade is not None else _explain_missing(row["score"], text)
    turn = _read_count(row["turn"], "turn", 1)
    repetition = _read_count(row.get("repetition", 0), "repetition", 0)
    return Judgment(
        model=str(row["model"]),
        item=(str(row["question_id"]), turn),
        grade=grade,
        judge=_read_judge(row.get("judge")),
        repetition=repetition,
        text=text,
        reason=reason,
    )


def collect_grades(judgments: Iterable[Judgment]) -> dict[int, Grades]:
    """The grades of one model by judging, from 0.

    Raises:
        UnusableJudgment: An item has several grades in one judging.
    """
    sittings: dict[int, dict[Item, float]] = {}
    for judgment in judgments:
        grades = sittings.setdefault(judgment.repetition, {})
        if judgment.grade is None:
            continue
        if judgment.item in grades:
            question, turn = judgment.item
            raise UnusableJudgment(
                f"question {question}, turn {turn} of {judgment.model} is graded twice"
            )
        grades[judgment.item] = judgment.grade
    return dict(sorted(sittings.items()))


def _read_count(value: Any, name: str, lowest: int) -> int:
    """A small whole number. Raises `UnusableJudgment`."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if not is_number or not lowest <= value <= MOST:
        raise UnusableJudgment(
            f"{name} is {value!r}, not a number from {lowest} to {MOST}"
        )
    return int(value)


def _read_score(value: Any) -> float | None:
    """A grade from 1 to 10; None for anything else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and LOWEST <= value <= HIGHEST else None


def _explain_missing(score: Any, text: str) -> str:
    """Why a score is no grade."""
    reason = f"score {score!r} is no grade from 1 to 10"
    in_text = read_grade(text)
    if in_text is not None:
        return f"{reason}, though the judge's text says {in_text:g}"
    return reason


def _read_judge(value: Any) -> str:
    """The judge's name; FastChat notes it with that of the prompt."""
    if isinstance(value, list) and value:
        return str(value[0])
    return str(value or "not noted")
