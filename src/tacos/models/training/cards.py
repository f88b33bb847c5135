"""The card of distilled models: what they learned from, how far they agree with it, where they
fail. Markdown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

Figures = Mapping[str, Any]


def render_card(
    source: Figures, figures: Mapping[str, Figures], left_out: Mapping[str, str]
) -> str:
    """The card's text: `source` says which run, `figures` has "tagger", "judge" or both. Equal
    figures, equal text.
    """
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    environment.filters["spread"] = _format_spread
    template = environment.from_string(
        files("tacos.models.training").joinpath("card.md.jinja").read_text("utf-8")
    )
    models = list(dict.fromkeys(name for found in figures.values() for name in found["models"]))
    parts = {part: figures.get(part) for part in ("tagger", "judge")}
    use, warnings = format_usage_options("FOLDER", figures), list_cautions(figures)
    shown = {
        "source": source,
        "models": models,
        "left_out": left_out,
        "use": use,
        "cautions": warnings,
        **parts,
    }
    return template.render(shown).rstrip() + "\n"


def format_usage_options(folder: str, parts: Collection[str]) -> str:
    """The option of `tacos select` that takes what a folder holds.

    >>> format_usage_options("mymodel", ["tagger", "judge"]), format_usage_options("mymodel", ["tagger"])
    ('--llm mymodel', '--set tag.model=mymodel')
    """
    settings = {"tagger": "tag.model", "judge": "judge.model"}
    if set(parts) == set(settings):
        return f"--llm {folder}"
    return " ".join(f"--set {settings[part]}={folder}" for part in parts)


def list_cautions(figures: Mapping[str, Figures]) -> list[str]:
    """Why a part is better not used: it agrees no better than a rule that learned nothing."""
    found = []
    if (tagger := figures.get("tagger")) and tagger["exact"]["micro"] <= tagger[
        "most frequent tags"
    ]["exact"]["micro"]:
        found.append(
            "The tagger agrees no better than the most frequent tags for every row: better not use it."
        )
    if (judge := figures.get("judge")) and judge["agreement"]["value"] is not None:
        if judge["agreement"]["interval"][0] <= 0.5:
            found.append(
                "The judge may agree no better than a coin: better not use it before it has seen more pairs."
            )
        elif judge["agreement"]["value"] <= judge["length only"]["value"]:
            found.append(
                'The judge agrees no better than "the longer one": it adds nothing to length.'
            )
    return found


def _format_spread(found: Figures) -> str:
    """A figure (key "micro" or "value") with its interval, or n/a where nothing could be held out."""
    value = found.get("micro", found.get("value"))
    if value is None:
        return "n/a"
    low, high = found["interval"]
    return f"{value:.3f} ({low:.3f} to {high:.3f})"
