"""The first lines of a summary: what was asked, what came out, whether it is better than random,
where the files are, and what to do next.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tacos.amounts import parse_size
from tacos.counts import count_words
from tacos.report import figure_texts
from tacos.report.facts import RunSummary

N_NAMED = 3
"""Input files that a line names."""
Lines = Iterator[tuple[str, str]]
"""Label and text of each line."""


class RunFiles(NamedTuple):
    """Where a run is, and what it wrote; None for what it did not."""

    run: Path | None = None
    rows: Path | None = None
    sidecar: Path | None = None
    report: Path | None = None
    replaced: bool = False
    """Whether the rows took the place of another file."""


def format_lead(summary: RunSummary, asked: Mapping[str, Any]) -> Lines:
    """What was asked, what came out, and the verdict; `asked` has `n` and `input`."""
    yield "asked", _describe_request(summary, asked)
    yield "came out", _describe_result(summary)
    if summary.verdict:
        yield "verdict", summary.verdict["sentence"]


def list_files(files: RunFiles) -> Lines:
    """What was written, and where."""
    remark = " (took the place of an earlier file)" if files.replaced else ""
    paths = {
        "rows": files.rows,
        "scores and tags": files.sidecar,
        "report": files.report,
        "run": files.run,
    }
    for label, path in paths.items():
        if path:
            yield label, f"{path}{remark if label == 'rows' else ''}"


def suggest_commands(summary: RunSummary, run: Path | None, row_id: str) -> list[str]:
    """Commands that are of use now."""
    if run is None:
        return []
    name = shlex.quote(str(run))
    if not summary.selection:
        return [f"tacos runs show {name}"]
    commands = []
    if row_id:
        commands.append(f"tacos explain {name} {shlex.quote(row_id)}")
    if summary.verdict.get("answer") == "not known":
        commands.append("tacos calibrate --help")
    return [*commands, f"tacos curve {name}"]


def _describe_request(summary: RunSummary, asked: Mapping[str, Any]) -> str:
    """Size, input, preset and seed."""
    size = parse_size(asked["n"])
    n = str(size)
    if size.unit == "rows":
        n = f"{size.value:,.0f}"
    if size.unit == "tokens":
        n = f"{size.value:,.0f} tokens"
    names = [Path(name).name for name in asked.get("input", [])]
    of = f" of {count_words(summary.n_read, 'row')}"
    if names:
        shown = ", ".join(names[:N_NAMED])
        n_more = len(names) - N_NAMED
        more = f" and {count_words(n_more, 'more file')}" if n_more > 0 else ""
        of = f"{of} in {shown}{more}"
    return f"{n}{of}; preset {summary.preset}, seed {summary.seed}"


def _describe_result(summary: RunSummary) -> str:
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
        texts.append(f"{value} {label} (random: {by_chance})")
    return "; ".join(texts)
