"""Files of judged duels: what `tacos duel` writes, and FastChat's pairwise judgements.

One JSON object a line, with FastChat's fields and some of ours:

    {"question_id": "81", "set": "mt_bench", "turn": null, "model_1": "a", "model_2": "b",
     "g1_winner": "model_1", "g2_winner": "tie", "g1_judgment": "...", "g2_judgment": "...",
     "judge": "judge-2026-01-01", "lengths": [812, 640], "identical": false}

`g1` is the order in which model 1 stands first, `g2` the other one; winners are models in both, not
places: `model_1`, `model_2`, `tie`, or `error` where a reply could not be read. FastChat does not
note lengths, but the prompt (`g1_user_prompt`) from which they are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from tacos.errors import InputError
from tacos.formats import reading, writing
from tacos.methods.evaluating.annotations import is_length
from tacos.methods.evaluating.duel_questions import ORDERS
from tacos.methods.evaluating.duel_summary import JudgedDuel, find_repeated
from tacos.methods.evaluating.duels import Winner

WINNERS: dict[str, Winner | None] = {
    "model_1": "first",
    "model_2": "second",
    "tie": "tie",
    "error": None,
}
NAMES = {winner: name for name, winner in WINNERS.items()}
SIDE = r"The Start of Assistant {side}'s [^\]|]*[\]|]>?\n(.*?)[\[<]\|?The End of Assistant {side}'s"
"""What FastChat's prompts show of one side."""
TURN = r"### Assistant {side}:\n"
USER = re.compile(r"### User:\n")
FIELDS = ("question_id", "model_1", "model_2", "g1_winner", "g2_winner")
"""Fields that a line needs."""


def read_duels(path: Path) -> list[JudgedDuel]:
    """The duels of a file, an unreadable order as a missing one.

    Raises:
        InputError: The file cannot be read, a line is no judged duel, or a duel stands in it twice.
    """
    duels = []
    for number, row in reading.read_every_row(path):
        try:
            duels.append(_parse_duel(row))
        except ValueError as error:
            raise InputError(
                f"{path}: row {number} (from 0) is no judged duel: {error}; give a file that "
                "tacos duel -o or FastChat's pairwise judging wrote"
            ) from None
    if not duels:
        raise InputError(f"{path} holds no judged duel: give another file")
    twice = find_repeated(duels)
    if twice:
        # FastChat appends to its files.
        raise InputError(f"{path}: {twice} is judged twice: remove one of the two")
    return duels


def write_duels(
    duels: Sequence[JudgedDuel],
    verdicts: pl.DataFrame,
    path: Path,
) -> Path:
    """Write duels in the order of their questions; the suffix decides the format (.jsonl).

    `verdicts` are theirs, by `DUEL_VERDICTS`. Raises `OutputError`.
    """
    reasons = {
        (number, order): reason
        for number, order, reason in verdicts.select(
            "number", "order", "reason"
        ).iter_rows()
    }
    return writing.write_rows(_build_rows(duels, reasons), path)


def _build_rows(
    duels: Sequence[JudgedDuel],
    reasons: Mapping[tuple[int, str], str],
) -> Iterator[dict[str, Any]]:
    for number, duel in enumerate(duels):
        first, second = duel.models
        winner, other_order = duel.winners
        judgments = [reasons.get((number, order)) for order in ORDERS]
        yield {
            "question_id": duel.question_id,
            "set": duel.set,
            "turn": duel.turn,
            "model_1": first,
            "model_2": second,
            "g1_winner": NAMES[winner],
            "g2_winner": NAMES[other_order],
            "g1_judgment": judgments[0],
            "g2_judgment": judgments[1],
            "judge": duel.judge,
            "lengths": list(duel.lengths) if duel.lengths else None,
            "identical": duel.is_identical,
        }


def _parse_duel(row: Mapping[str, Any]) -> JudgedDuel:
    """The duel of a line. Raises ValueError."""
    missing = [name for name in FIELDS if row.get(name) is None]
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}")
    turn = row.get("turn")
    if turn is not None and (isinstance(turn, bool) or not isinstance(turn, int)):
        raise ValueError("turn is no number")
    name = row.get("set")
    return JudgedDuel(
        models=(str(row["model_1"]), str(row["model_2"])),
        question_id=str(row["question_id"]),
        winners=(_read_winner(row, "g1_winner"), _read_winner(row, "g2_winner")),
        set=None if name is None else str(name),
        turn=turn,
        lengths=_read_lengths(row),
        judge=_read_judge(row.get("judge")),
        is_identical=row.get("identical") is True,
    )


def _read_winner(row: Mapping[str, Any], name: str) -> Winner | None:
    value = row[name]
    if not isinstance(value, str) or value not in WINNERS:
        raise ValueError(f"{name} is {value!r}, none of {', '.join(WINNERS)}")
    return WINNERS[value]


def _read_lengths(row: Mapping[str, Any]) -> tuple[int, int] | None:
    """The lengths of both answers; None where a file does not say."""
    value = row.get("lengths")
    if value is None:
        return _measure_prompt(str(row.get("g1_user_prompt") or ""))
    is_pair = isinstance(value, list) and len(value) == 2
    if not is_pair or not all(map(is_length, value)):
        raise ValueError("lengths is not two numbers of characters")
    return int(value[0]), int(value[1])


def _measure_prompt(prompt: str) -> tuple[int, int] | None:
    """The lengths of the answers in a prompt of FastChat, over all turns; None without two.

    >>> _measure_prompt(
    ...     "[The Start of Assistant A's Answer]\\nYes.\\n[The End of Assistant A's Answer]\\n"
    ...     "[The Start of Assistant B's Answer]\\nNo\\n[The End of Assistant B's Answer]"
    ... )
    (4, 2)
    """
    lengths = []
    for side in "AB":
        part = re.search(SIDE.format(side=side), prompt, re.DOTALL)
        if part is None:
            return None
        text = part[1]
        turns = re.split(TURN.format(side=side), text)
        # A single answer stands there alone, without the names of speakers.
        answers = turns[1:] or [text]
        lengths.append(sum(len(USER.split(answer)[0].strip()) for answer in answers))
    return lengths[0], lengths[1]


def _read_judge(value: Any) -> str:
    """The judge's name; FastChat has a list of it and the name of its prompt."""
    names = value if isinstance(value, list) else [value]
    return str(names[0]) if names and names[0] is not None else ""
