"""One raw row -> a sample or a reject, by the row alone: shards of any size give the same samples.

`tacos.methods.samples.row_layout` says which columns hold what,
`tacos.methods.samples.conversations` makes turns of them. Decisions:
- A conversation is cut back to its last answer. An answer that is there but empty makes the row a
  reject ("empty response"), as does a conversation without one ("no answer"): they are counted, but
  are no failures.
- Of several `instances` the first is taken: one row in is one row out.
- Texts are kept as they are; only the content hash looks past blanks around them.
- A score that is no number is null, never a default; so are tags that are none.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Sequence
from typing import Any, Protocol

import orjson
import polars as pl

from tacos.config import IngestSettings
from tacos.methods.samples.conversations import keep_answered_turns, read_turns
from tacos.methods.samples.row_layout import Row, UnusableRow, choose_row_layout, detect_layout
from tacos.records import SAMPLES, Reject, Sample, Turn

MAX_RAW = 2_000
"""Characters of a rejected row that are kept."""


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
    batch: NumberedRows, settings: IngestSettings
) -> tuple[list[Sample], list[Reject]]:
    """Samples and rejects of a batch, each in the order of the rows.

    Raises `InputError` when a file's first batch has rows but none with known columns: that is no
    failure of rows.
    """
    if batch.first_row == 0 and batch.rows:
        detect_layout([row for _, row in batch.rows], settings, batch.file)
    made = [parse_sample(row, f"{batch.file}:{number}", settings) for number, row in batch.rows]
    rejects = [*batch.rejects, *(each for each in made if isinstance(each, Reject))]
    rejects.sort(key=lambda reject: int(reject.id.rpartition(":")[2]))
    return [each for each in made if isinstance(each, Sample)], rejects


def parse_sample(row: Row, id: str, settings: IngestSettings) -> Sample | Reject:
    """The sample that a row holds, or why it holds none.

    >>> sample = parse_sample({"instruction": "Add.", "input": "1 and 2", "output": "3"}, "x.json:0", IngestSettings())
    >>> sample.turns
    (Turn(role='user', text='Add.\\n\\n1 and 2'), Turn(role='assistant', text='3'))
    >>> parse_sample({"instruction": "Add.", "output": " "}, "x.json:1", IngestSettings()).reason
    'empty response'
    """
    try:
        raw = row_to_json(row)
    except (TypeError, ValueError, RecursionError) as error:
        return Reject(
            id,
            "ingest",
            f"no JSON can hold it: {type(error).__name__}",
            repr(row)[:MAX_RAW].encode("utf-8", "replace").decode(),
        )
    try:
        turns = keep_answered_turns(read_turns(row, choose_row_layout(row, settings)))
    except UnusableRow as problem:
        return Reject(id, "ingest", problem.reason, raw[:MAX_RAW], problem.failure)
    tags = _read_given_tags(row.get(settings.tags)) if settings.tags else None
    score = _read_given_score(row.get(settings.score)) if settings.score else None
    return Sample(id, _hash_turns(turns), turns, raw, tags, score)


def row_to_json(row: Row) -> str:
    """The row as one line of JSON, fields in their order; dates become ISO texts, bytes base64."""
    try:
        return orjson.dumps(
            row, default=_to_jsonable, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
        ).decode()
    except TypeError:  # an integer of more than 64 bits
        text = json.dumps(row, ensure_ascii=False, default=_to_jsonable, separators=(",", ":"))
        text.encode()
        return text


def _to_jsonable(value: Any) -> Any:
    """What JSON has no type for, as something it has."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)


def _hash_turns(turns: Sequence[Turn]) -> str:
    """32 hex digits of the turns alone: blanks around texts do not count."""
    canonical = orjson.dumps([(turn.role, turn.text.strip()) for turn in turns])
    return hashlib.blake2b(canonical, digest_size=16).hexdigest()


def _read_given_tags(value: Any) -> tuple[str, ...] | None:
    """Tags of a cell: a list (of texts or objects with a `tag`), its JSON, or texts between commas;
    None for no cell.

    >>> _read_given_tags('["a b", "c"]'), _read_given_tags("a b, c"), _read_given_tags([{"tag": "a b"}]), _read_given_tags(None)
    (('a b', 'c'), ('a b', 'c'), ('a b',), None)
    """
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = orjson.loads(value)
        except ValueError:
            value = value.strip().strip("[]")
    if isinstance(value, str):
        value = [part.strip().strip("'\"") for part in value.split(",")]
    if not isinstance(value, list | tuple):
        return None
    names = [each.get("tag") if isinstance(each, dict) else each for each in value]
    return tuple(
        dict.fromkeys(name.strip() for name in names if isinstance(name, str) and name.strip())
    )


def _read_given_score(value: Any) -> float | None:
    """The number in a cell, or None: what is no number is missing, never a default.

    >>> _read_given_score("4.5"), _read_given_score(""), _read_given_score("good"), _read_given_score(float("nan"))
    (4.5, None, None, None)
    """
    try:
        score = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError):
        return None
    return score if math.isfinite(score) else None


def extract_instruction(turns: Sequence[Turn]) -> str:
    """What stands before the last answer: the question alone, or a transcript when there is more."""
    before = turns[:-1]
    if len(before) == 1:
        return before[0].text
    return "\n\n".join(f"{turn.role.capitalize()}: {turn.text}" for turn in before)


def samples_to_frame(samples: Sequence[Sample]) -> pl.DataFrame:
    """Samples as a table by `SAMPLES`."""
    responses = [sample.turns[-1].text for sample in samples]
    columns: dict[str, list[Any] | pl.Series] = {
        "id": [sample.id for sample in samples],
        "content_hash": [sample.content_hash for sample in samples],
        "source": [sample.id.rpartition(":")[0] for sample in samples],
        "turns": _build_turns_column([sample.turns for sample in samples]),
        "instruction": [extract_instruction(sample.turns) for sample in samples],
        "response": responses,
        "length": [len(response) for response in responses],
        "given_tags": [None if sample.tags is None else list(sample.tags) for sample in samples],
        "given_score": [sample.score for sample in samples],
        "raw": [sample.raw for sample in samples],
    }
    names = [name for name in SAMPLES.names() if name != "keep"]
    frame = pl.DataFrame(
        {name: pl.Series(name, columns[name], dtype=SAMPLES[name]) for name in names}
    )
    return frame.with_columns(keep=False).select(SAMPLES.names()) if "keep" in SAMPLES else frame


def _build_turns_column(conversations: Sequence[Sequence[Turn]]) -> pl.Series:
    """Turns as a column of lists of structs, built flat (ten times as fast as from nested Python
    objects).
    """
    owner = [number for number, turns in enumerate(conversations) for _ in turns]
    roles = [turn.role for turns in conversations for turn in turns]
    texts = [turn.text for turns in conversations for turn in turns]
    flat = pl.DataFrame(
        {"owner": owner, "role": roles, "text": texts}, schema_overrides={"owner": pl.UInt32}
    )
    grouped = flat.group_by("owner", maintain_order=True).agg(
        pl.struct("role", "text").alias("turns")
    )
    return grouped["turns"]
