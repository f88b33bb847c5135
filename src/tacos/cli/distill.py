"""`tacos distill RUN`: small models that answer as the language model of a run did."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from tacos.cli.shared import console, options

Run = Annotated[Path, typer.Argument(help="a run whose tags or verdicts are by a language model")]
Folder = Annotated[Path, typer.Option("-o", "--output", help="the folder to write")]
EncoderName = Annotated[
    str, typer.Option("--encoder", help="what the tagger reads with: static, or minilm (slower)")
]


def distill(
    run: Run, output: Folder, encoder: EncoderName = "static", as_json: options.AsJson = False
) -> None:
    """Train a tagger and a judge from the language model's replies of a run, and say how far they
    agree with it.

    A tagger needs 200 tagged instructions, a judge 200 compared pairs; what a run has too few of is
    left out. Agreement is measured on instructions that were held out; the folder has a card with
    all figures.

    \b
    tacos select data.jsonl -n 1000 --model MODEL -o selected.jsonl
    tacos distill selected.jsonl.run -o mymodel/
    tacos select more.jsonl -n 1000 --llm mymodel/ -o more-selected.jsonl
    """
    from tacos.models.training import cards
    from tacos.workflows import distill as distillation  # takes a second to import

    options.check_choice("--encoder", encoder, ("static", "minilm"))
    done = distillation.distill(run, output, encoder)
    if as_json:
        print(orjson.dumps(done.as_dict(), option=orjson.OPT_INDENT_2).decode())
        return
    for part, found in done.figures.items():
        console.out.print(console.build_table(part, ROWS[part](found)))
    for part, why in done.left_out.items():
        console.out.print(f"no {part}: {why}", soft_wrap=True)
    for caution in cards.list_cautions(done.figures):
        console.out.print(caution, soft_wrap=True)
    use = cards.format_usage_options(str(output), done.figures)
    console.out.print(f"written to {output}; use it with {use}", soft_wrap=True)


def _format_tagger(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Label and text of each line."""
    common = found["most frequent tags"]
    return [
        (
            "learned from",
            f"{found['learned from']:,} of {found['replies']:,} replies by {', '.join(found['models'])}",
        ),
        ("held out", f"{found['n']:,} instructions, training on {found['trained on']:,} or more"),
        *(
            (
                f"tag F1, {kind}",
                f"{_format_f1(found[kind])}; most frequent tags {_format_f1(common[kind])}",
            )
            for kind in KINDS
        ),
        ("fuzzy", f"a cosine of .8 or more by {found['fuzzy by']}"),
        ("calibration error", f"{found['calibration error']:.3f}"),
    ]


def _format_judge(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Label and text of each line."""
    return [
        (
            "learned from",
            f"{found['learned from']:,} pairs, verdicts by {', '.join(found['models'])}",
        ),
        (
            "held out",
            f"{found['n']:,} pairs with a winner, training on {found['trained on']:,} or more",
        ),
        ("same winner", _format_share(found["agreement"])),
        ("the longer one", _format_share(found["length only"])),
        (
            "Brier score",
            "n/a" if found["brier"] is None else f"{found['brier']:.3f}; a coin has .250",
        ),
    ]


KINDS = ("exact", "fuzzy")
ROWS = {"tagger": _format_tagger, "judge": _format_judge}


def _format_f1(found: dict[str, Any]) -> str:
    """Micro F1 with its interval, and macro F1."""
    low, high = found["interval"]
    return f"{found['micro']:.3f} ({low:.3f} to {high:.3f}), macro {found['macro']:.3f}"


def _format_share(found: dict[str, Any]) -> str:
    """A share with its interval."""
    if found["value"] is None:
        return "n/a"
    low, high = found["interval"]
    return f"{found['value']:.1%} ({low:.1%} to {high:.1%})"
