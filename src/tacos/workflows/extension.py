"""Opens the input of a run, and with it what the runs that it extends know of their rows.

Rows are read from the samples of these runs, since their files may be gone. Nothing of these runs
is changed. Answers of their models are taken over where the same question would be asked today: the
same prompt, model and settings of the stage.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from tacos.config import IngestSettings, Settings
from tacos.errors import ConfigError, InputError, RunError
from tacos.formats import sources
from tacos.formats.remote_files import RemoteFile
from tacos.formats.sources import InputSource
from tacos.pipeline import conditions
from tacos.pipeline.old_tables import OldPart, OldTable
from tacos.pipeline.run_loop import ConcatenatedTable, StageModels
from tacos.pipeline.stage_key import hash_prompt, read_used_settings
from tacos.pipeline.stages import find_stage
from tacos.records import (
    GRADES,
    PAIRS,
    SAMPLES,
    SHORTLIST,
    TAGS,
    VERDICTS,
    OriginalRows,
    SampleBatch,
    Table,
    add_missing_columns,
    canonical_hash,
    conform_table,
)
from tacos.store.artifacts import Artifact
from tacos.store.joined_files import OriginalPart
from tacos.workflows.selection import GivenRun, Selection, find_run_directory, load

UNIMPORTANT = frozenset({"max_failure_rate"})
"""Settings of a stage on which no answer depends."""
BY_SAMPLE = (
    ("tag", "tags", TAGS),
    ("grade", "grades", GRADES),
    ("reread", "close_grades", GRADES),
)
"""Stages whose answers are about one sample, what they make and its schema."""


@dataclass(frozen=True)
class OldSamples:
    """The samples of an extended run, in the run that extends it."""

    run: Path
    samples: Artifact
    renamed: Mapping[str, str] = field(default_factory=dict)
    """File -> its name here, where another run has a file of that name."""
    replaced: frozenset[str] = frozenset()
    """Files that are given again: their rows are read from there."""

    @property
    def digest(self) -> str:
        """Hash of the samples and of what becomes of their files."""
        return canonical_hash(
            [self.samples.digest, dict(self.renamed), sorted(self.replaced)]
        )

    def batches(self) -> Iterator[SampleBatch]:
        """The samples, in the batches in which they were read."""
        originals = self.samples.originals
        for number, batch in enumerate(self.samples.batches()):
            table = conform_table(add_missing_columns(batch, SAMPLES), SAMPLES)
            table = table.filter(~pl.col("source").is_in(list(self.replaced)))
            if table.is_empty():
                continue
            original = originals.get(number)
            yield SampleBatch(
                _rename_files(table, self.renamed),
                None if original is None else self._read_original(original),
            )

    def scan_replaced(self) -> pl.LazyFrame:
        """File and content hash of the samples of files that are given again."""
        rows = self.samples.scan().select("source", "content_hash")
        return rows.filter(pl.col("source").is_in(list(self.replaced)))

    def _read_original(self, part: OriginalPart) -> OriginalRows:
        """The rows of a batch as they were read."""
        # Only rows with types need pyarrow, which takes long to import.
        from tacos.store.original_rows import read_original_head, read_original_table

        head = read_original_head(part)
        file = self.renamed.get(head.file, head.file)
        return OriginalRows(file, head.first_row, read_original_table(part))


@dataclass(frozen=True)
class ExtendedSource:
    """The rows of extended runs, then the new ones; see `tacos.pipeline.run_loop.Source`."""

    old: Sequence[OldSamples]
    new: InputSource | None
    old_tables: Mapping[str, Table]
    anew: tuple[str, ...] = ()
    """What is made anew, since its model or its settings are others now."""
    read_before: Mapping[str, IngestSettings] = field(default_factory=dict)
    """File of an extended run -> how its rows were read, where that is not how new ones are."""

    @property
    def digest(self) -> str:
        """Hash of all rows."""
        new = self.new.digest if self.new else ""
        return canonical_hash([[part.digest for part in self.old], new])

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the new files."""
        return self.new.names if self.new else ()

    @property
    def files(self) -> tuple[Path | RemoteFile, ...]:
        """The new files."""
        return self.new.files if self.new else ()

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[Any]:
        """Batches of samples (`SampleBatch`), then of raw rows (`reading.RowBatch`)."""
        for part in self.old:
            yield from part.batches()
        if self.new:
            yield from self.new.batches()

    def heads(self, n_rows: int) -> Iterator[Any]:
        """The first rows of each new file."""
        if self.new:
            yield from self.new.heads(n_rows)

    def scan(self) -> pl.LazyFrame:
        """Raises `NotImplementedError`: raw rows are no table."""
        raise NotImplementedError("raw rows have no columns before they are ingested")

    def check_replaced(self, known: Artifact) -> None:
        """Raise `InputError` if a file that is given again, by its name, has no row in common with
        one that it takes the place of: then it is another file.
        """
        rows = known.scan().select(
            "content_hash", source=pl.col("id").str.extract(r"(?s)^(.*):\d+$")
        )
        for part in self.old:
            again = part.scan_replaced().join(rows, on=["source", "content_hash"])
            found = again.select("source").collect()["source"]
            for name in sorted(part.replaced.difference(found)):
                raise InputError(
                    f"{name} is also the name of an input of {part.run}, but has none of its "
                    "rows: rename the new file if its rows are to be added, or extend one run "
                    "at a time"
                )


