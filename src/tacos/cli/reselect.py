"""`tacos reselect RUN`: another selection from a finished run, without asking any model again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from tacos.cli import select
from tacos.cli.shared import options
from tacos.methods.selecting.strategies import STRATEGIES
from tacos.workflows import select as api
from tacos.workflows.reselect import SelectionRequest

Run = Annotated[Path, typer.Argument(help="the run directory, e.g. selected.jsonl.run")]
Strategy = Annotated[str, typer.Option(help=", ".join(STRATEGIES))]
By = Annotated[
    str,
    typer.Option(help="score (compared rows only), or grade (the cheap grade that every row has)"),
]


def reselect(  # noqa: PLR0913 - a command's options are its interface
    run: Run,
    n: options.Size = "1000",
    strategy: Strategy = "tacos",
    output: options.AnyOutput = None,
    seed: options.RunSeed = None,
    quota_source: options.QuotaSource = None,
    quota_tag: options.QuotaTag = None,
    match_length: options.MatchLength = False,
    limit: options.Limit = None,
    by: By = "score",
    columns: options.Columns = False,
    as_json: options.AsJson = False,
    report: options.Report = None,
) -> None:
    """Select again from the annotated rows of a finished run, by any strategy, with no further call
    to a model.

    Writes the rows and the sidecar as `tacos select` does. A token counts as four characters of
    instruction and response. The run's seed, --fill, must-keep and exclude lists hold; its quotas
    and limits do not: give those that you want. The run's own selection stays as it is.

    Examples:

      tacos reselect selected.jsonl.run -n 500 --strategy mig -o mig.jsonl

      tacos reselect selected.jsonl.run -n 2Mtokens --strategy deita --limit .85 -o deita.jsonl

      tacos reselect selected.jsonl.run -n 5% --quota-source a.json=0.3 --quota-tag 'poetry<=5%'
      --match-length
    """
    started = time.monotonic()
    limits = api.parse_limits(**options.parse_limits(quota_source, quota_tag, match_length, limit))
    of_run = api.load(run)
    used = of_run.seed_or(seed)
    wish = SelectionRequest(
        n,
        options.check_choice("--strategy", strategy, STRATEGIES),
        used,
        limits,
        options.check_choice("--by", by, BY),
    )
    done = api.run_reselection(
        of_run, wish, api.OutputTargets(output, report=report, columns=columns)
    )
    select.print_outcome(done, as_json=as_json, seconds=time.monotonic() - started)


BY = ("score", "grade")
