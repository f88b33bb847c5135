"""Thousands of dots in little room: places in pixels, and one path for all dots of a kind.

A circle per row would take 200 bytes each. A path of lines without a length, drawn with round ends,
looks the same at 10.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

VEGA = "https://vega.github.io/schema/vega/v5.json"
VEGA_LITE = "https://vega.github.io/schema/vega-lite/v6.json"


def scale_places(
    values: npt.ArrayLike,
    domain: tuple[float, float],
    pixels: tuple[float, float],
) -> Floats:
    """The places in pixels of values on a linear axis, to a tenth, shape (values,)."""
    low, high = domain
    start, stop = pixels
    # A domain of one value has its place in the middle.
    if high == low:
        low, high = low - 1, high + 1
    shares = (np.asarray(values, np.float64) - low) / (high - low)
    return np.round(start + shares * (stop - start), 1)


def build_dot_path(x: Floats, y: Floats) -> str:
    """An SVG path with a dot at each place.

    >>> build_dot_path(np.array([1.0, 2.5]), np.array([3.0, 4.0]))
    'M1,3h0M2.5,4h0'
    """
    pairs = zip(x.tolist(), y.tolist(), strict=True)
    return "".join(f"M{left:g},{top:g}h0" for left, top in pairs)


def build_dot_mark(
    path: str,
    color: str,
    size: float,
    opacity: float = 1.0,
) -> dict[str, Any]:
    """A Vega mark that draws all dots of a path; `size` is their diameter in pixels."""
    drawn = {
        "path": path,
        "stroke": color,
        "strokeWidth": size,
        "strokeCap": "round",
        "strokeOpacity": opacity,
    }
    return {
        "type": "path",
        "encode": {"enter": fix_values(drawn)},
    }


def fix_values(encoding: dict[str, Any]) -> dict[str, Any]:
    """An encoding of Vega in which every channel has a fixed value.

    >>> fix_values({"x": 3})
    {'x': {'value': 3}}
    """
    return {channel: {"value": value} for channel, value in encoding.items()}
