"""A finished run and its selection: what `tacos.select` returns, `tacos.load` reads back, and every
command that works on a run starts from.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from tacos.config import IngestSettings, Settings, load_settings, read_run_settings
from tacos.counts import count_words
from tacos.engines.freed_memory import give_back_memory
from tacos.errors import InputError, RunError
from tacos.formats import json_rows, writing
from tacos.formats.rows import RawRow
from tacos.methods.selecting.strategies import Strategy
from tacos.pipeline.steps.pool import find_newest_scores
from tacos.records import SCORES, add_missing_columns
from tacos.report import explain, facts
from tacos.report.selection_request import read_request
from tacos.store import files
from tacos.store.artifacts import Artifact, Store
from tacos.workflows import arguments, kept_files
from tacos.workflows.run_state import read_run_state

if TYPE_CHECKING:
    from tacos.formats.original_types import TypedRows
    from tacos.pipeline.run_loop import Progress
    from tacos.workflows.strategy_pool import By

SAMPLE_COLUMNS = ("id", "content_hash", "length", "instruction", "response", "raw")
SIDECAR_COLUMNS = (
    "id",
    "content_hash",
    "rank",
    "cluster",
    "score",
    "value",
    "correctness",
    "rule",
    "tags",
    "length",
)


@dataclass(frozen=True)
class OutputTargets:
    """Where a run writes: the rows, the run directory (default `<output>.run`), the report (default
    in the run directory).
    """

    output: Path | None = None
    run: Path | None = None
    report: Path | None = None
    columns: bool = False
    """Whether scores and tags also become columns of the rows; the sidecar always has them."""
    force: bool = False
    """Whether the rows and the report replace files that tacos did not write."""


class TemporaryFolder:
    """The folder of a run for which nobody named one; it goes with the last selection that reads
    from it, or with the process.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="tacos-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


