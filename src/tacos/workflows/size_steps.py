"""What fewer or more rows would be like, by the request that a selection answers: what a report
says of other sizes. `tacos curve` measures any size and strategy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from tacos.config import Settings
from tacos.errors import InputError
from tacos.methods.measures.selection_figures import MeasuredPool
from tacos.pipeline.steps import pool as pool_steps
from tacos.pipeline.steps.pool import find_newest_scores
from tacos.report.plots.size_steps import SizeStep, SizeSteps, choose_sizes
from tacos.report.selection_request import MadeRequest
from tacos.store.artifacts import Artifact
from tacos.workflows.strategy_pool import By, Pool, SelectionRequest, choose_rows

MOST_ROWS = 200_000
"""Pools with more rows are not measured for a report: each size takes as long as selecting does."""


def measure_size_steps(
    artifacts: Mapping[str, Artifact],
    settings: Settings,
    request: MadeRequest,
) -> SizeSteps | None:
    """The selection of a run beside those of other sizes, by the same request; None where a user's
    own selector chose, where nothing has a score, and for more than `MOST_ROWS` rows.

    `settings` are those of the selection: see `tacos.workflows.reselected_files`.
    """
    n_pool = artifacts["samples"].manifest["n_rows"]
    no_scores = find_newest_scores(artifacts) is None
    if request.selector or no_scores or n_pool > MOST_ROWS:
        return None
    ids = artifacts["selection"].scan().select("id").collect()["id"].to_list()
    pool = Pool(artifacts, settings, cast(By, request.by))
    measured = pool_steps.measure_pool(artifacts, settings)
    steps = [_measure_step(measured, ids, is_made=True)]
    not_possible = []
    for n in choose_sizes(len(ids), n_pool):
        other = SelectionRequest(
            n,
            cast(Any, request.strategy),
            settings.seed,
            request.limits,
            cast(By, request.by),
        )
        try:
            chosen = choose_rows(pool, other)["id"].to_list()
        except InputError as error:
            not_possible.append((n, str(error)))
            continue
        steps.append(_measure_step(measured, chosen))
    return SizeSteps(n_pool, sorted(steps, key=lambda step: step.n), not_possible)


def _measure_step(
    measured: MeasuredPool,
    ids: list[str],
    *,
    is_made: bool = False,
) -> SizeStep:
    """The figures of some rows, and the coverage of as many random ones."""
    figures = measured.measure(ids)
    return SizeStep(
        n=len(ids),
        coverage=figures["coverage"],
        by_chance=measured.expect_random(len(ids))["coverage"],
        mean_score=figures["mean_score"],
        mean_tags=figures["mean_tags"],
        mean_length=figures["mean_length"],
        is_made=is_made,
    )
