"""`tacos quote`: requests, tokens, dollars and minutes before the run, from a pilot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table

from tacos.cli.shared import consent, console, extending, option_settings, options
from tacos.cli.shared.option_settings import EndpointOptions
from tacos.config import Settings
from tacos.llm.cost.forecast import BATCH_HOURS, ForecastRange, StageForecast
from tacos.pipeline.model_factory import list_embedding_models, list_endpoint_models
from tacos.workflows import quote as workflow
from tacos.workflows.grouped_tagging_quality import Estimate, QualityCost
from tacos.workflows.quote import Quote

Pilot = Annotated[int, typer.Option(help="paid requests to send per LLM stage", min=2)]
Quality = Annotated[
    bool,
    typer.Option(
        "--quality",
        help="measure what tag.per_request costs in quality: "
        "ask the pilot's instructions alone too, twice",
    ),
]
PriceIn = Annotated[
    float | None, typer.Option(help="dollars per million prompt tokens", min=0)
]
PriceOut = Annotated[
    float | None, typer.Option(help="dollars per million answer tokens", min=0)
]

FIGURES = (
    ("requests", "requests", 0),
    ("tokens in", "prompt_tokens", 0),
    ("tokens out", "answer_tokens", 0),
    ("usd", "usd", 2),
    ("usd by batch", "usd_batch", 2),
    ("minutes", "minutes", 1),
)
"""Label, field and decimals of each line."""


def quote(  # noqa: PLR0913 - the options of the command
    context: typer.Context,
    data: options.Data = None,
    glob: options.Glob = None,
    maps: options.Map = None,
    preference: options.Preference = None,
    extend: options.Extend = None,
    renew: options.Renew = False,
    n: options.SizeOrNone = None,
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
    """What would `tacos select` with the same options cost? A range, from a small paid pilot.

    The pilot's replies stay in the ledger; the run reuses those for tagging. With --extend, only
    what is not known of the rows yet is counted.

    Examples:

      tacos quote data.jsonl -n 1000 --model gpt-4o-mini

    \b
      tacos quote data.jsonl -n 1000 --model gpt-4o-mini \\
        --set tag.per_request=4 --quality

    \b
      tacos quote data.jsonl -n 1000 --llm http://localhost:8000/v1 \\
        --model my-model --price-in 0.1 --price-out 0.3

      tacos quote new.jsonl --extend out.jsonl.run
    """
    inputs = extending.choose_data(data, glob, extend)
    chosen = extending.build_settings(
        context,
        extend,
        preset,
        seed,
        settings,
        sets,
        EndpointOptions(llm, model),
        {
            "select": {} if n is None else {"n": n},
            **option_settings.build_ingest_settings(maps, preference),
        },
        renew=renew,
    )
    chosen = _add_prices(chosen, price_in, price_out)
    quotation = consent.run_with_consent(
        lambda settings: workflow.quote(
            inputs,
            settings,
            pilot=pilot,
            quality=quality,
            ledger=ledger,
        ),
        chosen,
        None,
        yes=yes,
        models=list_endpoint_models(chosen),
        ledger=ledger,
        n_questions=_count_pilot_questions(chosen, pilot, quality=quality),
    )
    if as_json:
        plain = quotation.as_dict()
        # Without --quality a plain list of stages.
        console.print_json(plain if quality else plain["stages"])
    else:
        _print_quote(quotation, chosen, pilot)


def _count_pilot_questions(
    settings: Settings,
    pilot: int,
    *,
    quality: bool,
) -> int:
    """The most requests that a pilot sends to a model of a stage, before any is asked again."""
    # Each instruction alone, twice.
    n_alone = 2 * pilot * settings.tag.per_request if quality else 0
    return pilot + n_alone


def _add_prices(
    settings: Settings,
    price_in: float | None,
    price_out: float | None,
) -> Settings:
    """Settings with the prices that were given."""
    given = {}
    if price_in is not None:
        given["price_in"] = price_in
    if price_out is not None:
        given["price_out"] = price_out
    # Copied without validation: the options have been checked already.
    llm_settings = settings.llm.model_copy(update=given)
    return settings.model_copy(update={"llm": llm_settings})


def _print_quote(quotation: Quote, settings: Settings, pilot: int) -> None:
    """Print the table, and how to read it."""
    if not quotation.stages:
        console.print_line("nothing to pay: all that the run would ask is known")
        return
    console.out.print(_build_quote_table(quotation.stages))
    # A line of the batch API is one request of one instruction.
    if settings.tag.per_request == 1:
        batch = (
            f"the batch API answers within {BATCH_HOURS:.0f} hours per stage and round"
        )
    else:
        batch = "the batch API cannot be used with tag.per_request"
    console.print_line(
        f"ranges: 90% confidence, from a pilot of {pilot} per stage; "
        f"comparisons: an upper bound; {batch}"
    )
    if settings.tag.per_request == 1:
        for model in _list_models_without_batch_price(quotation.stages):
            console.print_line(
                f"usd by batch: no batch price of {model} is known; set it with "
                "--set llm.price_batch=0.5 (half) if its server has one"
            )
    if quotation.quality is not None:
        console.print_line(_format_quality_cost(quotation.quality))
    if quotation.reading is not None:
        console.print_line(quotation.reading.text())
    for stage, models in list_embedding_models(settings).items():
        console.print_line(
            f"not counted: the vectors that {stage} asks {models[0]} for, "
            "a few tokens per distinct tag"
        )


def _format_quality_cost(cost: QualityCost) -> str:
    """What several instructions per request do to the tags, with 95% intervals."""
    together = _format_estimate(cost.together)
    again = _format_estimate(cost.again)
    difference = _format_estimate(cost.cost)
    return (
        f"quality: {cost.per_request} instructions per request give the tags given alone "
        f"with an F1 of {together}; alone twice {again}; so it costs {difference}. "
        f"Tags per instruction: {cost.tags_together:.1f} together, {cost.tags_alone:.1f} alone. "
        f"{cost.n:,} instructions, {cost.n_left_out:,} left out without an answer"
    )


def _format_estimate(estimate: Estimate) -> str:
    """A figure with its interval."""
    value, low, high = estimate
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


def _build_quote_table(stages: Sequence[StageForecast]) -> Table:
    """A line per figure, a column per stage, and their sum if there are several."""
    columns = [f"{stage.stage}: {stage.model}" for stage in stages]
    has_sum = len(stages) > 1
    if has_sum:
        columns.append("all")
    table = Table("", *columns)
    table.add_row(*_list_usable_answers(stages))
    for label, field, digits in FIGURES:
        ranges = [getattr(stage, field) for stage in stages]
        if has_sum:
            total = _sum_ranges(ranges)
            ranges.append(total)
        cells = [_format_range(forecast, digits) for forecast in ranges]
        table.add_row(label, *cells)
    return table


def _list_models_without_batch_price(stages: Sequence[StageForecast]) -> list[str]:
    """Models with a price, but none by batch; each once."""
    names = [
        stage.model
        for stage in stages
        if stage.usd is not None and stage.usd_batch is None
    ]
    return list(dict.fromkeys(names))


def _list_usable_answers(stages: Sequence[StageForecast]) -> list[str]:
    """How many answers of each pilot could be used, and of all."""
    n_usable = [stage.n_usable for stage in stages]
    n_asked = [stage.n_asked for stage in stages]
    if len(stages) > 1:
        n_usable.append(sum(n_usable))
        n_asked.append(sum(n_asked))
    pairs = zip(n_usable, n_asked, strict=True)
    return ["usable in pilot", *(f"{usable:,} of {asked:,}" for usable, asked in pairs)]


def _sum_ranges(ranges: Sequence[ForecastRange | None]) -> ForecastRange | None:
    """The sum of ranges, end by end; None if one is unknown."""
    # A sum without one of its parts would read as the price of the whole run.
    known = [forecast for forecast in ranges if forecast is not None]
    if len(known) < len(ranges):
        return None
    return ForecastRange(*(sum(ends) for ends in zip(*known, strict=True)))


def _format_range(forecast: ForecastRange | None, digits: int = 0) -> str:
    """`likely (low-high)`."""
    if forecast is None:
        return "unknown"
    low, mid, high = (_shorten_number(value, digits) for value in forecast)
    return f"{mid} ({low}-{high})"


def _shorten_number(value: float, digits: int) -> str:
    """A number in few characters.

    >>> _shorten_number(1234, 0), _shorten_number(159_240, 0), _shorten_number(0.187, 2)
    ('1,234', '159k', '0.19')
    >>> _shorten_number(2_345_678, 0)
    '2.35M'
    """
    if value >= 1e6:
        return f"{value / 1e6:.2f}M"
    if value >= 1e5:
        return f"{value / 1e3:.0f}k"
    return f"{value:,.{digits}f}"
