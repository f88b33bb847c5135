"""What more rows would add: the same request at other sizes."""

from __future__ import annotations

from tacos.report.page_parts import Section
from tacos.report.plots.size_steps import draw_size_steps
from tacos.report.report_input import ReportInput
from tacos.report.shown_paths import show_path


def build_sizes(source: ReportInput) -> Section:
    """The sizes that were measured for the report; where there are none, how to measure them."""
    sizes = source.size_steps
    figure = None if sizes is None else draw_size_steps(sizes)
    values = {"figure": figure, "run": show_path(source.run)}
    return Section("sizes", "What more rows would add", values)
