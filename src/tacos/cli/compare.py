"""`tacos compare RUN`: strategies side by side, without asking any model again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import polars as pl
import typer
from rich.table import Table

from tacos.cli.reselect import BY, By, Run
from tacos.cli.shared import console, figures, options
from tacos.workflows import compare as comparing
from tacos.workflows import select
from tacos.workflows.compare import Comparison

N_CLUSTERS = 8
DEFAULT = ",".join(comparing.DEFAULT)
Strategies = Annotated[
    str, typer.Option(help="names with commas between; longest and random always stand beside them")
]

COLUMNS = {
    "rows": ("n", "{:,.0f}"),
    "tags covered": ("coverage", "{:.1%}"),
    "tags a row": ("mean_tags", "{:.2f}"),
    "mean length": ("mean_length", "{:,.0f}"),
    "median": ("median_length", "{:,.0f}"),
    "score": ("mean_score", "{:.1f}"),
    "rows with one": ("n_scored", "{:,.0f}"),
    "grade": ("mean_grade", "{:.1f}"),
    "clusters": ("n_clusters", "{:,.0f}"),
    "off the pool's mix": ("cluster_distance", "{:.2f}"),
}


def compare(  # noqa: PLR0913 - a command's options are its interface
    run: Run,
    strategies: Strategies = DEFAULT,
    n: options.Size = "1000",
    output: figures.Figure = None,
    seed: options.RunSeed = None,
    quota_source: options.QuotaSource = None,
    quota_tag: options.QuotaTag = None,
    match_length: options.MatchLength = False,
    limit: options.Limit = None,
    by: By = "score",
    as_json: options.AsJson = False,
) -> None:
    """How do the strategies' selections differ: overlap, coverage of tags, tags, length, score, mix
    of clusters?

    Every selection is the one that `tacos reselect` makes, quotas and limits included. Random is
    drawn 20 times: mean, and from the least to the greatest. "Off the pool's mix" is half the sum
    of differences between a selection's and the pool's shares of clusters: 0 is the same mix.

    Example:

      tacos compare selected.jsonl.run --strategies tacos,mig,deita -n 1000 -o strategies.svg
    """
    if output is not None:
        figures.check_figure_path(output)
    wanted = [name.strip() for name in strategies.split(",") if name.strip()]
    limits = select.parse_limits(
        **options.parse_limits(quota_source, quota_tag, match_length, limit)
    )
    found = comparing.compare(
        run, n, wanted, seed=seed, limits=limits, by=options.check_choice("--by", by, BY)
    )
    if output is not None:
        _draw_comparison(found, output)
    if as_json:
        print(orjson.dumps(found.as_dict(), option=orjson.OPT_INDENT_2).decode())
        return
    _print_comparison(found)
    if output is not None:
        console.out.print(f"figure: {output}", soft_wrap=True)


def _draw_comparison(found: Comparison, output: Path) -> None:
    """Write the figure."""
    from tacos.report import charts  # altair takes half a second to import

    figures.write_figure(charts.chart_strategies(found.table, found.random, found.overlap), output)


def _print_comparison(found: Comparison) -> None:
    """Print the tables."""
    console.out.print(_build_comparison_table(found))
    console.out.print(
        _build_share_table(
            "rows in common: share of the row's that the column has", found.overlap, "strategy"
        )
    )
    names = pl.coalesce("name", pl.lit("(no canonical tag)")).alias("cluster")
    largest = found.clusters.head(N_CLUSTERS).select(names, pl.exclude("cluster", "name"))
    console.out.print(
        _build_share_table("the pool's largest clusters: share of rows", largest, "cluster")
    )
    if found.sources.height > 1:
        console.out.print(
            _build_share_table("files: share of rows", found.sources.head(N_CLUSTERS), "source")
        )


def _build_comparison_table(found: Comparison) -> Table:
    """A line per figure, a column per strategy; random's with the least and the greatest draw."""
    drawn = Table(title=f"strategies over one pool of {found.n_pool:,} rows", title_justify="left")
    drawn.add_column("")
    for name in found.table["strategy"]:
        drawn.add_column(name, justify="right", overflow="fold")
    bounds = {figure: (low, high) for figure, _, low, high in found.random.iter_rows()}
    for title, (figure, form) in COLUMNS.items():
        *values, random = found.table[figure].to_list()
        low, high = bounds[figure]
        spread = (
            f"\n{form.format(low)} .. {form.format(high)}"
            if low is not None and low != high
            else ""
        )
        drawn.add_row(
            title,
            *(format_figure(value, form) for value in values),
            format_figure(random, form) + spread,
        )
    return drawn


def format_figure(value: float | None, form: str) -> str:
    """A figure, or n/a where it rests on no row."""
    return "n/a" if value is None else form.format(value)


def _build_share_table(title: str, table: pl.DataFrame, first: str) -> Table:
    """Shares as percentages."""
    drawn = Table(title=title, title_justify="left")
    for name in table.columns:
        drawn.add_column(
            "" if name == first else name,
            justify="left" if name == first else "right",
            overflow="fold",
        )
    for name, *shares in table.iter_rows():
        drawn.add_row(str(name), *(f"{share:.0%}" for share in shares))
    return drawn
