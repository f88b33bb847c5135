"""Fits what the judge's outputs mean: grades, chances of faults, and how far to rely on them.

Everything is fitted to held-out outputs: of a judge that saw neither the row's instruction nor its
response.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from tacos.models.judge_model import FaultCurve, Scale
from tacos.models.training.graded_rows import GradedRow

Array = npt.NDArray[np.float64]
MIN_FAULT_ROWS = 20
N_KNOTS = 21


def fit_scale(outputs: Array, grades: Array) -> Scale:
    """Fit the grade that each output lets one expect: isotonic, and rising throughout."""
    fitted = IsotonicRegression().fit(outputs, grades).predict(outputs)
    # The means of stretches rather than values at knots, which are those of steps.
    order = np.argsort(outputs, kind="stable")
    stretches = [part for part in np.array_split(order, N_KNOTS) if len(part)]
    knots = np.array([outputs[part].mean() for part in stretches])
    levels = np.array([fitted[part].mean() for part in stretches])
    # Equal knots would make the line jump.
    knots += 1e-4 * np.arange(len(knots))
    # Beyond the ends the line goes on; a slight slope keeps the order of rows everywhere.
    spread = max(float(outputs.std()), 1e-3)
    knots = np.concatenate([[knots[0] - 4 * spread], knots, [knots[-1] + 4 * spread]])
    levels = np.concatenate([[levels[0] - 10], levels, [levels[-1] + 10]])
    sloped = levels + 0.2 * (knots - knots.mean()) / spread
    rising = np.maximum.accumulate(np.clip(sloped, 1.0, 100.0))
    return Scale(
        tuple(np.round(knots, 5).tolist()),
        tuple(np.round(rising, 3).tolist()),
    )


def fit_fault_curve(
    outputs: Array, has_fault: npt.NDArray[np.bool_]
) -> FaultCurve | None:
    """Fit a fault's probability; None if the outputs tell it no better than chance."""
    n_faults = int(has_fault.sum())
    n_others = len(outputs) - n_faults
    if min(n_faults, n_others) < MIN_FAULT_ROWS:
        return None
    auc = measure_auc(outputs, has_fault)
    # Hanley and McNeil's standard error at AUC .5
    error = np.sqrt((n_faults + n_others + 1) / (12 * n_faults * n_others))
    if auc - 1.96 * error <= 0.5:
        return None
    regression = LogisticRegression(C=1e6)
    regression.fit(outputs[:, None], has_fault)
    return FaultCurve(
        slope=round(float(regression.coef_[0, 0]), 4),
        offset=round(float(regression.intercept_[0]), 4),
        auc=round(auc, 3),
    )


def measure_auc(outputs: Array, is_positive: npt.NDArray[np.bool_]) -> float:
    """P(a positive's output > another's), ties half."""
    n_positive = int(is_positive.sum())
    n_negative = len(outputs) - n_positive
    ranks = rankdata(outputs)
    surplus = ranks[is_positive].sum() - n_positive * (n_positive + 1) / 2
    return float(surplus / (n_positive * n_negative))


def measure_reliability(
    rows: Sequence[GradedRow],
    value: Array,
    correctness: Array,
) -> dict[str, float]:
    """Measure the share of the variance of value + correctness that held-out scores explain.

    By source, and "all" for their mean. It is the squared correlation, 0 where that is negative.
    """
    sources = np.array([row.source for row in rows])
    truth = np.array([row.value + row.correctness for row in rows])
    score = value + correctness
    reliability: dict[str, float] = {}
    for source in np.unique(sources).tolist():
        inside = sources == source
        correlation = np.corrcoef(truth[inside], score[inside])[0, 1]
        reliability[source] = round(max(float(correlation), 0.0) ** 2, 3)
    mean = float(np.mean(list(reliability.values())))
    return {"all": round(mean, 3), **reliability}