@dataclass(frozen=True, repr=False)
class Selection:
    """A finished run: the selected rows, their scores, and the reasons.

    A run that was stopped early (`--until`) is one too; it has no selection yet, and what needs one
    raises `InputError`.
    """

    run: Path
    """The run directory."""
    settings: Settings
    artifacts: Mapping[str, Artifact]
    """Name -> table, in the order in which the stages made them."""
    output: Path | None = None
    """The file of selected rows, if one was written."""
    sidecar: Path | None = None
    """The file of scores and tags beside `output`."""
    report_path: Path | None = None
    made: list[str] = field(default_factory=list)
    """The artifacts that this call made; empty if all were up to date."""
    folder: TemporaryFolder | None = field(default=None, compare=False)
    """What keeps the tables of a run without a directory of its own."""
    inputs: tuple[str, ...] = ()
    """What the run read, as it was named; empty for data that Python gave it."""
    replaced: bool = False
    """Whether `output` took the place of a file with another content."""
    functions: Mapping[str, str] = field(default_factory=dict)
    """Argument of `tacos.select` -> name of the own function that took this part; runs of versions
    before 0.3 do not say.
    """
    read_before: Mapping[str, IngestSettings] = field(default_factory=dict)
    """File -> how its rows were read, where an extended run has read them by other settings."""

    def __repr__(self) -> str:
        """The run and its number of selected rows; the settings would fill the screen."""
        if "selection" not in self.artifacts:
            return f"Selection(run={str(self.run)!r}, not finished)"
        n_rows = self.artifacts["selection"].manifest["n_rows"]
        return f"Selection(run={str(self.run)!r}, {count_words(n_rows, 'row')})"

    def check_selected(self) -> None:
        """Raise `InputError` if the run was stopped before it selected anything."""
        if "selection" not in self.artifacts:
            last = list(self.artifacts)[-1]
            raise InputError(
                f"{self.run} has no selection: it was stopped after stage {last}. "
                "Run the same command without --until to finish it"
            )

    @cached_property
    def table(self) -> pl.DataFrame:
        """The selection by rank: a row per selected sample, n in all.

        Columns: rank (from 1), id, cluster, score (1 to 100; null: not judged), rule, value and
        correctness (1 to 100, the means of what the judges gave; null: they gave one score only),
        content_hash, length (characters of the response), instruction, response, raw (the row as
        JSON), tags.

        Raises:
            InputError: The run was stopped before it selected anything.
        """
        self.check_selected()
        chosen = self.artifacts["selection"].scan().collect().lazy()
        # Filtered first: a join would read the texts of the whole pool.
        samples = self._filter_chosen("samples").select(SAMPLE_COLUMNS)
        tags = self._filter_chosen("canonical_tags")
        with_numbers = self._join_numbers(chosen)
        with_texts = with_numbers.join(samples, on="id", how="left")
        with_tags = with_texts.join(tags, on="id", how="left")
        # A join promises no order.
        joined = with_tags.collect()
        return joined.sort("rank")

    def _join_numbers(self, chosen: pl.LazyFrame) -> pl.LazyFrame:
        """The selected rows with their value and correctness, as far as the run has them."""
        newest = find_newest_scores(self.artifacts)
        scores = pl.LazyFrame(schema=SCORES)
        if newest is not None:
            scores = add_missing_columns(self._filter_chosen(newest), SCORES)
        # A sample may have a score per cluster, but its numbers are the same in all of them.
        numbers = scores.select("id", "value", "correctness").unique("id")
        return chosen.join(numbers, on="id", how="left")

    def _filter_chosen(self, name: str) -> pl.LazyFrame:
        """The rows of a table that are about selected samples."""
        chosen = self.artifacts["selection"].scan().select("id").collect()["id"]
        is_chosen = pl.col("id").is_in(chosen.implode())
        return self.artifacts[name].scan().filter(is_chosen)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The selected rows as they were read, in the order of the input.

        Raises:
            InputError: The run has no selection.
        """
        raw_rows = self.in_input_order["raw"]
        return [json_rows.decode_row(raw) for raw in raw_rows]

    @cached_property
    def in_input_order(self) -> pl.DataFrame:
        """`table`, sorted by the order of the input.

        Raises:
            InputError: The run has no selection.
        """
        ids = self.artifacts["samples"].scan().select("id")
        numbered = ids.with_row_index("position")
        is_chosen = pl.col("id").is_in(self.table["id"].implode())
        order = numbered.filter(is_chosen).collect()
        # The selection does not store where its rows stood in the input; the samples do.
        placed = self.table.join(order, on="id", how="left")
        in_order = placed.sort("position")
        return in_order.drop("position")

    @property
    def scores(self) -> pl.DataFrame:
        """The content of the sidecar: a row per selected sample, in the order of the output.

        Columns: id, content_hash, rank, cluster, score, value, correctness, rule, tags, length.

        Raises:
            InputError: The run has no selection.
        """
        return self.in_input_order.select(SIDECAR_COLUMNS)

    def to_polars(self) -> pl.DataFrame:
        """The selected rows as a polars frame, in the order of the input.

        Raises:
            InputError: The run has no selection.
        """
        typed = self.typed_rows
        if typed is not None:
            return typed.read_frame()
        return pl.DataFrame(self.rows, infer_schema_length=None, strict=False)

    @cached_property
    def typed_rows(self) -> TypedRows | None:
        """The selected rows with the types of their input; None where the input had none.

        Raises:
            InputError: The run has no selection.
            OutputError: Columns of one name have types that do not go together.
        """
        originals = self.artifacts["samples"].originals
        if not originals:
            return None
        # Only rows with types need pyarrow, which takes long to import.
        from tacos.formats.original_types import restore_types

        return restore_types(self.in_input_order.lazy(), list(originals.values()))

    @cached_property
    def summary(self) -> facts.RunSummary:
        """The figures of the run, of whatever stages it has finished."""
        return facts.summarise_run(self.artifacts, self.settings)

    def report(self, path: str | Path, *, progress: Progress | None = None) -> Path:
        """Write the report as one self-contained HTML file, and return its path.

        `progress` is told when it begins and ends, as of a stage of the name "report".

        Raises:
            InputError: The run has no selection.
            OutputError: The file cannot be written.
        """
        target = arguments.to_path("path", path)
        own = [self.run / kept_files.REPORT]
        kept_files.check_files_kept([target], [], own=own)
        # What draws a report takes long to import, and most commands write none.
        from tacos.report import html
        from tacos.report.report_input import ReportInput
        from tacos.workflows.silent_progress import choose_progress
        from tacos.workflows.size_steps import measure_size_steps

        watcher = choose_progress(progress)
        watcher.start("report", None)
        sizes = measure_size_steps(
            self.artifacts,
            self.settings,
            read_request(self.artifacts, self.settings),
        )
        summary = self.summary
        give_back_memory()
        page = html.render_report(
            ReportInput(
                self.run,
                self.artifacts,
                self.settings,
                summary,
                self.in_input_order,
                self.inputs,
                self.output,
                sizes,
                self.functions,
            )
        )
        written = files.write_text(page, target)
        watcher.finish("report", self.summary.n_read, skipped=False)
        return written

    def explain(self, row: str) -> dict[str, Any]:
        """Why a row was kept or dropped: "verdict" in one sentence, then the trace through the
        stages.

        `row` is an id (`data.jsonl:17`: rows count from 0) or a content hash.

        Raises:
            InputError: The input of the run has no such row.
            TypeError: `row` is not a text.
        """
        arguments.check_type("row", row, str, "an id (data.jsonl:17) or a content hash")
        return explain.explain_row(
            self.artifacts,
            self.settings,
            row,
        )

    def seed_or(self, seed: int | None) -> int:
        """The given seed, or the run's own.

        Raises `ConfigError` for one out of range, `TypeError` for what is no number.
        """
        if seed is None:
            return self.settings.seed
        arguments.check_type("seed", seed, int, "a whole number")
        return load_settings(seed=seed).seed

    def size_or(self, n: str | float | None) -> str | float:
        """The given size, or as many rows as the run itself selected (or would select)."""
        if n is not None:
            return n
        if "selection" in self.artifacts:
            return int(self.artifacts["selection"].manifest["n_rows"])
        return self.settings.select.n

    def reselect(  # noqa: PLR0913 - the options of the command
        self,
        n: str | float | None = None,
        strategy: Strategy = "tacos",
        *,
        seed: int | None = None,
        limit: float | None = None,
        per_source: Mapping[str, str | float] | None = None,
        per_tag: Mapping[str, str | float] | None = None,
        match_length: bool = False,
        min_correctness: float = 0.0,
        by: By = "score",
        output: str | Path | None = None,
        edits: str | Path | None = None,
        tag_price: float | None = None,
        force: bool = False,
    ) -> Selection:
        """Select again from the same annotated pool; see `tacos.reselect`."""
        # `reselect` builds on this module, so it can only be imported late.
        from tacos.workflows import reselect

        return reselect.reselect(
            self,
            n,
            strategy,
            seed=seed,
            limit=limit,
            per_source=per_source,
            per_tag=per_tag,
            match_length=match_length,
            min_correctness=min_correctness,
            by=by,
            output=output,
            edits=edits,
            tag_price=tag_price,
            force=force,
        )


GivenRun = str | Path | Selection
"""A run directory, or a selection, which knows its own."""


def load(run: GivenRun) -> Selection:
    """Read the selection of a run directory; a selection is returned as it is.

    Raises:
        RunError: The directory holds no run, or one that has not finished a single stage.
        TypeError: `run` is neither a path nor a selection.
    """
    if isinstance(run, Selection):
        return run
    directory = find_run_directory(run)
    state = read_run_state(directory)
    store = Store(directory)
    artifacts = {}
    # An artifact may be gone, or of another version.
    for name, key in state["artifacts"].items():
        artifact = store.find(name, key)
        if artifact is not None:
            artifacts[name] = artifact
    if not artifacts:
        raise RunError(f"{run} is incomplete: run the same command again to finish it")
    output = Path(state["output"]) if state["output"] else None
    settings = read_run_settings(state["settings"])
    return Selection(
        directory,
        settings,
        artifacts,
        output,
        inputs=tuple(state.get("input", ())),
        functions=state.get("functions", {}),
        read_before={
            file: read_run_settings({"ingest": ingest}).ingest
            for file, ingest in state.get("read_before", {}).items()
        },
    )


def find_run_directory(run: GivenRun) -> Path:
    """The directory of a run. Raises `TypeError` if `run` is neither a path nor a selection."""
    if isinstance(run, Selection):
        return run.run
    if isinstance(run, str | PathLike):
        return Path(run)
    raise TypeError(
        f"run must be a run directory or a selection, not {type(run).__name__}"
    )


def check_targets(targets: OutputTargets) -> None:
    """Raise `OutputError` if the rows or the report cannot be written, before any work is done."""
    if targets.output is not None:
        writing.check_rows_writable(targets.output)
    if targets.report is not None:
        files.check_writable(targets.report)


def check_own_files(targets: OutputTargets, run: Path | None = None) -> None:
    """Raise `OutputError` if the rows or the report would replace files that tacos did not write.

    `run` is the directory of the run whose output the rows are.
    """
    beside = []
    if targets.output is not None:
        beside = [writing.sidecar_path(targets.output), run]
    kept_files.check_own_rows(targets.output, beside, force=targets.force)
    kept_files.check_own_report(targets.report, force=targets.force)


def list_files_written(targets: OutputTargets) -> list[Path]:
    """The files that `write_outputs` writes, the sidecar among them."""
    files_written = []
    if targets.output is not None:
        sidecar = writing.sidecar_path(targets.output)
        files_written += [targets.output, sidecar]
    if targets.report is not None:
        files_written.append(targets.report)
    return files_written


def write_outputs(
    done: Selection,
    targets: OutputTargets,
    progress: Progress | None = None,
) -> Selection:
    """Write rows, sidecar and report, as far as they are named; a run without a selection writes
    nothing. `progress` is told of the report, which takes longest.
    """
    if "selection" not in done.artifacts:
        return done
    sidecar = None
    if targets.output is not None:
        sidecar = writing.sidecar_path(targets.output)
    written = _change_paths(
        done,
        output=targets.output,
        sidecar=sidecar,
        report_path=targets.report,
    )
    if targets.report is not None:
        written.report(targets.report, progress=progress)
    if targets.output is None:
        return written
    with files.hold_output(targets.output, writing.sidecar_path(targets.output)):
        before = _digest_if_present(targets.output)
        _write_rows(written, targets.output, columns=targets.columns)
        after = _digest_if_present(targets.output)
    return _change_paths(written, replaced=before not in ("", after))


def _change_paths(done: Selection, **changes: Any) -> Selection:
    """The same run with other files, and with what was read and computed of it already, which takes
    minutes for millions of rows.
    """
    changed = replace(done, **changes)
    for name in ("table", "in_input_order", "typed_rows", "summary"):
        if name in done.__dict__:
            changed.__dict__[name] = done.__dict__[name]
    return changed


def _digest_if_present(file: Path) -> str:
    """The digest of a file; "" where there is none."""
    # A pipe or a device cannot be read back.
    return files.digest_files([file]) if file.is_file() else ""


def _write_rows(done: Selection, output: Path, *, columns: bool) -> None:
    """Write the sidecar, beside which the rows are known to be of tacos, and the selected rows."""
    writing.write_sidecar(done.scores, output)
    rows: Iterable[RawRow] = done.in_input_order["raw"]
    typed = done.typed_rows if writing.has_types(output) else None
    if typed is not None:
        if columns:
            typed = writing.add_typed_score_columns(typed, done.scores)
        writing.write_typed_rows(typed, output)
    elif columns:
        writing.write_rows(writing.add_score_columns(rows, done.scores), output)
    else:
        writing.write_rows(rows, output)
