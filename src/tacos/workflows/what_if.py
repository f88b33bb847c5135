"""Other selections of a run, tried in memory: what would change, and the command that makes them.

Nothing is written until one is saved; saving is `tacos reselect` with the same request.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

import polars as pl
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tacos.errors import OutputError
from tacos.methods.measures.selection_figures import Figures, MeasuredPool
from tacos.methods.measures.value_shares import count_value_shares
from tacos.methods.selecting.strategies import Strategy
from tacos.pipeline.steps.pool import measure_pool
from tacos.workflows import reselect
from tacos.workflows.row_search import RowSearch
from tacos.workflows.selection import OutputTargets, Selection
from tacos.workflows.strategy_pool import By, Pool, SelectionRequest, choose

N_SHOWN = 50
"""Rows that come in and rows that go which are shown."""
FILE_NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}\.(jsonl|json|csv|parquet)"
"""What a saved selection may be called: a file beside the run, and no path."""
FILE_NAMES_WANTED = (
    "give a name of letters, digits, dots, - and _ without a folder, of 100 characters at most, "
    "that ends in .jsonl, .json, .csv or .parquet, such as what-if.jsonl"
)


class WhatIf(BaseModel):
    """A selection to try; what is left out is as `tacos reselect` has it by default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n: str = Field("", max_length=40)
    strategy: Strategy = "tacos"
    tag_price: float | None = None
    per_source: dict[str, str] = {}
    per_tag: dict[str, str] = {}
    match_length: bool = False
    limit: float | None = None
    min_correctness: float = 0.0
    by: By = "score"
    seed: int | None = None


def _check_file_name(name: str) -> str:
    """The name of a file to save to. Raises `ValueError` for any that it may not have."""
    if not re.fullmatch(FILE_NAME, name):
        raise ValueError(FILE_NAMES_WANTED)
    return name


