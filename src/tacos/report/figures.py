"""Figures of the report: a chart of Vega or Vega-Lite becomes an SVG in the colours of the page.

An SVG needs no script and no library, and prints. Charts name the page's colours (`INK`, `POOL`,
...) wherever they name one; a colour scale takes its `range` from them. Scales that mix colours
(sequential ones) cannot: they vary the opacity of one colour instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from markupsafe import Markup, escape

from tacos.report.page_parts import DataTable, Figure, HoverPoint
from tacos.visible_text import clean_text, clean_texts

INK = "currentColor"
MUTED = "var(--muted)"
LINE = "var(--line)"
PAPER = "var(--paper)"
SELECTED = "var(--selected)"
"""What was selected, in every figure."""
POOL = "var(--pool)"
RANDOM = "var(--random)"
LONGEST = "var(--longest)"
SERIES = tuple(f"var(--series-{number})" for number in range(1, 7))
"""Further colours, for groups without a meaning of their own."""

FONT = "sans-serif"
"""Texts are measured when a chart is drawn, so the font is one whose widths hardly vary."""
CONFIG = {
    "aria": False,
    "background": "transparent",
    "font": FONT,
    "axis": {
        "domainColor": LINE,
        "gridColor": LINE,
        "labelColor": INK,
        "labelFontSize": 12,
        "tickColor": LINE,
        "titleColor": MUTED,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "header": {"labelColor": INK, "titleColor": MUTED},
    "legend": {
        "labelColor": INK,
        "labelFontSize": 12,
        "symbolOpacity": 1,
        "titleColor": MUTED,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "mark": {"color": SELECTED},
    "rule": {"color": INK},
    "text": {"color": INK, "fontSize": 12},
    "title": {"color": INK, "fontSize": 13, "fontWeight": "normal"},
    "view": {"stroke": None},
}
"""How every chart of the page looks; a chart's own settings come first."""
OPENING_TAG = re.compile(r"<svg [^>]*?viewBox=(\"[^\"]*\")[^>]*>")
ROLES_OF_PARTS = re.compile(
    r' (?:role="graphics-[a-z]+"|aria-roledescription="[a-z -]+"|aria-hidden="true")'
)
NAMED_PATH = re.compile(r'<path aria-label="([^"]*)"([^>]*)/>')


def build_figure(
    name: str,
    title: str,
    chart: Mapping[str, Any],
    table: DataTable,
    *,
    caption: str,
    basis: str,
    points: Sequence[HoverPoint] = (),
) -> Figure:
    """A figure from a chart of Vega or Vega-Lite and the table that says the same.

    `points` are shown when a pointer comes near; they are in units of the SVG.
    """
    return Figure(
        name,
        title,
        caption,
        basis,
        partial(draw_svg, chart, title),
        table,
        points,
    )


def draw_svg(chart: Mapping[str, Any], title: str) -> Markup:
    """A chart as an SVG that takes the width of its place, and its title as its name."""
    # Imported here: few commands draw anything.
    import vl_convert

    # The renderer ends the whole process at a character that XML does not know.
    clean = clean_texts(chart)
    # No address is allowed: a chart has its data inside it.
    if "/vega/" in chart["$schema"]:
        # Vega has no argument for its looks.
        styled = {"background": None, "config": CONFIG, **clean}
        drawn = vl_convert.vega_to_svg(styled, allowed_base_urls=[])
    else:
        drawn = vl_convert.vegalite_to_svg(
            clean,
            config=CONFIG,
            allowed_base_urls=[],
        )
    start = OPENING_TAG.match(drawn)
    if start is None:
        raise ValueError("the chart was not drawn as SVG with a viewBox")
    width = start.group(1).strip('"').split()[2]
    tag = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox={start.group(1)} '
        f'width="{width}" role="img" aria-label="{escape(title)}">'
    )
    # It is one image: its parts have no roles, and a name of a part is for a pointer.
    parts = ROLES_OF_PARTS.sub("", drawn[start.end() :])
    parts = NAMED_PATH.sub(r"<path\2><title>\1</title></path>", parts)
    return Markup(tag + clean_text(parts))
