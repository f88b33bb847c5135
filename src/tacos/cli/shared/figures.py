"""Figures that a command writes where it is told to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tacos.errors import ConfigError
from tacos.store import files

Figure = Annotated[Path | None, typer.Option("-o", "--output", help="draw a figure: .svg or .png")]


def check_figure_path(output: Path) -> None:
    """Raise `ConfigError` for a suffix that means no kind of figure, `OutputError` where it cannot
    be written.
    """
    if output.suffix not in {".svg", ".png"}:
        raise ConfigError(f"{output}: a figure is .svg or .png")
    files.check_writable(output)


def write_figure(chart: Any, output: Path) -> None:
    """Write a chart; the suffix decides how."""
    from tacos.report import charts  # altair takes half a second to import

    if output.suffix == ".png":
        files.write_bytes(charts.render_png(chart), output)
    else:
        files.write_text(charts.render_svg(chart), output)
