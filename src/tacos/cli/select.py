"""`tacos select`: the main job."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import orjson

from tacos.cli.shared import consent, console, options, summary
from tacos.report.facts import RunSummary
from tacos.workflows import select as api


def select(  # noqa: PLR0913 - a command's options are its interface
    data: options.Data,
    n: options.N = None,
    output: options.Output = Path("selected.jsonl"),
    run: options.Run = None,
    preset: options.Preset = "robust",
    seed: options.Seed = 1,
    settings: options.SettingsFile = None,
    sets: options.Sets = None,
    keep: options.Keep = None,
    exclude: options.Exclude = None,
    fill: options.Fill = False,
    quota_source: options.QuotaSource = None,
    quota_tag: options.QuotaTag = None,
    match_length: options.MatchLength = False,
    limit: options.Limit = None,
    columns: options.Columns = False,
    llm: options.Url = None,
    model: options.Model = None,
    criteria: options.Criteria = None,
    overrides: options.Overrides = None,
    vocabulary: options.Vocabulary = None,
    budget: options.Budget = None,
    ledger: options.Ledger = None,
    yes: options.Yes = False,
    until: options.Until = None,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
    report: options.Report = None,
    workers: options.Workers = 0,
    verbose: options.Verbose = False,
) -> None:
    """Select n rows of a data set: diverse, of high quality, each with a reason.

    Runs offline on embedded models. A second call with the same settings does nothing but say so; a
    changed setting re-runs only what depends on it.

    Examples:

      tacos select data.jsonl -n 1000 -o selected.jsonl

      tacos select a.json.gz b.parquet -n 5000 -o out.parquet --preset paper --seed 2

      tacos select a.json b.json -n 5% --quota-source a.json=0.3 --quota-tag 'poetry<=5%'
      --match-length --limit .95

      cat data.jsonl | tacos select - -n 50 -o out.jsonl --set cluster.k=20
    """
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
    )
    endpoint = {"url": llm, "model": model, "budget": budget}
    wanted = options.parse_limits(quota_source, quota_tag, match_length, limit)
    wanted |= ({"n": n} if n is not None else {}) | ({"fill": True} if fill else {})
    own = options.load_criteria_settings(criteria) | options.load_normalise_settings(
        overrides, vocabulary
    )
    chosen = options.build_settings(
        preset, settings, sets, endpoint, seed=seed, select=wanted, **own
    )
    chosen = api.add_id_lists(chosen, keep, exclude)
    if dry_run:
        _print_forecast(
            api.forecast_run(data, chosen, run=api.resolve_run_directory(run, output)),
            as_json=as_json,
        )
        return
    consent.ask_consent(chosen, api.resolve_run_directory(run, output), yes=yes)
    started = time.monotonic()
    with console.show_progress(show=not as_json) as bars:
        done = api.run_selection(
            data,
            chosen,
            api.OutputTargets(output, run, report, columns=columns),
            ledger=ledger,
            workers=workers,
            progress=bars,
            until=until,
        )
    print_outcome(done, as_json=as_json, seconds=time.monotonic() - started)


def print_outcome(done: api.Selection, *, as_json: bool, seconds: float) -> None:
    """Print what was done, or that there was nothing to do."""
    found: RunSummary = done.summary
    if as_json:
        extra = {
            "run": str(done.run),
            "output": str(done.output or ""),
            "made": done.made,
            "wall_seconds": round(seconds, 2),
        }
        print(orjson.dumps({**found.as_dict(), **extra}, option=orjson.OPT_INDENT_2).decode())
        return
    summary.print_summary(found)
    if not done.made:
        console.out.print("nothing to do: every stage was there already under these settings")
    for label, path in (
        ("rows", done.output),
        ("scores and tags", done.sidecar),
        ("report", done.report_path),
        ("run", done.run),
    ):
        if path:
            console.out.print(f"{label}: {path}", soft_wrap=True)


def _print_forecast(plan: list[api.StepForecast], *, as_json: bool) -> None:
    """Print what would run."""
    if as_json:
        print(orjson.dumps([step.as_dict() for step in plan], option=orjson.OPT_INDENT_2).decode())
        return
    console.out.print(
        console.build_table("would run", [(step.artifact, step.text()) for step in plan])
    )
