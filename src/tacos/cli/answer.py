"""`tacos answer`: a model's answers to the questions of one or more sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

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
from tacos.trainers.trained_model import Dtype
from tacos.workflows import answer as workflow
from tacos.workflows.answer import ModelAnswers
from tacos.workflows.answer_run import STAGE

AskedModel = Annotated[
    str,
    typer.Argument(
        help="a folder of `tacos train` or any other that transformers loads, or the name of a "
        "server's model"
    ),
]
Questions = Annotated[
    list[str],
    typer.Argument(
        help="files of questions: MT-Bench's, the five test sets, AlpacaEval's, Alpaca-like rows; "
        "here, at an address or on the hub, with #sha256=... behind the name to be sure of the "
        "content"
    ),
]
Output = Annotated[
    Path, typer.Option("-o", "--output", help="the file of the answers (.jsonl)")
]
Template = Annotated[
    str | None,
    typer.Option(
        help="the chat template of a folder that has none: chatml, llama-2, mistral, vicuna-1.1, "
        "alpaca or FILE.jinja"
    ),
]
Server = Annotated[
    str | None,
    typer.Option(
        "--llm",
        help="the model's server, an OpenAI-compatible endpoint (http://localhost:8000/v1) "
        "[default: OPENAI_BASE_URL if set, otherwise OpenAI]",
        show_default=False,
    ),
]
Temperature = Annotated[
    float | None,
    typer.Option(
        help="one temperature for every category [default: MT-Bench's by category, 0.7 for others]",
        show_default=False,
    ),
]
MaxTokens = Annotated[
    int | None, typer.Option(help="the longest answer, in tokens [default: 1024]")
]
Numbers = Annotated[
    str,
    typer.Option(
        help="float32, bfloat16 (faster on some CPUs), or auto: bfloat16 on GPUs alone"
    ),
]
N_LISTED = 8


def answer(  # noqa: PLR0913 - the options of the command
    model: AskedModel,
    questions: Questions,
    output: Output,
    template: Template = None,
    llm: Server = None,
    temperature: Temperature = None,
    max_tokens: MaxTokens = None,
    trainer_python: options.TrainerPython = None,
    dtype: Numbers = "auto",
    settings: options.SettingsFile = None,
    sets: options.Sets = None,
    budget: options.Budget = None,
    ledger: options.Ledger = None,
    yes: options.Yes = False,
    as_json: options.AsJson = False,
) -> None:
    """Have a trained model, or any other, answer the questions of evaluations.

    A model is asked in the chat template that it was trained with, and refused with another one.
    Later turns follow the model's own answers. Stopped? The same command goes on.

    Examples:

      tacos answer trained/ question.jsonl -o answers.jsonl

      tacos answer base/ koala.jsonl vicuna.jsonl --template alpaca -o base.jsonl

      tacos answer MODEL question.jsonl --llm http://localhost:8000/v1 -o theirs.jsonl
    """
    folder = workflow.find_model_folder(model, template)
    chosen = option_settings.build_settings(
        "robust",
        settings,
        sets,
        EndpointOptions(llm, None if folder else model, budget),
        **_build_answer_settings(temperature, max_tokens),
    )

    def ask(settings: Settings) -> ModelAnswers:
        with progress.show_progress(show=not as_json) as bars:
            return workflow.answer(
                model,
                questions,
                output,
                settings,
                template=template,
                trainer_python=trainer_python,
                dtype=cast(Dtype, dtype),
                ledger=ledger,
                progress=bars,
            )

    if folder is not None:
        answers = ask(chosen)
    else:
        answers = consent.run_with_consent(
            ask,
            chosen,
            workflow.find_answer_run(output),
            yes=yes,
            models={STAGE: (model,)},
            ledger=ledger,
        )
    if as_json:
        console.print_json(answers.as_dict())
    else:
        _print_answers(answers)


def _build_answer_settings(
    temperature: float | None, max_tokens: int | None
) -> dict[str, Any]:
    """The settings of the command's own options."""
    values: dict[str, Any] = {}
    if temperature is not None:
        values["temperature"] = temperature
        values["by_category"] = {}
    if max_tokens is not None:
        values["max_tokens"] = max_tokens
    return {"answer": values} if values else {}


def _print_answers(answers: ModelAnswers) -> None:
    """Print how many answers there are, and what is wrong with some."""
    length = answers.mean_length
    template = answers.template_hash
    console.print_pairs(
        f"answers of {answers.model}",
        [
            (
                "questions",
                f"{len(answers.answers):,} of {answers.n_questions:,} answered, "
                f"{answers.n_turns:,} turns",
            ),
            (
                "mean answer",
                "n/a" if length is None else f"{length:,.0f} characters",
            ),
            ("template", "the server's own" if template is None else template[:16]),
            ("empty or cut", f"{len(answers.faults):,} of {answers.n_turns:,}"),
            ("written to", str(answers.output)),
        ],
    )
    if answers.has_other_template:
        console.print_text(
            "Warning: the folder has a chat template of its own, and --template took its place: a "
            "model answers worse in another template than the one that it was trained with."
        )
    _print_some("empty or cut", answers.faults)
    _print_some(
        "not answered", [f"{name}: {why}" for name, why in answers.missing.items()]
    )
    evaluation_lines.print_hashes(answers.files)


def _print_some(label: str, lines: list[str]) -> None:
    """Print the first lines of a list, and how many more there are."""
    for line in lines[:N_LISTED]:
        console.print_line(f"{label}: {line}")
    n_more = len(lines) - N_LISTED
    if n_more > 0:
        console.print_line(f"{label}: {n_more:,} more")
