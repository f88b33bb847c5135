"""`tacos refine RUN`: rewrite the selected rows where that makes them better."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from tacos import config
from tacos.cli.shared import consent, console, options
from tacos.config import Settings
from tacos.pipeline.model_factory import list_endpoint_models, resolve_editor_model
from tacos.workflows import refine as refinement
from tacos.workflows import select
from tacos.workflows.refine import Refinement

Run = Annotated[Path, typer.Argument(help="the run directory, e.g. selected.jsonl.run")]


def refine(  # noqa: PLR0913 - a command's options are its interface
    run: Run,
    output: options.AnyOutput = None,
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
    """Rewrite the selected rows: response, then instruction, each kept only if judges prefer it in
    both orders.

    The rewritten rows go to the output [default: <run>/refined.jsonl], all others with them as they
    were. Beside it, <output>.changes.jsonl says for every row what happened, with both texts.

    Examples:

      tacos refine selected.jsonl.run --model MODEL -o refined.jsonl

      tacos refine selected.jsonl.run --model EDITOR --set judge.model=JUDGE -o refined.jsonl
    """
    endpoint = {"base_url": llm, "model": model, "budget": budget}
    given = {name: value for name, value in endpoint.items() if value is not None}
    chosen = _load_refine_settings(
        select.load(run).settings, settings, sets, given, options.load_criteria_settings(criteria)
    )
    judges = list_endpoint_models(chosen).get("judge", ())
    asked = {"refine": (resolve_editor_model(chosen),)} | ({"confirm": judges} if judges else {})
    consent.ask_consent(chosen, run, yes=yes, models=asked)
    with console.show_progress(show=not as_json) as bars:
        done = refinement.refine(run, chosen, output, ledger=ledger, progress=bars)
    if as_json:
        print(orjson.dumps(done.as_dict(), option=orjson.OPT_INDENT_2).decode())
    else:
        _print_refinement(done)


def _load_refine_settings(
    of_run: Settings,
    file: Path | None,
    sets: list[str] | None,
    endpoint: dict[str, Any],
    top: dict[str, Any],
) -> Settings:
    """The run's settings with an endpoint; a run judged by embedded models is confirmed by the
    endpoint's model.
    """
    local = "judge" not in list_endpoint_models(of_run)
    asks = {"judge": {"model": "llm", "models": [], "mode": "comparative"}} if local else {}
    under = config.merge_layers(
        of_run.model_dump(mode="json"), config.merge_layers(asks, {"llm": endpoint})
    )
    return config.load_settings(of_run.preset, file, sets or (), under=under, **top)


def _print_refinement(done: Refinement) -> None:
    """Print what happened."""
    lengths = done.lengths()
    lines = [(status, f"{count:,} rows") for status, count in done.counts.items()]
    if done.counts["rewritten"]:
        lines.append(
            (
                "mean response",
                f"{lengths['before']:,.0f} characters before, {lengths['after']:,.0f} after",
            )
        )
    console.out.print(console.build_table("", lines))
    for reason, count in list(done.reasons.items())[:8]:
        console.out.print(f"{count:,} x {reason}", soft_wrap=True, markup=False)
    if not done.made:
        console.out.print("nothing to do: every stage was there already under these settings")
    console.out.print(f"rows: {done.output}", soft_wrap=True)
    console.out.print(f"what happened to each: {done.sidecar}", soft_wrap=True)
