"""Ask a judge to grade answers on 1..10, and read its grades, as MT-Bench does.

One question shows one turn: the user's question, the answer to grade, a reference answer where the
category has one right answer, and the turns before it (the originals have four prompts for these
cases). The judge explains first and ends with `[[7]]`. A reply without such a grade is asked about
once more, and is a `Reject` after that: never a default (FastChat's -1 is dropped from its means).
"""

from __future__ import annotations

from typing import Any

import orjson
import polars as pl

from tacos.config import MtBenchSettings
from tacos.methods.evaluating.mt_bench import GRADE_PATTERN, read_grade
from tacos.methods.samples.truncation import truncate_text
from tacos.records import Reject, Reply, Request

Row = dict[str, Any]

TASK = "mt-bench"
"""Of requests, as the ledger names it."""
NO_GRADE = "the reply has no grade from 1 to 10 in double brackets, such as [[5]]"
SCHEMA = {
    "type": "string",
    "pattern": GRADE_PATTERN,
    "description": NO_GRADE,
}

GRADED_TURNS = pl.Schema(
    {
        "model": pl.String(),
        "question": pl.String(),
        "category": pl.String(),
        "turn": pl.UInt16(),
        "text": pl.String(),  # the user's question
        "answer": pl.String(),
        "reference": pl.String(),  # null for none
        "earlier_questions": pl.List(pl.String()),
        "earlier_answers": pl.List(pl.String()),
        "earlier_references": pl.List(pl.String()),
    }
)
"""The turns to grade: a row per model, question and turn."""
ANSWER_GRADES = pl.Schema(
    {
        "model": pl.String(),
        "question": pl.String(),
        "turn": pl.UInt16(),
        "repetition": pl.UInt16(),
        "grade": pl.Float64(),
        "judgment": pl.String(),
        "judge": pl.String(),  # as the server calls it
        "reply": pl.String(),  # ledger key
    }
)


def ask_answer_grade(
    row: Row,
    template: str,
    template_hash: str,
    config: MtBenchSettings,
) -> Request:
    """The question for one turn."""
    fields: dict[str, Any] = {"question": row["text"]}
    for name in ("earlier_questions", "earlier_references", "earlier_answers"):
        # The paragraph of an empty list would stand there with nothing under it.
        if row[name]:
            fields[name] = [truncate_text(text, config.max_chars) for text in row[name]]
    if row["reference"] is not None:
        fields["reference"] = row["reference"]
    fields["answer"] = truncate_text(row["answer"], config.max_chars)
    return Request(
        TASK,
        fields,
        template,
        template_hash,
        SCHEMA,
        {"temperature": config.temperature, "max_tokens": config.max_tokens},
        row["repetition"],
    )


def parse_answer_grade(row: Row, reply: Reply) -> Row | Reject:
    """A row of `ANSWER_GRADES`, or a `Reject` whose id is `format_item` of the row."""
    judgment = "" if reply.text is None else orjson.loads(reply.text)
    grade = read_grade(judgment)
    if grade is None:
        reason = reply.failure or NO_GRADE
        return Reject(format_item(row), "grade-answers", reason, reply.raw)
    return {
        "model": row["model"],
        "question": row["question"],
        "turn": row["turn"],
        "repetition": row["repetition"],
        "grade": grade,
        "judgment": judgment,
        "judge": reply.model,
        "reply": reply.key,
    }


def format_item(row: Row) -> str:
    """What is graded, in words.

    >>> format_item({"model": "a", "question": "104", "turn": 2, "repetition": 0})
    'a, question 104, turn 2'
    """
    text = f"{row['model']}, question {row['question']}, turn {row['turn']}"
    repetition = row["repetition"]
    return f"{text}, judging {repetition + 1}" if repetition else text
