"""What the sections of a report read: a run with its selection, and the tables that several of them
need.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import polars as pl

from tacos.config import Settings
from tacos.methods.measures.representation import count_groups, measure_counts
from tacos.pipeline.steps.row_codes import RowCodes
from tacos.report.facts import UNCLUSTERED, RunSummary
from tacos.report.made_selection import MadeSelection
from tacos.report.plots.cluster_map import choose_drawn
from tacos.report.plots.pool_rows import (
    read_cluster_names,
    read_numbers,
    read_pool_rows,
)
from tacos.report.plots.size_steps import SizeSteps
from tacos.report.selection_request import MadeRequest
from tacos.store.artifacts import Artifact


@dataclass(frozen=True)
class ReportInput:
    """A finished run; tables are read when a section first asks for them, then kept."""

    run: Path
    artifacts: Mapping[str, Artifact]
    settings: Settings
    summary: RunSummary
    rows: pl.DataFrame
    """The selection in input order, with its texts: `Selection.in_input_order`."""
    inputs: tuple[str, ...] = ()
    """The files that the run read, as they were named; empty where that is not known."""
    output: Path | None = None
    """The file of selected rows, if one was written."""
    size_steps: SizeSteps | None = None
    """What other sizes would be like, where that was measured."""
    functions: Mapping[str, str] = field(default_factory=dict)
    """Argument of `tacos.select` -> name of the person's own function that took this part."""

    @cached_property
    def made(self) -> MadeSelection:
        """The selection as it was made: pool, scores, turns."""
        return MadeSelection(self.artifacts, self.settings)

    @cached_property
    def request(self) -> MadeRequest:
        """What the selection was asked for."""
        return self.made.request

    @cached_property
    def codes(self) -> RowCodes:
        """How `pool` writes ids as numbers."""
        return RowCodes.of_samples(self.artifacts["samples"])

    @cached_property
    def pool(self) -> pl.DataFrame:
        """Every usable row in figures: see `tacos.report.plots.pool_rows.read_pool_rows`."""
        return read_pool_rows(
            self.artifacts, self.settings, self.rows["id"], self.codes
        )

    def read_numbers(self) -> pl.DataFrame:
        """The two numbers behind the scores: see `tacos.report.plots.pool_rows.read_numbers`.

        They are not kept, and need no `pool`.
        """
        return read_numbers(self.artifacts, self.rows["id"], self.codes)

    @cached_property
    def tags(self) -> pl.DataFrame:
        """The tags of the pool, and what is selected of each: a table REPRESENTATION."""
        is_selected = pl.col("id").is_in(self.rows["id"].implode())
        # Their names beside each row would take more memory than all of `pool`.
        counts = count_groups(
            batch.select(group="tags", is_selected=is_selected)
            for batch in self.artifacts["canonical_tags"].batches(["id", "tags"])
        )
        n_pool = self.artifacts["samples"].manifest["n_rows"]
        return measure_counts(counts, n_pool, self.rows.height)

    @cached_property
    def cluster_names(self) -> dict[int, str]:
        """The name of each cluster."""
        return read_cluster_names(self.artifacts)

    def free_pool(self) -> None:
        """Give up `pool`, which takes much memory; whoever asks for it again reads it again."""
        self.__dict__.pop("pool", None)

    @cached_property
    def drawn(self) -> pl.DataFrame:
        """The rows of `pool` that become dots: all, or some by chance; their ids are texts, and
        they have a cluster_name, too.
        """
        name = pl.col("cluster").replace_strict(
            self.cluster_names, default=UNCLUSTERED, return_dtype=pl.String
        )
        drawn = choose_drawn(self.pool, self.settings.seed)
        return self.codes.name_rows(drawn.with_columns(cluster_name=name))