class SaveRequest(BaseModel):
    """A selection to write to a file beside the run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what_if: WhatIf
    name: Annotated[str, AfterValidator(_check_file_name)]


@dataclass(frozen=True)
class Trials:
    """Tries selections of one run, one at a time."""

    selection: Selection
    search: RowSearch
    _pools: dict[By, Pool] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def try_selection(self, wanted: WhatIf) -> dict[str, Any]:
        """What a selection would be like beside the run's own: `figures` (the pool, as many random
        rows, the run's selection, this one), `sources`, how many rows stay, come in and go, and
        the first of those by rank.

        Raises:
            ConfigError: The request is not valid.
            InputError: The pool cannot meet it.
        """
        started = time.perf_counter()
        request = self._build_request(wanted)
        # Vectors are made once, and for the next try, too.
        with self._lock:
            pool = self._pools.setdefault(
                wanted.by,
                Pool(self.selection.artifacts, self.selection.settings, wanted.by),
            )
            choice = choose(pool, request)
        chosen = choice.selection["id"]
        own = self._own_ids
        is_new = ~chosen.is_in(own.implode())
        is_gone = ~own.is_in(chosen.implode())
        return {
            "n": len(chosen),
            "n_own": len(own),
            "n_same": int((~is_new).sum()),
            "came": self._describe_rows(chosen.filter(is_new)),
            "n_came": int(is_new.sum()),
            "went": self._describe_rows(own.filter(is_gone)),
            "n_went": int(is_gone.sum()),
            "figures": self._tabulate_figures(chosen),
            "sources": self._tabulate_sources(chosen),
            "tag_price": choice.tag_price,
            "n_given_way": choice.n_given_way,
            "command": write_command(self.selection, wanted),
            "seconds": round(time.perf_counter() - started, 3),
        }

    def save(self, wanted: SaveRequest) -> dict[str, Any]:
        """Write a selection to a new file beside the run, as `tacos reselect` does.

        Raises `OutputError` if the file exists, `RunError` if another command works on the run, and
        as `try_selection` does.
        """
        output = self.selection.run.absolute().parent / wanted.name
        if output.exists():
            raise OutputError(f"{output} exists already: choose another name")
        request = self._build_request(wanted.what_if)
        done = reselect.run_reselection(self.selection, request, OutputTargets(output))
        command = write_command(self.selection, wanted.what_if, output)
        return {"file": str(output), "n": done.table.height, "command": command}

    @cached_property
    def _own_ids(self) -> pl.Series:
        """The rows of the run's own selection, by rank; none if it has not finished."""
        if "selection" not in self.selection.artifacts:
            return pl.Series(dtype=pl.String)
        selected = self.selection.artifacts["selection"].scan()
        return selected.sort("rank").select("id").collect()["id"]

    @cached_property
    def _measured(self) -> MeasuredPool:
        """The pool in figures."""
        return measure_pool(self.selection.artifacts, self.selection.settings)

    def _build_request(self, wanted: WhatIf) -> SelectionRequest:
        """The request as `reselect` has it. Raises `ConfigError` where it is not valid."""
        limits = reselect.parse_limits(
            wanted.limit,
            wanted.per_source,
            wanted.per_tag,
            wanted.match_length,
            wanted.min_correctness,
        )
        return SelectionRequest(
            self.selection.size_or(wanted.n.strip() or None),
            wanted.strategy,
            self.selection.seed_or(wanted.seed),
            limits,
            wanted.by,
            wanted.tag_price,
        )

    def _tabulate_figures(self, chosen: pl.Series) -> list[dict[str, Any]]:
        """What the pool, random rows, the run's selection and this one are like."""
        measured = self._measured
        named: dict[str, Figures] = {
            "pool": measured.measure_all(),
            "random": measured.expect_random(len(chosen)),
        }
        if len(self._own_ids):
            named["run"] = measured.measure(self._own_ids)
        named["this"] = measured.measure(chosen)
        return [{"name": name, **figures} for name, figures in named.items()]

    def _tabulate_sources(self, chosen: pl.Series) -> list[dict[str, Any]]:
        """The share of each source in the pool, the run's selection and this one."""
        table = self._measured.table
        shares = {"pool": count_value_shares(table, "source")}
        for name, ids in (("run", self._own_ids), ("this", chosen)):
            rows = table.filter(pl.col("id").is_in(ids.implode()))
            shares[name] = count_value_shares(rows, "source")
        return [
            {"source": source}
            | {name: of_kind.get(source, 0.0) for name, of_kind in shares.items()}
            for source in shares["pool"]
        ]

    def _describe_rows(self, ids: pl.Series) -> list[dict[str, Any]]:
        """The first of some rows, in their order."""
        shown = ids.head(N_SHOWN).to_list()
        positions = self.search.table.find_positions(shown)
        return self.search.describe_rows(positions)


def write_command(
    selection: Selection,
    wanted: WhatIf,
    output: Path | None = None,
) -> str:
    """The command that makes a selection, as a shell takes it."""
    words = ["tacos", "reselect", str(selection.run), *_list_options(wanted)]
    words += ["-o", str(output) if output else "FILE.jsonl"]
    return shlex.join(words)


def _list_options(wanted: WhatIf) -> Iterator[str]:
    """The options of `tacos reselect` that differ from its defaults."""
    if wanted.n.strip():
        yield from ("-n", wanted.n.strip())
    if wanted.strategy != "tacos":
        yield from ("--strategy", wanted.strategy)
    for option, value in (
        ("--tag-price", wanted.tag_price),
        ("--limit", wanted.limit),
        ("--min-correctness", wanted.min_correctness or None),
        ("--seed", wanted.seed),
    ):
        if value is not None:
            yield from (option, f"{value:g}")
    if wanted.by != "score":
        yield from ("--by", wanted.by)
    for kind, quotas in (("source", wanted.per_source), ("tag", wanted.per_tag)):
        for name, amount in quotas.items():
            yield from (f"--quota-{kind}", f"{name}={amount}")
    if wanted.match_length:
        yield "--match-length"
