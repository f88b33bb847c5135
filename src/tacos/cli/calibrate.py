"""`tacos calibrate`: does the judge agree with you?"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from tacos.cli.shared import consent, console, option_settings, options, progress
from tacos.cli.shared.option_settings import EndpointOptions
from tacos.config import Settings
from tacos.methods.judging.calibration import FEW, Calibration
from tacos.methods.measures.rater_agreement import ConfidenceInterval
from tacos.pipeline.model_factory import list_endpoint_models
from tacos.workflows import calibrate as workflow

Pairs = Annotated[
    str,
    typer.Argument(
        help="rows with instruction (or instruction_a, instruction_b), response_a, response_b "
        "and preferred: a, b or tie"
    ),
]


def calibrate(  # noqa: PLR0913 - the options of the command
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
    """How well does a judge agree with pairs that you labelled? It compares each in both orders.

    Without an LLM, the embedded judge is calibrated.

    Examples:

      tacos calibrate pairs.jsonl

      tacos calibrate pairs.jsonl --model MODEL --criteria my-criteria.txt

    \b
      tacos calibrate pairs.jsonl --llm http://localhost:8000/v1 \\
        --set 'judge.models=["a","b"]'
    """
    chosen = option_settings.build_settings(
        "robust",
        settings,
        sets,
        EndpointOptions(llm, model, budget),
        **option_settings.build_criteria_settings(criteria),
    )

    def calibrate_judges(settings: Settings) -> list[Calibration]:
        with progress.show_progress(show=not as_json) as bars:
            return workflow.calibrate(pairs, settings, ledger=ledger, progress=bars)

    calibrations = consent.run_with_consent(
        calibrate_judges,
        chosen,
        None,
        yes=yes,
        models=_list_judges(chosen),
        ledger=ledger,
    )
    if as_json:
        console.print_json(
            [_serialise_calibration(calibration) for calibration in calibrations]
        )
        return
    for calibration in calibrations:
        _print_calibration(calibration)


def _list_judges(settings: Settings) -> dict[str, tuple[str, ...]]:
    """The models of an endpoint that are calibrated, if any."""
    models = list_endpoint_models(settings)
    judges = models.get("judge") or models.get("grade")
    return {"calibrate": judges} if judges else {}


def _serialise_calibration(calibration: Calibration) -> dict[str, Any]:
    """For JSON: intervals by name."""
    plain = asdict(calibration)
    for name, value in vars(calibration).items():
        if isinstance(value, ConfidenceInterval):
            plain[name] = value._asdict()
    plain["agreement_by_number"] = {
        number: agreement._asdict()
        for number, agreement in calibration.agreement_by_number.items()
    }
    return plain


def _print_calibration(calibration: Calibration) -> None:
    """Print one judge's calibration."""
    console.print_pairs(f"judge {calibration.judge}", _format_calibration(calibration))
    if not calibration.suggestions:
        console.print_line("no changes suggested")
        return
    console.print_line("what to change:")
    for suggestion in calibration.suggestions:
        console.print_line(f"- {suggestion}")


def _format_calibration(found: Calibration) -> list[tuple[str, str]]:
    """Label and text of each line."""
    agreement = _format_interval(found.agreement)
    steady = _format_interval(found.agreement_steady)
    kappa = _format_decimal(found.kappa)
    ac1 = _format_decimal(found.ac1)
    ties = _format_interval(found.tie_rate)
    label_ties = _format_interval(found.label_tie_rate)
    longer = _format_interval(found.longer_judge)
    longer_people = _format_interval(found.longer_people)
    by_number = [
        (f"  by its {number} alone", _format_interval(agreement))
        for number, agreement in found.agreement_by_number.items()
    ]
    return [
        ("pairs", f"{found.n_judged:,} of {found.n_labels:,} judged in both orders"),
        (
            "agreement",
            f"{agreement} of the pairs with a winner; its ties count as misses",
        ),
        ("  where it decides", _format_interval(found.agreement_decided)),
        ("  where it is steady", f"{steady}: the same winner in both orders"),
        *by_number,
        ("reliability", _format_reliability(found.reliability)),
        ("agreement beyond chance", f"kappa {kappa}, AC1 {ac1} (a, b, tie)"),
        ("ties", f"{ties}; people {label_ties}"),
        ("flips with the order", _format_share(found.flip_rate)),
        ("first position wins", _format_share(found.first_share)),
        ("bonus of the first position", _format_bias(found)),
        ("chose the longer one", f"{longer}; people {longer_people}"),
    ]


def _format_reliability(found: ConfidenceInterval) -> str:
    """The reliability as the setting takes it; what is missing where the pairs cannot tell."""
    if found.value is None:
        return (
            f"not told by these pairs: it takes {FEW} with a winner, each of two rows drawn at "
            f"random from your data (instruction_a, instruction_b), and {found.n:,} have two "
            "instructions"
        )
    return (
        f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f}, n = {found.n:,}); only if both "
        "rows of each pair were drawn at random from your data: "
        f"--set judge.reliability={found.value:.3f} "
        f"--set judge.reliability_interval=[{found.low:.3f},{found.high:.3f}]"
    )


def _format_bias(found: Calibration) -> str:
    """What the first position adds to a score, in points."""
    if found.position_bias is None:
        return "n/a"
    points = f"{found.position_bias:+.1f} points"
    if found.position_error is None:
        return points
    return f"{points} (standard error {found.position_error:.1f})"


def _format_share(share: Any) -> str:
    """A share and what it rests on."""
    return "n/a" if share.value is None else f"{share.value:.1%} of {share.n:,}"


def _format_interval(found: ConfidenceInterval) -> str:
    """A share with its 95% interval and what it rests on."""
    if found.value is None:
        return "n/a"
    return f"{found.value:.1%} ({found.low:.1%} to {found.high:.1%}, n = {found.n:,})"


def _format_decimal(value: float | None) -> str:
    """Two decimals, or n/a."""
    return "n/a" if value is None else f"{value:.2f}"
