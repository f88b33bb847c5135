"""How verdicts become scores: averages (the paper), least squares, or a robust Bradley-Terry model."""

from tacos.methods.rating.averaging import mean
from tacos.methods.rating.gaussian import least_squares
from tacos.methods.rating.orders import position_bias
from tacos.methods.rating.winning import Habits, bradley_terry

__all__ = ["Habits", "bradley_terry", "least_squares", "mean", "position_bias"]
