"""`tacos export`: the folder that a trainer reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tacos.cli.shared import consent, console, option_settings, options
from tacos.cli.shared.option_settings import EndpointOptions
from tacos.config import Settings
from tacos.counts import count_words
from tacos.formats import hub
from tacos.formats.paths import is_run_folder
from tacos.formats.reading import STDIN
from tacos.formats.templates import TEMPLATES
from tacos.formats.trainer_folders import LEFT_OUT, TRAINERS
from tacos.trainers.recipe import RECIPES
from tacos.workflows import export as workflow
from tacos.workflows import kept_files
from tacos.workflows.export import Export
from tacos.workflows.export_check import MARKS, ExportCheck
from tacos.workflows.selection import load

N_REASONS = 8

RunOrFile = Annotated[
    str,
    typer.Argument(
        help="a run directory, of which the selected rows are taken, or a file of rows",
        metavar="RUN|FILE",
    ),
]
Trainer = Annotated[str, typer.Option("--for", help=f"one of {', '.join(TRAINERS)}")]
Folder = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="the folder to write; --check does without"),
]
Check = Annotated[
    bool,
    typer.Option(
        "--check",
        help="show the first rows as the model reads them, with what is trained on between "
        f"{MARKS[0]} and {MARKS[1]}, and count the rows that the trainer keeps",
    ),
]
Template = Annotated[
    str | None,
    typer.Option(
        help=f"the chat template of the model: {', '.join(TEMPLATES)} [default: chatml]",
        show_default=False,
    ),
]
MaxTokens = Annotated[
    int | None,
    typer.Option(
        help="the length at which the trainer cuts rows; goes into its configuration "
        f"[default: {workflow.MAX_TOKENS}]",
        show_default=False,
    ),
]
RecipeName = Annotated[
    str | None,
    typer.Option(
        help=f"the trainer's whole configuration by a recipe: {', '.join(RECIPES)}, or a .toml "
        "file; with its template and length; for trl, llama-factory and axolotl",
        metavar="RECIPE",
    ),
]
Force = Annotated[
    bool,
    typer.Option(
        "--force", help="replace an older export in the folder, and on the hub"
    ),
]
Push = Annotated[
    str,
    typer.Option(
        help="the repository on the Hugging Face hub that gets rows and card; for --for datasets, "
        "with the token in HF_TOKEN",
        metavar="OWNER/NAME",
    ),
]
Public = Annotated[
    bool,
    typer.Option("--public", help="let everybody read a new repository of --push"),
]
Source = Annotated[
    str, typer.Option(help="where the pool comes from, for the card of --for datasets")
]
Licence = Annotated[
    str, typer.Option(help="the pool's licence, for the card: cc-by-4.0, for example")
]


def export(  # noqa: PLR0913 - the options of the command
    data: RunOrFile,
    trainer: Trainer,
    output: Folder = None,
    maps: options.Map = None,
    preference: options.Preference = None,
    template: Template = None,
    columns: options.Columns = False,
    max_tokens: MaxTokens = None,
    recipe: RecipeName = None,
    check: Check = False,
    force: Force = False,
    push: Push = "",
    public: Public = False,
    source: Source = "",
    licence: Licence = "",
    yes: options.Yes = False,
    settings: options.SettingsFile = None,
    sets: options.Sets = None,
    as_json: options.AsJson = False,
) -> None:
    """Write rows as the folder that a trainer reads, with the configuration to read them.

    System messages, earlier turns and calls of tools survive. Rows that the trainer would leave out
    are left out here and counted; left_out.jsonl in the folder says why.

    Examples:

    \b
      tacos export selected.jsonl.run --for trl -o train/
      tacos export data.jsonl --for llama-factory -o train/
      tacos export data.jsonl --for trl --template mistral --check
      tacos export selected.jsonl.run --for llama-factory --recipe paper-llama2-7b -o train/
      tacos export selected.jsonl.run --for datasets --push me/selected --licence cc-by-4.0
    """
    if output is not None:
        kept_files.check_folder_kept(
            output, option_settings.list_files_read(settings, sets)
        )
    if push:
        hub.check_push(push)
        consent.ask_push_consent(
            hub.get_host(),
            push,
            public=public,
            yes=yes,
        )
    exported = workflow.export(
        data,
        trainer,
        output,
        choose_reading_settings(
            data,
            settings,
            sets,
            option_settings.build_ingest_settings(maps, preference),
        ),
        template=template,
        columns=columns,
        max_tokens=max_tokens,
        recipe=recipe,
        check=check,
        force=force,
        push=push,
        public=public,
        source=source,
        licence=licence,
    )
    if as_json:
        console.print_json(exported.as_dict())
    else:
        _print_export(exported)


def choose_reading_settings(
    data: str,
    file: Path | None,
    sets: list[str] | None,
    of_reading: dict[str, Any],
) -> Settings:
    """The run's settings or those of the preset, with the options over them."""
    none = EndpointOptions()
    if data != STDIN and is_run_folder(Path(data)):
        of_run = load(data).settings
        return option_settings.build_run_settings(
            of_run,
            file,
            sets,
            none,
            of_reading,
        )
    return option_settings.build_settings("robust", file, sets, none, **of_reading)


def _print_export(exported: Export) -> None:
    """Print what was written, what was left out, and how to go on."""
    lines = [("rows", f"{exported.n_rows:,} as {exported.layout}")]
    if exported.left_out:
        n_left_out = f"{len(exported.left_out):,}"
        where = f" (see {LEFT_OUT})" if exported.folder else ""
        lines.append(("left out", f"{n_left_out}{where}"))
    console.print_pairs("", lines)
    reasons = list(exported.reasons.items())
    for reason, n_rows in reasons[:N_REASONS]:
        console.print_line(f"{n_rows:,} x {reason}")
    for caution in exported.cautions:
        console.print_line(caution)
    if exported.check is not None:
        _print_check(exported.check)
    if exported.pushed:
        console.print_line(f"pushed to {exported.pushed}")
    if exported.folder is None:
        return
    console.print_line(f"written to {exported.folder}: {', '.join(exported.files)}")
    for line in exported.usage:
        console.print_line(f"  {line}")


def _print_check(check: ExportCheck) -> None:
    """Print the first rows as the model reads them, and what the trainer keeps."""
    for number, text in enumerate(check.shown, 1):
        console.print_line(f"--- row {number} ---")
        for line in text.split("\n"):
            console.print_line(line)
    share = check.n_trained_characters / max(1, check.n_characters)
    lines = [
        ("kept", f"{check.n_kept:,} of {count_words(check.n_rows, 'row')}"),
        (
            "trained on",
            f"{count_words(check.n_answers, 'answer')}, {share:.0%} of the characters",
        ),
    ]
    if check.n_cut:
        lines.append(
            ("cut", f"about {count_words(check.n_cut, 'row')} (raise --max-tokens)")
        )
    console.print_pairs("the trainer", lines)
    for reason, n_rows in check.reasons.items():
        console.print_line(f"{n_rows:,} x {reason}")
