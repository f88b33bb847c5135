"""Verdicts as games between numbers: who was shown first, who won, who judged, what the lengths
were.

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
    """Verdicts as games: who was `first` and `second`, the `win` of the first (0, 1/2, 1), `judge`,
    `length`, `weight`.
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
    """The verdicts as games between numbers."""
    low, high = (
        judged[side].cast(pl.Enum(ids)).to_physical().to_numpy().astype(np.int64) for side in PAIR
    )
    sign = judged["sign"].to_numpy()
    first, second = np.where(sign > 0, low, high), np.where(sign > 0, high, low)
    win = (np.sign(judged["difference"].to_numpy() * sign) + 1) / 2
    judge = judged["judge"].cast(pl.Enum(judges)).to_physical().to_numpy().astype(np.int64)
    weight = np.array([weights.get(name, 1.0) for name in judges])[judge]
    return Games(
        len(ids),
        len(judges),
        first,
        second,
        win,
        judge,
        _length_terms(ids, lengths, first, second),
        weight,
    )


def _length_terms(
    ids: pl.Series, lengths: pl.DataFrame | None, first: Ints, second: Ints
) -> Floats:
    """tanh of the difference in length over its standard deviation; 0 where lengths are not given
    or not known.
    """
    if lengths is None:
        return np.zeros(len(first))
    table = ids.to_frame("id").join(
        lengths.select("id", "length").unique("id"), on="id", how="left", maintain_order="left"
    )
    length = table["length"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    gap = np.nan_to_num(length[first] - length[second])
    return np.asarray(np.tanh(gap / max(float(gap.std()), 1e-9)))
