"""Parses one raw row into a sample or a reject.

The result depends on the row alone, so shards of any size give the same samples.
`tacos.methods.samples.row_layout` finds the columns, `tacos.methods.samples.conversations` turns
their values into turns. Decisions:

- A conversation is cut back to its last answer. If that answer is empty ("empty response") or there
  is none ("no answer of an assistant"), the row is a reject that is counted but is not a failure.
- Of several `instances` the first with an output is taken: one input row gives one output row.
- Texts are kept as they are; only the content hash ignores white space around them.
- A score that is not a number is null, never a default; so are unreadable tags.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any, Protocol

import numpy as np
import orjson
import polars as pl

from tacos.config import IngestSettings
from tacos.methods.samples.cells import UnusableRow
from tacos.methods.samples.conversations import keep_answered_turns, read_turns
from tacos.methods.samples.layout_detection import detect_layout
from tacos.methods.samples.mapped_fields import add_mapped_fields
from tacos.methods.samples.reading_notes import list_reading_notes
from tacos.methods.samples.row_layout import choose_row_layout
from tacos.methods.samples.table_layout import Row
from tacos.methods.samples.training_marks import refuse_bad_answer
from tacos.records import SAMPLES, Reject, Sample, Turn, WrittenRow

LARGEST_SCORE = 1e12
"""A given score beyond this is no score: sums and squares of it would overflow."""
MAX_RAW = 2_000
"""Characters of a rejected row that are kept."""
JSON_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY


class NumberedRows(Protocol):
    """Rows of one file with their numbers, as `tacos.formats.reading` gives them."""

    @property
    def file(self) -> str: ...
    @property
    def first_row(self) -> int: ...
    @property
    def rows(self) -> list[tuple[int, dict[str, Any]]]: ...
    @property
    def rejects(self) -> list[Reject]: ...


def parse_sample_batch(
    batch: NumberedRows,
    settings: IngestSettings,
    taken: Counter[str] | None = None,
) -> tuple[list[Sample], list[Reject]]:
    """Samples and rejects of a batch, each in the order of the rows.

    `taken` counts the samples by what was read of them (`tacos.methods.samples.reading_notes`).
    Raises `InputError` if no row of a file's first batch has usable columns: then the file is
    wrong, not its rows.
    """
    if batch.first_row == 0 and batch.rows:
        rows = [row for _, row in batch.rows]
        detect_layout(
            rows,
            settings,
            name=batch.file,
        )
    samples: list[Sample] = []
    rejects = list(batch.rejects)
    for number, row in batch.rows:
        id_ = f"{batch.file}:{number}"
        parsed = parse_sample(row, id_, settings, taken)
        if isinstance(parsed, Sample):
            samples.append(parsed)
        else:
            rejects.append(parsed)
    # Rows that could not be read and rows that could not be parsed go back into one order.
    rejects.sort(key=_read_row_number)
    return samples, rejects


def parse_sample(
    row: Row,
    id: str,
    settings: IngestSettings,
    taken: Counter[str] | None = None,
) -> Sample | Reject:
    """The sample that a row holds, or why it holds none.

    >>> row = {"instruction": "Add.", "input": "1 and 2", "output": "3"}
    >>> sample = parse_sample(row, "x.json:0", IngestSettings())
    >>> sample.turns
    (Turn(role='user', text='Add.\\n\\n1 and 2'), Turn(role='assistant', text='3'))
    >>> parse_sample({"instruction": "Add.", "output": " "}, "x.json:1", IngestSettings()).reason
    'empty response'
    """
    try:
        raw = row_to_json(row)
    except (TypeError, ValueError, RecursionError) as error:
        reason = f"cannot be stored as JSON: {type(error).__name__}"
        # "replace", because lone surrogates are one cause of the error.
        shown = repr(row)[:MAX_RAW].encode("utf-8", "replace").decode()
        return Reject(
            id,
            "ingest",
            reason,
            shown,
        )
    try:
        fields = add_mapped_fields(row, settings)
        layout = choose_row_layout(fields, settings)
        refuse_bad_answer(fields, layout, settings)
        turns = keep_answered_turns(read_turns(fields, layout, settings.roles))
    except UnusableRow as problem:
        return Reject(
            id,
            "ingest",
            problem.reason,
            raw=raw[:MAX_RAW],
            failure=problem.failure,
        )
    if taken is not None:
        taken.update(list_reading_notes(fields, layout, settings))
    # Tags and scores of the input, if the settings name their columns.
    tags = None
    if settings.tags:
        tags = _read_given_tags(fields.get(settings.tags))
    score = None
    if settings.score:
        score = _read_given_score(fields.get(settings.score))
    return Sample(
        id,
        _hash_turns(turns),
        turns,
        raw,
        tags,
        score,
    )


def row_to_json(row: Row) -> str:
    """The row as one line of JSON, fields in their order; dates as ISO text, bytes as base64."""
    if isinstance(row, WrittenRow):
        return row.text
    try:
        encoded = orjson.dumps(
            row,
            default=_to_jsonable,
            option=JSON_OPTIONS,
        )
        return encoded.decode()
    except TypeError:
        # Integers of more than 64 bits are beyond orjson.
        text = json.dumps(
            row,
            ensure_ascii=False,
            default=_to_jsonable,
            separators=(",", ":"),
        )
        text.encode()  # raises for lone surrogates, as orjson does
        return text


def extract_instruction(turns: Sequence[Turn]) -> str:
    """What precedes the last answer: the question alone, or a transcript of several turns."""
    before = turns[:-1]
    if len(before) == 1:
        return before[0].text
    paragraphs = [f"{turn.role.capitalize()}: {turn.text}" for turn in before]
    return "\n\n".join(paragraphs)


def samples_to_frame(samples: Sequence[Sample]) -> pl.DataFrame:
    """Samples as a table by `SAMPLES`."""
    sources = [sample.id.rpartition(":")[0] for sample in samples]
    instructions = [extract_instruction(sample.turns) for sample in samples]
    responses = [sample.turns[-1].text for sample in samples]
    tags = [None if sample.tags is None else list(sample.tags) for sample in samples]
    columns: dict[str, list[Any] | pl.Series] = {
        "id": [sample.id for sample in samples],
        "content_hash": [sample.content_hash for sample in samples],
        "source": sources,
        "turns": _build_turns_column(samples),
        "instruction": instructions,
        "response": responses,
        "length": [len(response) for response in responses],
        "given_tags": tags,
        "given_score": [sample.score for sample in samples],
        "framed": [sample.framed for sample in samples],
        "raw": [sample.raw for sample in samples],
    }
    # Typed by the schema, not by inference: all values of a batch may be null.
    typed = []
    for name, dtype in SAMPLES.items():
        column = pl.Series(name, columns[name], dtype=dtype)
        typed.append(column)
    return pl.DataFrame(typed)


def _build_turns_column(samples: Sequence[Sample]) -> pl.Series:
    """Turns as a column of lists of structs.

    Built flat and then grouped, which is ten times as fast as from nested Python objects.
    """
    conversations = [sample.turns for sample in samples]
    n_turns = np.array([len(turns) for turns in conversations], np.int64)
    turns = list(chain.from_iterable(conversations))
    flat = pl.DataFrame(
        {
            "sample": np.repeat(np.arange(len(samples)), n_turns),
            "role": [turn.role for turn in turns],
            "text": [turn.text for turn in turns],
        }
    )
    turn = pl.struct("role", "text")
    grouped = flat.group_by("sample", maintain_order=True).agg(turns=turn)
    return grouped["turns"]


def _read_row_number(reject: Reject) -> int:
    """The row number in an id `<file>:<row>`."""
    _, _, number = reject.id.rpartition(":")
    return int(number)


def _hash_turns(turns: Sequence[Turn]) -> str:
    """32 hex digits of the turns alone, ignoring white space around texts."""
    stripped = [(turn.role, turn.text.strip()) for turn in turns]
    canonical = orjson.dumps(stripped)
    return hashlib.blake2b(canonical, digest_size=16).hexdigest()


def _to_jsonable(value: Any) -> Any:
    """A JSON value in place of a type that JSON lacks."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)


