"""The summary at the end of a run: first what matters, then what each stage did, then figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from tacos.cli.shared import console, cost_lines, judge_lines, row_lines, summary_lead
from tacos.cli.shared.row_lines import Lines
from tacos.cli.shared.summary_lead import RunFiles
from tacos.counts import count_words
from tacos.report import figure_texts
from tacos.report.facts import RunSummary
from tacos.report.selection_request import describe_request
from tacos.report.worth_words import describe_worth

FIGURES_TITLE = "pool and selection"
NARROW = 72
"""Columns of a terminal below which seven columns of figures would be broken."""
LABEL_WIDTH = 24
"""Longer labels, such as a judge's name, are folded, to leave room for what is said of them."""


def print_summary(
    summary: RunSummary,
    asked: str | int,
    inputs: Sequence[str],
    files: RunFiles,
    *,
    row_id: str = "",
    waited: float | None = None,
    is_new: bool = True,
) -> None:
    """Print a summary.

    `asked` is the size that was asked for, of the files `inputs`; `row_id` a row to ask about next;
    `waited` the seconds that a person waited for the command, and `is_new` whether all stages ran
    in it.
    """
    console.print_hanging(summary_lead.format_lead(summary, asked, inputs))
    for label, text in summary_lead.list_files(files):
        console.print_line(f"{label}: {text}")
    for command in summary_lead.suggest_commands(summary, files.run, row_id):
        console.print_line(f"next: {command}")
    lines = format_summary(summary, waited, is_new=is_new)
    console.print_pairs("what the stages did", lines, label_width=LABEL_WIDTH)
    if summary.selection:
        console.out.print(_build_selection_table(summary))


def format_summary(
    summary: RunSummary,
    waited: float | None = None,
    *,
    is_new: bool = True,
) -> list[tuple[str, str]]:
    """Label and text of each line of what the stages did; a stage that did not run has none."""
    return [
        ("preset", f"{summary.preset}, seed {summary.seed}"),
        *row_lines.format_input(summary),
        *row_lines.format_tags(summary),
        *row_lines.format_pool(summary),
        *judge_lines.format_judging(summary),
        *judge_lines.format_scores(summary),
        *_format_selection(summary),
        ("models", _join_pairs(summary.models)),
        *cost_lines.format_spending(summary),
        *cost_lines.format_replies(summary),
        ("seconds", cost_lines.format_seconds(summary, waited, is_new=is_new)),
    ]


def _build_selection_table(summary: RunSummary) -> Table:
    """Pool and selection, with as many random rows and as many of the longest: a line each, or
    where the terminal is narrow a column each.
    """
    names = figure_texts.drop_repeated_figures(
        figure_texts.SUMMARY_FIGURES,
        list(summary.selection.values()),
    )
    labels = [figure_texts.LABELS[name] for name in names]
    cells = [
        [figure_texts.format_figure(name, figures[name]) for name in names]
        for figures in summary.selection.values()
    ]
    groups = list(summary.selection)
    if console.out.width < NARROW:
        groups, labels = labels, groups
        cells = [list(column) for column in zip(*cells, strict=True)]
    table = console.build_figure_table(FIGURES_TITLE, columns=["", *labels])
    for group, line in zip(groups, cells, strict=True):
        table.add_row(group, *line)
    return table


def _format_selection(summary: RunSummary) -> Lines:
    """Rows selected, how certain their scores are, and what the scores are worth."""
    if not summary.selection:
        return
    selected = count_words(summary.n_selected, "row")
    if summary.n_missing:
        n_requested = summary.n_selected + summary.n_missing
        selected = (
            f"{summary.n_selected:,} of {n_requested:,} requested; "
            "no more rows can be selected"
        )
    if summary.n_repeats:
        n_repeats = f"{summary.n_repeats:,}"
        selected += (
            f"; {n_repeats} of them repeat another selected row: there were no others"
        )
    yield "selected", selected
    asked = describe_request(summary.request)
    if asked:
        yield "selected by", asked
    if summary.n_pairs:
        yield "certainty", judge_lines.format_certainty(summary.certainty)
    if summary.worth:
        yield "judge's worth", describe_worth(summary.worth)


def _join_pairs(names: Mapping[str, str]) -> str:
    """`key: value` pairs on one line."""
    return ", ".join(f"{key}: {value}" for key, value in names.items())
