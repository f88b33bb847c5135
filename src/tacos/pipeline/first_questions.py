"""The first questions of a stage: a random sample of all, in random order.

Files are often sorted, by source or by length, so their first rows say little about the rest. What
decides whether a stage stops early (`tacos.pipeline.answer_watch`) is therefore asked first, and
drawn from all questions by the seed of the run. The replies are kept for the rows they belong to,
so nothing that a stage makes depends on the draw.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import polars as pl

from tacos import prompts
from tacos.config import Settings
from tacos.pipeline.batch_work import Row
from tacos.pipeline.failure_gate import find_settings_section
from tacos.pipeline.stage_shapes import PromptStage
from tacos.records import Reply, Request

N_FIRST = 400
"""Questions that are drawn. The test seldom needs more, and its figures hold for as many."""
BATCH = "__batch"
ROW = "__row"
DRAW = "__draw"


class RowPlace(NamedTuple):
    """Where a question stands in its stage: its batch, and its row in that."""

    batch: int
    row: int


@dataclass(frozen=True)
class FirstQuestions:
    """The number of all questions of a stage, and the drawn ones that are to be asked."""

    n_all: int
    requests: Mapping[RowPlace, Request] = field(default_factory=dict)
    rows: Mapping[int, Row] = field(default_factory=dict)
    """The rows of these requests, by their place in line."""
    n_drawn: int = 0

    @property
    def n_expected(self) -> int:
        """About how many questions are asked: of those drawn, some have an answer already."""
        if not self.n_drawn:
            return 0
        return round(self.n_all * len(self.requests) / self.n_drawn)


@dataclass(frozen=True)
class FirstReplies:
    """The replies to the first questions."""

    replies: Mapping[RowPlace, Reply] = field(default_factory=dict)

    def of_batch(self, batch: int) -> dict[int, Reply]:
        """Row -> reply, for the rows of a batch."""
        return {
            place.row: reply
            for place, reply in self.replies.items()
            if place.batch == batch
        }

    def count_by_batch(self) -> Counter[int]:
        """Batch -> replies to its rows."""
        return Counter(place.batch for place in self.replies)


def count_questions(batches: Iterable[pl.DataFrame]) -> int:
    """The number of all questions of a stage."""
    return sum(batch.height for batch in batches)


def draw_first_questions(
    stage: PromptStage,
    settings: Settings,
    batches: Iterable[pl.DataFrame],
    finished: Collection[int],
) -> FirstQuestions:
    """Draw from the questions of a stage. Those of `finished` batches, and those that have a given
    answer, keep their places in line, but are not asked.
    """
    drawn, n_all = draw_rows(batches, settings.seed)
    template = stage.choose_template(settings)
    template_hash = prompts.hash_template(template)
    section = getattr(settings, find_settings_section(stage))
    requests = {}
    rows = {}
    for number, row in enumerate(drawn.iter_rows(named=True)):
        place = RowPlace(row.pop(BATCH), row.pop(ROW))
        if place.batch in finished or stage.given(row) is not None:
            continue
        request = stage.ask(
            row,
            template,
            template_hash,
            section,
        )
        requests[place] = replace(request, place=number)
        rows[number] = row
    return FirstQuestions(n_all, requests, rows, drawn.height)


def draw_rows(
    batches: Iterable[pl.DataFrame],
    seed: int,
    n_drawn: int = N_FIRST,
) -> tuple[pl.DataFrame, int]:
    """At most `n_drawn` rows in random order, with their batch and row; and the number of all.

    Memory holds the drawn rows and one batch.
    """
    generator = np.random.default_rng(seed)
    drawn = pl.DataFrame()
    n_all = 0
    for number, batch in enumerate(batches):
        n_all += batch.height
        numbered = batch.with_columns(
            pl.lit(number).alias(BATCH),
            pl.int_range(pl.len()).alias(ROW),
            pl.Series(DRAW, generator.random(batch.height)),
        )
        pool = pl.concat([drawn, numbered], how="diagonal_relaxed")
        drawn = pool.bottom_k(n_drawn, by=DRAW)
    if n_all == 0:
        return drawn, 0
    return drawn.sort(DRAW).drop(DRAW), n_all


def shuffle_places(n: int, seed: int) -> list[int]:
    """The numbers from 0 to n - 1 in random order."""
    order: list[int] = np.random.default_rng(seed).permutation(n).tolist()
    return order
