"""`tacos analyse`: how diverse and how complex are data sets, and how much do they have in common?

Diversity is a share of the joint tag set, so tags of different data sets must mean the same: the
raw tags of all of them are normalised together, whatever vocabulary a run has made for itself. A
data file is tagged as `tacos select --until tag` would; a run brings the tags that it has. Rows of
a file that are in one of the runs, such as its selection, have the tags of that run, and a row that
several data sets have counts once for the joint vocabulary: see
`tacos.workflows.data_set_tags`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from tacos.addresses import is_url, redact_address
from tacos.config import Settings, load_settings
from tacos.engines.local import LocalEngine
from tacos.errors import InputError
from tacos.formats import reading, sources
from tacos.formats.paths import is_run_folder
from tacos.methods.measures import tag_measures
from tacos.methods.measures.tag_measures import TagProfile
from tacos.methods.tags import association_rules, normalisation
from tacos.pipeline.model_factory import UserFunctions, open_models
from tacos.pipeline.run_loop import Progress, StageModels, run_plan
from tacos.pipeline.steps import tags as tag_steps
from tacos.store import files
from tacos.store.artifacts import Store
from tacos.workflows import arguments, data_set_tags
from tacos.workflows.data_set_tags import TaggedRows
from tacos.workflows.given_settings import GivenSettings, resolve_settings
from tacos.workflows.selection import Selection, find_run_directory, load
from tacos.workflows.silent_progress import choose_progress

N_SIZES = 24
"""Points of a rarefaction curve."""
N_DRAWS = 200
MIN_DRAWS = 20
DRAWN_OCCURRENCES = 400_000_000
"""Tag occurrences that the draws of one rarefaction curve look at; a large data set has fewer
draws, but at least `MIN_DRAWS`.
"""

TABLES = (
    "summary",
    "recall",
    "frequencies",
    "rarefaction",
    "cooccurrence",
    "vocabulary",
)


@dataclass(frozen=True)
class Analysis:
    """The measures of some data sets; all tables but the vocabulary have a column `data`.

    `tacos.methods.measures.tag_measures` describes the columns.
    """

    summary: pl.DataFrame
    """A row per data set: sizes, coverage (diversity), complexity."""
    recall: pl.DataFrame
    """A row and a column per data set: the share of the column's tags that the row has."""
    frequencies: pl.DataFrame
    """A row per data set and tag, the most frequent first."""
    rarefaction: pl.DataFrame
    """A row per data set and number of samples: the expected share of the joint tag set."""
    cooccurrence: pl.DataFrame
    """A row per data set and pair of tags that occur together."""
    vocabulary: pl.DataFrame
    """By `tacos.records.VOCABULARY`: of all data sets together."""
    notes: Mapping[str, Any]
    """Counts of each step of normalisation, or the drift from a given vocabulary."""

    @property
    def tables(self) -> dict[str, pl.DataFrame]:
        """The tables by name."""
        return {name: getattr(self, name) for name in TABLES}

    def as_dict(self, top: int = 50) -> dict[str, Any]:
        """For JSON: the first `top` rows per data set of the long tables, no vocabulary."""
        plain: dict[str, Any] = {}
        for name in ("summary", "recall", "rarefaction"):
            plain[name] = self.tables[name].to_dicts()
        for name in ("frequencies", "cooccurrence"):
            # The tables are sorted within each data set, so the first rows are the largest.
            by_data = self.tables[name].group_by("data", maintain_order=True)
            largest = by_data.head(top)
            plain[name] = largest.to_dicts()
        plain["normalisation"] = dict(self.notes)
        return plain


def analyse(
    data: Any,
    settings: GivenSettings = None,
    *,
    preset: str = "robust",
    ledger: str | Path | None = None,
    workers: int = 0,
    progress: Progress | None = None,
    seed: int = 1,
) -> Analysis:
    """Measure data sets and compare them.

    Args:
        data: A list of data sets, or a single one: run directories, selections, or whatever
            `tacos.select` reads.
        settings: All settings, or nested ones over the preset.
        preset: "robust" or "paper"; not read if `settings` are complete.
        ledger: The file of paid replies, or the address of a PostgreSQL database that holds them;
            a file in the user's data folder by default.
        workers: Worker processes; 0 means one per core.
        progress: What is told of the progress.
        seed: The random state of the rarefaction curves.

    Raises:
        InputError: No data set was given, one cannot be read, or none has a tag.
    """
    arguments.check_type("seed", seed, Integral, "a whole number")
    arguments.check_workers(workers)
    # A frame or a `datasets.Dataset` is iterable, too, but is one data set.
    data_sets = list(data) if isinstance(data, list | tuple) else [data]
    watcher = choose_progress(progress)
    chosen = resolve_settings(settings, preset, seed=load_settings(seed=seed).seed)
    location = arguments.to_ledger_location(ledger)
    with (
        files.make_temporary_folder() as folder,
        closing(LocalEngine(workers)) as engine,
        open_models(chosen, UserFunctions(), location) as models,
    ):
        tagger = _Tagger(
            chosen,
            engine,
            models,
            watcher,
        )
        tagged: dict[str, TaggedRows] = {}
        for number, (name, source) in enumerate(
            zip(name_data_sets(data_sets), data_sets, strict=True)
        ):
            scratch = Store(Path(folder) / str(number))
            tagged[name] = _load_run_tags(source) or tagger.tag(source, scratch)
        return _measure_data_sets(
            data_set_tags.take_tags_of_runs(tagged),
            chosen,
            models,
            seed,
        )


