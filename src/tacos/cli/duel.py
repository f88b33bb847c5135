"""`tacos duel`: which of two models answers better?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tacos.addresses import is_elsewhere
from tacos.cli.shared import (
    consent,
    console,
    evaluation_lines,
    figures,
    option_settings,
    options,
    progress,
)
from tacos.cli.shared.option_settings import EndpointOptions
from tacos.config import Settings
from tacos.counts import count_words
from tacos.errors import ConfigError
from tacos.formats.pinned_files import split_hash
from tacos.llm.ledger.location import list_ledger_files
from tacos.methods.evaluating.clustered_means import MeanEstimate
from tacos.methods.evaluating.duel_summary import DuelFigures, DuelSummary
from tacos.methods.evaluating.duels import OUTCOMES
from tacos.pipeline.model_factory import resolve_evaluation_judge
from tacos.workflows import duel as workflow
from tacos.workflows import kept_files
from tacos.workflows.duel import Duels
from tacos.workflows.duel_judging import STAGE

Files = Annotated[
    list[str] | None,
    typer.Argument(
        help="two files of answers, as tacos answer writes them",
        metavar="A B",
        show_default=False,
    ),
]
Judgments = Annotated[
    list[str] | None,
    typer.Option(
        "--judgments",
        help="count duels that were judged before, in place of A and B: a file of tacos duel -o, "
        "or of FastChat's pairwise judging; repeatable",
    ),
]
SelectedBy = Annotated[
    list[Path] | None,
    typer.Option(
        "--selected-by",
        help="a run that chose what the models were trained on: its own models should not judge "
        "them, and are marked; repeatable",
        metavar="RUN",
    ),
]
Verdicts = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        help="write both verdicts on every question here (.jsonl, ...)",
    ),
]
Bars = Annotated[
    Path | None, typer.Option("--figure", help="draw the bars here: .svg or .png")
]
AllowMissing = Annotated[
    bool,
    typer.Option(
        "--allow-missing",
        help="count the other questions where some have no readable verdict",
    ),
]
N_SHOWN = 5


def duel(  # noqa: PLR0913 - the options of the command
    files: Files = None,
    judgments: Judgments = None,
    judge: options.Judge = None,
    llm: options.JudgeUrl = None,
    selected_by: SelectedBy = None,
    output: Verdicts = None,
    figure: Bars = None,
    allow_missing: AllowMissing = False,
    settings: options.SettingsFile = None,
    sets: options.Sets = None,
    budget: options.Budget = None,
    ledger: options.Ledger = None,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
) -> None:
    """Which of two models answers better? A judge compares their answers in both orders.

    A win counts if both orders say so, or one does and the other is a tie; orders that contradict
    each other are a flip. The win score is the mean over both orders, with a 95% interval clustered
    by question; beside it stands the score if both models' answers were equally long.

    Examples:

      tacos duel selection.jsonl random.jsonl --judge MODEL -o verdicts.jsonl

    \b
      tacos duel selection.jsonl random.jsonl --judge MODEL \\
        --selected-by selected.jsonl.run --figure bars.svg

      tacos duel --judgments verdicts.jsonl
    """
    if figure is not None:
        figures.check_figure_path(figure)
    if judgments:
        others = {
            "files of answers": files,
            "--judge": judge,
            "--output": output,
            "--selected-by": selected_by,
        }
        evaluation_lines.refuse_beside("--judgments", "verdicts", others)
        duels = workflow.recount_duels(judgments, allow_missing=allow_missing)
        _show_duels(duels, figure, as_json=as_json, is_known=True)
        return
    first, second = _check_files(files)
    chosen = option_settings.build_settings(
        "robust", settings, sets, EndpointOptions(llm, judge, budget)
    )
    here = [split_hash(file)[0] for file in (first, second) if not is_elsewhere(file)]
    setting_files = option_settings.list_files_read(settings, sets)
    read: list[str | Path] = [*here, *setting_files, *list_ledger_files(ledger)]
    kept_files.check_files_kept([output, figure], read)
    model = resolve_evaluation_judge(chosen, chosen.duel.model)
    if dry_run:
        forecast = workflow.forecast_duel(first, second, chosen, ledger=ledger)
        evaluation_lines.print_forecast(forecast, as_json=as_json)
        return

    def judge_answers(settings: Settings) -> Duels:
        with progress.show_progress(show=not as_json) as bars:
            return workflow.duel(
                first,
                second,
                settings,
                selected_by=selected_by or (),
                output=output,
                allow_missing=allow_missing,
                ledger=ledger,
                progress=bars,
            )

    duels = consent.run_with_consent(
        judge_answers,
        chosen,
        None,
        yes=yes,
        models={STAGE: (model,)},
        ledger=ledger,
    )
    _show_duels(duels, figure, as_json=as_json, is_known=bool(selected_by))


def _check_files(files: list[str] | None) -> tuple[str, str]:
    """Both files. Raises `ConfigError` unless there are two."""
    if files is None or len(files) != 2:
        raise ConfigError(
            "give two files of answers (tacos duel A.jsonl B.jsonl --judge MODEL), or verdicts "
            "that are there (--judgments FILE)"
        )
    return files[0], files[1]


def _show_duels(
    duels: Duels, figure: Path | None, *, as_json: bool, is_known: bool
) -> None:
    """Print the result, and draw it; `is_known` says whether what the judge selected is known."""
    if figure is not None:
        from tacos.report import duel_charts  # altair takes half a second to import

        figures.write_figure(duel_charts.chart_duels(duels.summaries), figure)
    if as_json:
        console.print_json(duels.as_dict())
        return
    _print_duels(duels, is_known=is_known)
    if figure is not None:
        console.print_line(f"figure: {figure}")


def _print_duels(duels: Duels, *, is_known: bool) -> None:
    """Print the figures of each two models, and what to know about them."""
    for circle in duels.circular:
        console.print_text(f"CIRCULAR: {circle}")
    for summary in duels.summaries:
        _print_summary(summary)
    counts = [f"{count:,} {name}" for name, count in duels.counts.items()]
    console.print_text(f"both orders of all: {', '.join(counts)}")
    for model in duels.models:
        if model.faults:
            console.print_text(evaluation_lines.describe_faults(model, N_SHOWN))
    for warning in duels.warnings:
        console.print_text(f"warning: {warning}")
    if not is_known:
        console.print_text(
            "whether the judge took part in the selection is not known: --selected-by RUN tells"
        )
    if duels.output is not None:
        console.print_line(f"verdicts: {duels.output}")


def _print_summary(summary: DuelSummary) -> None:
    """Print one table and its verdict."""
    first, second = summary.models
    table = console.build_figure_table(
        f"{first} against {second}",
        ["set", "n", *OUTCOMES, "win score", "at equal length"],
    )
    rows = dict(summary.sets)
    if len(rows) > 1:
        rows["all"] = summary.pooled
    for name, of_set in rows.items():
        table.add_row(name, *_format_figures(of_set))
    console.out.print(table)
    console.print_text(summary.verdict)
    reason = summary.pooled.not_adjusted
    if reason:
        console.print_text(f"at equal length: {reason}")
    if summary.pooled.lengths is not None:
        own, other = summary.pooled.lengths
        console.print_text(
            f"answers to a question: {own:,.0f} characters by {first}, {other:,.0f} by {second}"
        )
    judges = " and ".join(summary.judges) or "not named"
    console.print_text(f"judge: {judges}")
    if summary.pooled.n_identical:
        same = count_words(summary.pooled.n_identical, "question")
        console.print_text(f"answered alike, a tie without a judge: {same}")
    if summary.missing:
        console.print_text(f"missing: {_list_names(summary.missing)}")


def _format_figures(of_set: DuelFigures) -> list[str]:
    """The cells of one line, without its name."""
    result = of_set.result
    missing = f" ({result.n_missing:,} missing)" if result.n_missing else ""
    cells = [f"{result.n:,}{missing}"]
    for name in OUTCOMES:
        count = result.outcomes[name]
        if result.n == 0:
            cells.append("n/a")
            continue
        low, high = (round(100 * end) for end in of_set.intervals[name])
        cells.append(f"{count / result.n:.0%} ({low}-{high})")
    return [*cells, _format_score(result.score), _format_score(of_set.adjusted)]


def _format_score(estimate: MeanEstimate | None) -> str:
    """A score with its interval, in percent."""
    if estimate is None:
        return "n/a"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.mean:.1%}"
    return f"{estimate.mean:.1%} ({100 * estimate.low:.1f}-{100 * estimate.high:.1f})"


def _list_names(names: tuple[str, ...] | list[str]) -> str:
    """The first of some names, and how many there are."""
    n_more = len(names) - N_SHOWN
    more = f"; and {n_more:,} more" if n_more > 0 else ""
    return "; ".join(names[:N_SHOWN]) + more
