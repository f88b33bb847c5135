"""Renders the card of distilled models in Markdown: sources, agreement, known failures."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

Figures = Mapping[str, Any]


def render_card(
    source: Figures,
    figures: Mapping[str, Figures],
    left_out: Mapping[str, str],
) -> str:
    """Render a card; equal figures give equal text.

    `source` describes the run, `figures` has "tagger", "judge" or both, and `left_out` says why a
    part is missing.
    """
    environment = Environment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.filters["spread"] = _format_spread
    path = files("tacos.models.training").joinpath("card.md.jinja")
    template = environment.from_string(path.read_text("utf-8"))

    models: dict[str, None] = {}
    for part in figures.values():
        models.update(dict.fromkeys(part["models"]))
    text = template.render(
        source=source,
        models=list(models),
        left_out=left_out,
        use=format_usage_options("FOLDER", figures),
        cautions=list_cautions(figures),
        tagger=figures.get("tagger"),
        judge=figures.get("judge"),
    )
    return text.rstrip() + "\n"


def format_usage_options(folder: str, parts: Collection[str]) -> str:
    """Return the option of `tacos select` that uses the models in a folder.

    >>> format_usage_options("mymodel", ["tagger", "judge"])
    '--llm mymodel'
    >>> format_usage_options("mymodel", ["tagger"])
    '--set tag.model=mymodel'
    """
    settings = {"tagger": "tag.model", "judge": "judge.model"}
    if set(parts) == set(settings):
        return f"--llm {folder}"
    options = [f"--set {settings[part]}={folder}" for part in parts]
    return " ".join(options)


def list_cautions(figures: Mapping[str, Figures]) -> list[str]:
    """Say why a part is better not used: it agrees no better than a rule that learned nothing."""
    cautions: list[str] = []
    tagger = figures.get("tagger")
    judge = figures.get("judge")
    if tagger and _is_no_better_than_frequent_tags(tagger):
        cautions.append(
            "The tagger agrees no better than the most frequent tags for every row: "
            "better not use it."
        )
    if judge is None or judge["agreement"]["value"] is None:
        return cautions

    agreement = judge["agreement"]
    low, _ = agreement["interval"]
    length = judge["length only"]["value"] or 0.0
    if low <= 0:
        cautions.append(
            "The judge may agree no better than chance: "
            "better not use it before it has seen more samples."
        )
    elif agreement["value"] <= abs(length):
        cautions.append(
            "The judge agrees no better than the length of a response does: "
            "it adds nothing to length."
        )
    return cautions


def _is_no_better_than_frequent_tags(tagger: Figures) -> bool:
    own = tagger["exact"]["micro"]
    frequent = tagger["most frequent tags"]["exact"]["micro"]
    return bool(own <= frequent)


def _format_spread(figure: Figures) -> str:
    """Format a figure ("micro" or "value") with its interval; n/a if nothing could be held out."""
    value = figure.get("micro", figure.get("value"))
    if value is None:
        return "n/a"
    low, high = figure["interval"]
    return f"{value:.3f} ({low:.3f} to {high:.3f})"
