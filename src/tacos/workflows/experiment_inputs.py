"""What an experiment measures models on: held-out answers of people, and pairs of answers of which
people prefer one, as users give them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tacos.config import Settings
from tacos.counts import count_words
from tacos.errors import InputError
from tacos.formats import reading
from tacos.methods.chats.chat import Chat
from tacos.methods.evaluating.experiment_items import ExperimentItem
from tacos.methods.judging.calibration import parse_label
from tacos.records import Reject
from tacos.workflows.chat_pool import read_chat_pool

SPEAKERS = frozenset({"system", "user", "assistant"})


@dataclass(frozen=True)
class GivenItems:
    """The items of some files, and what could not be used of them."""

    items: list[ExperimentItem]
    left_out: dict[str, int]
    """Why rows are no items -> rows."""


def read_held_out(paths: Sequence[Any], settings: Settings) -> GivenItems:
    """The last answer of each row of some data sets; rows as `tacos.select` reads them by the same
    settings.

    Raises `InputError` where a file cannot be read, or none of its rows is usable.
    """
    items: list[ExperimentItem] = []
    left_out: dict[str, int] = {}
    for path in paths:
        try:
            pool = read_chat_pool(path, settings)
        except InputError as error:
            raise InputError(_fit_advice(str(error))) from None
        source = Path(str(path)).name
        for row in pool.left_out:
            reason = _fit_advice(row.reason)
            left_out[reason] = left_out.get(reason, 0) + 1
        found = 0
        for chat in pool.chats:
            item = _read_chat_item(chat, source)
            if item is None:
                reason = "calls tools, or is no answer of a person"
                left_out[reason] = left_out.get(reason, 0) + 1
                continue
            items.append(item)
            found += 1
        if not found:
            raise InputError(
                f"{path}: no row has an answer to measure by; give rows with a question and an "
                "answer that a person wrote"
            )
    return GivenItems(items, left_out)


def read_preferences(paths: Sequence[Any]) -> GivenItems:
    """Pairs of answers to one question as `tacos calibrate` reads them; ties say nothing here.

    Raises `InputError` where a file cannot be read, or has no pair that can be used.
    """
    items: list[ExperimentItem] = []
    left_out: dict[str, int] = {}
    for path in paths:
        found = 0
        for batch in reading.read_rows(path):
            for reject in batch.rejects:
                left_out[reject.reason] = left_out.get(reject.reason, 0) + 1
            for number, row in batch.rows:
                id_ = f"{batch.file}:{number}"
                item = _read_pair(row, id_, Path(str(path)).name)
                if isinstance(item, str):
                    left_out[item] = left_out.get(item, 0) + 1
                    continue
                items.append(item)
                found += 1
        if not found:
            reasons = ", ".join(left_out)
            raise InputError(
                f"{path}: no pair of answers to one question of which one is preferred "
                f"({reasons}); each row needs instruction, response_a, response_b and preferred"
            )
    return GivenItems(items, left_out)


def describe_left_out(given: GivenItems) -> list[str]:
    """Why rows are no items, a line each."""
    return [
        f"{count_words(n_rows, 'row')}: {reason}"
        for reason, n_rows in given.left_out.items()
    ]


def _fit_advice(text: str) -> str:
    """A message of reading rows whose advice is for commands with `--map`: here the columns of
    held-out answers are named in a file of settings.
    """
    head, is_found, _ = text.partition("name them with --set ingest.")
    if is_found:
        return (
            f"{head}name them in a file of settings (--settings FILE) with the lines [ingest], "
            'instruction = "COLUMN" and response = "COLUMN"'
        )
    return re.sub(
        r"--map (\w+)=([^\s:;,)]+)",
        r'\1 = "\2" under [ingest] in a file of settings (--settings FILE)',
        text,
    )


def _read_chat_item(chat: Chat, source: str) -> ExperimentItem | None:
    """The last answer of a chat as an item; None where it needs more than texts."""
    texts = [
        {"role": str(part.role), "content": part.content} for part in chat.messages
    ]
    plain = all(
        part.role in SPEAKERS and not part.calls and part.content.strip()
        for part in chat.messages
    )
    if not plain or not chat.messages[-1].is_trained:
        return None
    return ExperimentItem(
        chat.id,
        source,
        tuple(texts[:-1]),
        (texts[-1]["content"],),
    )


def _read_pair(row: dict[str, Any], id_: str, source: str) -> ExperimentItem | str:
    """A labelled pair as an item, or why it is none."""
    label = parse_label(row, id_)
    if isinstance(label, Reject):
        return label.reason
    if label["preferred"] == "tie":
        return "a tie: no answer is preferred"
    if label["instruction_a"] != label["instruction_b"]:
        return "its answers are to two questions"
    answers = (label["response_a"], label["response_b"])
    if not all(answer.strip() for answer in answers):
        return "an answer is empty"
    if answers[0] == answers[1]:
        return "both answers are the same"
    if label["preferred"] == "b":
        answers = answers[::-1]
    question = {"role": "user", "content": label["instruction_a"]}
    return ExperimentItem(id_, source, (question,), answers)
