"""Turn verdicts into scores: averages (the paper), least squares, or robust Bradley-Terry."""

from tacos.methods.judging.rating.bradley_terry import JudgeEffects, fit_bradley_terry
from tacos.methods.judging.rating.gaussian_experts import fit_least_squares
from tacos.methods.judging.rating.mean_scores import average_raw_scores
from tacos.methods.judging.rating.presentation_orders import estimate_position_bias

__all__ = [
    "JudgeEffects",
    "average_raw_scores",
    "estimate_position_bias",
    "fit_bradley_terry",
    "fit_least_squares",
]