def open_source(
    data: Any, directory: Path, settings: Settings, models: StageModels
) -> InputSource | ExtendedSource:
    """The source of a run in `directory`: the data, and what it extends.

    Raises `InputError` for data that cannot be read, `RunError` for runs that cannot be extended,
    and `ConfigError` for settings that do not go with them.
    """
    if not settings.extend.runs:
        return sources.open_source(data, directory)
    runs = _load_runs(settings)
    for run in runs:
        if run.run.resolve() == directory.resolve():
            raise RunError(
                f"{run.run} cannot be extended in its own directory: name another output (-o) or "
                "another run (--run)"
            )
    # Without data, the runs alone are merged.
    is_empty = data is None or (isinstance(data, list | tuple) and not data)
    new = None if is_empty else sources.open_source(data, directory)
    unnamed = _list_unnamed(new, directory)
    given = set(new.names) - unnamed if new else set()
    files = [_list_files(run) for run in runs]
    taken = given.union(*files)
    old = []
    read_before: dict[str, IngestSettings] = {}
    for run, names, renamed in zip(
        runs, files, _rename_repeated(files, given, taken), strict=True
    ):
        replaced = frozenset(given.intersection(names))
        old.append(OldSamples(run.run, run.artifacts["samples"], renamed, replaced))
        for name in names:
            ingest = run.read_before.get(name, run.settings.ingest)
            if name not in replaced and ingest != settings.ingest:
                read_before[renamed.get(name, name)] = ingest
    if new:
        new = _name_anew(new, unnamed, taken)
    tables, anew = _collect_old_tables(runs, settings, models)
    changed = new.anew if new else ()
    return ExtendedSource(old, new, tables, (*anew, *changed), read_before)


def open_old_tables(settings: Settings, models: StageModels) -> Mapping[str, Table]:
    """The tables of the runs that a run extends. Raises as `open_source` does."""
    if not settings.extend.runs:
        return {}
    tables, _ = _collect_old_tables(_load_runs(settings), settings, models)
    return tables


# Settings


def build_extension(runs: Sequence[GivenRun], *, renew: bool) -> dict[str, Any]:
    """The settings by which a run extends others. Raises `TypeError` for what is no run."""
    names = [str(find_run_directory(run)) for run in runs]
    return {"extend": {"runs": names, "renew": renew}}


def check_preset(preset: str, of_run: Settings) -> None:
    """Raise `ConfigError` if another preset is asked for than that of the run to be extended."""
    if preset not in {Settings().preset, of_run.preset}:
        raise ConfigError(
            f"the extended run has the preset {of_run.preset}, not {preset}: leave out --preset"
        )


# Runs


