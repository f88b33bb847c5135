"""Ask a judge which of two models' answers is better, in both orders, and read what it says.

A judge sees a whole conversation: all turns of a question, and what each model answered. It gives
each side a whole number from 1 to 10; the higher one wins, equal ones are a tie. A reply that has
no two such numbers is a `Reject`, and the question is missing: never a tie (the TACOS authors'
-1, -1 counts as one). Which model stood first is undone where the reply is read, once and for all
(theirs never is). Answers that are the same to the letter are a tie without a question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import polars as pl

from tacos.config import DuelSettings
from tacos.errors import InputError
from tacos.methods.evaluating.duel_summary import JudgedDuel
from tacos.methods.evaluating.duels import Winner
from tacos.methods.evaluating.questions import AnsweredQuestion
from tacos.methods.samples.truncation import truncate_text
from tacos.records import Reject, Reply, Request

Row = dict[str, Any]

TASK = "duel"
"""Of requests, as the ledger names it."""
ORDERS = ("ab", "ba")
"""`ab` shows the first model's answer as A, `ba` as B."""
_SCORE = {"type": "number", "minimum": 1, "maximum": 10}
SCHEMA = {
    "type": "object",
    "properties": {
        "analysis": {"type": "string"},
        "score_a": _SCORE,
        "score_b": _SCORE,
    },
    "required": ["analysis", "score_a", "score_b"],
}
N_SHOWN = 3
"""Questions that an error names."""

ANSWER_PAIRS = pl.Schema(
    {
        "number": pl.UInt32(),
        "name": pl.String(),  # the set and the id, for messages
        "questions": pl.List(pl.String()),  # a text per turn
        "answers_first": pl.List(pl.String()),
        "answers_second": pl.List(pl.String()),
    }
)
"""The answers of two models to the same questions: a row per question."""
DUEL_VERDICTS = pl.Schema(
    {
        "number": pl.UInt32(),
        "order": pl.String(),
        "winner": pl.String(),  # first, second or tie: models, not places
        "score_first": pl.Float64(),  # null for identical answers
        "score_second": pl.Float64(),
        "reason": pl.String(),
        "judge": pl.String(),  # as the server calls it, "" for identical answers
        "reply": pl.String(),  # ledger key
    }
)


def pair_answers(
    answers: Sequence[AnsweredQuestion],
    others: Sequence[AnsweredQuestion],
) -> list[tuple[AnsweredQuestion, AnsweredQuestion]]:
    """Two models' answers to each question, in the order of the first.

    Raises `InputError` unless both answered the same questions, whose texts are the same.
    """
    by_key = {answer.key: answer for answer in others}
    own_keys = {answer.key for answer in answers}
    _refuse_missing([answer for answer in answers if answer.key not in by_key], "first")
    _refuse_missing(
        [answer for answer in others if answer.key not in own_keys], "second"
    )
    pairs = []
    for answer in answers:
        other = by_key[answer.key]
        if answer.turns != other.turns:
            raise InputError(
                f"{name_question(answer)} is not the same text in both files: "
                "have both models answer the same file of questions"
            )
        pairs.append((answer, other))
    return pairs


def tabulate_pairs(
    pairs: Sequence[tuple[AnsweredQuestion, AnsweredQuestion]],
) -> pl.DataFrame:
    """A table `ANSWER_PAIRS`."""
    rows = []
    for number, (answer, other) in enumerate(pairs):
        row = {
            "number": number,
            "name": name_question(answer),
            "questions": list(answer.turns),
            "answers_first": list(answer.answers),
            "answers_second": list(other.answers),
        }
        rows.append(row)
    return pl.DataFrame(rows, schema=ANSWER_PAIRS)


def name_question(answer: AnsweredQuestion) -> str:
    """The set and the id of a question.

    An id that was made of the set's name and a place says both.
    """
    if answer.set is None or answer.question_id.startswith(answer.set):
        return answer.question_id
    return f"{answer.set} {answer.question_id}"


