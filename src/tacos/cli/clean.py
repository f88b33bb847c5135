"""`tacos clean`: drop the rows that rules find unfit, with a reason each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tacos.cli.shared import console, option_settings, options
from tacos.cli.shared.option_settings import EndpointOptions
from tacos.counts import count_words
from tacos.formats.paths import choose_inputs
from tacos.methods.cleaning.rules import PRESETS, RULES
from tacos.workflows import clean as workflow
from tacos.workflows import kept_files
from tacos.workflows.clean import Cleaning
from tacos.workflows.cleaned_rows import dropped_path

Output = Annotated[
    Path,
    typer.Option(
        "-o", "--output", help="write the rows here; the suffix decides the format"
    ),
]
Preset = Annotated[str, typer.Option(help=" or ".join(PRESETS))]
Rules = Annotated[
    list[str] | None,
    typer.Option(
        "--rule",
        help=f"a rule beside those of the preset, repeatable: {', '.join(RULES)}",
    ),
]
Without = Annotated[
    list[str] | None,
    typer.Option("--without", help="a rule of the preset that is left out, repeatable"),
]
MinLength = Annotated[
    int | None, typer.Option(help="drop responses of fewer characters")
]
MaxLength = Annotated[
    int | None, typer.Option(help="drop responses of more characters")
]
Languages = Annotated[
    list[str] | None,
    typer.Option(
        "--language",
        help="drop rows that are certainly in another language than this (en, de, ...); repeatable",
    ),
]
Mask = Annotated[
    bool,
    typer.Option(
        "--mask",
        help="keep the rows in which pii or secrets finds something, with [ITS KIND] instead",
    ),
]


def clean(  # noqa: PLR0913 - the options of the command
    output: Output,
    data: options.Data = None,
    glob: options.Glob = None,
    maps: options.Map = None,
    preference: options.Preference = None,
    preset: Preset = "light",
    rules: Rules = None,
    without: Without = None,
    against: options.Against = None,
    min_length: MinLength = None,
    max_length: MaxLength = None,
    languages: Languages = None,
    mask: Mask = False,
    settings: options.SettingsFile = None,
    sets: options.Sets = None,
    force: options.Force = False,
    as_json: options.AsJson = False,
) -> None:
    """Drop broken, refused and repeated rows before anything is paid for.

    The rows that stay keep their fields, types and order. <output>.dropped.jsonl has the dropped
    rows, each with its rule and reason. No model is called.

    Examples:

      tacos clean data.jsonl -o clean.jsonl

      tacos clean data.jsonl -o clean.jsonl --preset strict --without lengths

      tacos clean data.jsonl -o clean.jsonl --against mt_bench.jsonl --against ifeval.jsonl

      tacos clean data.jsonl -o clean.jsonl --rule pii --mask

      tacos clean data.jsonl -o clean.jsonl --language en --rule same-instruction

      tacos clean data.csv -o clean.csv --map instruction=Frage --map response=Antwort
    """
    of_reading = option_settings.build_settings(
        "robust",
        settings,
        sets,
        EndpointOptions(),
        **option_settings.build_ingest_settings(maps, preference),
    )
    kept_files.check_files_kept(
        [output, dropped_path(output)],
        option_settings.list_files_read(settings, sets),
    )
    cleaning = workflow.clean(
        choose_inputs(data or (), glob or ()),
        output,
        preset=preset,
        rules=rules or (),
        without=without or (),
        against=against or (),
        min_length=min_length,
        max_length=max_length,
        languages=languages or (),
        mask=mask,
        settings=of_reading,
        force=force,
    )
    if as_json:
        console.print_json(cleaning.as_dict())
    else:
        _print_cleaning(cleaning)


def _print_cleaning(cleaning: Cleaning) -> None:
    """Print what each rule dropped."""
    lines = [("rows read", f"{cleaning.n_read:,}")]
    for file, counts in cleaning.evaluation_sets.items():
        prompts = (
            f"{count_words(counts.n_prompts, 'prompt')} of "
            f"{count_words(counts.n_rows, 'row')}"
        )
        if counts.n_without:
            prompts += f", {counts.n_without:,} without one"
        if counts.n_short:
            prompts += f", {counts.n_short:,} too short to be looked for"
        lines.append((f"against {file}", prompts))
    for rule, n_rows in cleaning.counts.items():
        lines.append((rule, f"{n_rows:,} dropped"))
    lines.append(("rows kept", f"{cleaning.n_kept:,}"))
    if cleaning.n_masked:
        lines.append(("rows with something masked", f"{cleaning.n_masked:,}"))
    for kind, n_places in cleaning.masked.items():
        lines.append((kind, f"{n_places:,} masked"))
    console.print_pairs("", lines)
    console.print_line(f"rows: {cleaning.output}")
    console.print_line(f"dropped, with reasons: {cleaning.dropped_file}")
    if not cleaning.n_kept:
        console.print_line(
            "No row is left. tacos inspect shows how the rows were read, and --map names the "
            "fields that hold what."
        )
