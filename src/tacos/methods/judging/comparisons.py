"""Ask judges for comparisons and grades, and parse their verdicts.

A judge gives each sample two numbers on 1..100: *correctness* (is it right, and faithful to its
instruction, however plain?) and *value* (is it worth imitating: right, well written, and with
something to learn?). `combine_scores` makes the one score of them that is rated and selects; the
numbers themselves are stored, so that another target asks no question again. With
`judge.scores = "one"`, as in the paper, a judge gives a single score.

Every pair is asked in both orders (TACOS, section 3.3), unless its plan names one. Every judge of a
panel answers every question as often as asked; their answers stay apart until rating. A score
outside 1..100 or a reply that cannot be read is a `Reject`, never a default (the authors' code made
it 0). `grade` asks for one sample alone: a cheap model's grades are the prior that fills the
shortlist, and in singleton mode (AlpaGasus, arXiv 2307.08701) the judge's own grades are the
scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from tacos.config import DEFAULT_TARGET, JudgeSettings
from tacos.methods.samples.truncation import truncate_pair, truncate_text
from tacos.records import (
    GRADES,
    VERDICTS,
    Frame,
    Reject,
    Reply,
    Request,
    add_missing_columns,
)

Row = dict[str, Any]
Number = TypeVar("Number", float, pl.Expr, npt.NDArray[np.float64])

NUMBERS = ("value", "correctness")
"""What a judge says of a sample, where it gives two numbers."""
SIDES = ("left", "right")
SCORE = {"type": "number", "minimum": 1, "maximum": 100}


def _define_reply(*scores: str) -> dict[str, Any]:
    """The JSON schema of a reply: an analysis, and then these scores."""
    names = ["analysis", *scores]
    properties = {"analysis": {"type": "string"}} | dict.fromkeys(scores, SCORE)
    return {"type": "object", "properties": properties, "required": names}


SCHEMA = _define_reply("correctness_a", "value_a", "correctness_b", "value_b")
ONE_SCORE_SCHEMA = _define_reply("score_a", "score_b")
GRADE_SCHEMA = _define_reply("correctness", "value")
ONE_SCORE_GRADE_SCHEMA = _define_reply("score")


# Scores


class SampleScores(NamedTuple):
    """What a judge says of one sample, on 1..100.

    `value` and `correctness` are None where it gives one score only; `score` is None where it gives
    these two.
    """

    score: float | None
    value: float | None
    correctness: float | None

    @property
    def combined(self) -> float | None:
        """The score, or what the default target makes of the two numbers."""
        if self.value is None or self.correctness is None:
            return self.score
        return combine_scores(self.value, self.correctness, DEFAULT_TARGET)


def combine_scores(
    value: Number,
    correctness: Number,
    target: float,
) -> Number:
    """The score that selects, on 1..100: `target` is the share of correctness in it.

    >>> combine_scores(40.0, 90.0, target=0.5)
    65.0
    """
    return (1 - target) * value + target * correctness


def combine_verdicts(verdicts: Frame, target: float) -> Frame:
    """VERDICTS whose `score_left` and `score_right` are made by this target.

    Verdicts of one score stay as they are.
    """
    complete = add_missing_columns(verdicts, VERDICTS)
    for side in SIDES:
        combined = combine_scores(
            pl.col(f"value_{side}"),
            pl.col(f"correctness_{side}"),
            target,
        )
        score = pl.coalesce(combined, f"score_{side}")
        complete = complete.with_columns(score.alias(f"score_{side}"))
    return complete


def average_verdict_numbers(verdicts: pl.DataFrame) -> pl.DataFrame:
    """`id`, `value`, `correctness`: the means over all verdicts on a sample, sorted by id.

    Samples whose judges gave one score only are left out.
    """
    complete = add_missing_columns(verdicts, VERDICTS)
    sides = [
        complete.select(
            id=side,
            value=f"value_{side}",
            correctness=f"correctness_{side}",
        )
        for side in SIDES
    ]
    given = pl.concat(sides).drop_nulls()
    # Sorted, so that the order of the verdicts does not change the last digit of a sum.
    by_id = given.sort("id", *NUMBERS).group_by("id", maintain_order=True)
    return by_id.agg(pl.col(NUMBERS).mean())


def _read_scores(answer: Mapping[str, Any], ending: str = "") -> SampleScores:
    """The scores of a reply, of either form; `ending` is that of their names: "_a", "_b" or ""."""
    one = answer.get(f"score{ending}")
    if one is not None:
        return SampleScores(one, None, None)
    return SampleScores(
        score=None,
        value=answer[f"value{ending}"],
        correctness=answer[f"correctness{ending}"],
    )


# Comparisons


def list_comparison_questions(
    pairs: pl.DataFrame,
    texts: pl.DataFrame,
    judges: tuple[str, ...],
    repetitions: int = 1,
) -> pl.DataFrame:
    """A row per pair, order to be asked, judge and repetition, with the texts of both samples.

    `pairs` is a table PAIRS; `texts` has id, instruction, response. Adds order, judge, repetition
    and, for left and right, instruction_* and response_*.
    """
    orders = pl.DataFrame({"order": ["ab", "ba"]})
    sittings = _list_sittings(judges, repetitions)
    ordered_sittings = orders.join(sittings, how="cross")
    is_wanted = (pl.col("orders") == "both") | (pl.col("orders") == pl.col("order"))
    return (
        pairs.drop("bridge")
        .join(
            _rename_to_side(texts, "left"),
            on="left",
            maintain_order="left",
        )
        .join(
            _rename_to_side(texts, "right"),
            on="right",
            maintain_order="left",
        )
        .join(
            ordered_sittings,
            how="cross",
            maintain_order="left_right",
        )
        .filter(is_wanted)
        .drop("orders")
    )


def _rename_to_side(
    texts: pl.DataFrame,
    side: str,
) -> pl.DataFrame:
    """The texts under the column names of one side of a pair."""
    return texts.rename(
        {
            "id": side,
            "instruction": f"instruction_{side}",
            "response": f"response_{side}",
        }
    )


def _list_sittings(
    judges: tuple[str, ...],
    repetitions: int,
) -> pl.DataFrame:
    """`judge`, `repetition`: every time that a question is asked."""
    by_judge = pl.DataFrame({"judge": judges}, schema={"judge": pl.String})
    by_repetition = pl.DataFrame(
        {"repetition": range(repetitions)},
        schema={"repetition": pl.UInt16},
    )
    return by_judge.join(by_repetition, how="cross")


def ask_comparison(
    row: Row,
    template: str,
    template_hash: str,
    config: JudgeSettings,
) -> Request:
    """The question for one ordered pair: A is the sample shown first."""
    first, second = ("left", "right") if row["order"] == "ab" else ("right", "left")
    # Both are cut together, so that a long sample does not crowd the other one out.
    (instruction_a, response_a), (instruction_b, response_b) = truncate_pair(
        (row[f"instruction_{first}"], row[f"response_{first}"]),
        (row[f"instruction_{second}"], row[f"response_{second}"]),
        config.max_chars,
    )
    fields = {
        "instruction_a": instruction_a,
        "response_a": response_a,
        "instruction_b": instruction_b,
        "response_b": response_b,
    }
    return Request(
        "judge",
        fields | _criteria_field(config),
        template,
        template_hash,
        ONE_SCORE_SCHEMA if config.scores == "one" else SCHEMA,
        _sampling_settings(config),
        row["repetition"],
        row["judge"],
    )


def parse_verdict(
    row: Row,
    reply: Reply,
) -> Row | Reject:
    """A row of `VERDICTS`, with the scores put back to left and right, or a `Reject`."""
    if reply.text is None:
        id_ = f"pair {row['pair']} {row['order']} by {row['judge']}"
        return Reject(id_, "judge", reply.failure or "no reply", reply.raw)
    answer = orjson.loads(reply.text)
    left = _read_scores(answer, "_a")
    right = _read_scores(answer, "_b")
    if row["order"] == "ba":
        left, right = right, left
    return {
        "pair": row["pair"],
        "cluster": row["cluster"],
        "left": row["left"],
        "right": row["right"],
        "order": row["order"],
        "judge": row["judge"],
        "repetition": row["repetition"],
        "score_left": left.combined,
        "score_right": right.combined,
        "value_left": left.value,
        "value_right": right.value,
        "correctness_left": left.correctness,
        "correctness_right": right.correctness,
        "reason": answer["analysis"],
        "reply": reply.key,
    }


# Grades


def list_grade_questions(
    samples: pl.DataFrame,
    judges: tuple[str, ...],
    repetitions: int = 1,
) -> pl.DataFrame:
    """A row per sample, judge and repetition."""
    sittings = _list_sittings(judges, repetitions)
    return samples.join(
        sittings,
        how="cross",
        maintain_order="left_right",
    )


def ask_grade(
    row: Row,
    template: str,
    template_hash: str,
    config: JudgeSettings,
) -> Request:
    """The question for one sample alone."""
    max_chars = config.max_chars // 2
    fields = {
        "instruction": truncate_text(row["instruction"], max_chars),
        "response": truncate_text(row["response"], max_chars),
    }
    return Request(
        "grade",
        fields | _criteria_field(config),
        template,
        template_hash,
        ONE_SCORE_GRADE_SCHEMA if config.scores == "one" else GRADE_SCHEMA,
        _sampling_settings(config),
        row["repetition"],
        row["judge"],
    )


def copy_given_grade(row: Row) -> Row | None:
    """A row of `GRADES` if the input has a score for the sample, else None."""
    if row["given_score"] is None:
        return None
    given = SampleScores(row["given_score"], value=None, correctness=None)
    return _build_grade_row(row, given, "given in the input", "")


def parse_grade(
    row: Row,
    reply: Reply,
) -> Row | Reject:
    """A row of `GRADES`, or a `Reject`."""
    if reply.text is None:
        return Reject(row["id"], "grade", reply.failure or "no reply", reply.raw)
    answer = orjson.loads(reply.text)
    return _build_grade_row(row, _read_scores(answer), answer["analysis"], reply.key)


def _build_grade_row(
    row: Row,
    scores: SampleScores,
    reason: str,
    reply: str,
) -> Row:
    """A row of `GRADES`."""
    return {
        "id": row["id"],
        "judge": row["judge"],
        "repetition": row["repetition"],
        "grade": scores.score,
        "value": scores.value,
        "correctness": scores.correctness,
        "reason": reason,
        "reply": reply,
    }


def average_grades(
    grades: pl.DataFrame,
    target: float,
) -> pl.DataFrame:
    """`id`, `grade`, `value`, `correctness`: means over judges and repetitions, in the order of the
    samples.

    `grade` is made of value and correctness by `target`, or is the judge's only score; the other
    two are null where no judge gave them.
    """
    graded = combine_grades(grades, target)
    by_id = graded.group_by("id", maintain_order=True)
    return by_id.agg(pl.col("grade", *NUMBERS).mean())


def combine_grades(grades: pl.DataFrame, target: float) -> pl.DataFrame:
    """GRADES whose `grade` is made by this target; grades of one score stay as they are."""
    complete = add_missing_columns(grades, GRADES)
    combined = combine_scores(
        pl.col("value"),
        pl.col("correctness"),
        target,
    )
    return complete.with_columns(grade=pl.coalesce(combined, "grade"))


# Settings


def _criteria_field(config: JudgeSettings) -> dict[str, str]:
    """The user's criteria as a field of a request; without any, the prompt has no such part."""
    if not config.criteria:
        return {}
    return {"criteria": config.criteria}


def _sampling_settings(config: JudgeSettings) -> dict[str, float | int]:
    """Sampling settings of a judgement."""
    return {"temperature": config.temperature, "max_tokens": config.max_tokens}
