"""`tacos calibrate PAIRS`: does the judge agree with you?"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import orjson
import typer

from tacos.cli.shared import consent, console, options
from tacos.methods.judging.calibration import Calibration
from tacos.methods.measures.rater_agreement import ConfidenceInterval
from tacos.pipeline.model_factory import list_endpoint_models
from tacos.workflows import calibrate as calibration

Pairs = Annotated[
    str,
    typer.Argument(
        help="rows with instruction (or instruction_a, instruction_b), response_a, response_b, preferred: a, b or tie"
    ),
]


def calibrate(  # noqa: PLR0913 - a command's options are its interface
    pairs: Pairs,
    llm: options.Url = None,
    model: options.Model = None,
    criteria: options.Criteria = None,
    settings: options.SettingsFile = None,
    sets: options.Sets = None,
    budget: options.Budget = None,
    ledger: options.Ledger = None,
    yes: options.Yes = False,
    as_json: options.AsJson = False,
) -> None:
    """How far does a judge agree with pairs that you labelled? It is asked in both orders.

    Without an LLM it is the embedded judge that is asked.

    Examples:

      tacos calibrate pairs.jsonl

      tacos calibrate pairs.jsonl --model MODEL --criteria my-criteria.txt

      tacos calibrate pairs.jsonl --llm http://localhost:8000/v1 --set 'judge.models=["a","b"]'
    """
    endpoint = {"url": llm, "model": model, "budget": budget}
    chosen = options.build_settings(
        "robust", settings, sets, endpoint, **options.load_criteria_settings(criteria)
    )
    models = list_endpoint_models(chosen)
    judges = models.get("judge") or models.get("grade")
    consent.ask_consent(chosen, None, yes=yes, models={"calibrate": judges} if judges else {})
    with console.show_progress(show=not as_json) as bars:
        found = calibration.calibrate(pairs, chosen, ledger=ledger, progress=bars)
    if as_json:
        print(
            orjson.dumps(
                [_serialise_calibration(each) for each in found], option=orjson.OPT_INDENT_2
            ).decode()
        )
        return
    for each in found:
        _print_calibration(each)


def _serialise_calibration(found: Calibration) -> dict[str, Any]:
    """For JSON: intervals by name."""
    plain = asdict(found)
    return plain | {
        name: value._asdict()
        for name, value in vars(found).items()
        if isinstance(value, ConfidenceInterval)
    }


def _print_calibration(found: Calibration) -> None:
    """Print one judge's calibration."""
    console.out.print(console.build_table(f"judge {found.judge}", _format_calibration(found)))
    console.out.print(
        "what to change:" if found.suggestions else "no rule suggests a change", soft_wrap=True
    )
    for text in found.suggestions:
        console.out.print(f"- {text}", soft_wrap=True, markup=False)


def _format_calibration(found: Calibration) -> list[tuple[str, str]]:
    """Label and text of each line."""
    bias, error = found.position_bias, found.position_error
    points = (
        "n/a"
        if bias is None
        else f"{bias:+.1f} points" + ("" if error is None else f" (standard error {error:.1f})")
    )
    shares = {"flips with the order": found.flip_rate, "first position wins": found.first_share}
    return [
        ("pairs", f"{found.n_judged:,} of {found.n_labels:,} judged in both orders"),
        (
            "agreement",
            f"{_format_interval(found.agreement)} of the pairs with a winner; its ties count as misses",
        ),
        ("  where it decides", _format_interval(found.agreement_decided)),
        (
            "  where it is steady",
            f"{_format_interval(found.agreement_steady)}: the same winner in both orders",
        ),
        (
            "agreement beyond chance",
            f"kappa {_format_decimal(found.kappa)}, AC1 {_format_decimal(found.ac1)} (a, b, tie)",
        ),
        (
            "ties",
            f"{_format_interval(found.tie_rate)}; people {_format_interval(found.label_tie_rate)}",
        ),
        *(
            (name, "n/a" if one.value is None else f"{one.value:.1%} of {one.n:,}")
            for name, one in shares.items()
        ),
        ("first position is worth", points),
        (
            "chose the longer one",
            f"{_format_interval(found.longer_judge)}; people {_format_interval(found.longer_people)}",
        ),
    ]


def _format_interval(found: ConfidenceInterval) -> str:
    """A share with its 95% interval and what it rests on."""
    if found.value is None:
        return "n/a"
    return f"{found.value:.1%} ({found.low:.1%} to {found.high:.1%}, n = {found.n:,})"


def _format_decimal(value: float | None) -> str:
    """Two decimals, or n/a."""
    return "n/a" if value is None else f"{value:.2f}"
