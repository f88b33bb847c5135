"""The arms of an experiment: the pool without what the instruments ask, and the rows of each
training, drawn before anything is trained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.counts import count_words
from tacos.errors import InputError
from tacos.formats import json_rows
from tacos.formats.rows import RawRow
from tacos.methods.evaluating import arms, pool_hygiene
from tacos.methods.evaluating.experiment_plan import (
    UNSEEDED_ARMS,
    ArmName,
    Match,
    PlannedArm,
)
from tacos.records import canonical_hash
from tacos.workflows.selection import Selection

Ints = npt.NDArray[np.int64]

COLUMNS = ("id", "content_hash", "instruction", "length", "raw")
NO_SEED = 0
"""Of arms that are trained once, or never."""


@dataclass(frozen=True)
class ExperimentPool:
    """The rows that arms are drawn from, in the order of the input.

    `rows` has the columns `COLUMNS`; `selected` are the places of the selected rows, ascending.
    """

    rows: pl.DataFrame
    selected: Ints
    removed: Mapping[str, int]
    """Why rows were taken out -> rows, the selected ones among them."""
    n_selected_removed: int
    lengths: Ints
    """Of each row's answer: characters, or trained tokens where all arms have as many of those."""

    @property
    def pool_hash(self) -> str:
        """Of the contents of all rows."""
        return self.hash_rows(np.arange(self.rows.height))

    @property
    def selection_hash(self) -> str:
        """Of the contents of the selected rows."""
        return self.hash_rows(self.selected)

    def hash_rows(self, places: Ints) -> str:
        """A hash of the contents of some rows, in their order."""
        return canonical_hash(self.rows["content_hash"].gather(places).to_list())

    def read_rows(self, places: Ints) -> list[RawRow]:
        """Some rows as they were read."""
        return [json_rows.decode_row(raw) for raw in self.rows["raw"].gather(places)]


def build_pool(
    done: Selection,
    test_sets: Mapping[str, Sequence[str]],
) -> ExperimentPool:
    """The pool of a run without the rows that ask what a test set asks.

    Raises:
        InputError: The run has no selection, or no selected row is left.
    """
    selected_ids = set(done.table["id"])
    rows = done.artifacts["samples"].scan().select(COLUMNS).collect()
    copies = pool_hygiene.find_evaluation_copies(rows["instruction"], test_sets)
    is_kept = np.ones(rows.height, np.bool_)
    is_kept[[copy.row for copy in copies]] = False
    is_selected = rows["id"].is_in(list(selected_ids)).to_numpy()
    removed = Counter(f"{copy.likeness} in {copy.source}" for copy in copies)
    kept_rows = rows.filter(pl.Series(is_kept))
    pool = ExperimentPool(
        kept_rows,
        np.flatnonzero(is_selected[is_kept]),
        dict(removed.most_common()),
        int((is_selected & ~is_kept).sum()),
        lengths=kept_rows["length"].to_numpy().astype(np.int64),
    )
    if not len(pool.selected):
        raise InputError(
            f"{done.run}: every selected row asks what the held-out files ask; "
            "no arm is left to train"
        )
    return pool


def draw_arm(
    pool: ExperimentPool,
    name: ArmName,
    match: Match,
    seed: int,
) -> Ints:
    """The places of the rows that one training reads; none of the untrained base.

    Raises `InputError` where the pool is too small.
    """
    if name == "untrained":
        return np.zeros(0, np.int64)
    if name == "full":
        return np.arange(pool.rows.height)
    if name == "selection":
        return pool.selected
    if name == "length-matched":
        return arms.draw_matched_arm(pool.lengths, pool.selected, seed)
    budget = arms.measure_budget(pool.selected, pool.lengths, match)
    draw = arms.draw_random_arm if name == "random" else arms.take_longest_arm
    return draw(pool.lengths, budget, seed)


def plan_arms(
    pool: ExperimentPool,
    names: Sequence[ArmName],
    match: Match,
    seeds: Sequence[int],
) -> list[PlannedArm]:
    """The arms with the rows of every training.

    Raises `InputError` where the pool holds nothing but the selection.
    """
    if len(pool.selected) == pool.rows.height:
        n_rows = count_words(pool.rows.height, "row")
        n_removed = sum(pool.removed.values())
        without = f" without {n_removed:,} that ask what the models are measured on"
        raise InputError(
            f"the selection is the whole pool ({n_rows}{without if n_removed else ''}): there is "
            "nothing to compare it with; give a run that left "
            f"{'other ' if n_removed else ''}rows out"
        )
    planned = []
    for name in names:
        own_seeds = (NO_SEED,) if name in UNSEEDED_ARMS else tuple(seeds)
        draws = [draw_arm(pool, name, match, seed) for seed in own_seeds]
        planned.append(
            PlannedArm(
                name=name,
                seeds=own_seeds,
                n_rows=tuple(len(places) for places in draws),
                rows_hashes=tuple(pool.hash_rows(places) for places in draws),
            )
        )
    return planned
