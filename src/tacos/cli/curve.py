"""`tacos curve`: how many rows do I need?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tacos.cli.shared import console, figures, option_settings, options
from tacos.counts import count_words
from tacos.methods.selecting.strategies import STRATEGIES
from tacos.report import figure_texts
from tacos.workflows import arguments
from tacos.workflows import curve as workflow
from tacos.workflows.curve import SizeCurve

Sizes = Annotated[
    str,
    typer.Option(
        "-n",
        help="sizes in rows or shares, separated by commas [default: 10, 15, 20, 30, ...]",
    ),
]
Gain = Annotated[
    float,
    typer.Option(
        min=0,
        max=100,
        help="points of coverage that adding 1% of the pool must gain to be worthwhile",
    ),
]

COLUMNS = (
    "n",
    "share",
    "tokens",
    "coverage",
    "by_chance",
    "gain",
    "mean_score",
    "mean_tags",
)


def curve(  # noqa: PLR0913 - the options of the command
    run: options.RunDirectory,
    strategy: options.Strategy = "tacos",
    n: Sizes = "",
    gain: Gain = workflow.GAIN,
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
    """How many rows do I need? Coverage of tags, score and tokens against the number of rows.

    No model is called. "Gain" is the points of coverage gained by adding 1% of the pool, from one
    size to the next; the last line gives the size beyond which it stays below --gain. "Random" is
    the coverage expected of as many random rows of the pool. A token is four characters.

    Examples:

      tacos curve selected.jsonl.run --strategy mig --by grade -o curve.svg

      tacos curve selected.jsonl.run -n 100,500,1000,5% --gain 2
    """
    if output is not None:
        figures.check_figure_path(output)
    size_curve = workflow.curve(
        run,
        arguments.check_choice("strategy", strategy, STRATEGIES),
        option_settings.split_list(n),
        gain=gain,
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
        _draw_curve(size_curve, output)
    if as_json:
        console.print_json(size_curve.as_dict() | {"answer": size_curve.answer})
        return
    _print_curve(size_curve)
    if output is not None:
        console.print_line(f"figure: {output}")


def _draw_curve(size_curve: SizeCurve, output: Path) -> None:
    """Write the figure."""
    from tacos.report import charts  # altair takes half a second to import

    chart = charts.chart_curve(size_curve.table, size_curve.strategy, size_curve.knee)
    figures.write_figure(chart, output)


def _print_curve(size_curve: SizeCurve) -> None:
    """Print the table and the answer."""
    table = console.build_figure_table(
        f"{size_curve.strategy} over a pool of {count_words(size_curve.n_pool, 'row')}",
        columns=[figure_texts.LABELS[name] for name in COLUMNS],
        n_left=0,
    )
    for row in size_curve.table.iter_rows(named=True):
        cells = [figure_texts.format_figure(name, row[name]) for name in COLUMNS]
        table.add_row(*cells)
    console.out.print(table)
    # A limit may be reached before the pool is used up.
    if size_curve.ended:
        console.print_text(f"no larger sizes: {size_curve.ended}")
    console.print_text(size_curve.answer)
