"""`tacos distill`: small models that answer as the language model of a run did."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tacos.cli.shared import console, options

if TYPE_CHECKING:
    from tacos.workflows.distill import Distillation

LlmRun = Annotated[
    Path,
    typer.Argument(
        help="a run whose tags, verdicts or grades came from a language model",
        metavar="RUN",
    ),
]
Folder = Annotated[Path, typer.Option("-o", "--output", help="the folder to write")]
EncoderName = Annotated[
    str,
    typer.Option(
        "--encoder", help="the tagger's text encoder: static, or minilm (slower)"
    ),
]
Figures = dict[str, Any]


def distill(
    run: LlmRun,
    output: Folder,
    encoder: EncoderName = "static",
    as_json: options.AsJson = False,
) -> None:
    """Train a tagger and a judge on the language model's replies in a run, and measure them.

    A tagger needs 200 tagged instructions, a judge 100 judged samples; a model with too few is left
    out. Agreement with the language model is measured on held-out instructions; the folder holds a
    card with all figures.

    Examples:

    \b
      tacos select data.jsonl -n 1000 --model MODEL -o selected.jsonl
      tacos distill selected.jsonl.run -o mymodel/
      tacos select more.jsonl -n 1000 --llm mymodel/ -o more-selected.jsonl
    """
    from tacos.workflows import distill as workflow  # takes a second to import

    distillation = workflow.distill(run, output, encoder)
    if as_json:
        console.print_json(distillation.as_dict())
    else:
        _print_distillation(distillation)


def _print_distillation(distillation: Distillation) -> None:
    """Print the figures of each model, and how to use it."""
    from tacos.models.training import cards

    for part, figures in distillation.figures.items():
        if part == "tagger":
            console.print_pairs(part, _format_tagger(figures))
        else:
            console.print_pairs(part, _format_judge(figures))
    for part, reason in distillation.left_out.items():
        console.print_line(f"no {part}: {reason}")
    cautions = cards.list_cautions(distillation.figures)
    for caution in cautions:
        console.print_line(caution)
    folder = str(distillation.folder)
    # The next command, ready to be copied.
    usage = cards.format_usage_options(folder, distillation.figures)
    console.print_line(f"written to {folder}; use it with {usage}")


def _format_tagger(figures: Figures) -> list[tuple[str, str]]:
    """Label and text of each line."""
    # Counts first, so that the lines below read as they are printed.
    n_learned = figures["learned from"]
    n_replies = figures["replies"]
    models = ", ".join(figures["models"])
    n_held_out = figures["n"]
    n_trained = figures["trained on"]
    lines = [
        ("learned from", f"{n_learned:,} of {n_replies:,} replies by {models}"),
        ("held out", f"{n_held_out:,} instructions, training on {n_trained:,} or more"),
    ]
    for kind in ("exact", "fuzzy"):
        own = _format_f1(figures[kind])
        most_frequent = figures["most frequent tags"]
        baseline = _format_f1(most_frequent[kind])
        lines.append((f"tag F1, {kind}", f"{own}; most frequent tags {baseline}"))
    # What "fuzzy" means above.
    lines.append(
        ("fuzzy", f"a cosine similarity of .8 or more by {figures['fuzzy by']}")
    )
    lines.append(("calibration error", f"{figures['calibration error']:.3f}"))
    return lines


def _format_judge(figures: Figures) -> list[tuple[str, str]]:
    """Label and text of each line."""
    n_learned = figures["learned from"]
    models = ", ".join(figures["models"])
    n_held_out = figures["n"]
    n_trained = figures["trained on"]
    return [
        ("learned from", f"{n_learned:,} samples, judged by {models}"),
        ("held out", f"{n_held_out:,} samples, training on {n_trained:,} or more"),
        ("rank correlation", _format_correlation(figures["agreement"])),
        ("  with value", _format_correlation(figures["value"])),
        ("  with correctness", _format_correlation(figures["correctness"])),
        ("  of length", _format_correlation(figures["length only"])),
    ]


def _format_f1(figures: Figures) -> str:
    """Micro F1 with its interval, and macro F1."""
    low, high = figures["interval"]
    return f"{figures['micro']:.3f} ({low:.3f} to {high:.3f}), macro {figures['macro']:.3f}"


def _format_correlation(figures: Figures) -> str:
    """A correlation with its interval."""
    if figures["value"] is None:
        return "n/a"
    low, high = figures["interval"]
    return f"{figures['value']:.2f} ({low:.2f} to {high:.2f})"
