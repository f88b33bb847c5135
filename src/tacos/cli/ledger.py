"""`tacos ledger`: the paid replies, what they cost, and how to move or remove them."""

from __future__ import annotations

from typing import Annotated

import typer

from tacos.cli.shared import console, options
from tacos.errors import ConfigError
from tacos.llm.transport.endpoint_names import NOT_NOTED
from tacos.workflows import ledger as workflow
from tacos.workflows.ledger import PricedSpend, ReplyGroup

app = typer.Typer(
    invoke_without_command=True,
    rich_markup_mode=None,
)
Model = Annotated[str | None, typer.Option(help="replies of this requested model")]
Endpoint = Annotated[
    str | None,
    typer.Option(
        help="replies of this base URL; 'not noted' for those of older ledgers and of files",
        metavar="URL",
    ),
]
Date = Annotated[
    str | None,
    typer.Option(
        help="replies of a day (UTC), 2026-11-25, or of days: 2026-11-01..2026-11-25; "
        "either end may be left out",
        metavar="DAY",
    ),
]
Unusable = Annotated[
    bool,
    typer.Option(
        "--unusable",
        help="replies that hold no answer, refusals among them, unless a second one does",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="count the replies, remove none")
]
Yes = Annotated[bool, typer.Option("--yes", help="remove without asking")]
SPEND_COLUMNS = (
    "day",
    "model",
    "endpoint",
    "way",
    "replies",
    "prompt tokens",
    "answer tokens",
    "about usd",
    "by prices",
)
N_SPEND_NAMES = 4
GROUP_COLUMNS = ("model", "endpoint", "task", "replies", "unusable", "tokens", "days")
N_GROUP_NAMES = 3
"""Columns that say what the figures of a row are about."""


@app.callback()
def show_ledger(
    context: typer.Context,
    ledger: options.Ledger = None,
    as_json: options.AsJson = False,
) -> None:
    """The paid replies: size, spend by model and day; export, import and remove them.

    Examples:

      tacos ledger

      tacos ledger export replies.jsonl

      tacos ledger --ledger other.sqlite import replies.jsonl
    """
    context.obj = ledger  # an option before the sub-command counts for it, too
    if context.invoked_subcommand is not None:
        return
    overview = workflow.ledger(ledger)
    if as_json:
        console.print_json(overview.as_dict())
        return
    size = overview.size
    console.print_line(
        f"{size.path}: {size.n_replies:,} replies, {size.n_bytes / 1e6:.1f} MB"
    )
    if overview.spend:
        rows = [_format_spend(priced) for priced in overview.spend]
        console.print_rows(SPEND_COLUMNS, rows, N_SPEND_NAMES)


@app.command("export")
def export_ledger(
    context: typer.Context,
    file: options.NewLedgerFile,
    ledger: options.Ledger = None,
) -> None:
    """Write every reply as a line of JSON."""
    n_written = workflow.export_ledger(file, ledger or context.obj)
    console.print_line(f"{n_written:,} replies written to {file}")


@app.command("import")
def import_ledger(
    context: typer.Context,
    file: options.LedgerFile,
    ledger: options.Ledger = None,
) -> None:
    """Add replies that were exported from another ledger."""
    counts = workflow.import_ledger(file, ledger or context.obj)
    console.print_line(
        f"{counts.n_new:,} new replies, {counts.n_known:,} known already, "
        f"{counts.n_unreadable:,} unreadable lines"
    )


@app.command("remove")
def remove_replies(
    context: typer.Context,
    model: Model = None,
    endpoint: Endpoint = None,
    date: Date = None,
    unusable: Unusable = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    ledger: options.Ledger = None,
) -> None:
    """Remove the replies that meet all of the given criteria; nothing else is touched.

    Their questions are asked, and paid for, anew. It counts them and asks before it removes any.

    Examples:

      tacos ledger remove --unusable --dry-run

      tacos ledger remove --model my-model --endpoint http://localhost:8000/v1

      tacos ledger remove --model my-model --date 2026-11-01..2026-11-25
    """
    planned = workflow.plan_removal(
        ledger or context.obj,
        model=model,
        endpoint=endpoint,
        date=date,
        unusable=unusable,
    )
    n_replies = len(planned.replies)
    if not n_replies:
        console.print_line("no reply meets these criteria; nothing was removed")
        return
    rows = [_format_group(group) for group in planned.groups]
    console.print_rows(GROUP_COLUMNS, rows, N_GROUP_NAMES)
    if dry_run:
        console.print_line(f"{n_replies:,} replies would be removed")
        return
    if not yes and not console.has_terminal():
        raise ConfigError(
            "cannot ask for confirmation (no terminal); "
            f"pass --yes to remove {n_replies:,} paid replies"
        )
    if not yes and not typer.confirm(f"Remove {n_replies:,} paid replies?"):
        raise ConfigError("nothing was removed")
    n_removed = workflow.carry_out_removal(planned)
    console.print_line(f"{n_removed:,} replies removed")


def _format_group(group: ReplyGroup) -> list[str]:
    """Replies to one task by one model of one endpoint."""
    n_tokens = group.prompt_tokens + group.answer_tokens
    days = group.first_day
    if group.last_day != days:
        days = f"{days} to {group.last_day}"
    return [
        group.model,
        group.endpoint or NOT_NOTED,
        group.task,
        f"{group.n_replies:,}",
        f"{group.n_unusable:,}",
        f"{n_tokens:,}",
        days,
    ]


def _format_spend(priced: PricedSpend) -> list[str]:
    """Spend by one model on one day."""
    row = priced.spend
    return [
        row.day,
        row.model,
        row.endpoint or NOT_NOTED,
        row.way,
        f"{row.n_replies:,}",
        f"{row.prompt_tokens:,}",
        f"{row.answer_tokens:,}",
        "unknown price" if priced.usd is None else f"{priced.usd:.2f}",
        priced.source,
    ]