def _load_runs(settings: Settings) -> list[Selection]:
    """The runs to be extended. Raises `RunError`, or `ConfigError` for a cascade of taggers."""
    if settings.cascade.sample:
        raise ConfigError(
            "a run with a cascade of taggers (cascade.sample) cannot be extended; "
            "--set cascade.sample=0 has the language model tag all new rows"
        )
    runs: list[Selection] = []
    for name in settings.extend.runs:
        run = load(name)
        if any(run.run.resolve() == earlier.run.resolve() for earlier in runs):
            raise ConfigError(f"--extend {name} is given twice: name each run once")
        if "samples" not in run.artifacts:
            raise RunError(f"{name} has read no rows: finish it, or leave out --extend")
        _check_tables(run)
        runs.append(run)
    return runs


def _check_tables(run: Selection) -> None:
    """Raise `RunError` if a table of a run is not whole, as after a copy that broke off."""
    for artifact in run.artifacts.values():
        try:
            n_rows = artifact.scan().select(pl.len()).collect().item()
        except (OSError, pl.exceptions.PolarsError) as error:
            reason = str(error).splitlines()[0]
        else:
            if n_rows == artifact.manifest["n_rows"]:
                continue
            reason = f"{n_rows:,} of {artifact.manifest['n_rows']:,} rows"
        raise RunError(
            f"{artifact.path} is damaged ({reason}): copy the run {run.run} again, or leave out "
            "--extend"
        )


def _list_files(run: Selection) -> list[str]:
    """The files of a run's samples, in their order."""
    names = run.artifacts["samples"].scan().select("source").unique(maintain_order=True)
    return names.collect()["source"].to_list()


def _list_unnamed(new: InputSource | None, directory: Path) -> set[str]:
    """The names of new data that have none of their own: those of Python and of standard input.
    Their rows are always new ones; only a file can be given again.
    """
    if new is None:
        return set()
    if not new.files:
        return set(new.names)
    named = zip(new.names, new.files, strict=True)
    return {name for name, file in named if sources.is_stdin(file, directory)}


def _rename_repeated(
    files: Sequence[Sequence[str]],
    given: Collection[str],
    taken: set[str],
) -> list[dict[str, str]]:
    """For each run, its files with other names here, since an earlier run has a file of that name;
    those that are given again keep theirs. Adds the new names to those `taken`.
    """
    seen: set[str] = set()
    renamed: list[dict[str, str]] = []
    for names in files:
        repeated = [name for name in names if name in seen and name not in given]
        renamed.append({name: _take_free_name(name, taken) for name in repeated})
        seen.update(names)
    return renamed


def _name_anew(
    new: InputSource, unnamed: Collection[str], taken: set[str]
) -> InputSource:
    """The source, with other names for data that have none of their own where theirs are taken."""
    names = tuple(
        _take_free_name(name, taken) if name in taken & set(unnamed) else name
        for name in new.names
    )
    if names == new.names:
        return new
    return replace(new, names=names, digest=canonical_hash([new.digest, *names]))


def _take_free_name(name: str, taken: set[str]) -> str:
    """The first of `name~2`, `name~3` ... that is free; it is taken then."""
    number = 2
    while f"{name}~{number}" in taken:
        number += 1
    free = f"{name}~{number}"
    taken.add(free)
    return free


def _rename_files(table: pl.DataFrame, renamed: Mapping[str, str]) -> pl.DataFrame:
    """Samples whose files have other names."""
    if not renamed:
        return table
    row = pl.col("id").str.extract(r":(\d+)$")
    source = pl.col("source").replace(dict(renamed))
    return table.with_columns(
        id=pl.concat_str(source, row, separator=":"), source=source
    )


# What is known of their rows


def _collect_old_tables(
    runs: Sequence[Selection], settings: Settings, models: StageModels
) -> tuple[dict[str, Table], list[str]]:
    """The tables by name, and what of the runs cannot be taken over, in words."""
    samples = [
        OldPart(run.artifacts["samples"], run.artifacts["samples"], number)
        for number, run in enumerate(runs)
    ]
    tables: dict[str, Table] = {"old_samples": OldTable(samples, SAMPLES)}
    anew: list[str] = []
    for stage, makes, schema in BY_SAMPLE:
        parts = []
        for number, run in enumerate(runs):
            if makes not in run.artifacts or stage not in models.prompt:
                continue
            if _is_same(run.artifacts[makes], stage, settings, models):
                part = OldPart(run.artifacts[makes], run.artifacts["samples"], number)
                parts.append(part)
            else:
                anew.append(_describe_change(stage, run))
        if parts:
            tables[f"old_{makes}"] = OldTable(parts, schema)
    if conditions.uses_comparisons(settings):
        tables |= _collect_comparisons(runs, settings, models, anew)
    if settings.extend.keeps_vocabulary:
        tables |= _keep_vocabulary_and_clusters(runs[0], settings, models)
    return tables, anew


