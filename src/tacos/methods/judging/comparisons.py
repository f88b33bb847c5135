"""Ask judges for comparisons and grades, and parse their verdicts.

Every pair is asked in both orders (TACOS, section 3.3), unless its plan names one. Every judge of a
panel answers every question as often as asked; their answers stay apart until rating. A score
outside 1..100 or a reply that cannot be read is a `Reject`, never a default (the authors' code made
it 0). `grade` asks for one sample alone: a cheap model's grades are the prior that fills the
shortlist, and in singleton mode (AlpaGasus, arXiv 2307.08701) the judge's own grades are the
scores.
"""

from __future__ import annotations

from typing import Any

import orjson
import polars as pl

from tacos.config import JudgeSettings
from tacos.methods.samples.truncation import truncate_pair, truncate_text
from tacos.records import Reject, Reply, Request

Row = dict[str, Any]

SCORE = {"type": "number", "minimum": 1, "maximum": 100}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"analysis": {"type": "string"}, "score_a": SCORE, "score_b": SCORE},
    "required": ["analysis", "score_a", "score_b"],
}
GRADE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"analysis": {"type": "string"}, "score": SCORE},
    "required": ["analysis", "score"],
}


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
        SCHEMA,
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
    score_left = answer["score_a"]
    score_right = answer["score_b"]
    if row["order"] == "ba":
        score_left, score_right = score_right, score_left
    return {
        "pair": row["pair"],
        "cluster": row["cluster"],
        "left": row["left"],
        "right": row["right"],
        "order": row["order"],
        "judge": row["judge"],
        "repetition": row["repetition"],
        "score_left": score_left,
        "score_right": score_right,
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
        GRADE_SCHEMA,
        _sampling_settings(config),
        row["repetition"],
        row["judge"],
    )


def copy_given_grade(row: Row) -> Row | None:
    """A row of `GRADES` if the input has a score for the sample, else None."""
    if row["given_score"] is None:
        return None
    return _build_grade_row(row, row["given_score"], "given in the input", "")


def parse_grade(
    row: Row,
    reply: Reply,
) -> Row | Reject:
    """A row of `GRADES`, or a `Reject`."""
    if reply.text is None:
        return Reject(row["id"], "grade", reply.failure or "no reply", reply.raw)
    answer = orjson.loads(reply.text)
    return _build_grade_row(row, answer["score"], answer["analysis"], reply.key)


def _build_grade_row(
    row: Row,
    grade: float,
    reason: str,
    reply: str,
) -> Row:
    """A row of `GRADES`."""
    return {
        "id": row["id"],
        "judge": row["judge"],
        "repetition": row["repetition"],
        "grade": grade,
        "reason": reason,
        "reply": reply,
    }


def average_grades(grades: pl.DataFrame) -> pl.DataFrame:
    """`id`, `grade`: the mean over judges and repetitions, in the order of the samples."""
    by_id = grades.group_by("id", maintain_order=True)
    return by_id.agg(pl.col("grade").mean())


# Settings


def _criteria_field(config: JudgeSettings) -> dict[str, str]:
    """The user's criteria as a field of a request; without any, the prompt has no such part."""
    if not config.criteria:
        return {}
    return {"criteria": config.criteria}


def _sampling_settings(config: JudgeSettings) -> dict[str, float | int]:
    """Sampling settings of a judgement."""
    return {"temperature": config.temperature, "max_tokens": config.max_tokens}
