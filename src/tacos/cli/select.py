"""`tacos select`: the main job."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Annotated

import orjson
import typer

from tacos import api, config
from tacos.cli import console, summary
from tacos.report.data import Summary

Data = Annotated[list[str], typer.Argument(help="one or several files (.json .jsonl .csv .parquet, plain, .gz or .zst), or - for standard input")]
N = Annotated[int, typer.Option("-n", help="how many rows to select", min=1)]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="where to write them; the suffix decides the container")]
Run = Annotated[Path | None, typer.Option("--run", help="the run directory [default: <output>.run]")]
Preset = Annotated[str, typer.Option(help="robust, or paper: the procedure of the TACOS authors")]
Seed = Annotated[int, typer.Option(help="random state")]
SettingsFile = Annotated[Path | None, typer.Option("--settings", help="a TOML file with settings")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="stage.key=value, e.g. cluster.k=30; may be repeated")]
Keep = Annotated[Path | None, typer.Option(help="file of ids or content hashes that must be selected, one per line")]
Exclude = Annotated[Path | None, typer.Option(help="file of ids or content hashes that must not be selected")]
Fill = Annotated[bool, typer.Option("--fill", help="take unjudged rows where fewer are judged than asked for")]
Columns = Annotated[bool, typer.Option("--columns", help="write scores and tags into columns of the rows (tacos_...)")]
Until = Annotated[str | None, typer.Option(help="stop after this stage, e.g. tag")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="say what would run, on how many rows and questions; write nothing")]
AsJson = Annotated[bool, typer.Option("--json", help="print the summary as JSON")]
Report = Annotated[Path | None, typer.Option(help="where to write the HTML report [default: <run>/report.html]")]
Workers = Annotated[int, typer.Option(help="worker processes [default: all cores]", min=0)]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="log to standard error")]


def select(  # noqa: PLR0913 - a command's options are its interface
    data: Data,
    n: N = 1000,
    output: Output = None,
    run: Run = None,
    preset: Preset = "robust",
    seed: Seed = 1,
    settings: SettingsFile = None,
    sets: Sets = None,
    keep: Keep = None,
    exclude: Exclude = None,
    fill: Fill = False,
    columns: Columns = False,
    until: Until = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    report: Report = None,
    workers: Workers = 0,
    verbose: Verbose = False,
) -> None:
    """Select n rows of a data set: diverse, of high quality, each with a reason.

    Runs offline on embedded models. A second call with the same settings does nothing but say so; a changed setting
    re-runs only what depends on it.

    Examples:

      tacos select data.jsonl -n 1000 -o selected.jsonl

      tacos select a.json.gz b.parquet -n 5000 -o out.parquet --preset paper --seed 2

      cat data.jsonl | tacos select - -n 50 -o out.jsonl --set cluster.k=20
    """
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    chosen = config.load(preset, settings, sets or (), seed=seed, select={"n": n, **({"fill": True} if fill else {})})
    chosen = api.with_lists(chosen, keep, exclude)
    if dry_run:
        show_plan(api.forecast(data, chosen, run=api.run_directory(run, output)), as_json=as_json)
        return
    started = time.monotonic()
    with console.bars(show=not as_json) as bars:
        done = api.select_with(
            data,
            chosen,
            api.Targets(output, run, report, columns=columns),
            workers=workers,
            progress=bars,
            until=until,
        )
    close(done, as_json=as_json, seconds=time.monotonic() - started)


def close(done: api.Selection, *, as_json: bool, seconds: float) -> None:
    """Print what was done, or that there was nothing to do."""
    found: Summary = done.summary
    if as_json:
        extra = {"run": str(done.run), "output": str(done.output or ""), "made": done.made, "wall_seconds": round(seconds, 2)}
        print(orjson.dumps({**found.as_dict(), **extra}, option=orjson.OPT_INDENT_2).decode())
        return
    summary.show(found)
    if not done.made:
        console.out.print("nothing to do: every stage was there already under these settings")
    for label, path in (("rows", done.output), ("scores and tags", done.sidecar), ("report", done.report_path), ("run", done.run)):
        if path:
            console.out.print(f"{label}: {path}", soft_wrap=True)


def show_plan(plan: list[api.Forecast], *, as_json: bool) -> None:
    """Print what would run."""
    if as_json:
        print(orjson.dumps([step.as_dict() for step in plan], option=orjson.OPT_INDENT_2).decode())
        return
    console.out.print(console.table("would run", [(step.artifact, step.text()) for step in plan]))
