"""The Python interface: `select`, `load`, and the `Selection` that both give.

>>> import tacos
>>> rows = [{"instruction": f"Add {i} and {i}.", "output": f"The sum is {2 * i}."} for i in range(60)]
>>> chosen = tacos.select(rows, n=5)
>>> len(chosen.rows)
5
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from tacos import config
from tacos.config import Settings
from tacos.engines.local import LocalEngine
from tacos.errors import InputError, OutputError, RunError
from tacos.formats import reading, sources, writing
from tacos.methods.measures.request_counts import count_questions
from tacos.methods.selecting import limits as limiting
from tacos.methods.selecting.limits import Limits
from tacos.methods.selecting.strategies import Strategy
from tacos.pipeline.model_factory import UserFunctions, list_endpoint_models, open_models
from tacos.pipeline.plan import Step, plan_steps
from tacos.pipeline.run_loop import Progress, Source, StageModels, find_existing_artifacts, run_plan
from tacos.pipeline.steps import pool
from tacos.report import explain as explaining
from tacos.report import facts as report_data
from tacos.report import html
from tacos.store import files
from tacos.store.artifacts import Artifact, Store
from tacos.workflows import reselect as reselecting
from tacos.workflows.reselect import Pool, SelectionRequest

STATE = "run.json"


class SilentProgress:
    """Progress that is not shown."""

    def start(self, name: str, total: int | None) -> None: ...
    def advance(self, name: str, n_rows: int) -> None: ...
    def finish(self, name: str, n_rows: int, *, skipped: bool) -> None: ...


@dataclass(frozen=True)
class OutputTargets:
    """Where a run writes: the rows, the run directory (default `<output>.run`), the report (default
    in the run).
    """

    output: Path | None = None
    run: Path | None = None
    report: Path | None = None
    columns: bool = False
    """Whether scores and tags go into columns of the rows, and not only into the sidecar."""


@dataclass(frozen=True)
class Selection:
    """A finished run: the selected rows, their scores, and why."""

    run: Path
    settings: Settings
    artifacts: Mapping[str, Artifact]
    output: Path | None = None
    sidecar: Path | None = None
    report_path: Path | None = None
    made: list[str] = field(default_factory=list)
    """Artifacts that this call made; empty when all were there."""

    @cached_property
    def table(self) -> pl.DataFrame:
        """The selection by rank: rank, id, cluster, score, rule, tags, length, instruction,
        response, raw.
        """
        if "selection" not in self.artifacts:
            raise InputError(
                f"{self.run} has no selection; it was stopped after stage {list(self.artifacts)[-1]}"
            )
        chosen = self.artifacts["selection"].scan()
        samples = (
            self.artifacts["samples"]
            .scan()
            .select("id", "content_hash", "length", "instruction", "response", "raw")
        )
        tags = self.artifacts["canonical_tags"].scan()
        joined = chosen.join(samples, on="id", how="left").join(tags, on="id", how="left")
        return joined.collect().sort("rank")

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The selected rows as they were read, in the order of the input."""
        return [orjson.loads(raw) for raw in self.in_input_order["raw"]]

    @cached_property
    def in_input_order(self) -> pl.DataFrame:
        """`table` in the order of the input."""
        order = self.artifacts["samples"].scan().select("id").with_row_index("position").collect()
        return self.table.join(order, on="id", how="left").sort("position").drop("position")

    @property
    def scores(self) -> pl.DataFrame:
        """The sidecar: one line per selected row, in the order of the output."""
        return self.in_input_order.select(
            "id", "content_hash", "rank", "cluster", "score", "rule", "tags", "length"
        )

    def to_polars(self) -> pl.DataFrame:
        """The selected rows as a polars frame."""
        return pl.DataFrame(self.rows, infer_schema_length=None, strict=False)

    @cached_property
    def summary(self) -> report_data.RunSummary:
        """The figures of the run."""
        return report_data.summarise_run(self.artifacts, self.settings)

    def report(self, path: str | Path) -> Path:
        """Write the self-contained HTML report."""
        return files.write_text(
            html.render_report(self.summary, self.scores, self.in_input_order), Path(path)
        )

    def explain(self, row: str) -> dict[str, Any]:
        """Why a row (id or content hash) was kept or dropped; `InputError` where the input has no
        such row.
        """
        return explaining.explain_row(self.artifacts, self.settings, row)

    def seed_or(self, seed: int | None) -> int:
        """The seed that was given, else the run's own."""
        return self.settings.seed if seed is None else seed

    def reselect(  # noqa: PLR0913 - a method's options are its interface
        self,
        n: str | float,
        strategy: Strategy = "tacos",
        *,
        seed: int | None = None,
        limit: float = 1.0,
        per_source: Mapping[str, str | float] | None = None,
        per_tag: Mapping[str, str | float] | None = None,
        match_length: bool = False,
        by: reselecting.By = "score",
        output: str | Path | None = None,
    ) -> Selection:
        """Another selection from the same annotated pool, with no further question to any model.

        `n` is rows (500), a share ("10%", .1) or a token budget ("2Mtokens"); `limit` below 1 turns
        near duplicates away; `per_source` and `per_tag` are quotas ({"a.jsonl": .3} exactly,
        {"a.jsonl": "<=30%"} at most); with `match_length` each tenth of the pool by length has a
        tenth of the selection. The run's seed (unless given), its must-keep and exclude lists and
        `select.fill` hold; its quotas and limits do not. Nothing of the run is changed.
        """
        limits = parse_limits(limit, per_source, per_tag, match_length)
        wish = SelectionRequest(n, strategy, self.seed_or(seed), limits, by)
        return run_reselection(self, wish, OutputTargets(_to_path(output)))


