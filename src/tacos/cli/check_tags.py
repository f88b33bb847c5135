"""`tacos check-tags RUN`: are the tags right, and do they mean the same everywhere?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import polars as pl
import typer
from rich.table import Table

from tacos import config
from tacos.cli.shared import consent, console, options
from tacos.config import Settings
from tacos.errors import ConfigError
from tacos.pipeline.model_factory import resolve_checker_model
from tacos.workflows import check_tags as quality
from tacos.workflows import select
from tacos.workflows.check_tags import TagCheck

Run = Annotated[Path, typer.Argument(help="the run directory, e.g. selected.jsonl.run")]
Sheet = Annotated[
    Path | None, typer.Option(help="write the cases for people to judge (.csv, .jsonl), and stop")
]
Answers = Annotated[
    list[Path] | None,
    typer.Option(help="a sheet that a person filled, named after that person; may be repeated"),
]
N_SHOWN = 5


def check_tags(  # noqa: PLR0913 - a command's options are its interface
    run: Run,
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

    Some cases are planted (a wrong tag, a foreign instruction): the share of them that is noticed
    says what the judge's good marks are worth.

    Examples:

      tacos check-tags selected.jsonl.run --model MODEL

      tacos check-tags selected.jsonl.run --sheet ann.csv

      tacos check-tags selected.jsonl.run --model MODEL --answers ann.csv --answers bea.csv

    How many cases: --set check.n_precision=20 --set check.n_consistency=20 --set check.n_planted=10
    (planted of each kind), the same with --sheet and with --answers.
    """
    endpoint = {"base_url": llm, "model": model, "budget": budget}
    given = {name: value for name, value in endpoint.items() if value is not None}
    chosen = _load_check_settings(run, settings, sets, given)
    ask = bool(given.get("model") or chosen.check.model != "llm")
    if sheet is not None:
        n_cases = quality.write_sheet(run, chosen, sheet)
        planted = ", some of them planted" if chosen.check.n_planted else ""
        text = f"{n_cases:,} cases{planted}: {sheet}; answer yes or no, then --answers {sheet} (a copy for each person)"
        console.out.print(text, soft_wrap=True)
        return
    if not ask and not answers:
        raise ConfigError(
            "who judges? name a model with --model, or write a sheet for people with --sheet FILE"
        )
    if ask:
        consent.ask_consent(
            chosen, run, yes=yes, models={"check": (resolve_checker_model(chosen),)}
        )
    with console.show_progress(show=not as_json) as bars:
        found = quality.check_tags(
            run, chosen, answers or (), ask=ask, ledger=ledger, progress=bars
        )
    if as_json:
        print(orjson.dumps(found.as_dict(), option=orjson.OPT_INDENT_2).decode())
    else:
        _print_tag_quality(found)


def _load_check_settings(
    run: Path, file: Path | None, sets: list[str] | None, endpoint: dict[str, str]
) -> Settings:
    """The run's settings with an endpoint."""
    of_run = select.load(run).settings
    under = config.merge_layers(of_run.model_dump(mode="json"), {"llm": endpoint})
    return config.load_settings(of_run.preset, file, sets or (), under=under)


def _print_tag_quality(found: TagCheck) -> None:
    """Print shares, agreement, and what could not be read."""
    counts = (
        found.cases.group_by("task", "planted")
        .len()
        .sort("task", "planted", descending=[True, False])
        .rows()
    )
    lines = [
        (task + (", planted" if planted else ""), f"{n:,} cases") for task, planted, n in counts
    ]
    console.out.print(console.build_table("judged", lines))
    console.out.print(
        _build_figures_table("shares", found.assessment.shares, "judge", percent=True)
    )
    if found.assessment.agreement.height:
        console.out.print(
            _build_figures_table("agreement", found.assessment.agreement, "between", percent=False)
        )
    for row in found.rejects.head(N_SHOWN).iter_rows(named=True):
        text = f"no judgement: {row['id']}: {row['reason']}".translate(console.UNSEEN)
        console.out.print(text, soft_wrap=True, markup=False)
    if found.rejects.height > N_SHOWN:
        console.out.print(f"no judgement: {found.rejects.height - N_SHOWN:,} more")


def _build_figures_table(title: str, table: pl.DataFrame, who: str, *, percent: bool) -> Table:
    """Figures with their intervals and what they rest on."""
    drawn = Table(title=title, title_justify="left")
    for name in ("task", who, "measure", "value", "95% interval", "cases"):
        drawn.add_column(
            name, justify="right" if name in {"value", "95% interval", "cases"} else "left"
        )
    form = "{:.1%}" if percent else "{:.2f}"
    for row in table.iter_rows(named=True):
        value = "n/a" if row["value"] is None else form.format(row["value"])
        interval = (
            "" if row["low"] is None else f"{form.format(row['low'])} to {form.format(row['high'])}"
        )
        missing = f" ({row['n_missing']} missing)" if row.get("n_missing") else ""
        drawn.add_row(
            row["task"], row[who], row["measure"], value, interval, f"{row['n']:,}{missing}"
        )
    return drawn
