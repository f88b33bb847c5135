"""The first lines of a summary: what was asked, what came out, whether it is better than random,
where the files are, and what to do next.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tacos.report.facts import RunSummary
from tacos.report.lead_sentences import describe_asked, describe_result

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


def format_lead(summary: RunSummary, asked: str | int, inputs: Sequence[str]) -> Lines:
    """What was asked (a size, of the files `inputs`), what came out, and the verdict."""
    yield "asked", describe_asked(summary, asked, inputs)
    yield "came out", describe_result(summary)
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
