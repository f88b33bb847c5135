"""`tacos check-tags`: are the tags right, and do they mean the same everywhere?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer
from rich.table import Table

from tacos.cli.shared import consent, console, option_settings, options, progress
from tacos.cli.shared.option_settings import EndpointOptions
from tacos.config import Settings
from tacos.errors import ConfigError
from tacos.pipeline.model_factory import resolve_checker_model
from tacos.workflows import check_tags as workflow
from tacos.workflows import kept_files
from tacos.workflows.check_tags import TagCheck
from tacos.workflows.selection import load

Sheet = Annotated[
    Path | None,
    typer.Option(help="write the cases for people to judge (.csv, .jsonl), and stop"),
]
Answers = Annotated[
    list[Path] | None,
    typer.Option(
        help="a sheet that a person filled in, named after that person; repeatable"
    ),
]
N_SHOWN = 5


def check_tags(  # noqa: PLR0913 - the options of the command
    run: options.RunDirectory,
    sheet: Sheet = None,
    answers: Answers = None,
    llm: options.Url = None,
    model: options.Model = None,
    settings: options.SettingsFile = None,
    sets: options.Sets = None,
    budget: options.Budget = None,
    ledger: options.Ledger = None,
    yes: options.Yes = False,
    as_json: options.AsJson = False,
) -> None:
    """Precision and consistency of the tags of a run, judged by a model, by people, or by both.

    Some cases are planted (a wrong tag, an unrelated instruction): the share of them that a judge
    notices shows how far to trust its ratings.

    Examples:

      tacos check-tags selected.jsonl.run --model MODEL

      tacos check-tags selected.jsonl.run --sheet ann.csv

    \b
      tacos check-tags selected.jsonl.run --model MODEL --answers ann.csv \\
        --answers bea.csv

    The number of cases: --set check.n_precision=20 --set check.n_consistency=20
    --set check.n_planted=10 (planted ones of each kind). Repeat it with --sheet and with --answers.
    """
    endpoint = EndpointOptions(llm, model, budget)
    chosen = option_settings.build_run_settings(
        load(run).settings, settings, sets, endpoint
    )
    if sheet is not None:
        kept_files.check_files_kept(
            [sheet], option_settings.list_files_read(settings, sets)
        )
        n_cases = workflow.write_tag_sheet(run, sheet, chosen)
        _print_instructions(sheet, n_cases, chosen)
        return
    ask = bool(model) or chosen.check.model != "llm"
    if not ask and not answers:
        raise ConfigError(
            "no judge given: pass --model MODEL, or --sheet FILE for human annotators"
        )
    models = {}
    if ask:
        models["check"] = (resolve_checker_model(chosen),)

    def check(settings: Settings) -> TagCheck:
        with progress.show_progress(show=not as_json) as bars:
            return workflow.check_tags(
                run, settings, answers or (), ask=ask, ledger=ledger, progress=bars
            )

    checked = consent.run_with_consent(
        check,
        chosen,
        run,
        yes=yes,
        models=models,
        ledger=ledger,
    )
    if as_json:
        console.print_json(checked.as_dict())
    else:
        _print_check(checked)


def _print_instructions(sheet: Path, n_cases: int, settings: Settings) -> None:
    """Print what to do with a sheet."""
    planted = ", some of them planted" if settings.check.n_planted else ""
    console.print_line(
        f"{n_cases:,} cases{planted}: {sheet}; answer yes or no, "
        f"then pass --answers {sheet} (a copy for each person)"
    )


def _print_check(check: TagCheck) -> None:
    """Print shares, agreement, and answers that could not be read."""
    console.print_pairs("judged", _count_cases(check.cases))
    assessment = check.assessment
    console.out.print(
        _build_table(
            "shares",
            _blank_worthless_shares(assessment.shares, check.worthless),
            "judge",
            "{:.1%}",
        )
    )
    for task, judge in check.worthless:
        console.print_line(
            f"worthless: {judge} finds planted cases right as often as genuine ones ({task}), so "
            "what it finds right says nothing"
        )
    if assessment.agreement.height:
        console.out.print(
            _build_table(
                "agreement",
                assessment.agreement,
                "between",
                "{:.2f}",
            )
        )
    for row in check.rejects.head(N_SHOWN).iter_rows(named=True):
        console.print_line(f"no judgement: {row['id']}: {row['reason']}")
    n_more = check.rejects.height - N_SHOWN
    if n_more > 0:
        console.print_line(f"no judgement: {n_more:,} more")


def _blank_worthless_shares(
    shares: pl.DataFrame,
    worthless: list[tuple[str, str]],
) -> pl.DataFrame:
    """The shares without those found right by judges who cannot tell."""
    key = pl.concat_str("task", "judge", separator="\0")
    names = ["\0".join(pair) for pair in worthless]
    is_told = ~(key.is_in(names) & (pl.col("measure") == "right"))
    figures = pl.col("value", "low", "high")
    return shares.with_columns(pl.when(is_told).then(figures).name.keep())


def _count_cases(cases: pl.DataFrame) -> list[tuple[str, str]]:
    """The number of cases of each task, planted ones apart."""
    counts = cases.group_by("task", "planted").len()
    ordered = counts.sort(
        "task",
        "planted",
        descending=[True, False],
    )
    lines = []
    for task, planted, n in ordered.rows():
        label = f"{task}, planted" if planted else task
        lines.append((label, f"{n:,} cases"))
    return lines


def _build_table(
    title: str,
    figures: pl.DataFrame,
    who: str,
    form: str,
) -> Table:
    """Figures with their intervals and what they rest on; column `who` names the judges."""
    columns = ["task", who, "measure", "value", "95% interval", "cases"]
    table = console.build_figure_table(title, columns, n_left=3)
    for row in figures.iter_rows(named=True):
        table.add_row(
            row["task"],
            row[who],
            row["measure"],
            "n/a" if row["value"] is None else form.format(row["value"]),
            _format_interval(row, form),
            _format_count(row),
        )
    return table


def _format_interval(row: dict[str, Any], form: str) -> str:
    """The interval of a figure, if it has one."""
    if row["low"] is None:
        return ""
    return f"{form.format(row['low'])} to {form.format(row['high'])}"


def _format_count(row: dict[str, Any]) -> str:
    """The cases that a figure rests on, and those that are missing."""
    n_missing = row.get("n_missing")
    missing = f" ({n_missing} missing)" if n_missing else ""
    return f"{row['n']:,}{missing}"
