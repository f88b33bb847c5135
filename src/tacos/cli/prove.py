"""`tacos prove`: does a model get better by a selection?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tacos.cli.shared import consent, console, option_settings, options, progress
from tacos.cli.shared.option_settings import EndpointOptions
from tacos.config import Settings
from tacos.counts import count_words
from tacos.methods.evaluating.experiment_results import ExperimentResults
from tacos.pipeline.model_factory import resolve_evaluation_judge
from tacos.report.experiment_page import (
    describe_duels,
    describe_speed,
    list_cautions,
)
from tacos.report.figure_texts import (
    NOT_KNOWN,
    format_amount,
    format_measure,
    format_p_value,
)
from tacos.report.plots.experiment_plots import HOW_TO_READ
from tacos.workflows import experiment_folder
from tacos.workflows import prove as workflow
from tacos.workflows.duel_judging import STAGE
from tacos.workflows.experiment_duels import has_judge
from tacos.workflows.experiment_folder import ExperimentFolder
from tacos.workflows.prove import Proof

Folder = Annotated[
    Path,
    typer.Option("-o", "--output", help="the folder of the experiment"),
]
HeldOut = Annotated[
    list[str] | None,
    typer.Option(
        help="a data set of answers that people wrote, on which the loss is measured; repeatable",
        metavar="FILE",
    ),
]
Preferences = Annotated[
    list[str] | None,
    typer.Option(
        help="pairs of answers of which people prefer one, as tacos calibrate reads them; "
        "repeatable",
        metavar="FILE",
    ),
]
Questions = Annotated[
    list[str] | None,
    typer.Option(
        help="a question set, as tacos answer reads it, that all models answer and a judge "
        "compares (--judge); repeatable",
        metavar="FILE",
    ),
]
MaxTokens = Annotated[
    int | None,
    typer.Option(help="the longest answer to a question, in tokens [default: 1024]"),
]
Seeds = Annotated[int, typer.Option(help="trainings of each arm")]
Match = Annotated[
    str, typer.Option(help="what all arms have alike: rows, or trained tokens")
]
Primary = Annotated[
    str | None,
    typer.Option(
        help="the instrument that decides: answer-loss, preference, preference-matched or duels "
        "[default: the first of these that is measured]",
        show_default=False,
    ),
]
Items = Annotated[
    int | None,
    typer.Option(
        help="the most items of held-out answers, and of pairs, evenly over lengths "
        "[default: all]",
        show_default=False,
    ),
]
Without = Annotated[
    list[str] | None,
    typer.Option(
        help=f"leave an arm out: {', '.join(workflow.OPTIONAL_ARMS)}; repeatable",
        metavar="ARM",
    ),
]
ExperimentSeed = Annotated[
    int, typer.Option("--seed", help="of the draw of items, and of the bootstrap")
]
KeepModels = Annotated[
    bool,
    typer.Option("--keep-models", help="keep the weights of models that were measured"),
]
PlanOnly = Annotated[
    bool,
    typer.Option(
        "--plan-only",
        help="declare the plan and write the rows of all arms; stop there",
    ),
]


def prove(  # noqa: PLR0913 - the options of the command
    run: options.RunOrSelected,
    recipe: options.RecipeName,
    output: Folder,
    held_out: HeldOut = None,
    preferences: Preferences = None,
    questions: Questions = None,
    judge: options.Judge = None,
    llm: options.JudgeUrl = None,
    model: options.BaseModel = None,
    sets: options.RecipeSets = None,
    seeds: Seeds = 5,
    match: Match = "rows",
    primary: Primary = None,
    items: Items = None,
    without: Without = None,
    seed: ExperimentSeed = 0,
    device: options.Device = "auto",
    trainer_python: options.TrainerPython = None,
    keep_models: KeepModels = False,
    plan_only: PlanOnly = False,
    max_tokens: MaxTokens = None,
    settings: options.SettingsFile = None,
    budget: options.Budget = None,
    ledger: options.Ledger = None,
    yes: options.Yes = False,
    as_json: options.AsJson = False,
) -> None:
    """Train models on the selection and on other rows of its pool, and say which are better.

    Arms: the selection; random rows (a new draw per seed); the longest answers; random rows as long
    as the selection; the full pool, once; the untrained base. All have one recipe. What decides is
    written down before the first training. The answer may be that no difference could be seen. The
    same command goes on where it was stopped.

    Examples:

    \b
      tacos prove selected.jsonl.run --recipe small --model gemma-270m/ -o experiment/ \\
        --held-out lima.json --preferences pairs.jsonl

    \b
      tacos prove selected.jsonl.run --recipe small --model gemma-270m/ -o experiment/ \\
        --held-out lima.json --questions koala.jsonl --judge MODEL
    """
    own = {} if max_tokens is None else {"answer": {"max_tokens": max_tokens}}
    chosen = option_settings.build_settings(
        "robust", settings, None, EndpointOptions(llm, judge, budget), **own
    )

    def compare_arms(settings: Settings) -> Proof:
        with progress.show_progress(show=not as_json) as bars:
            return workflow.prove(
                run,
                output,
                held_out=held_out or (),
                preferences=preferences or (),
                questions=questions or (),
                settings=settings,
                ledger=ledger,
                recipe=recipe,
                values=sets or (),
                model=model,
                seeds=seeds,
                match=match,  # type: ignore[arg-type]  # checked there
                primary=primary,  # type: ignore[arg-type]
                n_items=items,
                without=without or (),
                seed=seed,
                device=device,  # type: ignore[arg-type]
                trainer_python=trainer_python,
                keep_models=keep_models,
                plan_only=plan_only,
                progress=bars,
            )

    if plan_only or not has_judge(chosen):
        proof = compare_arms(chosen)
    else:
        # Asked before hours of training, not after them; and once, as the folder keeps it.
        ExperimentFolder(output).check()
        proof = consent.run_with_consent(
            compare_arms,
            chosen,
            output / experiment_folder.CONSENT,
            yes=yes,
            models={STAGE: (resolve_evaluation_judge(chosen, chosen.duel.model),)},
            ledger=ledger,
            may_be_known=False,
        )
    if as_json:
        console.print_json(proof.as_dict())
    else:
        _print_proof(proof, is_plan=plan_only)


def _print_proof(proof: Proof, *, is_plan: bool) -> None:
    """Print the verdict, the table and where the report is."""
    results = proof.results
    for note in proof.notes:
        console.print_line(f"left out: {note}")
    if results.label:
        console.print_line(results.label)
    console.print_line(results.verdict)
    if results.trainings:
        _print_comparisons(results)
        _print_trainings(results)
    _print_duels(results)
    if results.speed is not None:
        console.print_line(describe_speed(results.speed))
    if not results.missing:
        for caution in list_cautions(results):
            console.print_line(caution)
    _print_state(results, is_plan=is_plan)
    console.print_line(f"report: {proof.folder / experiment_folder.REPORT}")


def _print_state(results: ExperimentResults, *, is_plan: bool) -> None:
    """Print the plan, and what is still to be done."""
    plan = results.plan
    console.print_line(f"plan {plan.hash()}, declared {results.declared}")
    if results.missing:
        n_missing = count_words(len(results.missing), "model")
        how = "without --plan-only" if is_plan else "again"
        console.print_line(f"{n_missing} to go: run the same command {how}")
    elif results.unjudged:
        n_models = count_words(len(results.unjudged), "model")
        console.print_line(
            f"duels with {n_models} to be judged: run the same command again"
        )


def _print_duels(results: ExperimentResults) -> None:
    """Print what the judge had to do with the selection, and a line for each other arm."""
    for circle in results.circular:
        console.print_text(f"CIRCULAR: {circle}")
    for line in describe_duels(results):
        console.print_text(line)


def _print_comparisons(results: ExperimentResults) -> None:
    """Print a table per instrument, and how to read it."""
    for instrument in results.plan.instruments:
        name = instrument.name
        parts = [part for part in results.comparisons if part.instrument == name]
        if not parts:
            continue
        unit = "nats per token" if name == "answer-loss" else "points of 100"
        primary = ", primary" if name == results.plan.primary else ""
        table = console.build_figure_table(
            f"{name}{primary}: what the selection gains, in {unit}",
            ["against", "gain", "95% interval", "p", "seen from"],
        )
        for part in parts:
            low, high = (
                format_measure(name, end, sign=True).removesuffix(" points")
                for end in (part.low, part.high)
            )
            table.add_row(
                part.other,
                format_measure(name, part.gain, sign=True).removesuffix(" points"),
                NOT_KNOWN if part.low is None else f"{low} to {high}",
                format_p_value(part.p),
                format_amount(name, part.smallest).removesuffix(" points"),
            )
        console.out.print(table)
    if results.comparisons:
        console.print_line(HOW_TO_READ)


def _print_trainings(results: ExperimentResults) -> None:
    """Print a line per model, with what the first instrument says; the report has all."""
    names = [
        instrument.name
        for instrument in results.plan.instruments
        if instrument.name != "duels"
    ]
    names = [name for name in names if name == results.plan.primary] or names[:1]
    table = console.build_figure_table(
        "",
        ["arm", "seed", "rows", "trained tokens", "seconds", *names],
    )
    table.columns[0].no_wrap = True
    for part in results.trainings:
        means = [format_measure(name, part.means.get(name)) for name in names]
        tokens = part.n_trained_tokens
        seconds = part.seconds
        table.add_row(
            part.arm,
            str(part.seed),
            f"{part.n_rows:,}",
            NOT_KNOWN if tokens is None else f"{tokens:,}",
            NOT_KNOWN if seconds is None else f"{seconds:,.0f}",
            *means,
        )
    console.out.print(table)
