"""The rows of a run's selection, or of a data set, read as chats for a trainer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tacos.config import IngestSettings
from tacos.errors import ConfigError
from tacos.formats import reading, writing
from tacos.formats.paths import is_run_folder
from tacos.formats.trainer_folders import LeftOutRow
from tacos.methods.chats.chat import Chat, read_chat
from tacos.methods.samples.cells import UnusableRow
from tacos.methods.samples.layout_detection import detect_layout
from tacos.methods.samples.sample_parsing import row_to_json
from tacos.store.spilled_values import SpilledValues
from tacos.workflows.given_settings import (
    GivenSettings,
    resolve_run_settings,
    resolve_settings,
)
from tacos.workflows.selection import Selection, load


@dataclass(frozen=True)
class ChatPool:
    """Rows read as chats."""

    chats: SpilledValues[Chat]
    left_out: list[LeftOutRow]
    """Rows that are no chats."""
    columns: Mapping[str, Mapping[str, Any]]
    """Id -> score columns."""
    done: Selection | None = None
    """The run that selected the rows, if one did."""


def read_chat_pool(
    data: Any,
    settings: GivenSettings,
    columns: bool = False,
) -> ChatPool:
    """The rows of a run's selection, or of a data set.

    Args:
        data: A run directory or a selection, or whatever `tacos.select` reads.
        settings: How rows are read; for a run, as it read them.
        columns: Whether a run's scores are read, too.

    Raises:
        ConfigError: Scores are asked for, and the data are no run.
        InputError: The data cannot be read.
    """
    is_path = isinstance(data, str | Path)
    if isinstance(data, Selection) or (is_path and is_run_folder(data)):
        return _read_selection(load(data), settings, columns)
    if columns:
        raise ConfigError(
            "--columns adds a run's scores: give a run, such as selected.jsonl.run"
        )
    ingest = resolve_settings(settings).ingest
    chats: SpilledValues[Chat] = SpilledValues()
    left_out: list[LeftOutRow] = []
    for batch in reading.read_rows(data):
        if batch.first_row == 0 and batch.rows:
            rows = [row for _, row in batch.rows]
            detect_layout(rows, ingest, name=batch.file)
        left_out += [LeftOutRow(reject.id, reject.reason) for reject in batch.rejects]
        for number, row in batch.rows:
            _add_chat(chats, left_out, row, f"{batch.file}:{number}", ingest)
    return ChatPool(chats, left_out, {})


def _read_selection(
    done: Selection,
    settings: GivenSettings,
    columns: bool,
) -> ChatPool:
    """The selected rows of a run, in the order of the input."""
    ingest = resolve_run_settings(settings, done.settings).ingest
    # Other settings than the run's were asked for, and hold for all rows.
    before = done.read_before if ingest == done.settings.ingest else {}
    chats: SpilledValues[Chat] = SpilledValues()
    left_out: list[LeftOutRow] = []
    ids = done.in_input_order["id"].to_list()
    for id_, row in zip(ids, done.rows, strict=True):
        own = before.get(id_.rpartition(":")[0], ingest)
        _add_chat(chats, left_out, row, id_, own)
    score_columns: dict[str, Mapping[str, Any]] = {}
    if columns:
        for score in done.scores.iter_rows(named=True):
            score_columns[score["id"]] = {
                f"{writing.PREFIX}{name}": value for name, value in score.items()
            }
    return ChatPool(
        chats,
        left_out,
        score_columns,
        done,
    )


def _add_chat(
    chats: SpilledValues[Chat],
    left_out: list[LeftOutRow],
    row: Mapping[str, Any],
    id_: str,
    ingest: IngestSettings,
) -> None:
    """Add a row to the chats, or the reason why it is none."""
    try:
        row_to_json(row)
    except (TypeError, ValueError, RecursionError) as error:
        # Of lone surrogates, for example: no file can hold them.
        reason = f"cannot be stored as JSON: {type(error).__name__}"
        left_out.append(LeftOutRow(id_, reason))
        return
    try:
        chats.append(read_chat(row, id_, ingest))
    except UnusableRow as problem:
        left_out.append(LeftOutRow(id_, problem.reason))
