"""Ask a model the questions of a set, turn by turn, and read its answers.

Later turns are asked after the model's own answers. Temperatures follow MT-Bench (FastChat's
llm_judge/common.py): each category has its own, so that creative answers vary and sums do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
import polars as pl

from tacos.config import AnswerSettings
from tacos.methods.evaluating.questions import AnsweredQuestion, Question
from tacos.records import Reject, Reply, Request

Row = dict[str, Any]
Key = tuple[str | None, str]
"""Set and id of a question."""

TASK = "answer"
"""Of requests, as the ledger names it."""
SCHEMA = {"type": "string"}
"""Any text is an answer, an empty one too."""

ASKED_TURNS = pl.Schema(
    {
        "set": pl.String(),
        "question": pl.String(),
        "category": pl.String(),
        "turn": pl.UInt16(),
        "texts": pl.List(pl.String()),  # the user's, up to this turn
        "earlier_answers": pl.List(pl.String()),
    }
)
"""The questions of one turn: a row per question that has it."""
MODEL_ANSWERS = pl.Schema(
    {
        "set": pl.String(),
        "question": pl.String(),
        "turn": pl.UInt16(),
        "answer": pl.String(),
        "finish": pl.String(),
        "n_tokens": pl.UInt32(),  # null where the server does not say
        "model": pl.String(),  # as the server calls it
        "reply": pl.String(),  # ledger key, "" for a model in a folder
    }
)


def list_turns(
    questions: Sequence[Question],
    number: int,
    answers: Mapping[Key, Sequence[Row]],
) -> pl.DataFrame:
    """The rows of `ASKED_TURNS` for a turn, from 1; `answers` are those to the turns before it.

    Questions without an answer to every earlier turn are not asked on.
    """
    rows = []
    for question in questions:
        earlier = [row["answer"] for row in answers.get(question.key, ())]
        if len(question.turns) < number or len(earlier) < number - 1:
            continue
        row = {
            "set": question.set,
            "question": question.question_id,
            "category": question.category,
            "turn": number,
            "texts": list(question.turns[:number]),
            "earlier_answers": earlier,
        }
        rows.append(row)
    return pl.DataFrame(rows, schema=ASKED_TURNS)


def ask_answer(
    row: Row,
    template: str,
    template_hash: str,
    config: AnswerSettings,
) -> Request:
    """The chat up to a turn, as the model is to go on with it."""
    messages = []
    texts = row["texts"]
    for place, text in enumerate(texts):
        messages.append({"role": "user", "content": text})
        if place < len(texts) - 1:
            answer = row["earlier_answers"][place]
            messages.append({"role": "assistant", "content": answer})
    return Request(
        TASK,
        {"messages": messages},
        template,
        template_hash,
        SCHEMA,
        {
            "temperature": choose_temperature(row["category"], config),
            "max_tokens": config.max_tokens,
        },
        config.draw,
    )


def choose_temperature(category: str | None, config: AnswerSettings) -> float:
    """The temperature of a category; that of all others where it has none of its own."""
    return config.by_category.get(category or "", config.temperature)


def parse_answer(row: Row, reply: Reply) -> Row | Reject:
    """A row of `MODEL_ANSWERS`, or a `Reject` whose id names set, question and turn."""
    if reply.text is None:
        return Reject(format_turn(row), "answer", reply.failure, reply.raw)
    n_tokens = reply.n_tokens
    if n_tokens is None and reply.paid:
        n_tokens = reply.paid[-1].answer_tokens or None
    return {
        "set": row["set"],
        "question": row["question"],
        "turn": row["turn"],
        "answer": orjson.loads(reply.text),
        "finish": reply.finish or "stop",
        "n_tokens": n_tokens,
        "model": reply.model,
        "reply": reply.key,
    }


def format_turn(row: Row) -> str:
    """What is asked, in words.

    >>> format_turn({"set": "mt_bench", "question": "81", "turn": 2})
    'mt_bench 81, turn 2'
    """
    return f"{row['set']} {row['question']}, turn {row['turn']}"


def group_answers(rows: Iterable[Row]) -> dict[Key, list[Row]]:
    """The rows of `MODEL_ANSWERS` by question, in the order of their turns."""
    answers: dict[Key, list[Row]] = {}
    for row in rows:
        key = (row["set"], row["question"])
        answers.setdefault(key, []).append(row)
    return answers


def build_answered_questions(
    questions: Sequence[Question],
    answers: Mapping[Key, Sequence[Row]],
    model: str,
    template_hash: str | None,
    config: AnswerSettings,
) -> list[AnsweredQuestion]:
    """The questions that every turn of has an answer, in their order."""
    answered = []
    for question in questions:
        rows = answers.get(question.key, ())
        if len(rows) < len(question.turns):
            continue
        generation: Row = {
            "temperature": choose_temperature(question.category, config),
            "max_tokens": config.max_tokens,
            "draw": config.draw,
        }
        reported = sorted({row["model"] for row in rows} - {model, ""})
        if reported:
            generation["reported_model"] = reported[0]
        answered_question = AnsweredQuestion(
            question_id=question.question_id,
            turns=question.turns,
            answers=tuple(row["answer"] for row in rows),
            finish_reasons=tuple(row["finish"] for row in rows),
            n_tokens=tuple(row["n_tokens"] for row in rows),
            model=model,
            category=question.category,
            set=question.set,
            template_hash=template_hash,
            generation=generation,
            set_hash=question.set_hash,
        )
        answered.append(answered_question)
    return answered
