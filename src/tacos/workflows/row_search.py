"""Finds rows of a run by text and by what the run says about them, sorts them, and shows a page."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from tacos.methods.samples.last_question import find_last_question
from tacos.report.judge_words import clip_text
from tacos.workflows.row_table import (
    POSITION,
    Labels,
    RowTable,
    State,
    build_row_table,
)
from tacos.workflows.row_texts import RowTexts
from tacos.workflows.selection import Selection

N_REMEMBERED = 16
"""Searches whose rows are kept, so that the next page costs no new search."""
N_LISTED = 500
"""Tags and reasons that are offered as filters; all others can be typed."""
BATCH = 2000
"""Rows of a download that are read at a time."""
QUESTION_CHARS = 300
RESPONSE_CHARS = 200

Sort = Literal["input", "rank", "score", "value", "correctness", "length"]


class RowQuery(BaseModel):
    """Which rows are wanted; what is left out does not narrow them."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    text: str = Field("", max_length=400)
    """Words of the question or the response; see `RowTexts.find`."""
    tag: str = ""
    cluster: int | None = None
    source: str = ""
    state: State | None = None
    fault: str = ""
    """A fault that the embedded judge thinks likely."""
    reason: str = ""
    """Why a rule left the row out."""
    min_score: float | None = None
    max_score: float | None = None
    min_correctness: float | None = None
    max_correctness: float | None = None


class PageQuery(RowQuery):
    """One page of the rows that are wanted."""

    sort: Sort = "input"
    descending: bool = False
    page: int = Field(1, ge=1)
    per_page: int = Field(50, ge=1, le=200)

    @property
    def row_query(self) -> RowQuery:
        """Which rows are wanted, whatever the page."""
        names = set(RowQuery.model_fields)
        return RowQuery(**self.model_dump(include=names))


