"""A chart of hostile names: the renderer would end the whole process at some characters."""

import pytest

from tacos.report.charts import render_svg
from tacos.report.figures import draw_svg
from tacos.report.plots.missing_topics import _as_expression

NAMES = [
    "\x1b[31m",
    "\x00",
    "\x9d",
    "\ufffe",
    "\uffff",
    "\ud800",
    "</svg><script>",
    "]]>",
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_any_name_is_drawn_as_text(name: str) -> None:
    axis = {"labelExpr": f"{_as_expression([name])}[datum.value] + ''"}
    chart = {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "data": {"values": [{"place": 0, "name": name, "n": 1}]},
        "mark": "bar",
        "encoding": {
            "x": {"field": "n", "type": "quantitative", "title": name},
            "y": {"field": "place", "type": "ordinal", "axis": axis},
            "color": {"field": "name", "type": "nominal"},
        },
    }
    for drawn in (str(draw_svg(chart, name)), render_svg(chart)):
        assert drawn.startswith("<svg")
        assert "<script" not in drawn
