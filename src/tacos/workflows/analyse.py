"""Comparing tagged data sets: `analyse` tags what is not tagged, makes ONE vocabulary for all of
them, and measures.

Diversity is a share of the joint tag set, so tags of different data sets must mean the same: raw
tags of all of them are normalised together, whatever vocabulary a run may have made for itself. A
data file is tagged as `tacos select --until tag` would; a run brings the tags that it has.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from tacos.config import Settings
from tacos.engines.local import LocalEngine
from tacos.errors import InputError
from tacos.formats import reading, sources
from tacos.methods.measures import tag_measures
from tacos.methods.measures.tag_measures import TagProfile
from tacos.methods.tags import association_rules, normalisation
from tacos.pipeline.model_factory import UserFunctions, open_models
from tacos.pipeline.run_loop import Progress, StageModels, run_plan
from tacos.pipeline.steps import tags as tag_steps
from tacos.store.artifacts import Artifact, Store
from tacos.workflows import select

N_SIZES = 24
N_DRAWS = 200
DRAWN_OCCURRENCES = 400_000_000
"""Tag occurrences that the draws of one rarefaction curve look at; a large data set has fewer
draws, at least 20.
"""


@dataclass(frozen=True)
class Analysis:
    """What the data sets come to; each table has a column `data`."""

    summary: pl.DataFrame
    """Sizes, coverage (diversity), complexity; see `tacos.methods.measures.tag_measures.summarise_profiles`.
    """
    recall: pl.DataFrame
    frequencies: pl.DataFrame
    rarefaction: pl.DataFrame
    cooccurrence: pl.DataFrame
    vocabulary: pl.DataFrame
    """By `VOCABULARY`: of all data sets together."""
    notes: Mapping[str, Any]
    """Counts of each step of normalisation, or the drift from a given vocabulary."""

    @property
    def tables(self) -> dict[str, pl.DataFrame]:
        """The tables by name."""
        names = ("summary", "recall", "frequencies", "rarefaction", "cooccurrence", "vocabulary")
        return {name: getattr(self, name) for name in names}

    def as_dict(self, top: int = 50) -> dict[str, Any]:
        """For JSON; of the long tables the first `top` rows per data set, of the vocabulary
        nothing.
        """
        short = {
            name: self.tables[name].group_by("data", maintain_order=True).head(top).to_dicts()
            for name in ("frequencies", "cooccurrence")
        }
        whole = {
            name: self.tables[name].to_dicts() for name in ("summary", "recall", "rarefaction")
        }
        return {**whole, **short, "normalisation": dict(self.notes)}


def analyse(
    data: Sequence[Any],
    settings: Settings,
    *,
    ledger: Path | None = None,
    workers: int = 0,
    progress: Progress | None = None,
    seed: int = 1,
) -> Analysis:
    """Compare data sets: each a path of a data file, a run directory, or whatever else
    `tacos.select` reads.

    Raises `InputError` where none has a tag, and what the loop raises.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tacos-")))
        engine = stack.enter_context(closing(LocalEngine(workers)))
        models = stack.enter_context(open_models(settings, UserFunctions(), ledger))
        tags = {}
        for number, (name, each) in enumerate(zip(name_data_sets(data), data, strict=True)):
            tags[name] = _load_run_tags(each) or _tag_data_set(
                each,
                folder / str(number),
                settings,
                engine,
                models,
                progress or select.SilentProgress(),
            )
        return _measure_data_sets(tags, settings, models, seed)


def name_data_sets(data: Sequence[Any]) -> list[str]:
    """What the data sets are called: as short as tells them apart, and never as the column that
    holds their names.
    """
    if not data:
        raise InputError("name at least one data file or run")
    paths = [
        each if isinstance(each, str | Path) else f"data {number}"
        for number, each in enumerate(data, 1)
    ]
    names = reading.name_files(paths)
    short = [name.partition(".")[0] for name in names]
    if all(short) and len(set(short)) == len(short) and "data" not in short:
        return short
    return ["./data" if name == "data" else name for name in names]


def _load_run_tags(data: Any) -> Artifact | None:
    """The raw tags of a run directory; None where `data` is none."""
    if not isinstance(data, str | Path) or not (Path(data) / select.STATE).is_file():
        return None
    found = select.load(data).artifacts.get("tags")
    if found is None:
        raise InputError(
            f"{data} was stopped before its rows were tagged; run it again with --until tag"
        )
    return found


def _tag_data_set(
    data: Any,
    folder: Path,
    settings: Settings,
    engine: LocalEngine,
    models: StageModels,
    progress: Progress,
) -> Artifact:
    """The raw tags of a data file, tagged now."""
    store = Store(folder)
    with store.lock():
        source = sources.open_source(data, folder)
        return run_plan(source, settings, store, engine, models, progress, "tag").artifacts["tags"]


def _measure_data_sets(
    tags: Mapping[str, Artifact], settings: Settings, models: StageModels, seed: int
) -> Analysis:
    """One vocabulary for all, then every measure of every data set."""
    vocabulary, notes = tag_steps.make_vocabulary(
        list(tags.values()), settings.normalise, models.tools["normalise"]
    )
    mapping = normalisation.build_tag_mapping(vocabulary)
    names = sorted({name for name in mapping.values() if name is not None})
    codes = {name: number for number, name in enumerate(names)}
    profiles = {
        data: tag_measures.build_tag_profile(tag_steps.iterate_canonical_tags(each, mapping))
        for data, each in tags.items()
    }
    matrices = {
        data: association_rules.build_tag_matrix(
            tag_steps.iterate_canonical_tags(each, mapping), codes, len(names)
        )
        for data, each in tags.items()
    }
    return Analysis(
        summary=tag_measures.summarise_profiles(profiles),
        recall=tag_measures.tag_recall_matrix(profiles),
        frequencies=_stack_tables(
            {data: tag_measures.tabulate_frequencies(each) for data, each in profiles.items()}
        ),
        rarefaction=_stack_tables(
            {data: _compute_rarefaction(x, profiles, seed) for data, x in matrices.items()}
        ),
        cooccurrence=_stack_tables(
            {data: tag_measures.rank_cooccurring_tags(x, names) for data, x in matrices.items()}
        ),
        vocabulary=vocabulary,
        notes=notes,
    )


def _compute_rarefaction(
    x: sparse.csr_array, profiles: Mapping[str, TagProfile], seed: int
) -> pl.DataFrame:
    """A rarefaction curve as shares of the joint tag set."""
    n_joint = len(tag_measures.collect_joint_tags(profiles.values()))
    sizes = np.unique(np.geomspace(1, max(1, x.shape[0]), N_SIZES).round().astype(int)).tolist()
    n_draws = int(np.clip(DRAWN_OCCURRENCES // max(1, x.nnz), 20, N_DRAWS))
    found = tag_measures.compute_rarefaction(x, sizes, n_draws, seed)
    return found.with_columns(pl.col("expected", "low", "high") / n_joint)


def _stack_tables(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Tables of several data sets as one, with the column `data` first."""
    return pl.concat(
        [table.select(pl.lit(data).alias("data"), pl.all()) for data, table in tables.items()]
    )
