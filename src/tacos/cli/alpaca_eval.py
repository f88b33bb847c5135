"""`tacos alpaca-eval`: win rates of trained models' outputs, as they are and at equal length."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tacos.cli.shared import (
    consent,
    console,
    evaluation_lines,
    option_settings,
    options,
    progress,
)
from tacos.cli.shared.option_settings import EndpointOptions
from tacos.config import Settings
from tacos.counts import count_words
from tacos.errors import ConfigError
from tacos.methods.evaluating.alpaca_eval import N_INSTRUCTIONS
from tacos.pipeline.model_factory import resolve_evaluation_judge
from tacos.workflows import alpaca_eval as workflow
from tacos.workflows.alpaca_eval_result import AlpacaEvaluation, ModelPreferences

Outputs = Annotated[
    list[str] | None,
    typer.Argument(
        help="files of outputs, one per model: what `tacos answer` wrote, or AlpacaEval's form",
        show_default=False,
    ),
]
Baseline = Annotated[
    str | None,
    typer.Option(
        help="the baseline's outputs; their instructions are the set; a file, an address or a name "
        "of the hub, with #sha256=... behind it to be sure of its content"
    ),
]
Annotations = Annotated[
    list[str] | None,
    typer.Option(
        help="count the preferences of this file instead of asking a judge: AlpacaEval's "
        "annotations.json, or what -o wrote; repeatable"
    ),
]
Difficulty = Annotated[
    list[str] | None,
    typer.Option(
        help="annotations of many models against this baseline, which tell how hard each "
        "instruction is; repeatable"
    ),
]
Leaderboard = Annotated[
    str | None, typer.Option(help="show rows of AlpacaEval's leaderboard (CSV) beside")
]
AllowMissing = Annotated[
    bool,
    typer.Option(
        "--allow-missing",
        help=f"give a rate of fewer than all {N_INSTRUCTIONS} instructions, and say so",
    ),
]
Preferences = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="write every preference, as AlpacaEval does"),
]
N_LISTED = 8


def alpaca_eval(  # noqa: PLR0913 - the options of the command
    outputs: Outputs = None,
    baseline: Baseline = None,
    annotations: Annotations = None,
    difficulty: Difficulty = None,
    leaderboard: Leaderboard = None,
    allow_missing: AllowMissing = False,
    judge: options.Judge = None,
    llm: options.JudgeUrl = None,
    output: Preferences = None,
    settings: options.SettingsFile = None,
    sets: options.Sets = None,
    budget: options.Budget = None,
    ledger: options.Ledger = None,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
) -> None:
    """How often does a judge prefer a model's outputs to a baseline's (AlpacaEval 2.0)?

    Each pair is judged in both orders. The rate at equal length takes out what a judge gives for
    length alone. A rate needs every preference: where one is missing, the exit code is 2, and the
    same command asks for what is missing alone.

    Examples:

    \b
      tacos alpaca-eval mine.json random.json --baseline gpt4_1106_preview.json \\
        --difficulty annotations.jsonl --judge MODEL --dry-run

      tacos alpaca-eval --annotations annotations.json --difficulty others.jsonl
    """
    if annotations:
        others = {
            "files of outputs": outputs,
            "--judge": judge,
            "--baseline": baseline,
            "--output": output,
        }
        evaluation_lines.refuse_beside("--annotations", "preferences", others)
        evaluation = workflow.count_annotations(
            annotations,
            difficulty=difficulty or None,
            leaderboard=leaderboard,
            allow_missing=allow_missing,
        )
        _print_evaluation(evaluation, as_json=as_json)
        evaluation.check_complete()
        return
    if baseline is None:
        raise ConfigError(
            "name the baseline's outputs: --baseline FILE (AlpacaEval's gpt4_1106_preview, or "
            "those of another model)"
        )
    chosen = option_settings.build_settings(
        "robust", settings, sets, EndpointOptions(llm, judge, budget)
    )
    model = resolve_evaluation_judge(chosen, chosen.alpaca_eval.model)
    if dry_run:
        forecast = workflow.forecast_alpaca_eval(
            outputs or [],
            chosen,
            baseline=baseline,
            allow_missing=allow_missing,
            ledger=ledger,
        )
        evaluation_lines.print_forecast(forecast, as_json=as_json)
        return

    def compare(settings: Settings) -> AlpacaEvaluation:
        with progress.show_progress(show=not as_json) as bars:
            return workflow.alpaca_eval(
                outputs or [],
                settings,
                baseline=baseline,
                difficulty=difficulty or None,
                leaderboard=leaderboard,
                allow_missing=allow_missing,
                output=output,
                ledger=ledger,
                progress=bars,
            )

    evaluation = consent.run_with_consent(
        compare,
        chosen,
        None,
        yes=yes,
        models={workflow.STAGE: (model,)},
        ledger=ledger,
    )
    _print_evaluation(evaluation, as_json=as_json)
    evaluation.check_complete()


def _print_evaluation(evaluation: AlpacaEvaluation, *, as_json: bool) -> None:
    """Print rates, differences and what to know of them; incomplete models have no rate."""
    if as_json:
        console.print_json(evaluation.as_dict())
        return
    scored = [model for model in evaluation.models if model.score is not None]
    names = {}
    if scored:
        names = evaluation_lines.shorten_labels([model.label for model in scored])
        _print_rates(evaluation, scored, names)
        _print_leaderboard(scored, names)
    if evaluation.differences:
        _print_differences(evaluation, names)
    for line in _list_remarks(evaluation, scored):
        console.print_text(line)
    evaluation_lines.print_hashes(evaluation.files)


def _print_rates(
    evaluation: AlpacaEvaluation, models: list[ModelPreferences], names: dict[str, str]
) -> None:
    """A line per model: the raw rate, that at equal length, lengths and flips."""
    columns = ["model", "win rate", "at equal length", "mean output", "flips"]
    some_missing = any(not model.is_complete for model in models)
    if some_missing:
        columns.append("n")
    if evaluation.is_on_leaderboard:
        columns += ["win rate on the leaderboard", "at equal length on the leaderboard"]
    table = console.build_figure_table(_write_headline(evaluation, models), columns)
    for model in models:
        cells = _format_rates(model, names[model.label])
        if some_missing:
            cells.append(f"{model.n:,}")
        if evaluation.is_on_leaderboard:
            published = model.published
            cells.append("" if published is None else f"{published.win_rate:.1f}")
            has_rate = published is not None and published.controlled is not None
            cells.append(
                f"{published.controlled:.1f}" if has_rate and published else ""
            )
        table.add_row(*cells)
    console.out.print(table)


def _write_headline(
    evaluation: AlpacaEvaluation, models: list[ModelPreferences]
) -> str:
    """What the rates are of; the number of instructions where it is not all of them."""
    rates = f"% preferred to {evaluation.baseline} (95% interval)"
    lowest = min(model.n for model in models)
    if lowest == N_INSTRUCTIONS:
        return f"AlpacaEval 2.0, {N_INSTRUCTIONS:,} instructions: {rates}"
    highest = max(model.n for model in models)
    counts = f"{lowest:,}" if lowest == highest else f"{lowest:,} to {highest:,}"
    return f"AlpacaEval 2.0, {counts} OF {N_INSTRUCTIONS:,} INSTRUCTIONS: {rates}"


def _format_rates(model: ModelPreferences, name: str) -> list[str]:
    """The cells of a model that every table has."""
    score = model.score
    assert score is not None
    controlled = score.controlled
    at_equal_length = "n/a"
    if controlled is not None:
        low, high = controlled.draws.interval
        rate = 100 * controlled.rate
        at_equal_length = f"{rate:.1f} ({100 * low:.1f} to {100 * high:.1f})"
    n_flips = score.n_flips
    bounds = evaluation_lines.format_bounds(score.raw, "{:.1%}").replace("%", "")
    return [
        name if name == model.label else f"{name} {model.label}",
        f"{100 * score.raw.mean:.1f} ({bounds})",
        at_equal_length,
        f"{score.mean_length:,.0f}",
        "n/a" if n_flips is None else f"{n_flips / model.n:.0%}",
    ]


def _print_leaderboard(models: list[ModelPreferences], names: dict[str, str]) -> None:
    """The published models near each model that is not among them."""
    for model in models:
        if not model.beside:
            continue
        table = console.build_figure_table(
            f"AlpacaEval's leaderboard near {names[model.label]}",
            ["model", "win rate", "at equal length", "mean output"],
        )
        for row in model.beside:
            length = "" if row.mean_length is None else f"{row.mean_length:,.0f}"
            controlled = "" if row.controlled is None else f"{row.controlled:.1f}"
            table.add_row(row.model, f"{row.win_rate:.1f}", controlled, length)
        console.out.print(table)


def _print_differences(evaluation: AlpacaEvaluation, names: dict[str, str]) -> None:
    """Paired differences of raw rates, and of those at equal length."""
    rows = []
    for each in evaluation.differences:
        label = f"{names[each.better]} over {names[each.worse]}"
        rows.append((f"{label}, as they are", each.raw))
        if each.controlled is not None:
            rows.append((f"{label}, at equal length", each.controlled))
    evaluation_lines.print_differences(
        rows, "{:+.1%}", "{:.1%}", "paired differences, in points"
    )


def _list_remarks(
    evaluation: AlpacaEvaluation, scored: list[ModelPreferences]
) -> list[str]:
    """What a reader must know of the figures."""
    remarks = []
    if scored:
        size = count_words(evaluation.n_expected, "instruction")
        remarks.append(
            f"What {size} can show: differences between two models "
            f"under about {100 * evaluation.detectable:.1f} points are usually not detectable (80% "
            "power)."
        )
        remarks.append(_describe_difficulty(evaluation))
    for model in scored:
        assert model.score is not None
        if model.score.reason:
            remarks.append(
                f"{model.label} has no rate at equal length: {model.score.reason}."
            )
    remarks += _describe_judges(evaluation, scored)
    if evaluation.is_on_leaderboard:
        remarks.append(
            "The leaderboard's rates are by GPT-4 Turbo in one order: compare them only with rates "
            "by the same judge against the same baseline."
        )
    remarks += [f"Warning: {warning}." for warning in evaluation.warnings]
    faulty = [
        model.answers
        for model in evaluation.models
        if model.answers is not None and model.answers.faults
    ]
    remarks += [evaluation_lines.describe_faults(each, N_LISTED) for each in faulty]
    return remarks


def _describe_difficulty(evaluation: AlpacaEvaluation) -> str:
    """What the rates at equal length rest on."""
    if evaluation.difficulty:
        return f"How hard each instruction is: by {evaluation.difficulty}."
    return (
        "Without --difficulty nothing tells how hard each instruction is: rates at equal length "
        "are given from 30% to 70% only, where that matters little."
    )


def _describe_judges(
    evaluation: AlpacaEvaluation, scored: list[ModelPreferences]
) -> list[str]:
    """Who judged, and whether its preferences are of probabilities."""
    judges: dict[str, int] = {}
    for model in evaluation.models:
        for name, n in model.judges.items():
            judges[name] = judges.get(name, 0) + n
    named = ", ".join(
        f"{name} ({count_words(n, 'preference')})" for name, n in judges.items()
    )
    source = "its server calls it" if evaluation.is_judged_here else "the file says"
    remarks = [f"Judge, as {source}: {named or 'none'}."]
    known = [
        (model.n, model.score.n_weighed)
        for model in scored
        if model.score is not None and model.score.n_weighed is not None
    ]
    n_all = sum(n for n, _ in known)
    n_weighed = sum(n for _, n in known)
    if n_weighed < n_all:
        remarks.append(
            f"{n_weighed:,} of {n_all:,} preferences are of log-probabilities, the others of the "
            "judge's letter alone."
        )
    return remarks
