"""`tacos mt-bench`: grades of trained models' answers, all of them or no score."""

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
from tacos.pipeline.model_factory import resolve_evaluation_judge
from tacos.workflows import mt_bench as workflow
from tacos.workflows.mt_bench_result import (
    ModelGrades,
    MtBenchEvaluation,
    list_judges,
)

Answers = Annotated[
    list[str] | None,
    typer.Argument(
        help="files of answers, one per model, that `tacos answer` or FastChat wrote",
        show_default=False,
    ),
]
Questions = Annotated[
    str | None,
    typer.Option(
        help="the questions: FastChat's mt_bench/question.jsonl, or your own; a file, an address "
        "or a name of the hub, with #sha256=... behind it to be sure of its content"
    ),
]
References = Annotated[
    str | None,
    typer.Option(
        help="what the judge checks math, reasoning and coding against: a file of reference "
        "answers, question (those in the questions' file) or none",
        metavar="FILE|question|none",
    ),
]
Judgments = Annotated[
    list[str] | None,
    typer.Option(
        help="count the grades of this file instead of asking a judge: FastChat's "
        "..._single.jsonl, or what -o wrote; repeatable"
    ),
]
Repeat = Annotated[
    int | None,
    typer.Option(help="grade each answer so many times [default: 1]", min=1),
]
Grades = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="write every grade with the judge's text"),
]
N_LISTED = 8


def mt_bench(  # noqa: PLR0913 - the options of the command
    answers: Answers = None,
    questions: Questions = None,
    references: References = None,
    judgments: Judgments = None,
    judge: options.Judge = None,
    llm: options.JudgeUrl = None,
    repeat: Repeat = None,
    output: Grades = None,
    settings: options.SettingsFile = None,
    sets: options.Sets = None,
    budget: options.Budget = None,
    ledger: options.Ledger = None,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
) -> None:
    """Grade the answers of trained models from 1 to 10, and compare the models (MT-Bench).

    A score needs every grade: where one is missing, the exit code is 2, and the same command asks
    for what is missing alone. Intervals are clustered by question.

    Examples:

    \b
      tacos mt-bench mine.jsonl random.jsonl --questions question.jsonl \\
        --references gpt-4.jsonl --judge MODEL --dry-run

      tacos mt-bench --judgments gpt-4_single.jsonl
    """
    if judgments:
        others = {
            "files of answers": answers,
            "--judge": judge,
            "--references": references,
            "--output": output,
            "--repeat": repeat,
        }
        evaluation_lines.refuse_beside("--judgments", "grades", others)
        evaluation = workflow.count_judgments(judgments, questions=questions)
        _print_evaluation(evaluation, as_json=as_json)
        evaluation.check_complete()
        return
    if questions is None:
        raise ConfigError(
            "name the questions: --questions FILE (FastChat's mt_bench/question.jsonl)"
        )
    if references is None:
        raise ConfigError(
            "say what the judge checks math, reasoning and coding against, since scores with and "
            "without are not comparable: --references FILE, question or none"
        )
    top = {} if repeat is None else {"mt_bench": {"repeat": repeat}}
    chosen = option_settings.build_settings(
        "robust", settings, sets, EndpointOptions(llm, judge, budget), **top
    )
    model = resolve_evaluation_judge(chosen, chosen.mt_bench.model)
    if dry_run:
        forecast = workflow.forecast_mt_bench(
            answers or [],
            chosen,
            questions=questions,
            references=references,
            ledger=ledger,
        )
        evaluation_lines.print_forecast(forecast, as_json=as_json)
        return

    def grade(settings: Settings) -> MtBenchEvaluation:
        with progress.show_progress(show=not as_json) as bars:
            return workflow.mt_bench(
                answers or [],
                settings,
                questions=questions,
                references=references,
                output=output,
                ledger=ledger,
                progress=bars,
            )

    evaluation = consent.run_with_consent(
        grade,
        chosen,
        None,
        yes=yes,
        models={workflow.STAGE: (model,)},
        ledger=ledger,
    )
    _print_evaluation(evaluation, as_json=as_json)
    evaluation.check_complete()


def _print_evaluation(evaluation: MtBenchEvaluation, *, as_json: bool) -> None:
    """Print scores, differences and what to know of them; incomplete models have no score."""
    if as_json:
        console.print_json(evaluation.as_dict())
        return
    complete = [model for model in evaluation.models if model.score is not None]
    names = {}
    if complete:
        names = evaluation_lines.shorten_labels([model.label for model in complete])
        _print_scores(evaluation, complete, names)
        _print_categories(complete, names)
    if evaluation.differences:
        rows = [
            (f"{names[each.better]} over {names[each.worse]}", each.estimate)
            for each in evaluation.differences
        ]
        evaluation_lines.print_differences(rows, "{:+.2f}", "{:.2f}")
    for line in _list_remarks(evaluation, complete):
        console.print_text(line)
    evaluation_lines.print_hashes(evaluation.files)


