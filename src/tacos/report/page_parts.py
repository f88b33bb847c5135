"""What a page consists of: sections with plain values, figures, and tables that say the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from markupsafe import Markup


@dataclass(frozen=True)
class Section:
    """A section of the report: plain values, which the template of its name shows."""

    name: str
    """Its anchor in the page, and its template: `templates/NAME.html.jinja`."""
    title: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class DataTable:
    """A table: the first cell of each row is its heading."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[int] = frozenset()
    """The columns that hold numbers, from 0."""
    caption: str = ""


class HoverPoint(NamedTuple):
    """A place of a figure, in units of its SVG, with the text that is shown there."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Figure:
    """A figure: a drawing for the eye, and a table with the same content for all others."""

    name: str
    """Its anchor in the page, and the name of the files that a reader downloads."""
    title: str
    caption: str
    """What is to be seen, in words."""
    basis: str
    """What it rests on: "1,000 selected rows of 51,760"."""
    draw: Callable[[], Markup] = field(compare=False)
    """Draws it as an SVG. Not before the page is written: what draws takes 250 MB, and the pool
    that the figures are made from may take more.
    """
    table: DataTable
    points: Sequence[HoverPoint] = field(default=())

    @cached_property
    def svg(self) -> Markup:
        """The drawing."""
        return self.draw()
