"""The figures of an experiment: differences between arms with intervals, and every training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tacos.counts import count_words
from tacos.methods.evaluating.arm_differences import N_DRAWS
from tacos.methods.evaluating.experiment_plan import (
    ARMS,
    UNSEEDED_ARMS,
    InstrumentName,
)
from tacos.methods.evaluating.experiment_results import (
    ArmComparison,
    ExperimentResults,
)
from tacos.report.figure_texts import (
    NOT_KNOWN,
    format_amount,
    format_measure,
    format_p_value,
)
from tacos.report.figures import (
    LONGEST,
    MUTED,
    POOL,
    RANDOM,
    SELECTED,
    SERIES,
    build_figure,
)
from tacos.report.page_parts import DataTable, Figure
from tacos.report.plots.dots import VEGA_LITE

WIDTH = 420
ROW_HEIGHT = 30
UNITS: dict[InstrumentName, str] = {
    "answer-loss": "nats per token of answer loss saved",
    "preference": "points of pairs more",
    "preference-matched": "points of pairs more, lengths alike",
    "duels": "points of win score above one half",
}
"""Instrument -> what a gain on it is."""
COLORS = {
    "selection": SELECTED,
    "random": RANDOM,
    "longest": LONGEST,
    "length-matched": SERIES[2],
    "full": POOL,
    "untrained": MUTED,
}
"""Arm -> its colour in every figure."""


HOW_TO_READ = (
    "Intervals are made by drawing seeds within each arm, and items for all arms alike, with "
    f"replacement ({N_DRAWS:,} times), and are widened for few seeds (Student's t). The p of the "
    "two primary comparisons is adjusted for there being two (Holm), all others are as they are. A "
    'true difference as large as "seen from" is found in 80 of 100 such experiments.'
)
"""What the columns of the comparisons are, in the report and in the terminal."""


def draw_comparisons(results: ExperimentResults) -> Figure:
    """What the selection gains on each other arm, a panel per instrument, with intervals."""
    # The full pool and the untrained base are far off: the others would be one dot beside them.
    shown = [part for part in results.comparisons if part.other not in UNSEEDED_ARMS]
    names = [instrument.name for instrument in results.plan.instruments]
    measured = [
        name for name in names if any(part.instrument == name for part in shown)
    ]
    panels = [
        _chart_gains([part for part in shown if part.instrument == name], name)
        for name in measured
    ]
    chart = {
        "$schema": VEGA_LITE,
        "vconcat": panels,
        "spacing": 18,
    }
    head = (
        "instrument",
        "arms",
        "gain",
        "95% interval",
        "p",
        "seen from",
        "seeds",
        "items",
    )
    rows = [_list_comparison_cells(part) for part in results.comparisons]
    # Pairs of about the same length are some of all pairs.
    n_items = sum(
        _count_items(results, name) for name in names if name != "preference-matched"
    )
    return build_figure(
        "differences",
        "What the selection gains on the other arms",
        chart,
        DataTable(head, rows, frozenset(range(2, len(head))), "All comparisons"),
        caption=(
            "Right of the line, the selection is better. Bars are 95% intervals over seeds and "
            "items; one that crosses the line shows no difference. Filled: primary comparisons, "
            "declared before training; hollow: all others, which decide nothing. The full pool and "
            f"the untrained base are in the table. {HOW_TO_READ}"
        ),
        basis=(
            f"{count_words(len(results.trainings), 'model')} and "
            f"{count_words(n_items, 'item')}"
        ),
    )


def draw_trainings(results: ExperimentResults) -> Figure:
    """The primary instrument of every training, a row per arm."""
    primary = results.plan.primary
    values = [
        {"arm": part.arm, "seed": part.seed, "value": part.means[primary]}
        for part in results.trainings
        if primary in part.means
    ]
    present = [name for name in ARMS if any(value["arm"] == name for value in values)]
    rows = [
        (
            str(value["arm"]),
            str(value["seed"]),
            format_measure(primary, float(str(value["value"]))),
        )
        for value in values
    ]
    n_items = _count_items(results, primary)
    chart = _chart_trainings(values, present, primary)
    return build_figure(
        "trainings",
        f"Every training: {primary}",
        chart,
        DataTable(("arm", "seed", primary), rows, frozenset({1, 2}), "Every training"),
        caption=(
            "One dot is one trained model. How far the dots of an arm lie apart is what chance "
            "does; whether arms differ by more is what the intervals of the verdict say, over all "
            "seeds and items."
        ),
        basis=(
            f"{count_words(len(values), 'model')}, {count_words(n_items, 'item')} each"
        ),
    )


def _count_items(results: ExperimentResults, name: InstrumentName) -> int:
    """The items that models were measured on, by one instrument."""
    measured = [each.n_items for each in results.comparisons if each.instrument == name]
    planned = [each.n_items for each in results.plan.instruments if each.name == name]
    return next(iter([*measured, *planned]))


def name_comparison(part: ArmComparison) -> str:
    """What is compared.

    A figure and the table beside it use the same words.
    """
    return f"{part.arm} against {part.other}"


def _list_comparison_cells(part: ArmComparison) -> tuple[str, ...]:
    """A comparison as the cells of a table."""
    name = part.instrument
    return (
        f"{name}{' (primary)' if part.is_primary else ''}",
        name_comparison(part),
        format_measure(name, part.gain, sign=True),
        _format_interval(part),
        format_p_value(part.p),
        format_amount(name, part.smallest),
        f"{part.n_seeds:,} against {part.n_other_seeds:,}",
        f"{part.n_items:,}",
    )


def _format_interval(part: ArmComparison) -> str:
    """The interval of a comparison, if there is one."""
    if part.low is None:
        return NOT_KNOWN
    low = format_measure(part.instrument, part.low, sign=True)
    high = format_measure(part.instrument, part.high, sign=True)
    return f"{low} to {high}"


def _chart_gains(
    parts: Sequence[ArmComparison],
    instrument: InstrumentName,
) -> dict[str, Any]:
    """The comparisons on one instrument: a dot and an interval each, and a line at 0."""
    # Shares are shown as points of a hundred.
    scale = 1 if instrument == "answer-loss" else 100
    values = [
        # Without an interval, a dot stands alone.
        {
            "arms": name_comparison(part),
            "gain": part.gain * scale,
            "low": (part.gain if part.low is None else part.low) * scale,
            "high": (part.gain if part.high is None else part.high) * scale,
            "primary": part.is_primary,
        }
        for part in parts
    ]
    y = {
        "field": "arms",
        "type": "nominal",
        "title": None,
        "sort": None,
        "axis": {"labelLimit": 260, "minExtent": 190, "maxExtent": 190},
    }
    x = {
        "field": "gain",
        "type": "quantitative",
        "title": f"{instrument}: {UNITS[instrument]}",
        "scale": {"padding": 12},
    }
    interval_x = {**x, "field": "low"}
    fill = {
        "condition": {"test": "datum.primary", "value": SELECTED},
        "value": "var(--paper)",
    }
    return {
        "data": {"values": values},
        "width": WIDTH,
        "height": ROW_HEIGHT * len(values),
        "layer": [
            {
                "mark": {"type": "rule", "strokeDash": [4, 3], "color": MUTED},
                "encoding": {"x": {"datum": 0, "type": "quantitative"}},
            },
            {
                "mark": {"type": "rule", "color": SELECTED, "strokeWidth": 2},
                "encoding": {"y": y, "x": interval_x, "x2": {"field": "high"}},
            },
            {
                "mark": {"type": "point", "size": 80, "stroke": SELECTED, "opacity": 1},
                "encoding": {"y": y, "x": x, "fill": fill},
            },
        ],
    }


def _chart_trainings(
    values: Sequence[dict[str, Any]],
    arms: Sequence[str],
    instrument: InstrumentName,
) -> dict[str, Any]:
    """A dot per training."""
    number_format = ",.3~f" if instrument == "answer-loss" else ".1%"
    return {
        "$schema": VEGA_LITE,
        "data": {"values": list(values)},
        "width": WIDTH,
        "height": ROW_HEIGHT * len(arms),
        "mark": {"type": "point", "filled": True, "size": 70, "opacity": 0.8},
        "encoding": {
            "y": {
                "field": "arm",
                "type": "nominal",
                "title": None,
                "sort": list(arms),
                "axis": {"minExtent": 190, "maxExtent": 190},
            },
            "x": {
                "field": "value",
                "type": "quantitative",
                "title": instrument,
                "axis": {"format": number_format},
                "scale": {"zero": False, "padding": 12},
            },
            "color": {
                "field": "arm",
                "type": "nominal",
                "legend": None,
                "scale": {
                    "domain": list(arms),
                    "range": [COLORS[arm] for arm in arms],
                },
            },
        },
    }
