"""Forecasts of trainings beside what they took."""

import pytest

from tacos.trainers.forecast import forecast_training
from tacos.trainers.recipe import read_recipe
from tacos.trainers.row_check import Machine, ModelSize


def test_a_training_on_an_h100_is_forecast_as_it_was_measured():
    # 997 rows of 195,000 tokens, micro-batches of 8 filled up to 985,000 tokens in 3 epochs.
    # Gemma-3-270M with 68,954 tokens: benchmarks/RESULTS.md, "`tacos prove` on an H100".
    rows = [160] * 499 + [230] * 497 + [512]
    gemma = ModelSize(144_456_576, 18, 640, 68_954, 32_768)
    h100 = Machine("cuda", "H100", 1, 2, 85_017_493_504, 7.5e14)

    forecast = forecast_training(
        read_recipe("small", ["max_length=512"]), rows, rows, 0, gemma, h100, 0
    )

    assert forecast.steps == 96
    assert forecast.seconds == pytest.approx(104.5, rel=0.2)
    assert forecast.memory == pytest.approx(8.7e9, rel=0.2)
