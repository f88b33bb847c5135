"""`tacos select`: the main job."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from tacos.amounts import parse_memory
from tacos.cli.shared import (
    consent,
    console,
    extending,
    option_settings,
    options,
    outcome,
    progress,
)
from tacos.cli.shared.option_settings import EndpointOptions
from tacos.cli.shared.stopwatch import WATCH
from tacos.config import Settings
from tacos.errors import ConfigError, OfflineError, OtherEndpointError
from tacos.store.artifacts import Store
from tacos.workflows import arguments, hand_edits
from tacos.workflows import select as workflow
from tacos.workflows.dry_run import StepForecast, forecast_run
from tacos.workflows.selection import OutputTargets, Selection


def select(  # noqa: PLR0913 - the options of the command
    context: typer.Context,
    data: options.Data = None,
    glob: options.Glob = None,
    maps: options.Map = None,
    preference: options.Preference = None,
    clean: options.Clean = None,
    against: options.Against = None,
    extend: options.Extend = None,
    renew: options.Renew = False,
    n: options.SizeOrNone = None,
    output: options.Selected = Path("selected.jsonl"),
    run: options.Run = None,
    preset: options.Preset = "robust",
    seed: options.Seed = 1,
    settings: options.SettingsFile = None,
    sets: options.Sets = None,
    keep: options.Keep = None,
    exclude: options.Exclude = None,
    edits: options.Edits = None,
    fill: options.Fill = False,
    quota_source: options.QuotaSource = None,
    quota_tag: options.QuotaTag = None,
    match_length: options.MatchLength = False,
    limit: options.Limit = None,
    min_correctness: options.MinCorrectness = None,
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
    force: options.Force = False,
    workers: options.Workers = 0,
    max_memory: options.MaxMemory = None,
    engine: options.Engine = "local",
    ray_address: options.RayAddress = None,
    verbose: options.Verbose = False,
) -> None:
    """Select a diverse, high-quality subset of a data set, with a reason for each row.

    Runs offline on embedded models. The same command again only confirms that all stages are up to
    date; a changed setting re-runs only what depends on it.

    Examples:

      tacos select data.jsonl -n 1000 -o selected.jsonl

    \b
      tacos select a.json.gz b.parquet -n 5000 -o out.parquet --preset paper \\
        --seed 2

    \b
      tacos select a.json b.json -n 5% --quota-source a.json=0.3 \\
        --quota-tag 'Poetry Writing<=5%' --match-length --limit 0.95

      tacos select corpora -n 1000 --map instruction=q --map response=a.text

      tacos select data.jsonl -n 1000 --clean light --against mt_bench.jsonl

      tacos select new.jsonl --extend out.jsonl.run -n 1000 -o more.jsonl

      cat data.jsonl | tacos select - -n 50 -o out.jsonl --set cluster.k=20
    """
    _set_up_logging(verbose=verbose)
    most_memory = None if max_memory is None else parse_memory(max_memory)
    # Of a shell variable that is not set: nobody means a cluster on this machine by it.
    if ray_address is not None and not ray_address.strip():
        raise ConfigError(
            "--ray-address is empty: name a cluster (HOST:6379, auto), or leave the option out"
        )
    inputs = extending.choose_data(data, glob, extend)
    # Settings: only options that were given override the preset and the settings file.
    selecting = option_settings.parse_limits(
        quota_source,
        quota_tag,
        match_length,
        limit,
        min_correctness,
    )
    # Without -n the size of the preset or of the settings file holds.
    if n is not None:
        selecting["n"] = n
    if fill:
        selecting["fill"] = True
    top: dict[str, Any] = {
        "select": selecting,
        **option_settings.build_ingest_settings(maps, preference),
        **option_settings.build_clean_settings(clean, against),
        **option_settings.build_criteria_settings(criteria),
        **option_settings.build_normalise_settings(overrides, vocabulary),
    }
    endpoint = EndpointOptions(llm, model, budget)
    chosen = extending.build_settings(
        context,
        extend,
        preset,
        seed,
        settings,
        sets,
        endpoint,
        top,
        renew=renew,
    )
    files_read = option_settings.list_files_read(
        settings,
        sets,
        keep,
        exclude,
        edits,
        criteria,
        overrides,
        vocabulary,
    )
    chosen = hand_edits.add_hand_lists(chosen, keep, exclude, edits)
    directory = workflow.resolve_run_directory(run, output)
    if dry_run:
        steps = forecast_run(
            inputs,
            chosen,
            run=directory,
            max_memory=most_memory,
        )
        _print_forecast(steps, as_json=as_json)
        return

    def select_rows(settings: Settings, *, offline: bool = False) -> Selection:
        with progress.show_progress(show=not as_json) as bars:
            return workflow.run_selection(
                inputs,
                settings,
                OutputTargets(output, run, report, columns, force),
                ledger=arguments.to_ledger_location(ledger),
                workers=workers,
                max_memory=most_memory,
                engine=engine,
                ray_address=ray_address or "",
                progress=bars,
                until=until,
                offline=offline,
                read=files_read,
            )

    models = consent.list_asked_models(chosen, until)
    done = None
    if consent.needs_consent(chosen, directory, yes=yes, models=models):
        done = _select_without_sending(select_rows, chosen, directory)
    if done is None:
        # Ask before anything is sent, then run.
        done = consent.run_with_consent(
            select_rows,
            chosen,
            directory,
            yes=yes,
            models=models,
            may_be_known=False,
        )
    outcome.print_outcome(done, as_json=as_json, seconds=WATCH.read())


def _select_without_sending(
    select_rows: Callable[..., Selection],
    settings: Settings,
    directory: Path | None,
) -> Selection | None:
    """The selection if a run can finish it by the replies that the ledger has, else None."""
    # A run that has read no input has imported no reply either.
    if directory is None or not Store(directory).has("samples"):
        return None
    try:
        return select_rows(settings, offline=True)
    except (OfflineError, OtherEndpointError):
        return None


def _set_up_logging(*, verbose: bool) -> None:
    """Log everything from INFO on to standard error, if `verbose` is wanted."""
    # Warnings go there anyway, one plain line each, and above the bars of a terminal.
    if verbose:
        logging.basicConfig(
            level=logging.INFO, format="%(levelname)s %(name)s: %(message)s"
        )


def _print_forecast(steps: list[StepForecast], *, as_json: bool) -> None:
    """Print what would run."""
    if as_json:
        console.print_json([step.as_dict() for step in steps])
        return
    console.print_pairs("would run", [(step.artifact, step.text()) for step in steps])
