"""Figures that a command writes where it is told to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tacos.errors import ConfigError
from tacos.storage import writing

Figure = Annotated[Path | None, typer.Option("-o", "--output", help="draw a figure: .svg or .png")]


def check(output: Path) -> None:
    """Raise `ConfigError` for a suffix that means no kind of figure, `OutputError` where it cannot be written."""
    if output.suffix not in {".svg", ".png"}:
        raise ConfigError(f"{output}: a figure is .svg or .png")
    writing.check_writable(output)


def write(chart: Any, output: Path) -> None:
    """Write a chart; the suffix decides how."""
    from tacos.report import charting  # altair takes half a second to import

    if output.suffix == ".png":
        writing.write_bytes(charting.png(chart), output)
    else:
        writing.write_text(charting.svg(chart), output)
