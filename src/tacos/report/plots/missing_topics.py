"""Tags and clusters that a selection has none of, or fewer or more rows of than chance gives."""

from __future__ import annotations

import textwrap
from typing import Any

import orjson
import polars as pl

from tacos.counts import count_words
from tacos.methods.measures.representation import (
    expect_missing,
    list_favoured,
    list_missing,
    list_scarce,
)
from tacos.report.figures import INK, LONGEST, SELECTED, build_figure
from tacos.report.page_parts import DataTable, Figure
from tacos.report.plots.dots import VEGA_LITE
from tacos.report.plots.share_texts import (
    SHARE_HEAD,
    SHARE_NUMBERS,
    list_share_cells,
)
from tacos.visible_text import clean_texts

N_BARS = 12
"""Groups of each side that are drawn."""
N_NAMED = 5
N_LISTED = 200
"""Rows of each table."""
NAME_LIMIT = 190
"""Pixels of a line of a name."""
LINE_LENGTH = 26
"""Characters of a line of a name, which has as many lines as it needs."""
LINE_HEIGHT = 15
BAR_HEIGHT = 16
WIDTH = 170
EXPECTED_TO_MISS = 5.3
"""Of so many expected rows there is none by chance once in 200 selections: exp(-5.3) = .005."""


def describe_missing(
    table: pl.DataFrame,
    kind: str,
    n_pool: int,
    n_selected: int,
) -> str:
    """How many groups a selection has none of, the largest of them, and what chance gives.

    `table` is by `tacos.methods.measures.representation`; `kind` is "tag" or "cluster".
    """
    missing = list_missing(table)
    by_chance = expect_missing(table, n_pool, n_selected)
    text = (
        f"Of {count_words(table.height, kind)} the selection has none of {missing.height:,}; "
        f"{n_selected:,} random rows would miss about {by_chance:,.0f}."
    )
    if missing.is_empty():
        return text
    largest = [
        f"{name} ({count_words(n, 'row')})"
        for name, n in missing.head(N_NAMED).select("group", "n_pool").rows()
    ]
    return f"{text} The largest missing: {'; '.join(largest)}."


def tabulate_missing(
    table: pl.DataFrame,
    kind: str,
    n_pool: int,
    n_selected: int,
) -> DataTable:
    """The groups that a selection has none of, the largest first."""
    missing = list_missing(table)
    caption = f"{kind.capitalize()}s of which nothing is selected, the largest first"
    if missing.height > N_LISTED:
        caption += f": {N_LISTED} of {missing.height:,}"
    return DataTable(
        (kind, *SHARE_HEAD),
        list_share_cells(missing.head(N_LISTED), n_pool, n_selected),
        SHARE_NUMBERS,
        caption,
    )


def draw_representation(
    table: pl.DataFrame,
    kind: str,
    n_pool: int,
    n_selected: int,
) -> Figure | None:
    """The groups with the greatest lack and the greatest surplus of selected rows; None where all
    have about as many as chance gives.
    """
    beyond_chance = pl.concat(
        [_list_lacking(table), list_favoured(table)],
    ).with_columns(surplus=pl.col("n_selected") - pl.col("expected"))
    if beyond_chance.is_empty():
        return None
    ordered = beyond_chance.sort("surplus", "group", descending=[True, False])
    favoured = ordered.filter(pl.col("surplus") > 0)
    lacking = ordered.filter(pl.col("surplus") < 0)
    shown = pl.concat([favoured.head(N_BARS), lacking.tail(N_BARS)])
    caption = (
        f"{_name_groups(favoured, 'More rows than chance gives', kind)} "
        f"{_name_groups(lacking.reverse(), 'Fewer', kind)} "
        "Bars are selected rows above or below those to expect by chance."
    )
    return build_figure(
        f"{kind}-representation",
        f"{kind.capitalize()}s that the selection favours and neglects",
        _chart_bars(shown),
        DataTable(
            (kind, *SHARE_HEAD),
            list_share_cells(ordered.head(N_LISTED), n_pool, n_selected),
            SHARE_NUMBERS,
            _describe_part(ordered.height, kind),
        ),
        caption=caption,
        basis=f"{n_selected:,} selected rows of {n_pool:,}",
    )


def _list_lacking(table: pl.DataFrame) -> pl.DataFrame:
    """Groups with fewer rows than chance gives, those with none included."""
    # A group of which chance gives hardly a row is not neglected for having none.
    missing = list_missing(table).filter(pl.col("expected") >= EXPECTED_TO_MISS)
    return pl.concat([list_scarce(table), missing])


def _name_groups(groups: pl.DataFrame, what: str, kind: str) -> str:
    """The first groups of a table, in a sentence."""
    if groups.is_empty():
        return f"{what}: of no {kind}."
    named = [
        f"{name} ({n_selected:,} for {expected:,.0f})"
        for name, n_selected, expected in groups.head(N_NAMED)
        .select("group", "n_selected", "expected")
        .rows()
    ]
    n_more = groups.height - len(named)
    more = f" and {n_more:,} more" if n_more else ""
    return f"{what}: {', '.join(named)}{more}."


def _describe_part(n_groups: int, kind: str) -> str:
    """What the table has of all groups beyond chance."""
    text = f"{kind.capitalize()}s beyond chance, those with the greatest surplus first"
    return text if n_groups <= N_LISTED else f"{text}: {N_LISTED} of {n_groups:,}"


def _chart_bars(shown: pl.DataFrame) -> dict[str, Any]:
    """Bars to either side, as Vega-Lite."""
    # Names of clusters need not be different: their places tell them apart.
    values = [
        {"place": place, "name": row["group"], "surplus": round(row["surplus"], 2)}
        for place, row in enumerate(shown.iter_rows(named=True))
    ]
    # Whole names: one that is cut says less than the number beside it.
    names = [textwrap.wrap(str(value["name"]), LINE_LENGTH) for value in values]
    n_lines = max(map(len, names), default=1)
    y = {
        "field": "place",
        "type": "ordinal",
        "title": None,
        "axis": {
            "labelExpr": f"{_as_expression(names)}[datum.value]",
            "labelLimit": NAME_LIMIT,
            "labelLineHeight": LINE_HEIGHT,
            "ticks": False,
            "domain": False,
        },
    }
    x = {
        "field": "surplus",
        "type": "quantitative",
        "title": "selected rows above or below chance",
        "axis": {"format": "+,d", "tickCount": 4, "labelOverlap": True},
    }
    color = {
        "condition": {"test": "datum.surplus > 0", "value": SELECTED},
        "value": LONGEST,
    }
    return {
        "$schema": VEGA_LITE,
        "data": {"values": values},
        "width": WIDTH,
        "height": {"step": LINE_HEIGHT * n_lines + 6},
        "layer": [
            {
                "mark": {"type": "bar", "size": BAR_HEIGHT},
                "encoding": {"x": x, "y": y, "color": color},
            },
            {"mark": {"type": "rule", "color": INK}, "encoding": {"x": {"datum": 0}}},
        ],
    }


def _as_expression(names: list[list[str]]) -> str:
    """A list of names in lines as Vega's expressions write it: as JSON."""
    # `draw_svg` cannot clean them any more: JSON hides what is in them.
    return orjson.dumps(clean_texts(names)).decode()