@dataclass(frozen=True)
class RowSearch:
    """Searches of one run; several may run at a time."""

    table: RowTable
    texts: RowTexts
    _found: OrderedDict[tuple[object, ...], pl.Series] = field(
        default_factory=OrderedDict
    )
    _lock: Lock = field(default_factory=Lock)

    def find_page(self, query: PageQuery) -> dict[str, Any]:
        """`n_all`, `n_found`, `page`, `n_pages`, and `rows` with the beginnings of their texts."""
        positions = self.find_sorted(query)
        n_pages = max(1, -(-len(positions) // query.per_page))
        page = min(query.page, n_pages)
        start = (page - 1) * query.per_page
        shown = positions.slice(start, query.per_page)
        return {
            "n_all": self.table.rows.height,
            "n_found": len(positions),
            "page": page,
            "n_pages": n_pages,
            "first": start + 1 if len(shown) else 0,
            "rows": self.describe_rows(shown.to_list()),
        }

    def find_sorted(self, query: PageQuery) -> pl.Series:
        """The positions of the rows that are wanted, in order."""
        # Paging and sorting leave the rows that were found as they are.
        key = (query.row_query, query.sort, query.descending)
        return self._remember(key, lambda: self._sort(query))

    def iterate_rows(self, query: PageQuery) -> Iterator[dict[str, Any]]:
        """The rows that are wanted with their whole texts, in order."""
        positions = self.find_sorted(query)
        for start in range(0, len(positions), BATCH):
            batch = positions.slice(start, BATCH).to_list()
            texts = self.texts.read(batch)
            for entry, text in zip(self._describe(batch), texts, strict=True):
                yield entry | text

    def describe_rows(self, positions: Sequence[int]) -> list[dict[str, Any]]:
        """What is known about some rows, in the order given, with the beginnings of their texts."""
        described = self._describe(positions)
        texts = self.texts.read(positions)
        for entry, text in zip(described, texts, strict=True):
            question = find_last_question(text["instruction"])
            entry["question"] = clip_text(question, QUESTION_CHARS)
            entry["response"] = clip_text(text["response"], RESPONSE_CHARS)
        return described

    def list_filters(self) -> dict[str, Any]:
        """What can be chosen, each with its number of rows, most first."""
        rows = self.table.rows
        topics = self.table.topics
        clusters = [
            {"name": name, "n": n, "topic": topics.get(name, "(in no cluster)")}
            for name, n in self.table.clusters.counts.iter_rows()
        ]
        return {
            "state": _count_values(rows["state"]),
            "source": _count_values(rows["source"]),
            "tag": _list_counts(self.table.tags),
            "n_tags": self.table.tags.counts.height,
            "cluster": clusters,
            "fault": _list_counts(self.table.faults),
            "reason": _count_values(rows["reason"].drop_nulls()),
            "has_scores": rows["score"].count() > 0,
            "has_correctness": rows["correctness"].count() > 0,
        }

    def _describe(self, positions: Sequence[int]) -> list[dict[str, Any]]:
        """The narrow columns and the labels of some rows, in the order given."""
        tags = self.table.tags.read(positions)
        faults = self.table.faults.read(positions)
        described = []
        for entry in self.table.rows[list(positions)].to_dicts():
            position = entry.pop(POSITION)
            entry["topic"] = self.table.topics.get(entry["cluster"])
            entry["tags"] = tags.get(position, [])
            entry["faults"] = faults.get(position, [])
            described.append(entry)
        return described

    def _sort(self, query: PageQuery) -> pl.Series:
        """The positions of the rows that are wanted, in order."""
        found = self._match(query.row_query)
        key = ("order", query.sort, query.descending)
        order = self._remember(key, lambda: self._order_all(query))
        return order.filter(found.gather(order))

    def _order_all(self, query: PageQuery) -> pl.Series:
        """The positions of all rows, in order; rows without a value come last."""
        rows = self.table.rows
        if query.sort == "input":
            positions = rows[POSITION]
            return positions.reverse() if query.descending else positions
        # Rows of one value stay in the order of the input.
        ordered = rows.select(POSITION, query.sort).sort(
            query.sort,
            descending=query.descending,
            nulls_last=True,
            maintain_order=True,
        )
        return ordered[POSITION]

    def _match(self, query: RowQuery) -> pl.Series:
        """Whether each row is wanted."""
        conditions = list(_list_conditions(query))
        matched = self.table.rows.select(
            pl.all_horizontal(pl.lit(True), *conditions).fill_null(False).alias("found")
        )
        found = matched["found"]
        if found.len() == 1:
            # Without a column in it, a condition is one value for all rows.
            found = found.new_from_index(0, self.table.rows.height)
        for label, labels in (
            (query.tag or None, self.table.tags),
            (query.cluster, self.table.clusters),
            (query.fault or None, self.table.faults),
        ):
            if label is not None:
                found &= self._mark(labels.find(label))
        if query.text.strip():
            key = ("text", query.text)
            found &= self._remember(key, lambda: self.texts.find(query.text))
        return found

    def _mark(self, positions: pl.Series) -> pl.Series:
        """Whether each row is at one of the positions."""
        return self.table.rows[POSITION].is_in(positions.implode())

    def _remember(self, key: tuple[object, ...], make: Any) -> pl.Series:
        """A series that was made lately, or a new one."""
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
                return self._found[key]
        made: pl.Series = make()
        with self._lock:
            self._found[key] = made
            while len(self._found) > N_REMEMBERED:
                self._found.popitem(last=False)
        return made


def build_search(selection: Selection) -> RowSearch:
    """Finds the rows of a run."""
    samples = selection.artifacts["samples"]
    table = build_row_table(selection.artifacts, selection.settings)
    return RowSearch(table, RowTexts(samples))


def _list_conditions(query: RowQuery) -> Iterator[pl.Expr]:
    """The conditions of the narrow columns."""
    for name in ("source", "reason", "state"):
        wanted = getattr(query, name)
        if wanted:
            yield pl.col(name) == wanted
    for name in ("score", "correctness"):
        low = getattr(query, f"min_{name}")
        high = getattr(query, f"max_{name}")
        if low is not None:
            yield pl.col(name) >= low
        if high is not None:
            yield pl.col(name) <= high


def _count_values(values: pl.Series) -> list[dict[str, Any]]:
    """Each value with its number of rows, most first."""
    counts = values.value_counts(sort=True).head(N_LISTED)
    return [{"name": name, "n": n} for name, n in counts.iter_rows()]


def _list_counts(labels: Labels) -> list[dict[str, Any]]:
    """The most frequent labels with their numbers of rows."""
    return [
        {"name": name, "n": n} for name, n in labels.counts.head(N_LISTED).iter_rows()
    ]
