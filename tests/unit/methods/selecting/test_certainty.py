"""The recall that is promised is the recall that there is, on planted scores."""

import numpy as np
import polars as pl
import pytest

from tacos.methods.selecting.certainty import estimate_certainty
from tacos.records import RATINGS


def planted(
    spread: float, error: float, seed: int = 1, clusters: int = 60, rows: int = 80
) -> tuple[pl.DataFrame, np.ndarray]:
    """Scores with known errors, and the true ones, shape (clusters, rows)."""
    rng = np.random.default_rng(seed)
    true = 50 + rng.normal(0, spread, (clusters, rows))
    errors = rng.uniform(0.5 * error, 1.5 * error, true.shape)
    seen = true + rng.normal(0, 1, true.shape) * errors
    made = [
        (f"{c}:{r}", c, seen[c, r], errors[c, r], 4, 0)
        for c in range(clusters)
        for r in range(rows)
    ]
    return pl.DataFrame(made, schema=RATINGS, orient="row"), true


@pytest.mark.parametrize(("spread", "error"), [(10, 1), (10, 5), (10, 15), (0.001, 8)])
def test_the_promised_recall_is_the_true_one(spread: float, error: float) -> None:
    scores, true = planted(spread, error)
    found = estimate_certainty(scores, dict.fromkeys(range(60), 20))
    seen = scores["score"].to_numpy().reshape(true.shape)
    pairs = zip(np.argsort(-true)[:, :20], np.argsort(-seen)[:, :20], strict=True)
    recall = np.mean([len(set(best) & set(top)) / 20 for best, top in pairs])
    assert found is not None
    assert found.recall == pytest.approx(recall, abs=0.03)
    assert (found.error, found.n) == (pytest.approx(error, rel=0.1), 1200)


def test_clusters_that_gave_all_or_nothing_had_no_choice_to_be_certain_of() -> None:
    scores, _ = planted(10, 5, clusters=3)
    only = estimate_certainty(scores, {0: 80, 1: 10, 2: 0})
    assert only is not None
    assert only.n == 10
    nothing = estimate_certainty(scores, {0: 80})
    assert nothing is not None
    assert nothing.recall is None


def test_scores_without_errors_have_no_certainty() -> None:
    scores, _ = planted(10, 5)
    assert (
        estimate_certainty(scores.with_columns(error=pl.lit(None, pl.Float64)), {0: 10})
        is None
    )
    assert estimate_certainty(scores.clear(), {}) is None
