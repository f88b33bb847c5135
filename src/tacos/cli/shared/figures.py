"""Figures: check the path before the work, write the chart after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tacos.errors import ConfigError
from tacos.store import files
from tacos.workflows import kept_files


def check_figure_path(output: Path) -> None:
    """Raise `ConfigError` if the suffix is not that of a figure, `OutputError` if the file cannot
    be written.
    """
    if output.suffix not in {".svg", ".png"}:
        raise ConfigError(f"{output}: figures must be .svg or .png")
    kept_files.check_files_kept([output], [])
    files.check_writable(output)


def write_figure(chart: Any, output: Path) -> None:
    """Write a chart in the format of the suffix."""
    from tacos.report import charts  # altair takes half a second to import

    if output.suffix == ".png":
        image = charts.render_png(chart)
        files.write_bytes(image, output)
    else:
        text = charts.render_svg(chart)
        files.write_text(text, output)
