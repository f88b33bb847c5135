"""What repeats itself in a pool: rows of one conversation, and rows that ask the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.methods.samples import task_words
from tacos.methods.samples.conversation_groups import ConversationGroups, Turns
from tacos.methods.samples.truncation import truncate_text
from tacos.models.question_vectors import QuestionEncoder
from tacos.records import Table

MAX_CHARS = 600
"""What is read of a question and of a response."""
CONVERSATIONS = pl.Schema({"id": pl.String, "conversation": pl.UInt32})


def find_conversations(samples: Table) -> pl.DataFrame:
    """id, conversation: the rows that share a conversation with another one, and its number."""
    # A question, an answer and perhaps a system text: what is longer may have two answers.
    n_turns = pl.col("turns").list.len()
    longest = samples.scan().select(n_turns.max()).collect().item()
    groups = ConversationGroups()
    if (longest or 0) > 2:
        groups.add_long(_read_turns(samples, is_long=True))
        groups.add_short(_read_turns(samples, is_long=False))
    rows = sorted(groups.list_groups().items())
    return pl.DataFrame(rows, schema=CONVERSATIONS, orient="row")


def _read_turns(samples: Table, *, is_long: bool) -> Iterator[tuple[str, Turns]]:
    """The ids and turns of rows with more than one answer, or of the others."""
    roles = pl.col("turns").list.eval(pl.element().struct.field("role") == "assistant")
    has_several = roles.list.sum() > 1
    for batch in samples.batches(["id", "turns"]):
        wanted = batch.filter(has_several if is_long else ~has_several)
        yield from wanted.select("id", "turns").iter_rows()


@dataclass
class QuestionTexts:
    """The texts of rows that may be compared, read once; their keys and vectors, made once."""

    samples: Table
    encoder: QuestionEncoder
    ids: Sequence[str]
    _keys: dict[str, Sequence[bytes]] = field(default_factory=dict)
    _vectors: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)

    def hash_task(self, id_: str) -> Sequence[bytes]:
        """The keys of what a row asks."""
        if id_ not in self._keys:
            instruction, response, _ = self._texts.row(self._places[id_])
            self._keys[id_] = task_words.hash_task(instruction, response)
        return self._keys[id_]

    def encode(self, ids: Sequence[str]) -> npt.NDArray[np.float32]:
        """Unit vectors of rows, shape (rows, dim)."""
        new = [id_ for id_ in ids if id_ not in self._vectors]
        if new:
            texts = self._texts[[self._places[id_] for id_ in new]]
            vectors = self.encoder.encode(
                [truncate_text(text, MAX_CHARS) for text in texts["instruction"]],
                [truncate_text(text, MAX_CHARS) for text in texts["response"]],
                texts["is_single"].to_list(),
            )
            self._vectors.update(zip(new, vectors, strict=True))
        return np.stack([self._vectors[id_] for id_ in ids])

    @cached_property
    def _table(self) -> pl.DataFrame:
        """id, instruction, response, is_single of the rows."""
        wanted = pl.Series("id", self.ids, pl.String).unique()
        is_single = pl.col("turns").list.len() == 2
        return (
            self.samples.scan()
            .filter(pl.col("id").is_in(wanted.implode()))
            .select("id", "instruction", "response", is_single=is_single)
            .collect()
        )

    @cached_property
    def _texts(self) -> pl.DataFrame:
        """instruction, response, is_single of the rows."""
        return self._table.drop("id")

    @cached_property
    def _places(self) -> dict[str, int]:
        """Row -> its place in the table."""
        ids = self._table["id"].to_list()
        return {id_: place for place, id_ in enumerate(ids)}