def select(
    data: Any,
    n: str | float = 1000,
    *,
    output: str | Path | None = None,
    run: str | Path | None = None,
    preset: str = "robust",
    seed: int = 1,
    settings: Mapping[str, Any] | None = None,
    own: UserFunctions | None = None,
    **functions: Any,
) -> Selection:
    """Select n rows of `data`: a path, several paths, a list of dicts, a polars frame or a
    `datasets.Dataset`.

    `n` is rows, a share ("10%", .1) or a token budget ("2Mtokens"). `settings` are nested settings
    over the preset, e.g. `{"cluster": {"k": 20}}`. `tagger`, `judge`, `encoder` and `selector` may
    be plain functions (see `tacos.models.user_functions`). Without `run` and `output` the run
    directory is a temporary one. Raises the exceptions of `tacos.errors`.
    """
    if strangers := sorted(functions.keys() - {each.name for each in fields(UserFunctions)}):
        raise TypeError(
            f"select() has no argument {strangers[0]!r}; settings go into settings={{...}}, as nested tables"
        )
    chosen = config.load_settings(
        preset,
        None,
        (),
        **{"seed": seed, **config.merge_layers({"select": {"n": n}}, settings or {})},
    )
    targets = OutputTargets(_to_path(output), _to_path(run))
    return run_selection(data, chosen, targets, own=own or UserFunctions(**functions))


def parse_limits(
    limit: float = 1.0,
    per_source: Mapping[str, str | float] | None = None,
    per_tag: Mapping[str, str | float] | None = None,
    match_length: bool = False,
) -> Limits:
    """Limits of a selection from what a user writes; `ConfigError` for what cannot be meant."""
    named = config.load_settings(
        select={
            "limit": limit,
            "per_source": per_source or {},
            "per_tag": per_tag or {},
            "match_length": match_length,
        }
    )
    return pool.build_limits(named.select)


def _to_path(value: str | Path | None) -> Path | None:
    """A path, or None."""
    return None if value is None else Path(value)


def run_selection(
    data: Any,
    settings: Settings,
    targets: OutputTargets,
    *,
    own: UserFunctions | None = None,
    ledger: Path | None = None,
    workers: int = 0,
    progress: Progress | None = None,
    until: str | None = None,
) -> Selection:
    """`select` with all settings made: what the command line calls. `ledger` defaults to the user's
    data folder.
    """
    if targets.output is not None:
        writing.check_rows_writable(targets.output)
    if targets.report is not None:
        files.check_writable(targets.report)
    directory = (
        resolve_run_directory(targets.run, targets.output)
        or Path(tempfile.mkdtemp(prefix="tacos-")) / "run"
    )
    store, engine = Store(directory), LocalEngine(workers)

    def check(name: str, artifact: Artifact) -> None:
        if until in {None, "select"}:
            _check_feasibility(name, artifact, settings)

    with (
        store.lock(),
        _translate_read_errors(directory),
        closing(engine),
        open_models(settings, own or UserFunctions(), ledger) as models,
    ):
        source = sources.open_source(data, directory)
        if targets.output is not None:
            _refuse_overwriting_inputs(targets.output, source.files)
        if not store.has_state(STATE):
            store.write_state(
                STATE, _build_run_state(Selection(directory, settings, {}), source.names)
            )
        outcome = run_plan(
            source, settings, store, engine, models, progress or SilentProgress(), until, check
        )
        where = replace(targets, report=targets.report or directory / "report.html")
        done = _write_outputs(
            Selection(directory, settings, outcome.artifacts, made=outcome.made), where
        )
        store.write_state(STATE, _build_run_state(done, source.names))
        store.clear_drafts()
    return done


