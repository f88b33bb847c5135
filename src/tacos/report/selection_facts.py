"""A selection in figures: beside the pool, as many random rows and as many of the longest; how
certain its scores are, and what they are worth.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from tacos.config import Settings
from tacos.methods.selecting import longest
from tacos.methods.selecting.certainty import estimate_certainty
from tacos.methods.selecting.objective import expect_gain
from tacos.pipeline.steps import pool as pool_steps
from tacos.pipeline.steps.pool import find_newest_scores
from tacos.pipeline.steps.row_codes import RowCodes
from tacos.store.artifacts import Artifact

Artifacts = Mapping[str, Artifact]


def summarise_selection(
    artifacts: Artifacts,
    settings: Settings,
) -> dict[str, Any]:
    """Pool and selection side by side, with as many random rows and as many of the longest.

    "random" are the expected figures of rows of the whole pool: see
    `tacos.methods.measures.selection_figures`.
    """
    codes = RowCodes.of_samples(artifacts["samples"])
    measured = pool_steps.measure_pool(artifacts, settings, codes)
    selection = artifacts["selection"]
    chosen = codes.encode(selection.scan().select("id").collect()["id"])
    n = len(chosen)
    rows = measured.table
    by_length = longest.take_largest(rows["length"].to_numpy(), n, settings.seed)
    longest_ids = rows["id"].gather(by_length)
    figures = {
        "pool": measured.measure_all(),
        "selection": measured.measure(chosen.to_list()),
        "random": measured.expect_random(n),
        "longest": measured.measure(longest_ids.to_list()),
    }
    return {
        "n_selected": n,
        "n_missing": selection.manifest["notes"].get("n_missing", 0),
        "n_repeats": selection.manifest["notes"].get("n_given_way", 0),
        "selection": figures,
        "random_range": measured.measure_random_range(n, settings.seed),
    }


def summarise_certainty(artifacts: Artifacts) -> dict[str, Any]:
    """How much the run's own selection depends on the verdicts that the judges happened to give."""
    newest = find_newest_scores(artifacts)
    selection = artifacts["selection"]
    is_own = selection.manifest["stage"] == "select"
    if newest is None or not is_own:
        return {}
    # Rows without a score were not chosen by one.
    scored = selection.scan().drop_nulls(["cluster", "score"])
    counts = scored.group_by("cluster").len().collect()
    n_chosen = dict(counts.iter_rows())
    columns = ("id", "cluster", "score", "error")
    # Only scores with an error count; those of a judge that grades rows have none.
    has_error = pl.col("error") > 0
    parts = [artifacts[newest].scan().select(columns).head(0).collect()]
    parts += [part.filter(has_error) for part in artifacts[newest].batches(columns)]
    scores = pl.concat(parts)
    certainty = estimate_certainty(scores, n_chosen)
    if certainty is None:
        return {}
    return {"certainty": certainty._asdict()}


def summarise_worth(artifacts: Artifacts) -> dict[str, Any]:
    """What the scores of the run's own selection are worth."""
    selection = artifacts["selection"].manifest
    noted = selection["notes"].get("reliability")
    # Runs of versions before 0.3 noted nothing.
    if noted is None:
        return {}
    share = selection["n_rows"] / artifacts["samples"].manifest["n_rows"]
    reliability = noted["value"]
    gain = None
    if reliability is not None:
        gain = expect_gain(reliability, share)
    worth = {
        "reliability": reliability,
        "basis": noted["basis"],
        "gain": gain,
        "perfect": expect_gain(1.0, share),
    }
    return {"worth": worth}
