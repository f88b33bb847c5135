"""Finds comparisons of a run, and shows both sides of one with all that judges said of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from tacos.config import Settings
from tacos.errors import InputError
from tacos.methods.judging.comparisons import combine_verdicts
from tacos.store.artifacts import Artifact

PLACE = ("round", "pair")
"""What a comparison is called by: its round, from 0, and its number there."""
QUESTION = (*PLACE, "cluster", "left", "right", "judge", "repetition")
"""The columns that both orders of a question have in common."""
ORDERS = ("ab", "ba")
SIDES = ("left", "right")

Kind = Literal["flip", "tie"]


class VerdictQuery(BaseModel):
    """Which comparisons are wanted; what is left out does not narrow them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    row: str = ""
    """The id of a row on either side."""
    judge: str = ""
    cluster: int | None = None
    kind: Kind | None = None
    """`flip`: another row wins if the two are shown in the other order. `tie`: equal scores in
    every order asked.
    """
    page: int = Field(1, ge=1)
    per_page: int = Field(50, ge=1, le=200)


@dataclass(frozen=True)
class VerdictSearch:
    """The comparisons of a run. A run whose judge sees one row at a time has none."""

    artifacts: Mapping[str, Artifact]
    settings: Settings

    @cached_property
    def table(self) -> pl.DataFrame:
        """A row per pair, judge and repetition: the columns `QUESTION`, and the scores of both
        sides in both orders (`ab_left`, ...; null: not asked, or not answered).
        """
        scores = [
            pl.col(f"score_{side}")
            .filter(pl.col("order") == order)
            .first()
            .alias(f"{order}_{side}")
            for order in ORDERS
            for side in SIDES
        ]
        rounds = [
            self._scan_round(number)
            .with_columns(pl.lit(number).alias("round"))
            .group_by(QUESTION)
            .agg(scores)
            for number in self._rounds
        ]
        if not rounds:
            return pl.DataFrame(schema=dict.fromkeys(QUESTION, pl.String))
        return pl.concat(rounds).sort(QUESTION).collect()

    def find_page(self, query: VerdictQuery) -> dict[str, Any]:
        """`n_all`, `n_found`, `page`, `n_pages`, `judges`, and `comparisons`."""
        if self.table.is_empty():
            found = self.table
        else:
            found = self.table.filter(pl.lit(True), *_list_conditions(query))
        n_pages = max(1, -(-found.height // query.per_page))
        page = min(query.page, n_pages)
        shown = found.slice((page - 1) * query.per_page, query.per_page)
        return {
            "n_all": self.table.height,
            "n_found": found.height,
            "page": page,
            "n_pages": n_pages,
            "judges": self.table["judge"].unique().sort().to_list(),
            "comparisons": shown.to_dicts(),
        }

    def read_pair(self, number: int, pair: int) -> dict[str, Any]:
        """`left` and `right`, the ids, and `verdicts`: every answer about a pair of a round.

        Raises `InputError` if there is none.
        """
        verdicts = pl.DataFrame()
        if number in self._rounds:
            is_pair = pl.col("pair") == pair
            verdicts = self._scan_round(number).filter(is_pair).collect()
        if verdicts.is_empty():
            raise InputError(f"round {number} of this run has no comparison {pair}")
        ordered = verdicts.sort("judge", "repetition", "order")
        first = ordered.row(0, named=True)
        return {
            "left": first["left"],
            "right": first["right"],
            "cluster": first["cluster"],
            "verdicts": ordered.drop("left", "right", "cluster", "pair").to_dicts(),
        }

    @property
    def _rounds(self) -> list[int]:
        """The numbers of the rounds with verdicts."""
        names = [name for name in self.artifacts if name.startswith("verdicts/")]
        return sorted(int(name.partition("/")[2]) for name in names)

    def _scan_round(self, number: int) -> pl.LazyFrame:
        """The verdicts of a round, with scores by the run's target."""
        verdicts = self.artifacts[f"verdicts/{number}"].scan()
        return combine_verdicts(verdicts, self.settings.judge.target)


def _list_conditions(query: VerdictQuery) -> Iterator[pl.Expr]:
    """What a comparison must be like."""
    if query.row:
        yield (pl.col("left") == query.row) | (pl.col("right") == query.row)
    if query.judge:
        yield pl.col("judge") == query.judge
    if query.cluster is not None:
        yield pl.col("cluster") == query.cluster
    ahead = [pl.col(f"{order}_left") - pl.col(f"{order}_right") for order in ORDERS]
    if query.kind == "flip":
        yield ahead[0].sign() * ahead[1].sign() < 0
    if query.kind == "tie":
        yield pl.all_horizontal(each.fill_null(0.0) == 0.0 for each in ahead)
