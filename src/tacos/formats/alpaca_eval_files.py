"""Files of AlpacaEval, which many users have: outputs, annotations, the leaderboard.

Outputs are a list of objects with `instruction`, `output` and `generator` (the model). What
`tacos answer` wrote is read wherever outputs are. Annotations are described in
`tacos.methods.evaluating.annotations`. The leaderboard is a CSV file whose first column, without
a name, is the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import Any

from tacos.errors import InputError
from tacos.formats import reading
from tacos.formats.answer_files import read_answers
from tacos.methods.evaluating.annotations import (
    Annotation,
    UnusableAnnotation,
    hash_instruction,
    parse_annotation,
)
from tacos.methods.evaluating.questions import AnsweredQuestion
from tacos.methods.samples.cells import join_instruction_and_input


@dataclass(frozen=True, slots=True)
class LeaderboardRow:
    """A published model: rates in percent; None where the file has none."""

    model: str
    win_rate: float
    controlled: float | None
    n_total: int | None
    mean_length: float | None


def read_outputs(path: Path) -> dict[str, AnsweredQuestion]:
    """Hash of the instruction -> the output of one model.

    Raises:
        InputError: The file cannot be read, holds several models, or an instruction twice.
    """
    rows = reading.read_every_row(path)
    first = next(rows, None)
    if first is None:
        raise InputError(f"{path} holds no outputs")
    if "answers" in first[1]:
        answers = read_answers(path)
    else:
        answers = [
            _parse_output(row, path, number) for number, row in chain([first], rows)
        ]
    outputs: dict[str, AnsweredQuestion] = {}
    for answer in answers:
        if len(answer.turns) != 1:
            raise InputError(
                f"{path}: question {answer.question_id} has {len(answer.turns)} turns; "
                "AlpacaEval's instructions have one"
            )
        key = hash_instruction(answer.turns[0])
        if key in outputs:
            raise InputError(
                f"{path}: two outputs to the same instruction ({answer.turns[0][:60]!r}): "
                "remove one of them"
            )
        outputs[key] = answer
    models = sorted({answer.model for answer in answers})
    if len(models) > 1:
        raise InputError(
            f"{path} holds outputs of {len(models)} models ({', '.join(models[:3])}): "
            "give each model a file of its own"
        )
    return outputs


def read_annotations(path: Path) -> list[Annotation]:
    """The preferences of a file, which may hold several models.

    Raises:
        InputError: The file cannot be read, or a line is no preference.
    """
    annotations = []
    for number, row in reading.read_every_row(path):
        try:
            annotations.append(parse_annotation(row))
        except UnusableAnnotation as error:
            raise InputError(
                f"{path}: row {number} (from 0) is no annotation: {error}; give AlpacaEval's "
                "annotations.json, or what tacos alpaca-eval -o wrote"
            ) from None
    if not annotations:
        raise InputError(f"{path} holds no annotations")
    return annotations


def read_leaderboard(path: Path) -> list[LeaderboardRow]:
    """The rows of AlpacaEval's leaderboard.

    Raises:
        InputError: The file cannot be read, or is no leaderboard.
    """
    rows = []
    for _, row in reading.read_every_row(path):
        name = next(iter(row.values()), None)
        win_rate = _read_number(row.get("win_rate"))
        if not isinstance(name, str) or win_rate is None:
            raise InputError(
                f"{path} is no leaderboard: it needs the model in the first column, and win_rate"
            )
        n_total = _read_number(row.get("n_total"))
        rows.append(
            LeaderboardRow(
                model=name,
                win_rate=win_rate,
                controlled=_read_number(row.get("length_controlled_winrate")),
                n_total=None if n_total is None else int(n_total),
                mean_length=_read_number(row.get("avg_length")),
            )
        )
    return rows


def _parse_output(row: Mapping[str, Any], path: Path, number: int) -> AnsweredQuestion:
    """The output of a row."""
    instruction = row.get("instruction")
    output = row.get("output")
    if not isinstance(instruction, str) or not isinstance(output, str):
        raise InputError(
            f"{path}: row {number} (from 0) is no output: it needs the texts instruction and "
            "output"
        )
    text = join_instruction_and_input(instruction, row.get("input") or "", "input")
    return AnsweredQuestion(
        question_id=hash_instruction(text),
        turns=(text,),
        answers=(output,),
        # AlpacaEval notes neither.
        finish_reasons=("not noted",),
        n_tokens=(None,),
        model=str(row.get("generator") or path.stem),
        set=None if row.get("dataset") is None else str(row["dataset"]),
    )


def _read_number(value: Any) -> float | None:
    """A finite number, also one that is written as text; None for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if isfinite(number) else None
