"""`tacos compare`: strategies side by side, without calling any model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from rich.table import Table

from tacos.cli.shared import console, figures, option_settings, options
from tacos.counts import count_words
from tacos.report import figure_texts
from tacos.report.facts import UNCLUSTERED
from tacos.workflows import arguments
from tacos.workflows import compare as workflow
from tacos.workflows.compare import Comparison

N_SHOWN = 8
"""Clusters and files that are shown."""
LETTERS = list("ABCDEFGH")
"""What they are called in the heads of tables."""
STRATEGIES = ",".join(workflow.DEFAULT)
Strategies = Annotated[
    str,
    typer.Option(
        help="names, separated by commas; longest and random are always added"
    ),
]

TABLES = {
    "tags and scores": (
        "n",
        "coverage",
        "mean_tags",
        "mean_score",
        "n_scored",
        "mean_grade",
    ),
    "length and clusters": (
        "mean_length",
        "median_length",
        "n_clusters",
        "cluster_distance",
    ),
}
"""Title -> figures: two tables, as one would be wider than a terminal."""


def compare(  # noqa: PLR0913 - the options of the command
    run: options.RunDirectory,
    strategies: Strategies = STRATEGIES,
    n: options.SizeOfRun = None,
    output: options.Figure = None,
    seed: options.RunSeed = None,
    quota_source: options.QuotaSource = None,
    quota_tag: options.QuotaTag = None,
    match_length: options.MatchLength = False,
    limit: options.Limit = None,
    min_correctness: options.MinCorrectness = None,
    by: options.By = "score",
    as_json: options.AsJson = False,
) -> None:
    """Compare the selections of strategies: overlap, coverage of tags, length, score, clusters.

    Every selection is the one that `tacos reselect` makes, quotas and limits included. "Random" is
    what as many rows of the whole pool are expected to be like, the same as in `tacos select`,
    `curve` and `analyse`; below it stand the lowest and the highest figure of 20 draws. With quotas
    or other limits, a line more shows random rows within them. "Distance from the pool" is half
    the sum of the differences between the shares of clusters in the selection and in the pool: 0
    is the same mix.

    Example:

    \b
      tacos compare selected.jsonl.run --strategies tacos,mig,deita -n 1000 \\
        -o strategies.svg
    """
    if output is not None:
        figures.check_figure_path(output)
    comparison = workflow.compare(
        run,
        n,
        option_settings.split_list(strategies),
        seed=seed,
        by=arguments.check_choice("value of by (--by)", by, options.SCORES),
        **option_settings.parse_limits(
            quota_source,
            quota_tag,
            match_length,
            limit,
            min_correctness,
        ),
    )
    if output is not None:
        _draw_comparison(comparison, output)
    if as_json:
        console.print_json(comparison.as_dict())
        return
    _print_comparison(comparison)
    if output is not None:
        console.print_line(f"figure: {output}")


def _draw_comparison(comparison: Comparison, output: Path) -> None:
    """Write the figure."""
    from tacos.report import charts  # altair takes half a second to import

    chart = charts.chart_strategies(
        comparison.table, comparison.random, comparison.overlap
    )
    figures.write_figure(chart, output)


def _print_comparison(comparison: Comparison) -> None:
    """Print the tables."""
    # Numbers, because the names of ten strategies are wider than a terminal.
    strategies = list(comparison.overlap["strategy"])
    numbers = {name: str(number) for number, name in enumerate(strategies, 1)}
    for title, names in TABLES.items():
        console.out.print(_build_figures(comparison, numbers, title, names))
    _print_shares(
        "overlap: share of the row's rows that the numbered strategy also selects",
        _number_rows(comparison.overlap, numbers).rename(numbers),
    )
    clusters = comparison.clusters.head(N_SHOWN)
    cluster_names = clusters["name"].fill_null(UNCLUSTERED).to_list()
    _print_mixes(
        "share of each cluster of the pool, the largest first",
        clusters.drop("cluster", "name"),
        numbers,
        cluster_names,
    )
    if comparison.sources.height > 1:
        sources = comparison.sources.head(N_SHOWN)
        _print_mixes(
            "share of each file",
            sources.drop("source"),
            numbers,
            sources["source"].to_list(),
        )


def _build_figures(
    comparison: Comparison,
    numbers: Mapping[str, str],
    title: str,
    names: Sequence[str],
) -> Table:
    """A line per strategy, a column per figure that says something new; below random, the range of
    its draws.
    """
    lines = [
        (_number_name(row["strategy"], numbers), row)
        for row in comparison.table.iter_rows(named=True)
    ]
    # Each draw of random rows has figures of its own.
    for end, label in (("low", "lowest"), ("high", "highest")):
        figures = dict(comparison.random.select("figure", end).iter_rows())
        lines.append((f"  {label} draw", figures))
    names = figure_texts.drop_repeated_figures(names, [line for _, line in lines])
    table = console.build_figure_table(
        f"{title}: selections from one pool of {count_words(comparison.n_pool, 'row')}",
        columns=["", *(figure_texts.LABELS[name] for name in names)],
    )
    for label, line in lines:
        cells = [figure_texts.format_figure(name, line[name]) for name in names]
        table.add_row(label, *cells)
    return table


def _number_name(name: str, numbers: Mapping[str, str]) -> str:
    """A strategy with its number; the pool has none."""
    return f"{numbers[name]} {name}" if name in numbers else name


def _number_rows(shares: pl.DataFrame, numbers: Mapping[str, str]) -> pl.DataFrame:
    """Shares with the number of each strategy before its name."""
    named = [_number_name(name, numbers) for name in shares["strategy"]]
    return shares.with_columns(pl.Series("strategy", named))


def _print_mixes(
    title: str,
    shares: pl.DataFrame,
    numbers: Mapping[str, str],
    names: Sequence[str],
) -> None:
    """Print the shares of groups of rows: a line per strategy, a lettered column per group, and
    the groups' names below.
    """
    letters = LETTERS[: len(names)]
    mixes = shares.transpose(
        include_header=True,
        header_name="strategy",
        column_names=letters,
    )
    _print_shares(title, _number_rows(mixes, numbers))
    for letter, name in zip(letters, names, strict=True):
        console.print_text(f"{letter}: {name}")


def _print_shares(
    title: str,
    shares: pl.DataFrame,
) -> None:
    """Print names, and shares as percentages in the other columns."""
    _, *columns = shares.columns
    table = console.build_figure_table(
        title,
        columns=["", *columns],
    )
    for name, *values in shares.iter_rows():
        percentages = [figure_texts.format_share(value, digits=0) for value in values]
        table.add_row(str(name), *percentages)
    console.out.print(table)