def name_data_sets(data: Sequence[Any]) -> list[str]:
    """Name data sets as briefly as tells them apart, and never "data": a column of that name holds
    the names.
    """
    if not data:
        raise InputError("name at least one data file or run")
    paths: list[str | Path] = []
    for number, source in enumerate(data, 1):
        if isinstance(source, Selection):
            paths.append(source.run)
        elif is_url(source):
            paths.append(redact_address(source))
        elif isinstance(source, str | Path):
            paths.append(source)
        else:
            paths.append(f"data {number}")
    names = reading.name_files(paths)
    stems = [name.partition(".")[0] for name in names]
    n_distinct = len(set(stems))
    are_distinct = all(stems) and n_distinct == len(stems)
    if are_distinct and "data" not in stems:
        return stems
    return [
        "./data" if name == "data" else name  # a path of the same file
        for name in names
    ]


@dataclass(frozen=True)
class _Tagger:
    """Everything that tagging a data file needs."""

    settings: Settings
    engine: LocalEngine
    models: StageModels
    progress: Progress

    def tag(self, data: Any, store: Store) -> TaggedRows:
        """The raw tags of a data file, made in a store."""
        with store.lock():
            source = sources.open_source(data, store.root)
            outcome = run_plan(
                source,
                self.settings,
                store,
                self.engine,
                self.models,
                self.progress,
                until="tag",
            )
        return TaggedRows(
            outcome.artifacts["tags"],
            outcome.artifacts["samples"],
            is_run=False,
        )


def _load_run_tags(data: Any) -> TaggedRows | None:
    """The raw tags of a run directory or a selection; None if `data` is something else."""
    if not isinstance(data, str | Path | Selection):
        return None
    directory = find_run_directory(data)
    if not is_run_folder(directory):
        return None
    artifacts = load(data).artifacts
    if "tags" not in artifacts:
        raise InputError(
            f"{directory} was stopped before its rows were tagged; "
            "finish it first (on the command line, --until tag is enough)"
        )
    return TaggedRows(
        artifacts["tags"],
        artifacts["samples"],
        is_run=True,
    )


def _measure_data_sets(
    data_sets: Mapping[str, TaggedRows],
    settings: Settings,
    models: StageModels,
    seed: int,
) -> Analysis:
    """Make one vocabulary for all data sets, then take every measure of each."""
    # Tags of all data sets are normalised together, so that they mean the same.
    vocabulary, notes = tag_steps.make_vocabulary(
        data_set_tags.count_rows_once(list(data_sets.values())),
        settings.normalise,
        models.tools["normalise"],
    )
    mapping = normalisation.build_tag_mapping(vocabulary)
    # Columns of the tag matrices are in alphabetical order.
    names = sorted({name for name in mapping.values() if name is not None})
    codes = {name: number for number, name in enumerate(names)}
    profiles: dict[str, TagProfile] = {}
    matrices: dict[
        str, sparse.csr_array
    ] = {}  # shape (samples, names): 1 where a sample has a tag
    for data, rows in data_sets.items():
        batches = tag_steps.iterate_canonical_tags(rows.tags, mapping)
        profile = tag_measures.build_tag_profile(batches)
        # Rows that could not be tagged are samples, too.
        n_unknown = rows.hashes.height - profile.n_known
        profiles[data] = replace(profile, n_unknown=n_unknown)
        batches = tag_steps.iterate_canonical_tags(rows.tags, mapping)
        matrices[data] = association_rules.build_tag_matrix(batches, codes, len(names))
    summary = tag_measures.summarise_profiles(
        profiles
    )  # raises if there is no tag at all
    n_joint = len(tag_measures.collect_joint_tags(profiles.values()))
    frequencies = {
        data: tag_measures.tabulate_frequencies(profile)
        for data, profile in profiles.items()
    }
    rarefaction = {
        data: _compute_rarefaction(x, n_joint, seed) for data, x in matrices.items()
    }
    pairs = {
        data: tag_measures.rank_cooccurring_tags(x, names)
        for data, x in matrices.items()
    }
    return Analysis(
        summary=summary,
        recall=tag_measures.tag_recall_matrix(profiles),
        frequencies=_stack_tables(frequencies),
        rarefaction=_stack_tables(rarefaction),
        cooccurrence=_stack_tables(pairs),
        vocabulary=vocabulary,
        notes=notes,
    )


def _compute_rarefaction(
    x: sparse.csr_array,
    n_joint: int,
    seed: int,
) -> pl.DataFrame:
    """A rarefaction curve of a tag matrix, as shares of the n_joint tags of all data sets."""
    n_samples = max(1, x.shape[0])
    # Evenly spaced on a logarithmic scale: curves bend at small sizes.
    spaced = np.geomspace(1, n_samples, N_SIZES).round().astype(int)
    sizes = np.unique(spaced).tolist()
    affordable_draws = DRAWN_OCCURRENCES // max(1, x.nnz)
    n_draws = int(np.clip(affordable_draws, MIN_DRAWS, N_DRAWS))
    counts = tag_measures.compute_rarefaction(
        x,
        sizes,
        n_draws,
        seed,
    )
    return counts.with_columns(pl.col("expected", "low", "high") / n_joint)


def _stack_tables(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Tables of several data sets as one, with the column `data` first."""
    named = []
    for data, table in tables.items():
        named.append(table.select(pl.lit(data).alias("data"), pl.all()))
    return pl.concat(named)
