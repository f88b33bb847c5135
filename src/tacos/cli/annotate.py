"""`tacos annotate`: what people say of the rows and tags of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tacos.cli.shared import console, option_settings, options
from tacos.cli.shared.option_settings import EndpointOptions
from tacos.counts import count_words
from tacos.methods.judging.calibration import Calibration
from tacos.methods.measures.rater_agreement import ConfidenceInterval
from tacos.workflows import annotate as workflow
from tacos.workflows.annotate import Annotation, LabelExport
from tacos.workflows.annotation_status import AnnotationStatus
from tacos.workflows.selection import load

Pairs = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="draw tasks with so many pairs, even if the run has some: more pairs are added "
        "[default: 100 where there are none]",
        show_default=False,
    ),
]
Origin = Annotated[
    str,
    typer.Option(
        "--from",
        metavar="PLACE",
        help="where pairs come from: comparisons (of the run), clusters (two rows of one), random, "
        "or auto",
    ),
]
Shared = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="the first tasks of each kind, which everybody answers; each of the others is for one "
        "person [default: all]",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option(help="random seed of the draw")]
ExportFolder = Annotated[
    Path | None,
    typer.Option(
        "--export",
        metavar="DIR",
        help="write pairs for tacos calibrate, a sheet per person for tacos check-tags, and all "
        "labels",
    ),
]
KIND_WORDS = {
    "pair": "pairs",
    "precision": "tags: are they right?",
    "consistency": "tags: do they mean the same?",
}


def annotate(  # noqa: PLR0913 - the options of the command
    run: options.RunDirectory,
    pairs: Pairs = None,
    origin: Origin = "auto",
    shared: Shared = None,
    seed: Seed = 1,
    settings: options.SettingsFile = None,
    sets: options.Sets = None,
    export: ExportFolder = None,
    as_json: options.AsJson = False,
) -> None:
    """Let people compare rows and judge tags; show how far they agree, and the judge with them.

    Tasks are drawn once and kept in the run; people answer them in the browser (tacos ui RUN),
    several at once. This command draws them, shows progress and agreement, and exports labels.

    Examples:

      tacos annotate selected.jsonl.run --pairs 200 --shared 50

    \b
      tacos annotate selected.jsonl.run --export labels
      tacos calibrate labels/pairs.jsonl --model MODEL
      tacos check-tags selected.jsonl.run --answers labels/tags/ann.csv

    The number of tag cases: --set check.n_precision=40 --set check.n_consistency=20
    --set check.n_planted=10. Repeat it with check-tags.
    """
    done = load(run)
    chosen = option_settings.build_run_settings(
        done.settings, settings, sets, EndpointOptions(None, None, None)
    )
    annotation = workflow.annotate(
        done,
        pairs,
        origin=origin,
        n_shared=shared,
        seed=seed,
        settings=chosen,
    )
    if export is not None:
        _print_export(annotation.export(export), as_json=as_json)
        return
    status = annotation.summarise()
    if as_json:
        console.print_json(status.as_dict())
        return
    _print_status(annotation, status, run)


def _print_status(
    annotation: Annotation,
    status: AnnotationStatus,
    run: Path,
) -> None:
    """Print tasks, progress and agreement."""
    plan = annotation.task_set.plan
    everybody = "all" if plan.n_shared is None else f"the first {plan.n_shared:,}"
    tasks = [(KIND_WORDS[kind], f"{n:,}") for kind, n in status.n_tasks.items()]
    tasks.append(("everybody answers", f"{everybody} of each"))
    console.print_pairs("tasks", tasks)
    if not status.progress:
        console.print_line(f"nobody has answered yet: tacos ui {run}")
        return
    _print_progress(status)
    _print_agreement(status)
    for judge in status.judges:
        console.print_pairs(judge.judge, _describe_judge(judge))


def _print_progress(status: AnnotationStatus) -> None:
    """Print how far everybody has come."""
    table = console.build_figure_table(
        "progress", ["person", "kind", "done", "unclear", "left"], n_left=2
    )
    for each in status.progress:
        table.add_row(
            each.person,
            each.kind,
            f"{each.n_done:,}",
            f"{each.n_unclear:,}",
            f"{each.n_left:,}",
        )
    console.out.print(table)


def _print_agreement(status: AnnotationStatus) -> None:
    """Print how far people agree, on pairs and on tags."""
    columns = ["about", "between", "measure", "value", "95% interval", "tasks"]
    table = console.build_figure_table("agreement", columns, n_left=3)
    for figure in status.agreement:
        interval = ConfidenceInterval(figure.value, figure.low, figure.high, figure.n)
        table.add_row(
            figure.question, figure.between, figure.measure, *_format_cells(interval)
        )
    for row in status.tags.agreement.iter_rows(named=True):
        interval = ConfidenceInterval(row["value"], row["low"], row["high"], row["n"])
        table.add_row(
            row["task"], row["between"], row["measure"], *_format_cells(interval)
        )
    if table.row_count:
        console.out.print(table)


def _format_cells(interval: ConfidenceInterval) -> tuple[str, str, str]:
    """Value, interval and number of tasks."""
    value = "n/a" if interval.value is None else f"{interval.value:.2f}"
    bounds = ""
    if interval.low is not None and interval.high is not None:
        bounds = f"{interval.low:.2f} to {interval.high:.2f}"
    return value, bounds, f"{interval.n:,}"


def _describe_judge(judge: Calibration) -> list[tuple[str, str]]:
    """How far a judge agrees with most people."""
    value, bounds, n = _format_cells(judge.agreement)
    interval = f" ({bounds})" if bounds else ""
    kappa = "n/a" if judge.kappa is None else f"{judge.kappa:.2f}"
    ac1 = "n/a" if judge.ac1 is None else f"{judge.ac1:.2f}"
    judged = f"{judge.n_judged:,} of {judge.n_labels:,} pairs with a majority"
    return [
        ("pairs", judged),
        ("agreement with people", f"{value}{interval} of {n} with a winner"),
        ("agreement beyond chance", f"kappa {kappa}, AC1 {ac1} (a, b, tie)"),
    ]


def _print_export(
    exported: LabelExport,
    *,
    as_json: bool,
) -> None:
    """Print what was written, and the commands that read it."""
    if as_json:
        console.print_json(exported.as_dict())
        return
    console.print_line(f"{count_words(exported.n_labels, 'label')}: {exported.folder}")
    pairs = count_words(exported.n_pairs, "pair")
    console.print_line(
        f"{pairs} with a majority; {exported.n_without_majority:,} without one left out"
    )
    for command in exported.commands:
        console.print_line(f"next: {command}")