def list_duel_questions(pairs: pl.DataFrame) -> pl.DataFrame:
    """Both orders of each pair."""
    orders = pl.DataFrame({"order": ORDERS})
    return pairs.join(orders, how="cross", maintain_order="left_right")


def ask_duel(
    row: Row,
    template: str,
    template_hash: str,
    config: DuelSettings,
) -> Request:
    """The question about one pair in one order."""
    first, second = ("first", "second") if row["order"] == "ab" else ("second", "first")
    # All turns of a side together have `max_chars`.
    max_chars = config.max_chars // len(row["questions"])
    fields = {"questions": row["questions"]}
    for place, side in (("answers_a", first), ("answers_b", second)):
        texts = row[f"answers_{side}"]
        fields[place] = [truncate_text(text, max_chars) for text in texts]
    return Request(
        TASK,
        fields,
        template,
        template_hash,
        SCHEMA,
        {"temperature": config.temperature, "max_tokens": config.max_tokens},
    )


def decide_identical_answers(row: Row) -> Row | None:
    """A tie where both models said the same, which no judge needs to see; else None."""
    if row["answers_first"] != row["answers_second"]:
        return None
    return {
        "number": row["number"],
        "order": row["order"],
        "winner": "tie",
        "score_first": None,
        "score_second": None,
        "reason": "both answers are the same",
        "judge": "",
        "reply": "",
    }


def parse_duel(row: Row, reply: Reply) -> Row | Reject:
    """A row of `DUEL_VERDICTS`, in which the order is undone, or a `Reject`."""
    if reply.text is None:
        id_ = f"{row['name']} {row['order']}"
        return Reject(id_, "duel", reply.failure or "no reply", reply.raw)
    said = orjson.loads(reply.text)
    scores = (said["score_a"], said["score_b"])
    first, second = scores if row["order"] == "ab" else scores[::-1]
    return {
        "number": row["number"],
        "order": row["order"],
        "winner": decide_winner(first, second),
        "score_first": first,
        "score_second": second,
        "reason": said["analysis"],
        "judge": reply.model,
        "reply": reply.key,
    }


def decide_winner(first: float, second: float) -> Winner:
    """Who has the higher score.

    >>> decide_winner(7, 6), decide_winner(5, 5)
    ('first', 'tie')
    """
    if first == second:
        return "tie"
    return "first" if first > second else "second"


def collect_duels(
    pairs: Sequence[tuple[AnsweredQuestion, AnsweredQuestion]],
    verdicts: pl.DataFrame,
) -> list[JudgedDuel]:
    """The duels of all pairs by a table `DUEL_VERDICTS`; an order that is not in it is missing."""
    by_place: dict[tuple[int, str], Mapping[str, Any]] = {}
    for row in verdicts.iter_rows(named=True):
        by_place[row["number"], row["order"]] = row
    duels = []
    for number, (answer, other) in enumerate(pairs):
        of_orders = [by_place.get((number, order)) for order in ORDERS]
        winner, other_order = (row["winner"] if row else None for row in of_orders)
        judges = [row["judge"] for row in of_orders if row]
        duel = JudgedDuel(
            models=(answer.model, other.model),
            question_id=answer.question_id,
            winners=(winner, other_order),
            set=answer.set,
            lengths=(_count_characters(answer), _count_characters(other)),
            judge=", ".join(dict.fromkeys(judge for judge in judges if judge)),
            is_identical=answer.answers == other.answers,
        )
        duels.append(duel)
    return duels


def _count_characters(answer: AnsweredQuestion) -> int:
    """The characters of all answers to a question."""
    return sum(map(len, answer.answers))


def _refuse_missing(answers: Sequence[AnsweredQuestion], side: str) -> None:
    """Raise `InputError` if there are questions that only one side answered."""
    if not answers:
        return
    names = [name_question(answer) for answer in answers[:N_SHOWN]]
    n_more = len(answers) - len(names)
    more = f" and {n_more:,} more" if n_more else ""
    questions = "question was" if len(answers) == 1 else "questions were"
    raise InputError(
        f"{len(answers):,} {questions} answered in the {side} file only ({', '.join(names)}"
        f"{more}): have both models answer the same questions"
    )
