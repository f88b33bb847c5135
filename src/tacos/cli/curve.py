"""`tacos curve RUN`: how many rows do I need?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.table import Table

from tacos.cli.compare import format_figure
from tacos.cli.reselect import BY, By, Run, Strategy
from tacos.cli.shared import console, figures, options
from tacos.methods.selecting.strategies import STRATEGIES
from tacos.workflows import curve as curving
from tacos.workflows import select
from tacos.workflows.curve import SizeCurve
from tacos.workflows.reselect import SelectionRequest

Sizes = Annotated[
    str,
    typer.Option(
        "-n", help="sizes with commas between: rows or shares [default: 10, 15, 20, 30, ...]"
    ),
]
Gain = Annotated[
    float,
    typer.Option(
        min=0, max=100, help="points of coverage that 1% more of the pool must bring to be worth it"
    ),
]

COLUMNS = {
    "rows": ("n", "{:,}"),
    "of the pool": ("share", "{:.1%}"),
    "tokens": ("tokens", "{:,}"),
    "tags covered": ("coverage", "{:.1%}"),
    "by chance": ("by_chance", "{:.1%}"),
    "gain": ("gain", "{:.2f}"),
    "score": ("mean_score", "{:.1f}"),
    "tags a row": ("mean_tags", "{:.2f}"),
}


def curve(  # noqa: PLR0913 - a command's options are its interface
    run: Run,
    strategy: Strategy = "tacos",
    n: Sizes = "",
    gain: Gain = curving.GAIN,
    output: figures.Figure = None,
    seed: options.RunSeed = None,
    quota_source: options.QuotaSource = None,
    quota_tag: options.QuotaTag = None,
    match_length: options.MatchLength = False,
    limit: options.Limit = None,
    by: By = "score",
    as_json: options.AsJson = False,
) -> None:
    """How many rows do I need? Coverage of tags, score, tags a row and tokens against the number of
    rows.

    Asks no model. "Gain" is the points of coverage that 1% more of the pool brings, from one size
    to the next; the last line says from which size on it stays below --gain. Tokens are four
    characters each.

    Examples:

      tacos curve selected.jsonl.run --strategy mig --by grade -o curve.svg

      tacos curve selected.jsonl.run -n 100,500,1000,5% --gain 2
    """
    if output is not None:
        figures.check_figure_path(output)
    limits = select.parse_limits(
        **options.parse_limits(quota_source, quota_tag, match_length, limit)
    )
    of_run = select.load(run)
    used = of_run.seed_or(seed)
    wish = SelectionRequest(
        1,
        options.check_choice("--strategy", strategy, STRATEGIES),
        used,
        limits,
        options.check_choice("--by", by, BY),
    )
    wanted = [size.strip() for size in n.split(",") if size.strip()]
    found = curving.curve(of_run, wish, wanted, gain)
    if output is not None:
        _draw_curve(found, output)
    if as_json:
        print(
            orjson.dumps(
                found.as_dict() | {"answer": found.answer}, option=orjson.OPT_INDENT_2
            ).decode()
        )
        return
    _print_curve(found)
    if output is not None:
        console.out.print(f"figure: {output}", soft_wrap=True)


def _draw_curve(found: SizeCurve, output: Path) -> None:
    """Write the figure."""
    from tacos.report import charts  # altair takes half a second to import

    figures.write_figure(charts.chart_curve(found.table, found.strategy, found.knee), output)


def _print_curve(found: SizeCurve) -> None:
    """Print the table and the answer."""
    drawn = Table(
        title=f"{found.strategy} over a pool of {found.n_pool:,} rows", title_justify="left"
    )
    for title in COLUMNS:
        drawn.add_column(title, justify="right", overflow="fold")
    for row in found.table.iter_rows(named=True):
        drawn.add_row(*(format_figure(row[figure], form) for figure, form in COLUMNS.values()))
    console.out.print(drawn)
    if found.ended:
        console.out.print(f"no larger sizes: {found.ended}", soft_wrap=True, markup=False)
    console.out.print(found.answer, soft_wrap=True)
