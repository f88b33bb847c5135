"""Where samples are assigned to clusters."""

import numpy as np
import polars as pl
import pytest

from tacos.models import encoder
from tacos.models.user_functions import FunctionEncoder
from tacos.pipeline.steps.clusters import Assignment, find_place
from tacos.records import Encoder

OWN = FunctionEncoder(lambda texts: np.ones((len(texts), 2)))


@pytest.mark.parametrize(
    ("chosen", "place"),
    [
        (encoder.load("static"), "process"),
        (encoder.load_topic_encoder("static"), "process"),
        (OWN, "here"),
        (None, "here"),
    ],
)
def test_only_the_static_encoder_goes_to_worker_processes(
    chosen: Encoder | None, place: str
) -> None:
    assert find_place(Assignment(pl.DataFrame(), chosen)) == place