def _read_given_tags(value: Any) -> tuple[str, ...] | None:
    """The tags in a cell, each once; None if there is no cell or it holds no tags.

    A cell may hold a list (of texts, or of objects with a `tag`), its JSON, or texts separated by
    commas.

    >>> _read_given_tags('["a b", "c"]')
    ('a b', 'c')
    >>> _read_given_tags("a b, c")
    ('a b', 'c')
    >>> _read_given_tags([{"tag": "a b"}])
    ('a b',)
    >>> _read_given_tags(None) is None
    True
    """
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = orjson.loads(value)
        except ValueError:
            # A list that is not JSON, such as [a, b]: what it lists is separated by commas.
            value = value.strip().strip("[]")
    if isinstance(value, str):
        parts = value.split(",")
        value = [part.strip().strip("'\"") for part in parts]
    if not isinstance(value, list | tuple):
        return None
    tags: dict[str, None] = {}
    for item in value:
        name = item.get("tag") if isinstance(item, dict) else item
        if isinstance(name, str) and name.strip():
            tags[name.strip()] = None
    return tuple(tags)


def _read_given_score(value: Any) -> float | None:
    """The number in a cell; None if it is none that can be reckoned with, never a default.

    >>> _read_given_score("4.5")
    4.5
    >>> [_read_given_score(value) for value in ("", "good", float("nan"), 1e308)]
    [None, None, None, None]
    """
    # float() takes True for 1.
    if isinstance(value, bool):
        return None
    try:
        score = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return score if abs(score) <= LARGEST_SCORE else None
