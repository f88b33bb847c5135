"""What repeats itself in a pool: rows of one conversation, and rows that ask the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.methods.samples import task_words
from tacos.methods.samples.conversation_groups import ConversationGroups, Turns
from tacos.methods.samples.truncation import truncate_text
from tacos.methods.selecting.gain_picks import RowId
from tacos.models.question_vectors import QuestionEncoder
from tacos.pipeline.steps.row_codes import RowCodes
from tacos.records import Table

MAX_CHARS = 600
"""What is read of a question and of a response."""
N_AHEAD = 1_000
"""Rows whose texts are read with that of a row that nobody foresaw."""
N_AT_ONCE = 500_000
"""Rows whose scores are looked at together."""
CONVERSATIONS = pl.Schema({"id": pl.String, "conversation": pl.UInt32})


def find_conversations(samples: Table) -> pl.DataFrame:
    """id, conversation: the rows that share a conversation with another one, and its number."""
    # A question, an answer and perhaps a system text: what is longer may have two answers.
    has_long = any(
        (batch["turns"].list.len() > 2).any() for batch in samples.batches(["turns"])
    )
    groups = ConversationGroups()
    if has_long:
        groups.add_long(_read_turns(samples, is_long=True))
        groups.add_short(_read_turns(samples, is_long=False))
    rows = sorted(groups.list_groups().items())
    return pl.DataFrame(rows, schema=CONVERSATIONS, orient="row")


def list_next_best(rows: pl.DataFrame, id_: RowId, n: int) -> pl.Series:
    """The ids of n rows (id, score) whose scores come next after that of a row."""
    own = rows.lazy().filter(pl.col("id") == id_).select("score").collect()["score"]
    ids = rows["id"].clear()
    if own.is_empty() or own[0] is None:
        return ids
    is_next = pl.col("score") <= own[0]
    # In slices: a pool may have millions of rows.
    best = [
        some.lazy().filter(is_next).top_k(n, by="score").collect()
        for some in rows.select("id", "score").iter_slices(N_AT_ONCE)
    ]
    return pl.concat(best).top_k(n, by="score")["id"]


def _read_turns(samples: Table, *, is_long: bool) -> Iterator[tuple[str, Turns]]:
    """The ids and turns of rows with more than one answer, or of the others."""
    roles = pl.col("turns").list.eval(pl.element().struct.field("role") == "assistant")
    has_several = roles.list.sum() > 1
    for batch in samples.batches(["id", "turns"]):
        wanted = batch.filter(has_several if is_long else ~has_several)
        yield from wanted.select("id", "turns").iter_rows()


class QuestionText(NamedTuple):
    """What of a row is kept to compare questions: its texts are cut to `MAX_CHARS`."""

    keys: Sequence[bytes]
    """What it asks, by its whole texts: see `tacos.methods.samples.task_words.hash_task`."""
    instruction: str
    response: str
    is_single: bool
    """Whether the row is one question and its answer."""


@dataclass
class QuestionTexts:
    """The texts of rows that may be compared; their keys and vectors, made once.

    Few of them are compared: texts are read when they are asked for, with the texts of the rows
    `list_next` gives, and of those that were foreseen.
    """

    samples: Table
    encoder: QuestionEncoder
    list_next: Callable[[RowId, int], pl.Series]
    """Gives so many rows that will probably be asked about after this one."""
    codes: RowCodes | None = None
    """How ids are written as numbers; None where they are texts."""
    _n_ahead: int = N_AHEAD
    _texts: dict[RowId, QuestionText] = field(default_factory=dict)
    _vectors: dict[RowId, npt.NDArray[np.float32]] = field(default_factory=dict)

    def hash_task(self, id_: RowId) -> Sequence[bytes]:
        """The keys of what a row asks."""
        return self._read(id_).keys

    def encode(self, ids: Sequence[RowId]) -> npt.NDArray[np.float32]:
        """Unit vectors of rows, shape (rows, dim)."""
        new = [id_ for id_ in ids if id_ not in self._vectors]
        if new:
            texts = [self._read(id_) for id_ in new]
            vectors = self.encoder.encode(
                [text.instruction for text in texts],
                [text.response for text in texts],
                [text.is_single for text in texts],
            )
            self._vectors.update(zip(new, vectors, strict=True))
        return np.stack([self._vectors[id_] for id_ in ids])

    def foresee(self, ids: Sequence[RowId]) -> None:
        """Read the texts of rows that will probably be asked about."""
        new = [id_ for id_ in ids if id_ not in self._texts]
        if new:
            self._read_texts(pl.Series("id", new))

    def _read(self, id_: RowId) -> QuestionText:
        """The text of a row."""
        if id_ not in self._texts:
            ahead = self.list_next(id_, self._n_ahead)
            # The samples are read again each time: the next time, more of them.
            self._n_ahead *= 2
            self._read_texts(pl.concat([pl.Series("id", [id_], ahead.dtype), ahead]))
        return self._texts[id_]

    def _read_texts(self, wanted: pl.Series) -> None:
        """Read the texts of these rows."""
        wanted = wanted.unique()
        names = wanted if self.codes is None else self.codes.name(wanted)
        id_of = dict(zip(names, wanted, strict=True))
        is_single = pl.col("turns").list.len() == 2
        found = (
            self.samples.scan()
            .filter(pl.col("id").is_in(names.implode()))
            .select("id", "instruction", "response", is_single)
            .collect()
        )
        for name, instruction, response, is_one in found.iter_rows():
            self._texts[id_of[name]] = QuestionText(
                task_words.hash_task(instruction, response),
                truncate_text(instruction, MAX_CHARS),
                truncate_text(response, MAX_CHARS),
                is_one,
            )
