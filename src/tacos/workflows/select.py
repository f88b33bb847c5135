"""`tacos select`: the main job, from a data set to its selected rows.

>>> import tacos
>>> rows = [{"instruction": f"Add {i} and {i}.", "output": f"It is {2 * i}."} for i in range(60)]
>>> chosen = tacos.select(rows, n=5)
>>> len(chosen.rows)
5
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from tacos.config import ExtendSettings, SelectSettings, Settings
from tacos.counts import count_words
from tacos.engines.local import LocalEngine, count_workers
from tacos.errors import ConfigError, InputError, RunError, TacosError
from tacos.formats import sources
from tacos.llm.ledger.location import (
    LedgerLocation,
    PostgresAddress,
    list_ledger_files,
)
from tacos.methods.selecting import limits
from tacos.models.user_functions import Judge, Selector, Tagger
from tacos.pipeline import conditions
from tacos.pipeline.judging_mode import resolve_judging
from tacos.pipeline.model_factory import (
    UserFunctions,
    list_endpoint_models,
    open_models,
)
from tacos.pipeline.run_loop import Progress, run_plan
from tacos.pipeline.steps import pool
from tacos.store.artifacts import Artifact, Store
from tacos.store.files import name_beside
from tacos.workflows import arguments, hand_edits, kept_files, memory_forecast
from tacos.workflows.extension import (
    ExtendedSource,
    build_extension,
    check_preset,
    open_source,
)
from tacos.workflows.given_settings import (
    GivenSettings,
    list_setting_files,
    resolve_run_settings,
    resolve_settings,
)
from tacos.workflows.reading_time import measure_reading_time
from tacos.workflows.run_state import STATE
from tacos.workflows.selection import (
    GivenRun,
    OutputTargets,
    Selection,
    TemporaryFolder,
    check_own_files,
    check_targets,
    list_files_written,
    load,
    write_outputs,
)
from tacos.workflows.silent_progress import SilentProgress

if TYPE_CHECKING:
    from tacos.engines.ray_cluster import RayEngine

ENGINES = ("local", "ray")
SEED = 1
"""The random state where none is given."""


def select(  # noqa: PLR0913 - the options of the command
    data: Any,
    n: str | float = 1000,
    *,
    output: str | Path | None = None,
    run: str | Path | None = None,
    preset: str = "robust",
    seed: int = SEED,
    settings: GivenSettings = None,
    tagger: Tagger | None = None,
    judge: Judge | None = None,
    encoder: Any = None,
    selector: Selector | None = None,
    ledger: str | Path | None = None,
    extend: GivenRun | Sequence[GivenRun] | None = None,
    renew: bool = False,
    edits: str | Path | None = None,
    workers: int = 0,
    engine: str = "local",
    ray_address: str = "",
    force: bool = False,
) -> Selection:
    """Select n rows of a data set.

    Args:
        data: A path, a URL or a data set of the Hugging Face hub ("OWNER/NAME:SPLIT"), or several;
            a list of dicts, a frame of polars or pandas, a table of pyarrow, or a data set of
            `datasets`.
        n: Rows (500), a share of the input ("10%", 0.1) or a token budget ("2Mtokens").
        output: The file to write the rows to; its suffix decides the format.
        run: The run directory; `<output>.run` by default. Without an output a temporary one, which
            is removed with the last selection that reads from it.
        preset: "robust", or "paper": the procedure of the TACOS authors.
        seed: The random state.
        settings: Nested settings over the preset, such as `{"cluster": {"k": 20}}`, or all
            settings. A size or a seed stands here or in `n` and `seed`, not in both.
        tagger: A function from instructions to lists of tags, instead of the model of the settings.
        judge: A function from instructions and responses to scores from 1 to 100: one for each
            sample, or a pair (value, correctness).
        encoder: A function from n texts to an array of shape (n, dim).
        selector: A function from the pool and n to the ids to select.
        ledger: The file of paid replies, or the address of a PostgreSQL database that holds them;
            a file in the user's data folder by default.
        extend: A run, or several, that the data join: their rows and what is known of them belong
            to the new run, too. The settings are then those of the first one, and `data` may be
            empty.
        renew: Whether an extended run's vocabulary and clusters are made anew over all rows.
        edits: A file of rows that a person keeps, drops or gives tags; see
            `tacos.formats.row_edits`.
        workers: Worker processes; 0 for one per core.
        engine: Where the work runs: "local", or "ray" (extra `ray`).
        ray_address: The Ray cluster, such as "HOST:6379" or "auto"; by default one starts here.
        force: Whether rows replace a file that tacos did not write.

    `tacos.models.user_functions` describes the four functions.

    Raises:
        TacosError: The root of all errors of tacos (`tacos.TacosError`); the message says what
            to do.
        TypeError: An argument is of a wrong type.
    """
    if extend is None:
        top = {"seed": seed, "select": {"n": n}}
        chosen = resolve_settings(settings, preset, **top)
    else:
        runs = arguments.list_items(extend)
        of_first = load(runs[0]).settings
        check_preset(preset, of_first)
        joined = build_extension(runs, renew=renew)
        # Arguments at their default were not given: the run's own hold.
        given_seed = {} if seed == SEED else {"seed": seed}
        defaults = {"select": {"n": n}, **given_seed, **joined}
        chosen = resolve_run_settings(settings, of_first, defaults)
        if isinstance(settings, Settings):
            extension = ExtendSettings.model_validate(joined["extend"])
            chosen = settings.model_copy(update={"extend": extension})
    arguments.check_workers(workers)
    arguments.check_type("ray_address", ray_address, str, "a text")
    edits_file = arguments.to_optional_path("edits", edits)
    chosen = hand_edits.add_hand_lists(chosen, edits=edits_file)
    targets = OutputTargets(
        arguments.to_optional_path("output", output),
        arguments.to_optional_path("run", run),
        force=force,
    )
    files_read = list_setting_files(settings)
    if edits_file is not None:
        files_read.append(edits_file)
    own = UserFunctions(
        tagger,
        judge,
        encoder,
        selector,
    )
    # A wrong one would otherwise be noticed only when its stage is reached.
    for name, function in vars(own).items():
        arguments.check_function(name, function)
    return run_selection(
        data,
        chosen,
        targets,
        own=own,
        ledger=arguments.to_ledger_location(ledger),
        workers=workers,
        engine=engine,
        ray_address=ray_address,
        read=files_read,
    )


def run_selection(  # noqa: PLR0913 - the options of the command
    data: Any,
    settings: Settings,
    targets: OutputTargets,
    *,
    own: UserFunctions | None = None,
    ledger: LedgerLocation | None = None,
    workers: int = 0,
    max_memory: float | None = None,
    engine: str = "local",
    ray_address: str = "",
    progress: Progress | None = None,
    until: str | None = None,
    offline: bool = False,
    read: Sequence[Path] = (),
) -> Selection:
    """Select by complete settings, as the command line does.

    `ledger` defaults to the one in the user's data folder, `workers` to the number of cores;
    `max_memory` are the bytes that a forecast for all processes may come to (fewer workers, else a
    `ConfigError`); `until` is the last stage to run; with `offline`, a question that the ledger
    does not answer raises `OfflineError`; `read` are files that the settings and lists of ids came
    from, which no output replaces. Raises the exceptions of `tacos.errors`.
    """
    # Fail before any work if the outputs cannot be written.
    check_targets(targets)
    own = own or UserFunctions()
    settings = sources.pin_evaluation_sets(settings)
    settings = resolve_judging(settings, own_judge=own.judge is not None)
    watcher = progress or SilentProgress()
    directory = resolve_run_directory(targets.run, targets.output)
    files_read = [*kept_files.list_data_files(data), *read]
    files_read += kept_files.list_data_files([*settings.clean.against])
    if directory is not None:
        kept_files.check_run_kept(directory, files_read)
    kept_files.check_files_kept(
        list_files_written(targets),
        [*files_read, *list_ledger_files(ledger)],
        run=directory,
        own=[directory / kept_files.REPORT] if directory is not None else [],
    )
    check_own_files(targets, directory)
    folder = None
    if directory is None:
        # Not removed at the end of the call: the result reads its tables from there.
        folder = TemporaryFolder()
        directory = folder.path / "run"
    store = Store(directory)
    runner, n_shares = _open_engine(engine, workers, ray_address, max_memory)
    if not isinstance(ledger, PostgresAddress):
        _check_one_machine(runner, settings)
    _announce_machines(runner, watcher)
    # Of the models alone: the settings of the run say nothing about this attempt.
    to_send = _forbid_sending(settings) if offline else settings

    with (
        _note_what_is_kept(directory),
        store.lock(),
        _translate_read_errors(directory),
        closing(runner),
        open_models(to_send, own, ledger, n_shares) as models,
    ):

        def check(name: str, artifact: Artifact) -> None:
            if name == "known" and isinstance(source, ExtendedSource):
                source.check_replaced(artifact)
            # A run that is to stop early may have too few rows for the selection.
            if until in {None, "select"}:
                _check_feasibility(name, artifact, settings, max_memory)
            is_read_closely = conditions.uses_close_judge(settings)
            if name == "samples" and is_read_closely and not store.has("close_grades"):
                needed = measure_reading_time(
                    artifact,
                    settings,
                    models.prompt["reread"],
                    runner.n_workers,
                )
                watcher.announce(needed.text())

        # Inside the lock: data from standard input are kept in the run directory.
        source = open_source(data, directory, settings, models)
        for text in getattr(source, "anew", ()):
            watcher.announce(text)
        if not store.has_state(STATE):
            # From here on the directory is a run, even if its first stage is killed.
            unfinished = Selection(
                directory,
                settings,
                {},
                functions=own.list_names(),
                read_before=source.read_before,
            )
            store.write_state(STATE, _build_run_state(unfinished, source.names))
        outcome = run_plan(
            source,
            settings,
            store,
            runner,
            models,
            watcher,
            until,
            check,
        )
        runner.rest()
        # Files are written while the run is locked, so they always fit its state.
        done = Selection(
            directory,
            settings,
            outcome.artifacts,
            made=outcome.made,
            folder=folder,
            inputs=tuple(source.names),
            functions=own.list_names(),
            read_before=source.read_before,
        )
        report = targets.report or directory / kept_files.REPORT
        done = write_outputs(done, replace(targets, report=report), watcher)
        store.write_state(STATE, _build_run_state(done, source.names))
        store.clear_drafts()
    return done


def _open_engine(
    name: str,
    workers: int,
    ray_address: str,
    max_memory: float | None,
) -> tuple[LocalEngine | RayEngine, int]:
    """The engine, and how many processes ask endpoints by it (0: this one).

    Raises `ConfigError` and `RunError` as `RayEngine` does.
    """
    arguments.check_choice("engine", name, ENGINES)
    memory_forecast.check_limit(max_memory)
    if name == "local":
        if ray_address:
            raise ConfigError(
                "an address of Ray (--ray-address) needs the engine ray (--engine ray)"
            )
        if max_memory is not None:
            workers = memory_forecast.fit_workers(max_memory, count_workers(workers))
        return LocalEngine(workers), 0
    # Runs without Ray do without the time that it takes to import.
    from tacos.engines.ray_cluster import N_CLIENTS, RayEngine
    from tacos.llm.shared_client import close_clients

    opened = RayEngine(
        ray_address,
        workers,
        N_CLIENTS,
        close_clients,
    )
    return opened, N_CLIENTS


def _check_one_machine(
    engine: LocalEngine | RayEngine,
    settings: Settings,
) -> None:
    """Raise `ConfigError` if machines would ask endpoints, each with a ledger of its own."""
    if engine.n_machines > 1 and list_endpoint_models(settings):
        engine.close()
        raise ConfigError(
            f"{engine.n_machines} machines need a ledger that they share: "
            "--ledger postgresql://... (a file is on one of them alone)"
        )


def _announce_machines(engine: LocalEngine | RayEngine, watcher: Progress) -> None:
    """Tell of a cluster; this machine goes without saying."""
    if isinstance(engine, LocalEngine):
        return
    machines = count_words(engine.n_machines, "machine")
    watcher.announce(f"on Ray: {machines}, {count_words(engine.n_workers, 'core')}")


def _forbid_sending(settings: Settings) -> Settings:
    """Settings by which the ledger alone answers."""
    llm = settings.llm.model_copy(update={"offline": True})
    return settings.model_copy(update={"llm": llm})


def resolve_run_directory(run: Path | None, output: Path | None) -> Path | None:
    """The run directory: the given one, else `<output>.run`, else None."""
    if run:
        return run
    return name_beside(output, ".run") if output else None


@contextmanager
def _note_what_is_kept(directory: Path) -> Iterator[None]:
    """Let an error that leaves a run directory behind say so."""
    try:
        yield
    except RunError:  # about the directory itself
        raise
    except TacosError as error:
        # A directory without a finished stage is gone by now.
        if directory.is_dir():
            error.add_note(
                f"What was finished is kept in {directory}: the same command goes on from there."
            )
        raise


@contextmanager
def _translate_read_errors(directory: Path) -> Iterator[None]:
    """Turn a table that cannot be read into a `RunError` of one line."""
    try:
        yield
    except pl.exceptions.ComputeError as error:
        reason = str(error).splitlines()[0]  # polars adds its query plan below
        raise RunError(
            f"{directory} is damaged ({reason}): remove it and run the same command again"
        ) from None


def _check_feasibility(
    name: str, artifact: Artifact, settings: Settings, max_memory: float | None
) -> None:
    """Raise `InputError` if the pool cannot meet the request, before anything is paid for, and
    `ConfigError` if it needs more memory.
    """
    if name == "canonical_tags":
        _check_tag_quotas(artifact, settings.select)
    if name == "samples":
        memory_forecast.check_rows(max_memory, artifact.manifest["n_rows"])
        _check_size(artifact, settings.select)
        hand_edits.check_hand_lists(artifact, settings)


def _check_tag_quotas(canonical_tags: Artifact, wanted: SelectSettings) -> None:
    """Raise `InputError` if a quota names a tag that no sample has."""
    if not wanted.per_tag:
        return
    distinct = canonical_tags.scan().select(pl.col("tags").explode().unique())
    names = distinct.collect()["tags"].drop_nulls()
    limits.resolve_tags(wanted.parts("per_tag"), names.to_list())


def _check_size(samples: Artifact, wanted: SelectSettings) -> None:
    """Raise `InputError` if there are fewer usable rows than the selection is to have."""
    n_samples = samples.manifest["n_rows"]
    if n_samples == 0:
        raise InputError(_explain_no_sample(samples.manifest["rejects"]))
    if wanted.per_source:
        _check_source_quotas(samples, wanted)
    if wanted.fill or wanted.size.unit != "rows":
        return
    if n_samples < wanted.size.value:
        raise InputError(
            f"cannot select {count_words(int(wanted.size.value), 'row')}: only "
            f"{count_words(n_samples, 'usable row')} in the input. "
            "Ask for a smaller n (-n), or take all there are (select.fill, or --fill)"
        )


def _explain_no_sample(rejects: Mapping[str, int]) -> str:
    """Why no row can be used, and what to do."""
    reasons = []
    for reason, count in rejects.items():
        rows = count_words(count, "row")
        reasons.append(f"{rows}: {reason}")
    return (
        f"no usable row in the input ({'; '.join(reasons)}). Every row needs a question and an "
        "answer; if they are in other columns, name these (--set ingest.instruction=COLUMN "
        "--set ingest.response=COLUMN)"
    )


def _check_source_quotas(samples: Artifact, wanted: SelectSettings) -> None:
    """Raise `InputError` if the quotas of input files cannot be met."""
    quotas = wanted.parts("per_source")
    # Sorted: `unique` returns the sources in any order.
    sources_of_rows = pl.col("source").unique().sort()
    distinct = samples.scan().select(sources_of_rows)
    names = distinct.collect()["source"]
    limits.resolve_sources(quotas, names.to_list())
    if wanted.size.unit == "tokens":
        return  # how many rows it buys is known only later
    n_rows = pool.count_requested_rows(samples, wanted.size)
    limits.bound_sources(names, n_rows, quotas)


def _build_run_state(done: Selection, inputs: Sequence[str]) -> dict[str, Any]:
    """The content of `run.json`: enough to load the run again."""
    keys = {name: artifact.manifest["key"] for name, artifact in done.artifacts.items()}
    return {
        "status": _describe_status(done),
        "preset": done.settings.preset,
        "n": done.settings.select.n,
        "input": list(inputs),
        "output": str(done.output or ""),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": done.settings.model_dump(mode="json"),
        "functions": dict(done.functions),
        "read_before": {
            file: ingest.model_dump(mode="json")
            for file, ingest in done.read_before.items()
        },
        "artifacts": keys,
    }


def _describe_status(done: Selection) -> str:
    """How far a run has come."""
    if not done.artifacts:
        return "unfinished"
    last = list(done.artifacts)[-1]
    return "selected" if last == "selection" else f"stopped after {last}"
