"""`tacos ledger`: the paid replies, what they cost, and how to move them."""

from __future__ import annotations

import typer
from rich.table import Table

from tacos.cli.shared import console, options
from tacos.workflows import ledger as workflow
from tacos.workflows.ledger import PricedSpend

app = typer.Typer(
    invoke_without_command=True,
    rich_markup_mode=None,
)
COLUMNS = (
    "day",
    "model",
    "way",
    "replies",
    "prompt tokens",
    "answer tokens",
    "about usd",
)


@app.callback()
def show_ledger(
    context: typer.Context,
    ledger: options.Ledger = None,
    as_json: options.AsJson = False,
) -> None:
    """The paid replies: size, spend by model and day; export and import them.

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
        console.out.print(_build_spend_table(overview.spend))


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


def _build_spend_table(spend: list[PricedSpend]) -> Table:
    """Spend by model and day."""
    # Dollars are by today's price table, which may not know a model.
    table = Table(*COLUMNS)
    for priced in spend:
        row = priced.spend
        table.add_row(
            row.day,
            row.model,
            row.way,
            f"{row.n_replies:,}",
            f"{row.prompt_tokens:,}",
            f"{row.answer_tokens:,}",
            "unknown price" if priced.usd is None else f"{priced.usd:.2f}",
        )
    return table
