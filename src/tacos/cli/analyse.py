"""`tacos analyse`: diversity, complexity and overlap of data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import polars as pl
import typer
from rich.table import Table

from tacos.cli.shared import consent, console, option_settings, options, progress
from tacos.cli.shared.option_settings import EndpointOptions
from tacos.cli.tags import print_normalisation
from tacos.config import Settings
from tacos.llm.ledger.location import list_ledger_files
from tacos.pipeline.model_factory import list_embedding_models, list_endpoint_models
from tacos.report import figure_texts
from tacos.store import files
from tacos.visible_text import escape_formula
from tacos.workflows import analyse as workflow
from tacos.workflows import kept_files
from tacos.workflows.analyse import Analysis

N_FREQUENT = 8
"""Tags of each data set that are shown."""

FIGURES = ("complexity-coverage", "rarefaction", "recall", "frequencies")
FILES = (
    *(f"{name}.csv" for name in workflow.TABLES),
    "analysis.json",
    *(f"{name}.svg" for name in FIGURES),
)
"""What is written into the folder."""

DataSets = Annotated[
    list[str], typer.Argument(help="data files and run directories, any number")
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        help="write tables (.csv), analysis.json and figures (.svg) here",
    ),
]


def analyse(  # noqa: PLR0913 - the options of the command
    data: DataSets,
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
    """How diverse and complex are data sets, and how much do they share?

    Coverage (diversity) is the share of the tags of all data sets that one has; complexity is its
    mean number of tags per sample. Data files are tagged first. A run brings the tags of its whole
    pool; for those of its selection, give the file that it wrote, whose rows keep the run's tags.
    All tags are normalised together, and a row that several data sets have counts once.

    Examples:

      tacos analyse alpaca.json lima.json -o analysis

      tacos analyse selected.jsonl.run selected.jsonl

      tacos analyse selected.jsonl.run pool.jsonl --vocabulary vocabulary.json
    """
    chosen = option_settings.build_settings(
        preset,
        settings,
        sets,
        EndpointOptions(llm, model, budget),
        seed=seed,
        **option_settings.build_normalise_settings(overrides, vocabulary),
    )

    files_read = option_settings.list_files_read(
        settings,
        sets,
        overrides,
        vocabulary,
    )
    if output is not None:
        kept_files.check_files_kept(
            [output / name for name in FILES],
            [
                *kept_files.list_data_files(data),
                *files_read,
                *list_ledger_files(ledger),
            ],
        )

    def analyse_data(settings: Settings) -> Analysis:
        # A folder that cannot be made is an error before the work, not after it.
        if output is not None:
            files.make_folder(output)
        with progress.show_progress(show=not as_json) as bars:
            return workflow.analyse(
                data,
                settings,
                ledger=ledger,
                workers=workers,
                progress=bars,
                seed=seed,
            )

    analysis = consent.run_with_consent(
        analyse_data,
        chosen,
        None,
        yes=yes,
        models=_list_models(chosen),
        ledger=ledger,
    )
    written = [] if output is None else _write_analysis(analysis, output)
    if as_json:
        console.print_json(analysis.as_dict())
        return
    _print_analysis(analysis)
    for path in written:
        console.print_line(f"written: {path}")


def _list_models(settings: Settings) -> dict[str, tuple[str, ...]]:
    """The models of an endpoint that tag and normalise."""
    models = {**list_endpoint_models(settings), **list_embedding_models(settings)}
    return {stage: models[stage] for stage in models if stage in ("tag", "normalise")}


def _write_analysis(analysis: Analysis, folder: Path) -> list[Path]:
    """Write tables, JSON and figures; returns their paths."""
    from tacos.report import charts  # altair takes half a second to import

    contents: dict[str, str] = {}
    for name, table in analysis.tables.items():
        contents[f"{name}.csv"] = _encode_table(table)
    plain = analysis.as_dict()
    encoded = orjson.dumps(plain, option=orjson.OPT_INDENT_2)
    contents["analysis.json"] = encoded.decode()
    drawn = charts.chart_analysis(analysis.tables)
    for name, chart in drawn.items():
        contents[f"{name}.svg"] = charts.render_svg(chart)

    # Everything is made before the first file is written: an error leaves no half of it behind.
    paths = []
    for name, text in contents.items():
        path = files.write_text(text, folder / name)
        paths.append(path)
    return paths


def _encode_table(table: pl.DataFrame) -> str:
    """A table as CSV for people: no cell is a formula, and the names of a tag's parents are one
    text, as CSV has no lists.
    """
    if "parents" in table.columns:
        names = pl.col("parents").list.eval(pl.element().struct.field("tag"))
        table = table.with_columns(parents=names.list.join("; "))
    texts = pl.col(pl.String).map_elements(escape_formula, return_dtype=pl.String)
    return table.with_columns(texts).write_csv()


def _print_analysis(analysis: Analysis) -> None:
    """Print the tables."""
    print_normalisation(
        "normalisation of all tags together",
        analysis.notes,
    )
    summary_table = _build_summary_table(analysis.summary)
    console.out.print(summary_table)
    if analysis.recall.height > 1:
        recall_table = _build_recall_table(analysis.recall)
        console.out.print(recall_table)
    for name in analysis.summary["data"]:
        _print_frequent_tags(name, analysis.frequencies)


def _print_frequent_tags(name: str, frequencies: pl.DataFrame) -> None:
    """Print the most frequent tags of a data set."""
    frequent = frequencies.filter(data=name).head(N_FREQUENT)
    shares = frequent.select("tag", "share").rows()
    texts = []
    for tag, share in shares:
        percentage = figure_texts.format_share(share, digits=0)
        texts.append(f"{tag} ({percentage})")
    console.print_text(f"{name}: {', '.join(texts)}")


def _build_summary_table(summary: pl.DataFrame) -> Table:
    """One line per data set."""
    n_smallest = min(summary["n_samples"].to_list())
    columns = [
        "data",
        "samples",
        "untagged",
        "tags",
        "tags covered",
        f"covered by {n_smallest:,} at random",
        "tags per row",
    ]
    table = console.build_figure_table("diversity and complexity", columns)
    for row in summary.iter_rows(named=True):
        half_width = 1.96 * row["complexity_error"]  # of a 95% interval
        complexity = figure_texts.format_figure("mean_tags", row["complexity"])
        table.add_row(
            row["data"],
            f"{row['n_samples']:,}",
            f"{row['n_untagged']:,}",
            f"{row['n_tags']:,}",
            figure_texts.format_figure("coverage", row["coverage"]),
            figure_texts.format_figure("coverage", row["coverage_same_size"]),
            f"{complexity} ± {half_width:.2f}",
        )
    return table


def _build_recall_table(recall: pl.DataFrame) -> Table:
    """The matrix of tag recall."""
    _, *names = recall.columns
    table = console.build_figure_table(
        "share of the column's tags that the row has",
        columns=["", *names],
    )
    for name, *shares in recall.iter_rows():
        percentages = [figure_texts.format_share(share, digits=0) for share in shares]
        table.add_row(name, *percentages)
    return table
