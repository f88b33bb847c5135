"""Refining the selection of a run: `refine` runs the pipeline `REFINEMENT` in the run's own
directory.

The rows come out in the order of the input with their own fields; beside them lies one line per row
that says what happened to it. Nothing of the run changes: its selection stays what it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from tacos.config import Settings
from tacos.engines.local import LocalEngine
from tacos.formats import writing
from tacos.methods.judging import refinement
from tacos.pipeline.model_factory import open_judges
from tacos.pipeline.plan import plan_steps
from tacos.pipeline.run_loop import ConcatenatedTable, Progress, run_steps
from tacos.pipeline.stages import REFINEMENT
from tacos.records import REFINEMENTS, REJECTS, VERDICTS
from tacos.store.artifacts import Artifact, Store
from tacos.workflows import select

STATE = "refine.json"


@dataclass(frozen=True)
class Refinement:
    """A refined selection: the rows, and what happened to each of them."""

    run: Path
    output: Path
    sidecar: Path
    changes: pl.DataFrame
    """By `REFINEMENTS`, in the order of the output."""
    made: list[str]
    """Artifacts that this call made; empty when all were there."""

    @property
    def counts(self) -> dict[str, int]:
        """Rows by what happened to them."""
        found = Counter(self.changes["status"].to_list())
        return {status: found[status] for status in ("rewritten", "kept", "failed")}

    @property
    def reasons(self) -> dict[str, int]:
        """Rows by why, the most frequent first."""
        told = self.changes.select(pl.concat_str("status", pl.lit(": "), "reason")).to_series()
        return dict(Counter(told.to_list()).most_common())

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        paths = {"run": str(self.run), "output": str(self.output), "sidecar": str(self.sidecar)}
        return {
            **paths,
            "counts": self.counts,
            "reasons": self.reasons,
            "lengths": self.lengths(),
            "made": self.made,
        }

    def lengths(self) -> dict[str, float | None]:
        """Mean characters of the rewritten rows' responses, before and after: a judge may just like
        them longer.
        """
        done = self.changes.filter(pl.col("status") == "rewritten")
        before, after = (done[name].str.len_chars().mean() for name in ("response", "new_response"))
        return {"before": before, "after": after}  # type: ignore[dict-item]


def refine(
    run: Path,
    settings: Settings,
    output: Path | None = None,
    *,
    ledger: Path | None = None,
    progress: Progress | None = None,
) -> Refinement:
    """Rewrite the selected rows of a run where judges confirm that the rewrite is better.

    `output` defaults to `<run>/refined.jsonl`. Raises `InputError` for a run without a selection,
    and what the loop raises; the same call goes on from there.
    """
    done = select.load(run)
    selected = done.in_input_order.select("id", "content_hash", "instruction", "response", "raw")
    target = output or run / "refined.jsonl"
    writing.check_rows_writable(target)
    store, engine = Store(run), LocalEngine(1)
    start = {name: ConcatenatedTable([done.artifacts[name]]) for name in ("samples", "selection")}
    with store.lock(), closing(engine), open_judges(settings, ledger, refine=True) as models:
        steps = plan_steps(settings, REFINEMENT)
        outcome = run_steps(
            steps, start, settings, store, engine, models, progress or select.SilentProgress()
        )
        changes = _collect_changes(selected, outcome.artifacts, settings)
        store.write_state(STATE, _build_refine_state(settings, outcome.artifacts))
    writing.write_rows(_apply_rewrites(selected, changes, outcome.artifacts), target)
    sidecar = target.with_name(f"{target.name}.changes.jsonl")
    writing.write_rows(changes.iter_rows(named=True), sidecar)
    return Refinement(run, target, sidecar, changes, outcome.made)


def _collect_changes(
    selected: pl.DataFrame, made: Mapping[str, Artifact], settings: Settings
) -> pl.DataFrame:
    """What came of every selected row, by `REFINEMENTS`."""
    candidates, verdicts = (
        made["candidates"].scan().collect(),
        made["confirmations"].scan().collect(),
    )
    rejects = pl.concat(
        [artifact.rejects() for artifact in made.values()] + [pl.DataFrame(schema=REJECTS)]
    )
    n_sittings = len(settings.judges) * settings.judge.repetitions
    if verdicts.is_empty():
        verdicts = pl.DataFrame(schema=VERDICTS)
    texts = _collect_proposals(made)
    parts = made["excerpts"].scan().select("id", own="instruction").collect()
    before = selected.join(parts, on="id", how="left", maintain_order="left")
    before = before.with_columns(instruction=pl.coalesce("own", "instruction")).drop("own", "raw")
    found = refinement.settle_refinements(before, texts, candidates, verdicts, rejects, n_sittings)
    return found.select(REFINEMENTS.names())


def _collect_proposals(made: Mapping[str, Artifact]) -> pl.DataFrame:
    """id, new_instruction, new_response, faults, as far as there are any."""
    responses = (
        made["responses"].scan().select("id", new_response="response", wrong="faults").collect()
    )
    if "instructions" not in made:
        kept = pl.lit(None, pl.String).alias("new_instruction")
        return responses.select("id", kept, "new_response", pl.col("wrong").alias("faults"))
    found = (
        made["instructions"]
        .scan()
        .select("id", new_instruction="instruction", more="faults")
        .collect()
    )
    said = pl.concat_str("wrong", "more", separator="\n", ignore_nulls=True).alias("faults")
    return responses.join(found, on="id", how="left").select(
        "id", "new_instruction", "new_response", said
    )


def _apply_rewrites(
    selected: pl.DataFrame, changes: pl.DataFrame, made: Mapping[str, Artifact]
) -> list[str]:
    """The rows as JSON: the rewritten ones with their new texts, all others as they were read."""
    taken = changes.filter(pl.col("status") == "rewritten")["id"]
    new = (
        made["candidates"]
        .scan()
        .filter(pl.col("id").is_in(taken.implode()))
        .select("id", new="raw")
        .collect()
    )
    joined = selected.join(new, on="id", how="left", maintain_order="left")
    return joined.select(pl.coalesce("new", "raw")).to_series().to_list()


def _build_refine_state(settings: Settings, made: Mapping[str, Artifact]) -> dict[str, Any]:
    """What `refine.json` says: enough to find the artifacts again."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": settings.model_dump(mode="json"),
        "artifacts": {name: artifact.manifest["key"] for name, artifact in made.items()},
    }