def _collect_comparisons(
    runs: Sequence[Selection],
    settings: Settings,
    models: StageModels,
    anew: list[str],
) -> dict[str, Table]:
    """The shortlists, pairs and verdicts of the runs that the same judge has judged."""
    # In the paper's procedure a row is compared within each of its clusters.
    if settings.extend.renew and settings.cluster.membership != "home":
        return {}
    shortlists = []
    pairs: list[OldPart] = []
    verdicts: list[OldPart] = []
    for number, run in enumerate(runs):
        rounds = [
            name.partition("/")[2]
            for name in run.artifacts
            if name.startswith("verdicts/")
        ]
        if not rounds or "shortlist" not in run.artifacts:
            continue
        first = run.artifacts[f"verdicts/{rounds[0]}"]
        if not _is_same(first, "judge", settings, models):
            anew.append(_describe_change("judge", run))
            continue
        samples = run.artifacts["samples"]
        shortlists.append(OldPart(run.artifacts["shortlist"], samples, number))
        for parts, makes in ((pairs, "pairs"), (verdicts, "verdicts")):
            of_rounds = [run.artifacts[f"{makes}/{each}"] for each in rounds]
            parts.append(OldPart(ConcatenatedTable(of_rounds), samples, number))
    if not pairs:
        return {}
    sides = ("left", "right")
    return {
        "old_shortlist": OldTable(shortlists, SHORTLIST),
        "old_pairs": OldTable(pairs, PAIRS, sides),
        "old_verdicts": OldTable(verdicts, VERDICTS, sides),
    }


def _keep_vocabulary_and_clusters(
    run: Selection, settings: Settings, models: StageModels
) -> dict[str, Table]:
    """The vocabulary and the clusters of the first run."""
    kept: dict[str, Table] = {}
    for stage, makes in (
        ("normalise", "vocabulary"),
        ("imply", "implications"),
        ("cluster", "clusters"),
    ):
        if not find_stage(stage).when(settings):
            continue
        if makes not in run.artifacts:
            raise RunError(
                f"{run.run} has no {makes} yet: finish it, or make both anew over all rows "
                "(--renew)"
            )
        if not _is_same(run.artifacts[makes], stage, settings, models):
            raise ConfigError(
                f"the settings or the model of stage {stage} are others than in {run.run}, "
                f"so its {makes} cannot stay: add --renew to make vocabulary and clusters anew"
            )
        # Tags are mapped onto a published vocabulary row by row anyway.
        if makes != "vocabulary" or not settings.normalise.vocabulary:
            kept[f"old_{makes}"] = run.artifacts[makes]
    return kept


def _is_same(
    artifact: Artifact, stage_name: str, settings: Settings, models: StageModels
) -> bool:
    """Whether a stage would work as it did for an artifact."""
    stage = find_stage(stage_name)
    manifest = artifact.manifest
    before = _drop_unimportant(manifest["settings"])
    now = _drop_unimportant(read_used_settings(stage, settings))
    return (
        manifest["prompt"] == hash_prompt(stage, settings)
        and artifact.fingerprint == getattr(models.of(stage), "fingerprint", None)
        and canonical_hash(before) == canonical_hash(now)
    )


def _drop_unimportant(values: Mapping[str, Any]) -> dict[str, Any]:
    """Used settings without those on which no answer depends."""
    kept: dict[str, Any] = {}
    for name, value in values.items():
        if name == "cascade.again":
            continue
        if isinstance(value, Mapping):
            value = {key: value[key] for key in value if key not in UNIMPORTANT}
        kept[name] = value
    return kept


def _describe_change(stage: str, run: Selection) -> str:
    """What is asked or computed anew, and why."""
    return (
        f"stage {stage}: old rows are done anew, since its model, prompt or settings are others "
        f"than in {run.run}"
    )
