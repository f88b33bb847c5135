"""The runs beside a run, and what is different in one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tacos.errors import InputError
from tacos.workflows.row_search import RowSearch, build_search
from tacos.workflows.run_difference import compare_runs
from tacos.workflows.run_state import is_run
from tacos.workflows.selection import Selection, load

N_SHOWN = 50
"""Rows of each run which only that run selected that are shown."""


@dataclass(frozen=True)
class OtherRuns:
    """The runs in the folder of a run: no other folder can be named."""

    selection: Selection
    search: RowSearch

    def list_names(self) -> list[str]:
        """The names of their directories."""
        own = self.selection.run.absolute()
        places = [place for place in own.parent.iterdir() if place != own]
        return sorted(place.name for place in places if is_run(place))

    def compare_with(self, name: str) -> dict[str, Any]:
        """What `tacos runs compare` says of this run and another, with the first of the rows that
        only one of them selected: `rows_first` and `rows_second`.

        Raises `InputError` if there is no such run beside this one, or one has no selection.
        """
        if name not in self.list_names():
            raise InputError(f"there is no run {name!r} beside this one")
        other = load(self.selection.run.absolute().parent / name)
        difference = compare_runs(self.selection, other)
        told = difference.as_dict()
        told["runs"] = [Path(run).name for run in difference.runs]
        n_only = (len(difference.only_first), len(difference.only_second))
        # Lists of all rows would be larger than the page shows.
        for kept in ("both", "only_first", "only_second"):
            told[f"n_{kept}"] = len(told.pop(kept))
        told["rows_first"] = _describe_rows(
            self.selection, self.search, difference.only_first
        )
        told["rows_second"] = []
        if n_only[1]:
            told["rows_second"] = _describe_rows(
                other, build_search(other), difference.only_second
            )
        return told


def _describe_rows(
    selection: Selection,
    search: RowSearch,
    hashes: Sequence[str],
) -> list[dict[str, Any]]:
    """The first of some selected rows, by their content hashes, in their order."""
    listed = pl.DataFrame({"content_hash": hashes[:N_SHOWN]})
    named = listed.join(
        selection.table.select("content_hash", "id"),
        on="content_hash",
        how="inner",
        maintain_order="left",
    )
    positions = search.table.find_positions(named["id"].to_list())
    return search.describe_rows(positions)
