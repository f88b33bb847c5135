"""`tacos reselect RUN`: another selection from a finished run, without asking any model again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from tacos import api
from tacos.cli import options, select
from tacos.methods.selecting.strategies import STRATEGIES
from tacos.reselecting import Wish

Run = Annotated[Path, typer.Argument(help="the run directory, e.g. selected.jsonl.run")]
Size = Annotated[str, typer.Option("-n", help="rows (500), a share of the pool (10%) or a token budget (2Mtokens)")]
Strategy = Annotated[str, typer.Option(help=", ".join(STRATEGIES))]
Limit = Annotated[
    float, typer.Option(help="turn rows away whose cosine to a row taken is above this, e.g. .9", min=0.01, max=1)
]
By = Annotated[str, typer.Option(help="score (compared rows only), or grade (the cheap grade that every row has)")]


def reselect(  # noqa: PLR0913 - a command's options are its interface
    run: Run,
    n: Size = "1000",
    strategy: Strategy = "tacos",
    output: options.AnyOutput = None,
    seed: options.Seed = 1,
    limit: Limit = 1.0,
    by: By = "score",
    columns: options.Columns = False,
    as_json: options.AsJson = False,
    report: options.Report = None,
) -> None:
    """Select again from the annotated rows of a finished run, by any strategy, with no further call to a model.

    Writes the rows and the sidecar as `tacos select` does. A token counts as four characters of instruction and
    response. The run's own selection, its must-keep and its exclude list stay as they are.

    Examples:

      tacos reselect selected.jsonl.run -n 500 --strategy mig -o mig.jsonl

      tacos reselect selected.jsonl.run -n 2Mtokens --strategy deita --limit .85 -o deita.jsonl
    """
    started = time.monotonic()
    wish = Wish(n, options.one_of("--strategy", strategy, STRATEGIES), seed, limit, options.one_of("--by", by, BY))
    done = api.reselect_with(api.load(run), wish, api.Targets(output, report=report, columns=columns))
    select.close(done, as_json=as_json, seconds=time.monotonic() - started)


BY = ("score", "grade")
