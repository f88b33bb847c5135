"""`tacos ledger`: how many paid replies there are, what they cost, and how to move them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.table import Table

from tacos.cli.shared import console, options
from tacos.llm.cost import prices
from tacos.llm.ledger import ledger as ledgers
from tacos.llm.ledger.ledger import DailySpend
from tacos.llm.offline import exchange_files

app = typer.Typer(
    help="Paid replies: size, spend by model and day; export and import them.",
    invoke_without_command=True,
    rich_markup_mode=None,
)
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
File = Annotated[Path, typer.Argument(help="a file of JSON lines")]


@app.callback()
def show_ledger(
    context: typer.Context, ledger: options.Ledger = None, as_json: AsJson = False
) -> None:
    """Show what the ledger holds."""
    context.obj = ledger
    if context.invoked_subcommand is not None:
        return
    with ledgers.open_ledger(ledger) as book:
        size, spend = book.size(), book.spend()
    if as_json:
        rows = [{**row._asdict(), "usd": _price_spend(row)} for row in spend]
        print(orjson.dumps({**size._asdict(), "spend": rows}, option=orjson.OPT_INDENT_2).decode())
        return
    console.out.print(
        f"{size.path}: {size.n_replies:,} replies, {size.n_bytes / 1e6:.1f} MB", soft_wrap=True
    )
    if spend:
        console.out.print(_build_spend_table(spend))


@app.command("export")
def export_ledger(context: typer.Context, file: File, ledger: options.Ledger = None) -> None:
    """Write every reply as a line of JSON."""
    with ledgers.open_ledger(ledger or context.obj) as book:
        n_written = book.export(file)
    console.out.print(f"{n_written:,} replies written to {file}", soft_wrap=True, markup=False)


@app.command("import")
def import_ledger(context: typer.Context, file: File, ledger: options.Ledger = None) -> None:
    """Take in replies that were exported elsewhere."""
    with ledgers.open_ledger(ledger or context.obj) as book:
        n_new, n_known, n_bad = book.restore(exchange_files.read_exchange_lines(file))
    console.out.print(
        f"{n_new:,} new replies, {n_known:,} known already, {n_bad:,} unreadable lines",
        soft_wrap=True,
    )


def _build_spend_table(spend: list[DailySpend]) -> Table:
    """Spend by model and day."""
    drawn = Table("day", "model", "way", "replies", "prompt tokens", "answer tokens", "about usd")
    for row in spend:
        cost = _price_spend(row)
        drawn.add_row(
            row.day,
            row.model,
            row.way,
            f"{row.n_replies:,}",
            f"{row.prompt_tokens:,}",
            f"{row.answer_tokens:,}",
            "unknown price" if cost is None else f"{cost:.2f}",
        )
    return drawn


def _price_spend(row: DailySpend) -> float | None:
    """Dollars by the price table as it stands now; None without a price."""
    price = prices.find_price(row.model)
    if price is None:
        return None
    return price.usd(row.prompt_tokens, row.answer_tokens) * (
        price.batch if row.way == "batch" else 1.0
    )