def run_reselection(done: Selection, wish: SelectionRequest, targets: OutputTargets) -> Selection:
    """`Selection.reselect` with all settings made: what the command line calls. A report is written
    if one is named.
    """
    if targets.output is not None:
        writing.check_rows_writable(targets.output)
    if targets.report is not None:
        files.check_writable(targets.report)
    found, is_new = reselecting.reselect(
        done.run, Pool(done.artifacts, done.settings, wish.by), wish
    )
    wanted = done.settings.select.model_copy(update={"n": found.manifest["n_rows"]})
    settings = done.settings.model_copy(update={"select": wanted, "seed": wish.seed})
    artifacts = {**done.artifacts, "selection": found}
    return _write_outputs(
        Selection(done.run, settings, artifacts, made=[reselecting.NAME] if is_new else []), targets
    )


@contextmanager
def _translate_read_errors(directory: Path) -> Iterator[None]:
    """Turn a table that cannot be read into one clear line."""
    try:
        yield
    except pl.exceptions.ComputeError as error:
        reason = str(error).splitlines()[0]
        raise RunError(
            f"{directory} is damaged ({reason}): remove it and give the command again"
        ) from None


def _refuse_overwriting_inputs(output: Path, names: Sequence[Path]) -> None:
    """Raise `OutputError` where the output would take the place of an input."""
    if any(output.exists() and path.exists() and output.samefile(path) for path in names):
        raise OutputError(f"{output} is one of the inputs: name another file with -o")


def resolve_run_directory(run: Path | None, output: Path | None) -> Path | None:
    """The run directory: the one named, else `<output>.run`, else None."""
    return run or (output.with_name(output.name + ".run") if output else None)


def _check_feasibility(name: str, artifact: Artifact, settings: Settings) -> None:
    """Stop before anything is paid for when the pool cannot give what is asked of it."""
    wanted = settings.select
    if name == "canonical_tags" and wanted.per_tag:
        known = (
            artifact.scan().select(pl.col("tags").explode().unique()).collect()["tags"].drop_nulls()
        )
        limiting.check_tags_exist(wanted.per_tag, known.to_list())
    if name != "samples":
        return
    n_samples = artifact.manifest["n_rows"]
    if n_samples == 0:
        raise InputError(f"no usable row in the input; rejected: {artifact.manifest['rejects']}")
    if wanted.per_source:
        sources = artifact.scan().select(pl.col("source").unique().sort()).collect()["source"]
        limiting.resolve_sources(wanted.parts("per_source"), sources.to_list())
        if wanted.size.unit != "tokens":
            limiting.bound_sources(
                sources,
                pool.count_requested_rows(artifact, wanted.size),
                wanted.parts("per_source"),
            )
    if wanted.size.unit == "rows" and n_samples < wanted.size.value and not wanted.fill:
        raise InputError(
            f"{wanted.n} rows are asked for, but the input has {n_samples} usable ones; "
            "ask for fewer with -n, or take all there are with --fill"
        )


def _write_outputs(done: Selection, targets: OutputTargets) -> Selection:
    """Write rows, sidecar and report (where one is named) of a run that reached its selection."""
    if "selection" not in done.artifacts:
        return done
    sidecar = writing.sidecar_path(targets.output) if targets.output is not None else None
    written = replace(done, output=targets.output, sidecar=sidecar, report_path=targets.report)
    if targets.report is not None:
        written.report(targets.report)
    if targets.output is not None:
        scores = written.scores
        rows = (
            writing.add_score_columns(written.rows, scores)
            if targets.columns
            else written.in_input_order["raw"]
        )
        writing.write_rows(rows, targets.output)
        writing.write_sidecar(scores, targets.output)
    return written


