"""How verdicts become scores: averages (the paper), least squares, or a robust Bradley-Terry model."""

from tacos.methods.judging.rating.bradley_terry import Habits, bradley_terry
from tacos.methods.judging.rating.gaussian_experts import least_squares
from tacos.methods.judging.rating.mean_scores import mean
from tacos.methods.judging.rating.presentation_orders import position_bias

__all__ = ["Habits", "bradley_terry", "least_squares", "mean", "position_bias"]
