"""`tacos analyse A B ...`: diversity, complexity and overlap of data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import polars as pl
import typer
from rich.table import Table

from tacos.cli.shared import consent, console, options
from tacos.cli.tags import format_drift_report, format_merge_step
from tacos.pipeline.model_factory import list_embedding_models, list_endpoint_models
from tacos.store import files
from tacos.workflows import analyse as analysis
from tacos.workflows.analyse import Analysis

N_FREQUENT = 8

Data = Annotated[
    list[str], typer.Argument(help="data files and run directories, as many as you like")
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "-o", "--output", help="a folder for tables (.csv), analysis.json and figures (.svg)"
    ),
]


def analyse(  # noqa: PLR0913 - a command's options are its interface
    data: Data,
    output: Folder = None,
    preset: options.Preset = "robust",
    seed: options.Seed = 1,
    settings: options.SettingsFile = None,
    sets: options.Sets = None,
    overrides: options.Overrides = None,
    vocabulary: options.Vocabulary = None,
    llm: options.Url = None,
    model: options.Model = None,
    budget: options.Budget = None,
    ledger: options.Ledger = None,
    yes: options.Yes = False,
    as_json: options.AsJson = False,
    workers: options.Workers = 0,
) -> None:
    """How diverse and how complex are data sets, and how much of one does another cover?

    Coverage (diversity) is the share of all tags together that a data set has, complexity its mean
    number of tags per sample. Data files are tagged first; runs bring the tags of their whole pool,
    not of their selection: for that give the file it was written to. All are normalised together.

    Examples:

      tacos analyse alpaca.json lima.json -o analysis

      tacos analyse selected.jsonl.run selected.jsonl

      tacos analyse selected.jsonl.run pool.jsonl --vocabulary vocabulary.json
    """
    endpoint = {"url": llm, "model": model, "budget": budget}
    own = options.load_normalise_settings(overrides, vocabulary)
    chosen = options.build_settings(preset, settings, sets, endpoint, seed=seed, **own)
    every = {**list_endpoint_models(chosen), **list_embedding_models(chosen)}
    asked = {stage: names for stage, names in every.items() if stage in ("tag", "normalise")}
    consent.ask_consent(chosen, None, yes=yes, models=asked)
    if output is not None:
        files.make_folder(output)
    with console.show_progress(show=not as_json) as bars:
        found = analysis.analyse(
            data, chosen, ledger=ledger, workers=workers, progress=bars, seed=seed
        )
    written = [] if output is None else _write_analysis(found, output)
    if as_json:
        print(orjson.dumps(found.as_dict(), option=orjson.OPT_INDENT_2).decode())
        return
    _print_analysis(found)
    for path in written:
        console.out.print(f"written: {path}", soft_wrap=True)


def _write_analysis(found: Analysis, folder: Path) -> list[Path]:
    """Write tables, JSON and figures."""
    paths = [
        files.write_text(table.write_csv(), folder / f"{name}.csv")
        for name, table in found.tables.items()
    ]
    text = orjson.dumps(found.as_dict(), option=orjson.OPT_INDENT_2).decode()
    paths.append(files.write_text(text, folder / "analysis.json"))
    from tacos.report import charts  # altair takes half a second to import

    drawn = charts.chart_analysis(found.tables).items()
    return paths + [
        files.write_text(charts.render_svg(chart), folder / f"{name}.svg") for name, chart in drawn
    ]


def _print_analysis(found: Analysis) -> None:
    """Print the tables."""
    steps = [(step["name"], format_merge_step(step)) for step in found.notes["steps"]]
    console.out.print(console.build_table("normalisation of all tags together", steps))
    for remark in found.notes.get("remarks", []):
        console.out.print(f"note: {remark}".translate(console.UNSEEN), soft_wrap=True, markup=False)
    if "drift" in found.notes:
        console.out.print(
            console.build_table(
                "drift from the vocabulary", format_drift_report(found.notes["drift"])
            )
        )
    console.out.print(_build_summary_table(found.summary))
    if found.recall.height > 1:
        console.out.print(_build_recall_table(found.recall))
    for name in found.summary["data"].to_list():
        most = found.frequencies.filter(data=name).select("tag", "share").head(N_FREQUENT)
        tags = ", ".join(f"{tag} ({share:.0%})" for tag, share in most.rows())
        console.out.print(f"{name}: {tags}".translate(console.UNSEEN), soft_wrap=True, markup=False)


def _build_summary_table(summary: pl.DataFrame) -> Table:
    """One line per data set."""
    least = min(summary["n_samples"].to_list())
    drawn = Table(title="diversity and complexity", title_justify="left")
    for title in (
        "data",
        "samples",
        "untagged",
        "tags",
        "coverage",
        f"coverage of {least:,}",
        "tags per sample",
    ):
        drawn.add_column(title, justify="left" if title == "data" else "right", overflow="fold")
    for row in summary.iter_rows(named=True):
        drawn.add_row(
            row["data"],
            f"{row['n_samples']:,}",
            f"{row['n_untagged']:,}",
            f"{row['n_tags']:,}",
            f"{row['coverage']:.1%}",
            f"{row['coverage_same_size']:.1%}",
            f"{row['complexity']:.2f} ± {1.96 * row['complexity_error']:.2f}",
        )
    return drawn


def _build_recall_table(recall: pl.DataFrame) -> Table:
    """The matrix of tag recall."""
    drawn = Table(title="share of the column's tags that the row has", title_justify="left")
    for title in recall.columns:
        drawn.add_column(
            "" if title == "data" else title, justify="left" if title == "data" else "right"
        )
    for name, *shares in recall.iter_rows():
        drawn.add_row(name, *(f"{share:.0%}" for share in shares))
    return drawn
