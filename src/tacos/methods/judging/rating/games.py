"""Express verdicts as games between numbered samples: who was shown first, who won, who judged.

What it does not know: by how much a game was won.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from tacos.methods.judging.rating.normal_equations import Floats, Ints
from tacos.methods.judging.rating.presentation_orders import PAIR


@dataclass(frozen=True, slots=True)
class Games:
    """Verdicts as games between `n` samples, arrays of shape (games,).

    `first` and `second` are the samples in the order shown, `win` is what the first one won (0, 1/2
    or 1), `judge` the number of the judge, `length` the length term in -1..1, and `weight` the
    judge's weight.
    """

    n: int
    n_judges: int
    first: Ints
    second: Ints
    win: Floats
    judge: Ints
    length: Floats
    weight: Floats


def build_games(
    judged: pl.DataFrame,
    ids: pl.Series,
    judges: list[str],
    lengths: pl.DataFrame | None,
    weights: Mapping[str, float],
) -> Games:
    """The verdicts as games; numbers are places in `ids` and `judges`, both sorted."""
    low, high = (_number_values(judged[side], ids) for side in PAIR)
    sign = judged["sign"].to_numpy()
    first = np.where(sign > 0, low, high)
    second = np.where(sign > 0, high, low)
    # The sign of (first minus second), -1, 0 or 1, as wins of the first.
    first_minus_second = judged["difference"].to_numpy() * sign
    win = (np.sign(first_minus_second) + 1) / 2
    judge = _number_values(judged["judge"], judges)
    weight_of_judge = np.array([weights.get(name, 1.0) for name in judges])
    return Games(
        n=len(ids),
        n_judges=len(judges),
        first=first,
        second=second,
        win=win,
        judge=judge,
        length=_length_terms(ids, lengths, first, second),
        weight=weight_of_judge[judge],
    )


def _number_values(
    values: pl.Series,
    names: pl.Series | list[str],
) -> Ints:
    """The place of each value in `names`."""
    codes = values.cast(pl.Enum(names)).to_physical()
    return codes.to_numpy().astype(np.int64)


def _length_terms(
    ids: pl.Series,
    lengths: pl.DataFrame | None,
    first: Ints,
    second: Ints,
) -> Floats:
    """tanh of the difference in length over its standard deviation, shape (games,).

    It is 0 where no lengths are given or a length is missing.
    """
    if lengths is None:
        return np.zeros(len(first))
    table = ids.to_frame("id").join(
        lengths.select("id", "length").unique("id"),
        on="id",
        how="left",
        maintain_order="left",
    )
    length_of_sample = (
        table["length"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    )
    gap = np.nan_to_num(length_of_sample[first] - length_of_sample[second])
    deviation = max(float(gap.std()), 1e-9)
    return np.asarray(np.tanh(gap / deviation))
