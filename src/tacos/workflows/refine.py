"""`tacos refine`: rewrite the selected rows of a run if that makes them better.

The pipeline `REFINEMENT` runs in the run's own directory. The output holds the rows with their own
fields in the order of the input; a file beside it says for each row what happened. The run's
selection stays as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from tacos.config import Settings
from tacos.engines.local import LocalEngine
from tacos.formats import json_rows, writing
from tacos.llm.ledger.location import list_ledger_files
from tacos.methods.judging import comparisons, refinement
from tacos.pipeline.model_factory import list_endpoint_models, open_judges
from tacos.pipeline.plan import plan_steps
from tacos.pipeline.run_loop import ConcatenatedTable, Progress, run_steps
from tacos.pipeline.stages import REFINEMENT
from tacos.records import REFINEMENTS, REJECTS, VERDICTS
from tacos.store import files
from tacos.store.artifacts import Artifact, Store
from tacos.store.files import name_beside
from tacos.workflows import arguments, kept_files
from tacos.workflows.given_settings import (
    GivenSettings,
    list_setting_files,
    resolve_run_settings,
)
from tacos.workflows.selection import GivenRun, Selection, load
from tacos.workflows.silent_progress import choose_progress

STATE = "refine.json"
REFINED = "refined.jsonl"
ROW_COLUMNS = ("id", "content_hash", "instruction", "response", "raw")


@dataclass(frozen=True)
class Refinement:
    """A refined selection: the rows, and what happened to each of them."""

    run: Path
    output: Path
    sidecar: Path
    """The file that says for each row what happened."""
    changes: pl.DataFrame
    """By `REFINEMENTS`: a row per selected row, in the order of the output."""
    made: list[str]
    """The artifacts that this call made; empty if all were up to date."""

    @property
    def counts(self) -> dict[str, int]:
        """Status -> rows: rewritten, kept, failed."""
        # All three are named, also where no row has the status.
        by_status = Counter(self.changes["status"].to_list())
        return {status: by_status[status] for status in ("rewritten", "kept", "failed")}

    @property
    def reasons(self) -> dict[str, int]:
        """Status and reason -> rows, the most frequent first."""
        both = pl.concat_str("status", pl.lit(": "), "reason")
        texts = self.changes.select(both).to_series().to_list()
        return dict(Counter(texts).most_common())

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "run": str(self.run),
            "output": str(self.output),
            "sidecar": str(self.sidecar),
            "counts": self.counts,
            "reasons": self.reasons,
            "lengths": self.lengths(),
            "made": self.made,
        }

    def lengths(self) -> dict[str, float | None]:
        """The mean response of the rewritten rows in characters, before and after.

        Judges tend to prefer longer responses, so a large difference is a warning.
        """
        rewritten = self.changes.filter(pl.col("status") == "rewritten")
        old_lengths = rewritten["response"].str.len_chars()
        new_lengths = rewritten["new_response"].str.len_chars()
        before = old_lengths.mean()
        after = new_lengths.mean()
        return {"before": before, "after": after}  # type: ignore[dict-item]


def refine(
    run: GivenRun,
    settings: GivenSettings = None,
    output: str | Path | None = None,
    *,
    ledger: str | Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Refinement:
    """Rewrite the selected rows of a run; a rewrite counts only if judges prefer it.

    Args:
        run: The run directory, or a selection.
        settings: All settings, or nested ones over the run's own.
        output: The file to write the rows to; `<run>/refined.jsonl` by default.
        ledger: The file of paid replies, or the address of a PostgreSQL database that holds them;
            a file in the user's data folder by default.
        force: Whether rows replace a file that tacos did not write.
        progress: What is told of the progress.

    If it is stopped, the same call continues from there.

    Raises:
        InputError: The run has no selection.
    """
    done = load(run)
    watcher = choose_progress(progress)
    location = arguments.to_ledger_location(ledger)
    chosen = resolve_run_settings(
        settings, done.settings, list_refine_defaults(done.settings)
    )
    selected = done.in_input_order.select(ROW_COLUMNS)
    target = arguments.to_optional_path("output", output) or done.run / REFINED
    writing.check_rows_writable(target)  # before anything is paid for
    sidecar = changes_path(target)
    kept_files.check_files_kept(
        [target, sidecar],
        [*list_setting_files(settings), *list_ledger_files(location)],
        own=list_own_files(done.run),
    )
    kept_files.check_own_rows(target, [sidecar], force=force)
    store = Store(done.run)
    steps = plan_steps(chosen, REFINEMENT)
    start = {
        name: ConcatenatedTable([done.artifacts[name]])
        for name in ("samples", "selection")
    }
    with (
        store.lock(),
        closing(LocalEngine(1)) as engine,
        open_judges(chosen, location, refine=True) as models,
    ):
        outcome = run_steps(
            steps,
            start,
            chosen,
            store,
            engine,
            models,
            watcher,
        )
        changes = _collect_changes(selected, outcome.artifacts, chosen)
        store.write_state(STATE, _build_refine_state(chosen, outcome.artifacts))
    rows = _apply_rewrites(selected, changes, outcome.artifacts)
    with files.hold_output(target, sidecar):
        # Beside it, the rows are known to be of this command, also if it is killed now.
        writing.write_rows(changes.iter_rows(named=True), sidecar)
        _write_rows(done, selected, rows, target)
    return Refinement(
        done.run,
        target,
        sidecar,
        changes,
        outcome.made,
    )


def changes_path(target: Path) -> Path:
    """`<output>.changes.jsonl`."""
    return name_beside(target, ".changes.jsonl")


def list_own_files(run: Path) -> list[Path]:
    """The files of a refinement that have their place in a run."""
    rows = run / REFINED
    return [rows, changes_path(rows)]


def list_refine_defaults(of_run: Settings) -> dict[str, Any]:
    """Settings that refining changes in those of a run: if embedded models judged it, the
    endpoint's model confirms the rewrites.
    """
    if "judge" in list_endpoint_models(of_run):
        return {}
    return {"judge": {"model": "llm", "models": [], "mode": "comparative"}}


def _collect_changes(
    selected: pl.DataFrame,
    artifacts: Mapping[str, Artifact],
    settings: Settings,
) -> pl.DataFrame:
    """What happened to every selected row, by `REFINEMENTS`."""
    candidates = artifacts["candidates"].scan().collect()
    verdicts = artifacts["confirmations"].scan().collect()
    if verdicts.is_empty():  # then its columns have no types
        verdicts = pl.DataFrame(schema=VERDICTS)
    verdicts = comparisons.combine_verdicts(verdicts, settings.judge.target)
    rejects = pl.concat(
        [
            *(artifact.rejects() for artifact in artifacts.values()),
            pl.DataFrame(schema=REJECTS),
        ]
    )
    # In a sitting a judge compares both texts in both orders; most sittings must prefer the
    # rewrite.
    n_sittings = len(settings.judges) * settings.judge.repetitions
    # The instruction of an excerpt is the rewritable part of the sample's: without its context.
    excerpts = artifacts["excerpts"].scan().select("id", own="instruction").collect()
    before = selected.join(
        excerpts,
        on="id",
        how="left",
        maintain_order="left",
    )
    before = before.with_columns(instruction=pl.coalesce("own", "instruction"))
    settled = refinement.settle_refinements(
        before.drop("own", "raw"),
        _collect_proposals(artifacts),
        candidates,
        verdicts,
        rejects,
        n_sittings,
    )
    return settled.select(REFINEMENTS.names())


def _collect_proposals(artifacts: Mapping[str, Artifact]) -> pl.DataFrame:
    """The rewrites that a model proposed: id, new_instruction, new_response, faults."""
    columns = {"new_response": "response", "wrong": "faults"}
    responses = artifacts["responses"].scan().select("id", **columns).collect()
    if "instructions" not in artifacts:
        kept = pl.lit(None, pl.String).alias("new_instruction")
        faults = pl.col("wrong").alias("faults")
        return responses.select(
            "id",
            kept,
            "new_response",
            faults,
        )
    columns = {"new_instruction": "instruction", "more": "faults"}
    instructions = artifacts["instructions"].scan().select("id", **columns).collect()
    faults = pl.concat_str(
        "wrong",
        "more",
        separator="\n",
        ignore_nulls=True,
    ).alias("faults")
    both = responses.join(instructions, on="id", how="left")
    return both.select(
        "id",
        "new_instruction",
        "new_response",
        faults,
    )


def _apply_rewrites(
    selected: pl.DataFrame,
    changes: pl.DataFrame,
    artifacts: Mapping[str, Artifact],
) -> list[str]:
    """The rows as JSON: rewritten ones with their new texts, all others as they were read."""
    rewritten = changes.filter(pl.col("status") == "rewritten")["id"]
    candidates = artifacts["candidates"].scan()
    confirmed = candidates.filter(pl.col("id").is_in(rewritten.implode()))
    new_rows = confirmed.select("id", new="raw").collect()
    joined = selected.join(
        new_rows,
        on="id",
        how="left",
        maintain_order="left",
    )
    return joined.select(pl.coalesce("new", "raw")).to_series().to_list()


def _write_rows(
    done: Selection,
    selected: pl.DataFrame,
    rows: Sequence[str],
    target: Path,
) -> None:
    """Write the rows; Parquet with the types of the input, where every rewritten column is text."""
    typed = done.typed_rows if writing.has_types(target) else None
    if typed is None:
        writing.write_rows(rows, target)
        return
    # Only rows with types need pyarrow, which takes long to import.
    from tacos.formats.original_types import holds_texts

    changed = _list_changed_columns(selected["raw"], rows)
    if all(holds_texts(typed.schema.field(column).type) for column in changed):
        writing.write_typed_rows(typed.replace_columns(changed, rows), target)
    else:
        writing.write_rows(rows, target)


def _list_changed_columns(before: Iterable[str], after: Iterable[str]) -> set[str]:
    """The columns in which any row differs."""
    changed = set()
    for old, new in zip(before, after, strict=True):
        if old == new:
            continue
        old_row = json_rows.decode_row(old)
        new_row = json_rows.decode_row(new)
        changed |= {name for name in new_row if new_row[name] != old_row.get(name)}
    return changed


def _build_refine_state(
    settings: Settings, artifacts: Mapping[str, Artifact]
) -> dict[str, Any]:
    """The content of `refine.json`: enough to find the artifacts again."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        # Whether the ledger answered it all is no setting of the result.
        "settings": settings.model_dump(mode="json", exclude={"llm": {"offline"}}),
        "artifacts": {
            name: artifact.manifest["key"] for name, artifact in artifacts.items()
        },
    }
