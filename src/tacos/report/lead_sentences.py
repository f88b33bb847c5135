"""What was asked of a run and what came out, in a sentence each: terminal and report begin so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tacos.amounts import parse_size
from tacos.config import Settings
from tacos.counts import count_words
from tacos.report import figure_texts
from tacos.report.facts import RunSummary
from tacos.report.selection_request import RESELECT
from tacos.store.artifacts import Artifact

N_NAMED = 3
"""Input files that a sentence names."""


def read_size(artifacts: Mapping[str, Artifact], settings: Settings) -> str | int:
    """The size that was asked of the run, or of the selection that was made of it."""
    if "selection" in artifacts:
        manifest = artifacts["selection"].manifest
        if manifest["stage"] == RESELECT:
            size: str | int = manifest["settings"]["n"]
            return size
    return settings.select.n


def describe_asked(summary: RunSummary, asked: str | int, inputs: Sequence[str]) -> str:
    """Size, input, preset and seed; `inputs` are the files that were read, beside extended runs."""
    size = parse_size(asked)
    n = str(size)
    if size.unit == "rows":
        n = f"{size.value:,.0f}"
    if size.unit == "tokens":
        n = f"{size.value:,.0f} tokens"
    extended = summary.extended.get("runs", ()) if summary.extended else ()
    names = [Path(name).name for name in (*inputs, *extended)]
    of = f" of {count_words(summary.n_read, 'row')}"
    if names:
        shown = ", ".join(names[:N_NAMED])
        n_more = len(names) - N_NAMED
        more = f" and {count_words(n_more, 'more file')}" if n_more > 0 else ""
        of = f"{of} in {shown}{more}"
    return f"{n}{of}; preset {summary.preset}, seed {summary.seed}"


def describe_result(summary: RunSummary) -> str:
    """Rows, tags and lengths beside those of random rows."""
    if not summary.selection:
        return "no selection yet: run the same command without --until to finish it"
    selected = summary.selection["selection"]
    random = summary.selection["random"]
    texts = [count_words(summary.n_selected, "row")]
    if summary.n_missing:
        texts = [
            f"{summary.n_selected:,} of {summary.n_selected + summary.n_missing:,} rows: no "
            "more can be selected"
        ]
    for name, label in (
        ("coverage", "of the tags covered"),
        ("median_length", "characters in the median response"),
    ):
        if selected[name] is None:
            continue
        value = figure_texts.format_figure(name, selected[name])
        by_chance = figure_texts.format_figure(name, random[name])
        texts.append(f"{value} {label} (random rows of the pool: {by_chance})")
    return "; ".join(texts)