def _print_scores(
    evaluation: MtBenchEvaluation, models: list[ModelGrades], names: dict[str, str]
) -> None:
    """A line per model: score, turns, and the mean without doubtful references."""
    n_grades = evaluation.n_items
    title = (
        f"MT-Bench: means of {n_grades:,} grades, {evaluation.n_questions:,} questions"
    )
    columns = ["model", "score", "95% interval", "turn 1", "turn 2", "mean answer"]
    has_doubtful = bool(evaluation.doubtful)
    if has_doubtful:
        n_left = evaluation.n_questions - len(evaluation.doubtful)
        columns.insert(3, f"on the {n_left} without doubtful reference")
    table = console.build_figure_table(title, columns)
    for model in models:
        assert model.score is not None
        score = model.score
        name = names[model.label]
        cells = [
            name if name == model.label else f"{name} {model.label}",
            f"{score.mean.mean:.3f}",
            evaluation_lines.format_bounds(score.mean, "{:.2f}"),
        ]
        if has_doubtful and score.without_doubtful is not None:
            cells.append(f"{score.without_doubtful.mean:.3f}")
        for turn in (1, 2):
            estimate = score.turns.get(turn)
            cells.append("" if estimate is None else f"{estimate.mean:.2f}")
        answers = model.answers
        cells.append("n/a" if answers is None else f"{answers.mean_length:,.0f}")
        table.add_row(*cells)
    console.out.print(table)
    for model in models:
        if model.sitting_means:
            shown = ", ".join(f"{mean:.3f}" for mean in model.sitting_means)
            spread = max(model.sitting_means) - min(model.sitting_means)
            console.print_line(
                f"{model.label}, {len(model.sitting_means)} judgings: {shown} "
                f"(apart by {spread:.3f})"
            )


def _print_categories(models: list[ModelGrades], names: dict[str, str]) -> None:
    """The mean of each category, with its interval."""
    first = models[0].score
    assert first is not None
    if not first.categories:
        return
    table = console.build_figure_table(
        "by category: mean, 95% interval and questions",
        ["category", *(names[model.label] for model in models), "n"],
    )
    for category, estimate in first.categories.items():
        cells = []
        for model in models:
            assert model.score is not None
            own = model.score.categories[category]
            bounds = evaluation_lines.format_bounds(own, "{:.1f}")
            cells.append(f"{own.mean:.2f} ({bounds})")
        table.add_row(category, *cells, f"{estimate.n_clusters:,}")
    console.out.print(table)


def _list_remarks(
    evaluation: MtBenchEvaluation, complete: list[ModelGrades]
) -> list[str]:
    """What a reader must know of the figures."""
    remarks = []
    if complete:
        remarks.append(
            f"What these {evaluation.n_questions:,} questions can show: differences between two "
            f"models under about {evaluation.detectable:.1f} points are usually not detectable "
            "(80% power)."
        )
    judges = list_judges(evaluation.models)
    named = ", ".join(
        f"{name} ({count_words(n, 'grade')})" for name, n in judges.items()
    )
    source = "its server calls it" if evaluation.is_judged_here else "the file says"
    remarks.append(f"Judge, as {source}: {named or 'none'}.")
    if len(judges) > 1:
        remarks.append(
            "More than one model graded: grades of different judges are not comparable."
        )
    if evaluation.references is not None:
        remarks.append(_describe_references(evaluation))
    if evaluation.doubtful and complete:
        ids = ", ".join(evaluation.doubtful)
        unseen = " (the judge was not shown it)"
        remarks.append(
            f"GPT-4's reference{unseen if evaluation.references == 'none' else ''} is wrong in a "
            f"turn of {count_words(len(evaluation.doubtful), 'question')}: {ids}."
        )
    remarks += [f"Warning: {warning}." for warning in evaluation.warnings]
    faulty = [
        model.answers
        for model in evaluation.models
        if model.answers is not None and model.answers.faults
    ]
    remarks += [evaluation_lines.describe_faults(each, N_LISTED) for each in faulty]
    return remarks


def _describe_references(evaluation: MtBenchEvaluation) -> str:
    """What the judge could check against."""
    if evaluation.references == "none":
        return (
            "References: none; the judge checked math, reasoning and coding by itself."
        )
    source = evaluation.references
    named = "those that the questions bring along" if source == "question" else source
    text = f"References for math, reasoning and coding: {named}"
    missing = evaluation.without_reference
    if missing:
        of = count_words(len(missing), "question")
        text += f"; {of} without any: {', '.join(missing)}"
    return f"{text}."
