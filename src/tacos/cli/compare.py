"""`tacos compare`: strategies side by side, without calling any model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer
from rich.table import Table

from tacos.cli.shared import console, figures, option_settings, options
from tacos.report.facts import UNCLUSTERED
from tacos.workflows import arguments
from tacos.workflows import compare as workflow
from tacos.workflows.compare import Comparison

N_SHOWN = 8
"""Clusters and files that are shown."""
STRATEGIES = ",".join(workflow.DEFAULT)
Strategies = Annotated[
    str,
    typer.Option(
        help="names, separated by commas; longest and random are always added"
    ),
]

FIGURES = {
    "rows": ("n", "{:,.0f}"),
    "tags covered": ("coverage", "{:.1%}"),
    "tags per row": ("mean_tags", "{:.2f}"),
    "mean length": ("mean_length", "{:,.0f}"),
    "median length": ("median_length", "{:,.0f}"),
    "mean score": ("mean_score", "{:.1f}"),
    "scored rows": ("n_scored", "{:,.0f}"),
    "mean grade": ("mean_grade", "{:.1f}"),
    "clusters": ("n_clusters", "{:,.0f}"),
    "distance from the pool": ("cluster_distance", "{:.2f}"),
}
"""Label -> column and format."""


def compare(  # noqa: PLR0913 - the options of the command
    run: options.RunDirectory,
    strategies: Strategies = STRATEGIES,
    n: options.Size = "1000",
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

    Every selection is the one that `tacos reselect` makes, quotas and limits included. Random is
    drawn 20 times: the mean, and below it the range of the draws. "Distance from the pool" is half
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
    table = _build_comparison_table(comparison)
    console.out.print(table)
    _print_shares(
        "overlap: share of the row strategy's rows that the column strategy also selects",
        comparison.overlap,
    )
    _print_shares(
        "the largest clusters of the pool: share of rows",
        _name_clusters(comparison.clusters.head(N_SHOWN)),
    )
    if comparison.sources.height > 1:
        _print_shares(
            "files: share of rows",
            comparison.sources.head(N_SHOWN),
        )


def _name_clusters(clusters: pl.DataFrame) -> pl.DataFrame:
    """Shares of clusters, with the clusters' names in the first column."""
    name = pl.coalesce("name", pl.lit(UNCLUSTERED)).alias("cluster")
    return clusters.select(name, pl.exclude("cluster", "name"))


def _build_comparison_table(comparison: Comparison) -> Table:
    """A line per figure, a column per strategy; random also with the range of its draws."""
    strategies = comparison.table["strategy"]
    table = console.build_figure_table(
        f"strategies over one pool of {comparison.n_pool:,} rows",
        columns=["", *strategies],
    )
    # Each draw of random rows has figures of its own.
    ranges = {}
    for row in comparison.random.iter_rows(named=True):
        ranges[row["figure"]] = row
    for label, (column, form) in FIGURES.items():
        values = comparison.table[column]
        cells = [format_figure(value, form) for value in values]
        cells[-1] += _format_range(ranges[column], form)  # random is the last column
        table.add_row(label, *cells)
    return table


def _format_range(draws: dict[str, Any], form: str) -> str:
    """The range of a figure over the draws of random, on a line of its own."""
    low = draws["low"]
    high = draws["high"]
    if low is None or low == high:
        return ""
    return f"\n{form.format(low)} .. {form.format(high)}"


def format_figure(value: float | None, form: str) -> str:
    """A figure, or n/a if it rests on no row."""
    return "n/a" if value is None else form.format(value)


def _print_shares(
    title: str,
    shares: pl.DataFrame,
) -> None:
    """Print names, and shares as percentages in the other columns."""
    _, *strategies = shares.columns
    table = console.build_figure_table(
        title,
        columns=["", *strategies],
    )
    for name, *values in shares.iter_rows():
        percentages = [f"{value:.0%}" for value in values]
        table.add_row(str(name), *percentages)
    console.out.print(table)
