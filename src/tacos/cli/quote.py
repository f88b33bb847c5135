"""`tacos quote`: requests, tokens, dollars and minutes before the run, from a pilot."""

from __future__ import annotations

from typing import Annotated

import orjson
import typer
from rich.table import Table

from tacos.cli.shared import consent, console, options
from tacos.llm.cost.forecast import BATCH_HOURS, ForecastRange, StageForecast
from tacos.llm.ledger import ledger as ledgers
from tacos.pipeline.model_factory import list_embedding_models, list_endpoint_models
from tacos.workflows import quote as quoting
from tacos.workflows.grouped_tagging_quality import QualityCost

Pilot = Annotated[
    int, typer.Option(help="requests per LLM stage that are asked, and paid for", min=2)
]
Quality = Annotated[
    bool,
    typer.Option(
        "--quality",
        help="also ask the pilot's instructions alone, twice: what tag.per_request costs in quality (more requests)",
    ),
]
PriceIn = Annotated[float | None, typer.Option(help="dollars per million prompt tokens", min=0)]
PriceOut = Annotated[float | None, typer.Option(help="dollars per million answered tokens", min=0)]


def quote(  # noqa: PLR0913 - a command's options are its interface
    data: options.Data,
    n: options.N = None,
    preset: options.Preset = "robust",
    seed: options.Seed = 1,
    settings: options.SettingsFile = None,
    sets: options.Sets = None,
    llm: options.Url = None,
    model: options.Model = None,
    pilot: Pilot = 20,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    quality: Quality = False,
    ledger: options.Ledger = None,
    yes: options.Yes = False,
    as_json: options.AsJson = False,
) -> None:
    """Say what `tacos select` with the same options would cost and take, as a range, from a small
    paid pilot.

    The pilot's replies stay in the ledger; those for tagging are used again by the run.

      tacos quote data.jsonl -n 1000 --model gpt-4o-mini

      tacos quote data.jsonl -n 1000 --model gpt-4o-mini --set tag.per_request=4 --quality

      tacos quote data.jsonl -n 1000 --llm http://localhost:8000/v1 --model my-model --price-in 0.1
      --price-out 0.3
    """
    endpoint = {"url": llm, "model": model, "budget": None}
    chosen = options.build_settings(
        preset, settings, sets, endpoint, seed=seed, select={} if n is None else {"n": n}
    )
    given = {
        name: value
        for name, value in (("price_in", price_in), ("price_out", price_out))
        if value is not None
    }
    chosen = chosen.model_copy(update={"llm": chosen.llm.model_copy(update=given)})
    consent.ask_consent(chosen, None, yes=yes, models=list_endpoint_models(chosen))
    with ledgers.open_ledger(ledger) as book, quoting.open_samples(data, chosen) as samples:
        cost = quoting.quote_quality_cost(samples, chosen, book, pilot) if quality else None
        quotes = quoting.quote(samples, chosen, book, pilot)
    if as_json:
        stages = [_serialise_quote(each) for each in quotes]
        whole = stages if cost is None else {"stages": stages, "quality": vars(cost)}
        print(orjson.dumps(whole, option=orjson.OPT_INDENT_2).decode())
        return
    console.out.print(_build_quote_table(quotes))
    by_batch = (
        f"the batch API answers within {BATCH_HOURS:.0f} hours per stage and round"
        if chosen.tag.per_request == 1
        else "the batch API is not for tag.per_request"
    )
    ranges = (
        f"ranges: 90% by a pilot of {pilot} per stage; comparisons are counted at most; {by_batch}"
    )
    console.out.print(ranges, soft_wrap=True)
    if cost is not None:
        console.out.print(_format_quality_cost(cost), soft_wrap=True)
    for stage, names in list_embedding_models(chosen).items():
        console.out.print(
            f"not counted: the vectors that {stage} asks {names[0]} for, a few tokens per distinct tag",
            soft_wrap=True,
        )


def _format_quality_cost(cost: QualityCost) -> str:
    """What asking several at once does to the tags, with 95% intervals."""
    together, again, less = (
        f"{value:.2f} ({low:.2f} to {high:.2f})"
        for value, low, high in (cost.together, cost.again, cost.cost)
    )
    return (
        f"quality: {cost.per_request} instructions per request give the tags given alone with an F1 of {together}; "
        f"alone twice {again}; so it costs {less}. Tags an instruction: {cost.tags_together:.1f} together, "
        f"{cost.tags_alone:.1f} alone. {cost.n:,} instructions, {cost.n_left_out:,} left out without an answer"
    )


def _serialise_quote(found: StageForecast) -> dict[str, object]:
    """For JSON: ranges as low, mid, high."""
    return {
        name: value._asdict() if isinstance(value, ForecastRange) else value
        for name, value in vars(found).items()
    }


FIGURES = (
    ("requests", "requests", 0),
    ("tokens in", "prompt_tokens", 0),
    ("tokens out", "answer_tokens", 0),
    ("usd", "usd", 2),
    ("usd by batch", "usd_batch", 2),
    ("minutes", "minutes", 1),
)


def _build_quote_table(quotes: list[StageForecast]) -> Table:
    """A line per figure, a column per stage, and their sum."""
    sums = ("all",) if len(quotes) > 1 else ()
    drawn = Table("", *(f"{each.stage}: {each.model}" for each in quotes), *sums)
    for label, name, digits in FIGURES:
        found = [getattr(each, name) for each in quotes]
        drawn.add_row(
            label,
            *(
                _format_range(each, digits)
                for each in (*found, *([_sum_ranges(found)] if sums else []))
            ),
        )
    return drawn


def _sum_ranges(ranges: list[ForecastRange | None]) -> ForecastRange | None:
    """The sum of ranges, end by end; None where one is unknown."""
    known = [each for each in ranges if each is not None]
    if len(known) < len(ranges):
        return None
    return ForecastRange(*(sum(ends) for ends in zip(*known, strict=True)))


def _format_range(found: ForecastRange | None, digits: int = 0) -> str:
    """`likely (low-high)`."""
    if found is None:
        return "unknown"
    low, mid, high = (_shorten_number(value, digits) for value in found)
    return f"{mid} ({low}-{high})"


def _shorten_number(value: float, digits: int) -> str:
    """A number in few signs.

    >>> _shorten_number(1234, 0), _shorten_number(159_240, 0), _shorten_number(2_345_678, 0), _shorten_number(0.187, 2)
    ('1,234', '159k', '2.35M', '0.19')
    """
    if value >= 1e6:
        return f"{value / 1e6:.2f}M"
    return f"{value / 1e3:.0f}k" if value >= 1e5 else f"{value:,.{digits}f}"
