"""`tacos refine`: rewrite the selected rows if that makes them better."""

from __future__ import annotations

from tacos.cli.shared import consent, console, option_settings, options, progress
from tacos.cli.shared.option_settings import EndpointOptions
from tacos.cli.shared.outcome import UP_TO_DATE
from tacos.config import Settings
from tacos.counts import count_words
from tacos.llm.ledger.location import list_ledger_files
from tacos.pipeline.model_factory import list_endpoint_models, resolve_editor_model
from tacos.workflows import kept_files
from tacos.workflows import refine as workflow
from tacos.workflows.refine import Refinement
from tacos.workflows.selection import load

N_REASONS = 8


def refine(  # noqa: PLR0913 - the options of the command
    run: options.RunDirectory,
    output: options.OutputOrNone = None,
    llm: options.Url = None,
    model: options.Model = None,
    criteria: options.Criteria = None,
    settings: options.SettingsFile = None,
    sets: options.Sets = None,
    budget: options.Budget = None,
    ledger: options.Ledger = None,
    yes: options.Yes = False,
    force: options.Force = False,
    as_json: options.AsJson = False,
) -> None:
    """Rewrite the selected rows: a rewrite counts only if judges prefer it in both orders.

    First the response is rewritten, then the instruction. All rows go to the output [default:
    <run>/refined.jsonl]; rows without an accepted rewrite are left unchanged. Beside it,
    <output>.changes.jsonl says what happened to each row, with both texts.

    Examples:

      tacos refine selected.jsonl.run --model MODEL -o refined.jsonl

    \b
      tacos refine selected.jsonl.run --model EDITOR --set judge.model=JUDGE \\
        -o refined.jsonl
    """
    of_run = load(run).settings
    chosen = option_settings.build_run_settings(
        of_run,
        settings,
        sets,
        EndpointOptions(llm, model, budget),
        workflow.list_refine_defaults(of_run),
        **option_settings.build_criteria_settings(criteria),
    )

    if output is not None:
        sidecar = workflow.changes_path(output)
        kept_files.check_files_kept(
            [output, sidecar],
            [
                *option_settings.list_files_read(settings, sets, criteria),
                *list_ledger_files(ledger),
            ],
            own=workflow.list_own_files(run),
        )
        kept_files.check_own_rows(output, [sidecar], force=force)

    def refine_rows(settings: Settings) -> Refinement:
        with progress.show_progress(show=not as_json) as bars:
            return workflow.refine(
                run, settings, output, ledger=ledger, force=force, progress=bars
            )

    refinement = consent.run_with_consent(
        refine_rows,
        chosen,
        run,
        yes=yes,
        models=_list_models(chosen),
        ledger=ledger,
    )
    if as_json:
        console.print_json(refinement.as_dict())
    else:
        _print_refinement(refinement)


def _list_models(settings: Settings) -> dict[str, tuple[str, ...]]:
    """The models that rewrite and confirm."""
    models: dict[str, tuple[str, ...]] = {"refine": (resolve_editor_model(settings),)}
    judges = list_endpoint_models(settings).get("judge", ())
    if judges:
        models["confirm"] = judges
    return models


def _print_refinement(refinement: Refinement) -> None:
    """Print what happened."""
    counts = refinement.counts
    lines = [(status, count_words(n_rows, "row")) for status, n_rows in counts.items()]
    # Judges prefer longer responses: whoever reads this should see if that is all that changed.
    if counts["rewritten"]:
        lengths = refinement.lengths()
        before = lengths["before"]
        after = lengths["after"]
        lines.append(
            ("mean response", f"{before:,.0f} characters before, {after:,.0f} after")
        )
    console.print_pairs("", lines)
    # Why rows were kept or rewritten, the most frequent reasons first.
    reasons = list(refinement.reasons.items())
    for reason, n_rows in reasons[:N_REASONS]:
        console.print_line(f"{n_rows:,} x {reason}")
    if not refinement.made:
        console.print_line(UP_TO_DATE)
    console.print_line(f"rows: {refinement.output}")
    console.print_line(f"what happened to each: {refinement.sidecar}")
