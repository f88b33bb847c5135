"""The rows of a training: framed as the recipe says, some held out, in the form that TRL reads."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from tacos.errors import ConfigError, FailureRateError, InputError
from tacos.formats import trainer_folders
from tacos.formats.trainer_folders import LeftOutRow, TrainerFolder
from tacos.methods.chats.chat import Chat
from tacos.methods.chats.trainer_rows import Layout
from tacos.store import files
from tacos.trainers.question_frames import frame_question
from tacos.trainers.recipe import Recipe
from tacos.trainers.row_check import MAX_FAILURES

TRAINED = "train.jsonl"
HELD_OUT = "held_out.jsonl"
LEFT_OUT = "left_out.jsonl"
CANDIDATES = "candidates.jsonl"
"""While it is not known yet which rows TRL keeps."""
BY_TEMPLATE = "template "
"""Begins the reason of a row that the chat template has no form for."""


@dataclass
class TrainingRows:
    """Rows that may be trained on, and those that are not."""

    folder: TrainerFolder
    held_out: frozenset[int]
    """Numbers of rows of `folder`."""
    left_out: list[LeftOutRow]

    @property
    def layout(self) -> Layout:
        """The form of the rows."""
        return self.folder.layout

    @property
    def candidates(self) -> list[int]:
        """Numbers of the rows that may be trained on."""
        return [
            number
            for number in range(len(self.folder.rows))
            if number not in self.held_out
        ]

    @property
    def n_given(self) -> int:
        """Rows given, those that cannot be read among them."""
        return len(self.folder.rows) + len(self.left_out)


def build_training_rows(
    chats: Iterable[Chat],
    left_out: Sequence[LeftOutRow],
    recipe: Recipe,
    seed: int,
) -> TrainingRows:
    """The rows of a training by chats, which are read several times; `left_out` are no chats.

    Raises:
        ConfigError: There are more rows than the recipe is for.
        FailureRateError: The chat template has no form for too many rows.
        InputError: No row is left.
    """
    framed = FramedChats(chats, recipe)
    folder = trainer_folders.build_trainer_folder(
        "trl",
        framed,
        recipe.template,
        recipe.max_length,
    )
    n_rows = len(folder.rows)
    all_left_out = [*left_out, *folder.left_out]
    check_row_limit(recipe, n_rows)
    _check_template(folder, recipe)
    if not n_rows:
        reasons = Counter(row.reason for row in all_left_out).most_common(1)
        raise InputError(
            f"no row can be trained on: {reasons[0][0] if reasons else 'there are none'}"
        )
    n_held_out = math.ceil(recipe.held_out * n_rows)
    if n_held_out == n_rows:
        raise ConfigError(
            f"all {n_rows:,} rows are held out: lower held_out (--set held_out=...)"
        )
    held_out = random.Random(seed).sample(range(n_rows), n_held_out)
    return TrainingRows(folder, frozenset(held_out), all_left_out)


def check_row_limit(recipe: Recipe, n_rows: int) -> None:
    """Raise `ConfigError` for more rows than a recipe is for."""
    if recipe.max_rows and n_rows > recipe.max_rows:
        raise ConfigError(
            f"the recipe {recipe.name} is for {recipe.max_rows:,} rows at most, and there are "
            f"{n_rows:,}: select fewer, or lift the limit (max_rows = 0)"
        )


def write_candidates(rows: TrainingRows, place: Path) -> Path:
    """Write the rows that may be trained on. Raises `OutputError`."""
    return _write_lines(place / CANDIDATES, _iterate_lines(rows, rows.candidates))


def write_rows(
    rows: TrainingRows,
    statuses: Sequence[str],
    is_kept: Sequence[bool],
    place: Path,
) -> Path:
    """Write the rows that are trained on, those held out, and why others are left out.

    `statuses` and `is_kept` are those of `rows.candidates`. Returns the file of rows that are
    trained on. Raises `OutputError`, and `InputError` where none is.
    """
    kept = []
    left_out = list(rows.left_out)
    ids = list(rows.folder.ids)
    numbers = zip(rows.candidates, statuses, is_kept, strict=True)
    for number, status, keep in numbers:
        if keep:
            kept.append(number)
        else:
            left_out.append(LeftOutRow(ids[number], status))
    if not kept:
        raise InputError(f"no row can be trained on: {left_out[-1].reason}")
    reasons = (
        orjson.dumps({"id": row.id, "reason": row.reason}) + b"\n" for row in left_out
    )
    _write_lines(place / LEFT_OUT, reasons)
    _write_lines(place / HELD_OUT, _iterate_lines(rows, sorted(rows.held_out)))
    return _write_lines(place / TRAINED, _iterate_lines(rows, kept))


class FramedChats:
    """Chats whose questions stand in the recipe's frame; to be read any number of times."""

    def __init__(self, chats: Iterable[Chat], recipe: Recipe) -> None:
        self._chats = chats
        self._recipe = recipe

    def __iter__(self) -> Iterator[Chat]:
        for chat in self._chats:
            yield _frame_chat(chat, self._recipe)


def _frame_chat(chat: Chat, recipe: Recipe) -> Chat:
    """A chat with its first question in the recipe's frame."""
    if recipe.frame == "none":
        return chat
    messages = list(chat.messages)
    place = next(
        (place for place, each in enumerate(messages) if each.role == "user"), None
    )
    if place is None:
        return chat
    question = messages[place].content
    # Instruction and input are those of the last question, which must be the first one here.
    is_apart = chat.is_table and len(messages) - place == 2
    if is_apart and chat.instruction and chat.input:
        text = frame_question(recipe.frame, chat.instruction, chat.input)
    else:
        text = frame_question(recipe.frame, question)
    messages[place] = replace(messages[place], content=text)
    if not is_apart:
        return replace(chat, messages=tuple(messages))
    # Columns are written of these two.
    return replace(chat, messages=tuple(messages), instruction=text, input="")


def _check_template(folder: TrainerFolder, recipe: Recipe) -> None:
    """Raise `FailureRateError` where the template has no form for too many rows."""
    reasons = Counter(
        row.reason for row in folder.left_out if row.reason.startswith(BY_TEMPLATE)
    )
    n_rows = len(folder.rows) + len(folder.left_out)
    if reasons.total() <= MAX_FAILURES * n_rows:
        return
    reason, n_refused = reasons.most_common(1)[0]
    raise FailureRateError(
        f"{n_refused:,} of {n_rows:,} rows do not fit the chat template {recipe.template} "
        f"({reason.removeprefix(BY_TEMPLATE)}): use another (--set template=chatml), or leave "
        "them out"
    )


def _iterate_lines(rows: TrainingRows, numbers: Sequence[int]) -> Iterator[bytes]:
    """The JSON lines of some rows, in the order of the data; `numbers` rise."""
    wanted = iter(numbers)
    following = next(wanted, None)
    for number, line in enumerate(trainer_folders.encode_rows(rows.folder)):
        if number == following:
            yield line
            following = next(wanted, None)


def _write_lines(file: Path, lines: Iterable[bytes]) -> Path:
    with files.replace_file(file) as target:
        target.writelines(lines)
    return file
