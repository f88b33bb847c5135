"""`tacos reselect`: another selection from a finished run, without calling any model."""

from __future__ import annotations

from tacos.cli.shared import console, option_settings, options, outcome
from tacos.cli.shared.stopwatch import WATCH
from tacos.formats import row_edits
from tacos.methods.selecting.strategies import STRATEGIES
from tacos.workflows import arguments
from tacos.workflows import reselect as workflow
from tacos.workflows.selection import OutputTargets, load
from tacos.workflows.strategy_pool import SelectionRequest


def reselect(  # noqa: PLR0913 - the options of the command
    run: options.RunDirectory,
    n: options.SizeOfRun = None,
    strategy: options.Strategy = "tacos",
    output: options.SelectedOrNone = None,
    seed: options.RunSeed = None,
    quota_source: options.QuotaSource = None,
    quota_tag: options.QuotaTag = None,
    match_length: options.MatchLength = False,
    limit: options.Limit = None,
    min_correctness: options.MinCorrectness = None,
    tag_price: options.TagPrice = None,
    edits: options.Edits = None,
    by: options.By = "score",
    columns: options.Columns = False,
    as_json: options.AsJson = False,
    report: options.ReportOrNone = None,
    force: options.Force = False,
) -> None:
    """Select again from the annotated rows of a finished run, by any strategy, without any model.

    With -o, the rows and the sidecar are written as `tacos select` does; without it, only the
    summary is printed. The run's seed, --fill, must-keep and
    exclude lists hold, apart from the rows of --edits; its quotas and limits do not: repeat those
    that you want. The run's own selection stays as it is.

    Examples:

      tacos reselect selected.jsonl.run -n 500 --strategy mig -o mig.jsonl

    \b
      tacos reselect selected.jsonl.run -n 2Mtokens --strategy deita \\
        --limit 0.85 -o deita.jsonl

    \b
      tacos reselect selected.jsonl.run -n 5% --quota-source a.json=0.3 \\
        --quota-tag 'Poetry Writing<=5%' --match-length
    """
    limits = option_settings.parse_limits(
        quota_source,
        quota_tag,
        match_length,
        limit,
        min_correctness,
    )
    of_run = load(run)
    request = SelectionRequest(
        of_run.size_or(n),
        arguments.check_choice("strategy", strategy, STRATEGIES),
        of_run.seed_or(seed),
        workflow.parse_limits(**limits),
        arguments.check_choice("value of by (--by)", by, options.SCORES),
        tag_price,
    )
    targets = OutputTargets(output, report=report, columns=columns, force=force)
    by_hand = {} if edits is None else row_edits.read_edits(edits)
    read = [] if edits is None else [edits]
    done = workflow.run_reselection(of_run, request, targets, by_hand, read)
    outcome.print_outcome(done, as_json=as_json, seconds=WATCH.read())
    if output is None and not as_json:
        console.print_line("rows not saved: pass -o FILE to write them")
