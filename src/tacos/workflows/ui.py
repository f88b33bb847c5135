"""`tacos ui`: what the local page shows of a run, as plain values. `tacos.web` serves them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tacos.errors import InputError
from tacos.methods.selecting.strategies import STRATEGIES
from tacos.workflows.other_runs import OtherRuns
from tacos.workflows.row_search import RowSearch, build_search
from tacos.workflows.row_story import cut_text, tell_row
from tacos.workflows.run_state import STATE
from tacos.workflows.selection import GivenRun, Selection, load
from tacos.workflows.verdict_search import VerdictSearch
from tacos.workflows.what_if import Trials


@dataclass(frozen=True)
class RunView:
    """A run as the page looks at it; it is only read.

    Each part is made when it is first needed, then kept.
    """

    selection: Selection

    @property
    def is_there(self) -> bool:
        """Whether the run still lies where it was."""
        return (self.selection.run / STATE).is_file()

    def describe(self) -> dict[str, Any]:
        """The run's name, and its rows in numbers."""
        artifacts = self.selection.artifacts
        samples = artifacts["samples"].manifest
        n_selected = None
        if "selection" in artifacts:
            n_selected = artifacts["selection"].manifest["n_rows"]
        return {
            "name": self.selection.run.absolute().name,
            "preset": self.selection.settings.preset,
            "seed": self.selection.settings.seed,
            "n_rows": samples["n_rows"] + samples["n_rejects"],
            "n_rejected": samples["n_rejects"],
            "n_selected": n_selected,
        }

    def prepare(self) -> None:
        """Read what every screen needs, so that nobody waits for it later."""
        self.search.list_filters()

    @cached_property
    def search(self) -> RowSearch:
        """Finds rows."""
        return build_search(self.selection)

    @cached_property
    def others(self) -> OtherRuns:
        """The runs beside this one."""
        return OtherRuns(self.selection, self.search)

    @cached_property
    def verdicts(self) -> VerdictSearch:
        """Finds comparisons."""
        return VerdictSearch(self.selection.artifacts, self.selection.settings)

    @cached_property
    def trials(self) -> Trials:
        """Tries other selections."""
        return Trials(self.selection, self.search)

    def list_choices(self) -> dict[str, Any]:
        """What another selection can be asked for: strategies, and what the run asked for."""
        selecting = self.selection.settings.select
        return {
            "strategies": STRATEGIES,
            "n": self.selection.size_or(None),
            "tag_price": selecting.tag_price,
            "seed": self.selection.settings.seed,
            "sources": self.search.list_filters()["source"],
            "has_grades": "grades" in self.selection.artifacts,
            "has_correctness": self.search.list_filters()["has_correctness"],
        }

    def tell_row(self, row: str) -> dict[str, Any]:
        """A row's full story; `row` is an id or a content hash.

        Raises `InputError` if the input has no such row.
        """
        return tell_row(self.selection, self.search, row)

    def show_pair(self, number: int, pair: int) -> dict[str, Any]:
        """Both sides of a comparison, and every verdict on them.

        Raises `InputError` if there is none.
        """
        shown = self.verdicts.read_pair(number, pair)
        for side in ("left", "right"):
            shown[side] = self._read_side(shown[side])
        return shown

    def _read_side(self, row: str) -> dict[str, Any]:
        """One row of a comparison with its texts."""
        position = self.search.table.find_position(row)
        if position is None:
            raise InputError(f"the input of this run has no row {row!r}")
        entry = self.search.describe_rows([position])[0]
        texts = self.search.texts.read([position])[0]
        return entry | {name: cut_text(text) for name, text in texts.items()}


def ui(run: GivenRun) -> RunView:
    """Open a run as the local page does: what `tacos ui` shows, without the server.

    Raises:
        RunError: `run` is no run directory, or has not finished a stage.
        TypeError: `run` is neither a path nor a selection.
    """
    return RunView(load(run))