def _build_run_state(done: Selection, names: Sequence[str]) -> dict[str, Any]:
    """What `run.json` says: enough to load the run again."""
    last = list(done.artifacts)[-1] if done.artifacts else ""
    return {
        "status": "selected"
        if last == "selection"
        else f"stopped after {last}"
        if last
        else "unfinished",
        "preset": done.settings.preset,
        "n": done.settings.select.n,
        "input": list(names),
        "output": str(done.output or ""),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": done.settings.model_dump(mode="json"),
        "artifacts": {name: artifact.manifest["key"] for name, artifact in done.artifacts.items()},
    }


def load(run: str | Path) -> Selection:
    """The selection of a run directory. Raises `RunError` where there is none."""
    store = Store(Path(run))
    state = store.read_state(STATE)
    found = {name: store.find(name, key) for name, key in state["artifacts"].items()}
    artifacts = {name: artifact for name, artifact in found.items() if artifact is not None}
    if not artifacts:
        raise RunError(f"{run} has not got to its end yet: give its command again")
    output = Path(state["output"]) if state["output"] else None
    return Selection(Path(run), Settings.model_validate(state["settings"]), artifacts, output)


def add_id_lists(settings: Settings, keep: Path | None, exclude: Path | None) -> Settings:
    """Settings with the ids of a must-keep and an exclude file added."""
    lists = {
        name: (*getattr(settings.select, name), *sorted(reading.read_ids(path)))
        for name, path in (("keep", keep), ("exclude", exclude))
        if path is not None
    }
    return settings.model_copy(update={"select": settings.select.model_copy(update=lists)})


@dataclass(frozen=True)
class StepForecast:
    """One step of a plan: what it would do, and how many rows or questions that is at most (None:
    not known yet).
    """

    artifact: str
    action: str
    n_rows: int | None
    n_questions: int | None = None
    models: tuple[str, ...] = ()
    """Models of the endpoint that the questions go to; none where an embedded model answers, free.
    """

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dict(vars(self))

    def text(self) -> str:
        """For the terminal."""
        rows = "" if self.n_rows is None else f", {self.n_rows:,} rows"
        if self.n_questions is None:
            return self.action + rows
        whom = " and ".join(self.models) or "an embedded model, free"
        return f"{self.action}{rows}, at most {self.n_questions:,} questions to {whom}"


def forecast_run(data: Any, settings: Settings, *, run: Path | None = None) -> list[StepForecast]:
    """What a run would do, from reading the input alone; nothing is kept and no model is asked.

    Stages that are there already say so; numbers of questions of the others are upper bounds.
    """
    with tempfile.TemporaryDirectory(prefix="tacos-") as folder:
        source = sources.open_source(data, Path(folder))
        store = Store(run) if run else Store(Path(folder))
        with open_models(settings, UserFunctions(), Path(folder) / "ledger.sqlite") as models:
            known = find_existing_artifacts(source, settings, store, models)
            samples = known.get("samples") or _ingest_samples(
                source, settings, Store(Path(folder)), models
            )
        n_turns = (
            samples.scan()
            .select(pl.col("turns").explode().struct.field("role").eq("user").sum())
            .collect()
            .item()
        )
        n_samples = samples.manifest["n_rows"]
        asked = count_questions(
            settings,
            n_samples,
            int(n_turns or 0),
            pool.count_requested_rows(samples, settings.select.size),
        )
    online = list_endpoint_models(settings)
    steps = ((step, online.get(step.stage.name, ())) for step in plan_steps(settings))
    return [_forecast_step(step, known, n_samples, asked, models) for step, models in steps]


def _ingest_samples(
    source: Source, settings: Settings, store: Store, models: StageModels
) -> Artifact:
    """The samples of a source, read into a store."""
    engine = LocalEngine(1)
    return run_plan(source, settings, store, engine, models, SilentProgress(), "ingest").artifacts[
        "samples"
    ]


def _forecast_step(
    step: Step,
    known: Mapping[str, Artifact],
    n_samples: int,
    asked: Mapping[str, int],
    models: tuple[str, ...],
) -> StepForecast:
    """One line of a forecast."""
    if step.artifact in known:
        return StepForecast(step.artifact, "there already", known[step.artifact].manifest["n_rows"])
    n_rows = (
        n_samples
        if step.artifact in {"samples", "canonical_tags", "memberships", "grades"}
        else None
    )
    n_asked = asked.get(step.stage.name) if step.round in {None, 0} else None
    return StepForecast(
        step.artifact, "would run", n_rows, n_asked, models if n_asked is not None else ()
    )
