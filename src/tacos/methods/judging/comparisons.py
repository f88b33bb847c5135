"""Comparative judging: every pair is asked in both orders (TACOS), and what counts as a verdict.

Every judge of a panel answers every question, as often as asked; what they said stays apart until
rating. A score outside 1..100 or a reply that cannot be read is a `Reject`, never a default: the
authors' code made it 0. `grade` asks for one sample alone: a cheap model's grades are the prior
that fills the shortlist, and in singleton mode (AlpaGasus, arXiv 2307.08701) the judge's own grades
are the scores.
"""

from __future__ import annotations

from typing import Any

import orjson
import polars as pl

from tacos.config import JudgeSettings
from tacos.methods.samples.truncation import truncate_pair, truncate_text
from tacos.records import Reject, Reply, Request

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


def list_comparison_questions(
    pairs: pl.DataFrame, texts: pl.DataFrame, judges: tuple[str, ...], repetitions: int = 1
) -> pl.DataFrame:
    """A row per pair, order that is to be asked, judge and repetition, with the texts of both
    samples.

    `pairs` by `PAIRS`; `texts` has id, instruction, response. Adds order, judge, repetition and,
    for left and right, instruction_* and response_*.
    """
    sides = [
        texts.rename(
            {"id": side, "instruction": f"instruction_{side}", "response": f"response_{side}"}
        )
        for side in ("left", "right")
    ]
    orders = pl.DataFrame({"order": ["ab", "ba"]}).join(
        _list_sittings(judges, repetitions), how="cross"
    )
    return (
        pairs.drop("bridge")
        .join(sides[0], on="left", maintain_order="left")
        .join(sides[1], on="right", maintain_order="left")
        .join(orders, how="cross", maintain_order="left_right")
        .filter((pl.col("orders") == "both") | (pl.col("orders") == pl.col("order")))
        .drop("orders")
    )


def _list_sittings(judges: tuple[str, ...], repetitions: int) -> pl.DataFrame:
    """judge, repetition: every time that a question is asked."""
    named = pl.DataFrame({"judge": judges}, schema={"judge": pl.String})
    return named.join(
        pl.DataFrame({"repetition": range(repetitions)}, schema={"repetition": pl.UInt16}),
        how="cross",
    )


def ask_comparison(
    row: dict[str, Any], template: str, template_hash: str, config: JudgeSettings
) -> Request:
    """The question for one ordered pair: A is the one shown first."""
    first, second = ("left", "right") if row["order"] == "ab" else ("right", "left")
    texts = [(row[f"instruction_{side}"], row[f"response_{side}"]) for side in (first, second)]
    (instruction_a, response_a), (instruction_b, response_b) = truncate_pair(
        texts[0], texts[1], config.max_chars
    )
    fields = {
        "instruction_a": instruction_a,
        "response_a": response_a,
        "instruction_b": instruction_b,
        "response_b": response_b,
    }
    asked = fields | _criteria_field(config)
    return Request(
        "judge",
        asked,
        template,
        template_hash,
        SCHEMA,
        _sampling_settings(config),
        row["repetition"],
        row["judge"],
    )


def parse_verdict(row: dict[str, Any], reply: Reply) -> dict[str, Any] | Reject:
    """A row of `VERDICTS`, scores put back to left and right, or a `Reject`."""
    if reply.text is None:
        where = f"pair {row['pair']} {row['order']} by {row['judge']}"
        return Reject(where, "judge", reply.failure or "no reply", reply.raw)
    answer = orjson.loads(reply.text)
    scores = (answer["score_a"], answer["score_b"])
    left, right = scores if row["order"] == "ab" else scores[::-1]
    kept = ("pair", "cluster", "left", "right", "order", "judge", "repetition")
    found = {
        "score_left": left,
        "score_right": right,
        "reason": answer["analysis"],
        "reply": reply.key,
    }
    return {key: row[key] for key in kept} | found


def list_grade_questions(
    samples: pl.DataFrame, judges: tuple[str, ...], repetitions: int = 1
) -> pl.DataFrame:
    """A row per sample, judge and repetition."""
    return samples.join(
        _list_sittings(judges, repetitions), how="cross", maintain_order="left_right"
    )


def ask_grade(
    row: dict[str, Any], template: str, template_hash: str, config: JudgeSettings
) -> Request:
    """The question for one sample alone."""
    fields = {
        "instruction": truncate_text(row["instruction"], config.max_chars // 2),
        "response": truncate_text(row["response"], config.max_chars // 2),
    }
    asked, how = fields | _criteria_field(config), _sampling_settings(config)
    return Request(
        "grade", asked, template, template_hash, GRADE_SCHEMA, how, row["repetition"], row["judge"]
    )


def copy_given_grade(row: dict[str, Any]) -> dict[str, Any] | None:
    """The finished row where the input held a score, else None."""
    return (
        None
        if row["given_score"] is None
        else _build_grade_row(row, row["given_score"], "given in the input", "")
    )


def parse_grade(row: dict[str, Any], reply: Reply) -> dict[str, Any] | Reject:
    """A row of `GRADES`, or a `Reject`."""
    if reply.text is None:
        return Reject(row["id"], "grade", reply.failure or "no reply", reply.raw)
    answer = orjson.loads(reply.text)
    return _build_grade_row(row, answer["score"], answer["analysis"], reply.key)


def _build_grade_row(row: dict[str, Any], grade: float, reason: str, reply: str) -> dict[str, Any]:
    """A row of `GRADES`."""
    kept = {key: row[key] for key in ("id", "judge", "repetition")}
    return kept | {"grade": grade, "reason": reason, "reply": reply}


def average_grades(grades: pl.DataFrame) -> pl.DataFrame:
    """id, grade: the mean over judges and repetitions, in the order of the samples."""
    return grades.group_by("id", maintain_order=True).agg(pl.col("grade").mean())


def _criteria_field(config: JudgeSettings) -> dict[str, str]:
    """The user's criteria as a field of a request; without any, the prompt has no such paragraph."""
    return {"criteria": config.criteria} if config.criteria else {}


def _sampling_settings(config: JudgeSettings) -> dict[str, float | int]:
    """Sampling settings of a judgement."""
    return {"temperature": config.temperature, "max_tokens": config.max_tokens}
