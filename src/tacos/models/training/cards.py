"""The card of distilled models: what they learned from, how far they agree with it, where they fail. Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

Figures = Mapping[str, Any]


def render(source: Figures, figures: Mapping[str, Figures], left_out: Mapping[str, str]) -> str:
    """The card's text: `source` says which run, `figures` has "tagger", "judge" or both. Equal figures, equal text."""
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    environment.filters["spread"] = spread
    template = environment.from_string(files("tacos.models.training").joinpath("card.md.jinja").read_text("utf-8"))
    models = list(dict.fromkeys(name for found in figures.values() for name in found["models"]))
    parts = {part: figures.get(part) for part in ("tagger", "judge")}
    return template.render(source=source, models=models, left_out=left_out, **parts).rstrip() + "\n"


def spread(found: Figures) -> str:
    """A figure (key "micro" or "value") with its interval, or n/a where nothing could be held out."""
    value = found.get("micro", found.get("value"))
    if value is None:
        return "n/a"
    low, high = found["interval"]
    return f"{value:.3f} ({low:.3f} to {high:.3f})"
